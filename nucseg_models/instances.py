"""From maps of pixels to nuclei: cleaning, splitting and outlining (NumPy, SciPy, scikit-image).

Here two pixels are neighbours if they share an edge. Nuclei that meet only at a corner are so
two nuclei. Labels are int32, 0 background, 1..n nuclei, no number missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

EDGES = ndimage.generate_binary_structure(2, 1)
EDGES_AND_CORNERS = ndimage.generate_binary_structure(2, 2)


def clean(foreground: NDArray[np.bool_], *, minimum_area: int) -> NDArray[np.bool_]:
    """Fill holes, then drop components, that are smaller than `minimum_area` pixels.

    foreground: bool (H, W); the result is a new array of its shape. Nuclei have no holes, but a
    ring of nuclei encloses a gap about as large as a nucleus (six around an empty place) that
    must stay background. So one bound serves both: what is too small to be a nucleus is noise,
    whatever its colour. Background that reaches the image's edge is no hole.
    0 or 1 changes nothing.
    """
    background, count = ndimage.label(~foreground, EDGES_AND_CORNERS)
    is_hole = np.bincount(background.ravel(), minlength=count + 1) < minimum_area
    is_hole[np.concatenate([background[[0, -1]].ravel(), background[:, [0, -1]].ravel()])] = False
    is_hole[0] = False
    filled = foreground | is_hole[background]

    components, count = ndimage.label(filled, EDGES)
    is_nucleus = np.bincount(components.ravel(), minlength=count + 1) >= minimum_area
    is_nucleus[0] = False
    kept: NDArray[np.bool_] = is_nucleus[components]
    return kept


def components(foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Each connected component of foreground (H, W) as one nucleus: labels 1..n, int32 (H, W)."""
    labels: NDArray[np.int32] = ndimage.label(foreground, EDGES)[0]
    return labels


def split_touching(
    probability: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    *,
    seed_smoothing: float,
    seed_depth: float,
) -> NDArray[np.int32]:
    """Cut a semantic mask into nuclei along its waists and its dips in probability.

    probability: float32 (H, W) in 0..1; foreground: bool (H, W). Returns int32 (H, W) labels,
    each one connected, that cover exactly the foreground.

    The watershed (Vincent and Soille 1991) of the distance to the background in pixels, times the
    probability, smoothed by a Gaussian of sigma `seed_smoothing` pixels (0: not at all). Each
    maximum is a seed if it rises at least `seed_depth` above the highest pass that leads to a
    higher one (its dynamics, Grimaud 1992; about the same as h-maxima): where the probability is
    1, in pixels. 0 makes every maximum a nucleus, infinity every connected component.
    """
    height = ndimage.distance_transform_edt(foreground).astype(np.float32) * probability
    if seed_smoothing > 0:
        height = ndimage.gaussian_filter(height, seed_smoothing)
    # Below everything else, so that background joins no component to another.
    height[~foreground] = -1.0
    is_peak = local_maxima(height, connectivity=1)
    basins = labels_from_markers(is_peak, foreground, height)
    peaks = np.zeros(basins.max(initial=0) + 1, np.float32)
    peaks[basins[is_peak]] = height[is_peak]
    merged = _merge_shallow(peaks, *_passes(basins, height), seed_depth)
    numbers = np.unique(merged, return_inverse=True)[1].astype(np.int32)
    return numbers[basins]


def labels_from_markers(
    markers: NDArray[np.bool_], foreground: NDArray[np.bool_], probability: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Grow each connected marker over the foreground, the most probable pixels first.

    markers, foreground: bool (H, W), as from a network that predicts nucleus, border and
    background (markers = nucleus without border); probability: float32 (H, W), any range.
    Returns int32 (H, W) labels, each one connected, that cover exactly the foreground. Markers
    outside of it are ignored; a component of the foreground without a marker is one nucleus.
    """
    return grow(components(markers & foreground), foreground, probability)


def grow(
    seeds: NDArray[np.int32], foreground: NDArray[np.bool_], probability: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Grow labels 1..n over the foreground that they lie in, the most probable pixels first.

    seeds: int32 (H, W), 0 outside of the foreground; the rest as in `labels_from_markers`. A
    component of the foreground without a seed becomes a nucleus of its own, n + 1 and on.
    """
    components, count = ndimage.label(foreground, EDGES)
    is_unmarked = np.ones(count + 1, bool)
    is_unmarked[components[seeds > 0]] = False
    is_unmarked[0] = False
    own = np.where(is_unmarked, seeds.max(initial=0) + np.cumsum(is_unmarked), 0).astype(np.int32)
    labels: NDArray[np.int32] = watershed(
        -probability, seeds + own[components], connectivity=1, mask=foreground
    )
    return labels


def borders(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The outermost pixels of each nucleus: those with an edge in common with anything else.

    labels: int32 (H, W), or a batch (B, H, W); the result has its shape. Borders are inner: they
    belong to the nucleus, where it meets the background or another nucleus, and are one pixel
    wide, two where nuclei touch. The image's own edge makes no border.
    """
    border = np.zeros(labels.shape, bool)
    down = labels[..., 1:, :] != labels[..., :-1, :]
    border[..., 1:, :] |= down
    border[..., :-1, :] |= down
    right = labels[..., 1:] != labels[..., :-1]
    border[..., 1:] |= right
    border[..., :-1] |= right
    border &= labels > 0
    return border


def means(values: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """The mean of values (H, W) over each of the labels 1..n, float32 (n,)."""
    sums = np.bincount(labels.ravel(), weights=values.ravel())[1:]
    found: NDArray[np.float32] = (sums / np.bincount(labels.ravel())[1:]).astype(np.float32)
    return found


def _passes(
    basins: NDArray[np.int32], height: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Pairs of touching basins, int32 (P, 2), and the highest pass between each, float32 (P,).

    Highest pass first.
    """
    first = np.concatenate([basins[1:].ravel(), basins[:, 1:].ravel()])
    second = np.concatenate([basins[:-1].ravel(), basins[:, :-1].ravel()])
    rise = [np.minimum(height[1:], height[:-1]), np.minimum(height[:, 1:], height[:, :-1])]
    touching = np.flatnonzero((first != second) & (first > 0) & (second > 0))
    heights = np.concatenate([part.ravel() for part in rise])[touching]
    order = np.argsort(-heights, kind="stable")
    return np.stack([first, second], axis=1)[touching[order]], heights[order]


def _merge_shallow(
    peaks: NDArray[np.float32],
    pairs: NDArray[np.int32],
    passes: NDArray[np.float32],
    depth: float,
) -> NDArray[np.int64]:
    """For each basin, the highest of the basins that it is one with, int64 as long as `peaks`.

    The lower of two touching basins joins the higher unless it rises `depth` above their pass.
    """
    parent = np.arange(len(peaks))

    def summit(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = basin = parent[parent[basin]]
        return basin

    for (first, second), height in zip(pairs.tolist(), passes.tolist(), strict=True):
        low, high = sorted((summit(first), summit(second)), key=lambda basin: peaks[basin])
        if peaks[low] - height < depth:
            parent[low] = high
    return np.array([summit(basin) for basin in range(len(peaks))])
