"""Finds images that were cut side by side from one larger picture, by their borders.

The last column of a tile and the first of the one to its right are neighbours in the
slide: they differ as little as two columns within a tile do. In the real training set
this puts four fifths of the images together, nearly always by four, as they were cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DIFFERENCE = 1.5  # of two borders, in units of that between a border and the line next to it
CORRELATION = 0.9
STRUCTURE = 1.5  # a border's own variation in the same units: an empty one proves nothing
ROUNDING = 0.3  # grey levels; the least difference of neighbouring lines that is believed
AMBIGUOUS = 3  # a border like more than so many others shows the lighting, not the slide

Lines = NDArray[np.float32]


def adjoining(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.intp]:
    """Index pairs (m, 2) of images uint8 (H, W, 3) that continue each other across a border."""
    pairs = [np.empty((0, 2), np.intp)]
    for turn in (False, True):  # right against left borders, then lower against upper ones
        turned = [image.swapaxes(0, 1) if turn else image for image in images]
        by_length = defaultdict(list)
        for i, image in enumerate(turned):
            if image.shape[1] >= 4:
                by_length[image.shape[0]].append(i)
        for indices in by_length.values():
            last = np.stack([_lines(turned[i], -1, -2) for i in indices], axis=1)
            first = np.stack([_lines(turned[i], 0, 1) for i in indices], axis=1)
            pairs.append(np.array(indices)[_matches(last, first)])
    return np.concatenate(pairs)


def _lines(image: NDArray[np.uint8], *columns: int) -> Lines:
    """Brightness float32 (columns, H), of 255, of some columns of an image."""
    lines: Lines = image[:, list(columns)].mean(axis=2, dtype=np.float32).T
    return lines


def _matches(last: Lines, first: Lines) -> NDArray[np.intp]:
    """Index pairs (m, 2) of borders that belong together, given (2, n, length) lines each.

    The first line of each pair is the border, the second the one next to it.
    """
    border_a, border_b = last[0], first[0]
    length = border_a.shape[1]
    grain_a, grain_b = (np.linalg.norm(lines[0] - lines[1], axis=1) for lines in (last, first))
    grain = np.maximum((grain_a[:, None] + grain_b) / 2, ROUNDING * np.sqrt(length))
    centred_a, centred_b = (b - b.mean(axis=1, keepdims=True) for b in (border_a, border_b))
    spread_a, spread_b = (np.linalg.norm(c, axis=1) for c in (centred_a, centred_b))
    products = centred_a @ centred_b.T
    offset = border_a.mean(axis=1)[:, None] - border_b.mean(axis=1)
    squares = spread_a[:, None] ** 2 + spread_b**2 - 2 * products + length * offset**2
    alike = (
        (squares < (DIFFERENCE * grain) ** 2)
        & (products > CORRELATION * spread_a[:, None] * spread_b)
        & (np.minimum(spread_a[:, None], spread_b) > STRUCTURE * grain)
    )
    np.fill_diagonal(alike, False)
    alike &= (alike.sum(axis=1, keepdims=True) <= AMBIGUOUS) & (alike.sum(axis=0) <= AMBIGUOUS)
    return np.argwhere(alike)
