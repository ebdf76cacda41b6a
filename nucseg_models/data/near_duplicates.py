"""Finds copies of an image: turned, mirrored, lighter, noisier, or a little later or deeper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CELLS = 16  # a signature's side
SAMPLES = 8  # a cell is the mean of about so many pixels squared
SIMILAR = 0.8  # correlation; unrelated images of the real training set stay below 0.72
ROWS = 1024  # signatures compared at once with all others, to bound the memory


def _quadratic_surfaces() -> NDArray[np.float64]:
    """An orthonormal basis (CELLS * CELLS, 6) of the quadratic functions of row and column."""
    rows, columns = np.mgrid[-1 : 1 : CELLS * 1j, -1 : 1 : CELLS * 1j]
    terms = [rows**i * columns**j for i in range(3) for j in range(3 - i)]
    return np.linalg.qr(np.stack(terms, axis=-1).reshape(-1, 6)).Q


SURFACES = _quadratic_surfaces()


def near_duplicates(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.intp]:
    """Index pairs (m, 2) of images uint8 (H, W, 3) that show the same in any orientation.

    Signatures are compared by their correlation, in all eight orientations. Images with
    a side below `CELLS` pixels are left out.
    """
    usable = np.array([i for i, image in enumerate(images) if min(image.shape[:2]) >= CELLS])
    if len(usable) < 2:
        return np.empty((0, 2), np.intp)
    signatures = np.stack([signature(images[i]) for i in usable])
    turned = [
        np.rot90(s, k, axes=(1, 2)) for s in (signatures, signatures[:, ::-1]) for k in range(4)
    ]
    flat = [orientation.reshape(len(usable), -1) for orientation in turned]
    pairs = []
    for start in range(0, len(usable), ROWS):
        rows = flat[0][start : start + ROWS]
        best = np.max([rows @ other.T for other in flat], axis=0)
        pairs.append(np.argwhere(best > SIMILAR) + np.array([start, 0]))
    both_ways = np.concatenate(pairs)
    found: NDArray[np.intp] = usable[both_ways[both_ways[:, 0] < both_ways[:, 1]]]
    return found


def signature(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The image's structure, float32 (CELLS, CELLS), of mean 0 and norm 1 (0 if it has none).

    Cell means of the brightness, less the quadratic surface that fits them best; so
    neither gain and offset nor uneven lighting count.
    """
    step = max(1, min(image.shape[:2]) // (CELLS * SAMPLES))
    brightness = image[::step, ::step].astype(np.float32).sum(axis=2)
    rows, columns = (np.linspace(0, side, CELLS + 1).astype(int) for side in brightness.shape)
    sums = np.add.reduceat(np.add.reduceat(brightness, rows[:-1], 0), columns[:-1], 1)
    cells = sums / np.outer(np.diff(rows), np.diff(columns))
    cells -= (SURFACES @ (SURFACES.T @ cells.ravel())).reshape(cells.shape)
    norm = np.linalg.norm(cells)
    scaled: NDArray[np.float32] = (cells / norm if norm > 1e-3 else 0 * cells).astype(np.float32)
    return scaled
