"""Crowded places of crowded images, with what a prediction made of each nucleus there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from nucseg_models import instances, metrics
from nucseg_models.data import Dataset
from nucseg_models.metrics import RELATED

SIDE = 256  # pixels of a place, at most
VERDICTS = ("hit", "poor", "missed", "merged", "split", "false")
"""Of a prediction: hit (IoU above 0.5), merged, split (see `metrics.merges` and `splits`), poor
(above 0.1), false; of a nucleus: missed (no prediction above 0.1). Outlines hold their place in
this tuple plus 1."""


@dataclass(frozen=True)
class Judged:
    """outlines: uint8 (H, W), 0 or 1 + the place in VERDICTS; counts: how many of each."""

    outlines: NDArray[np.uint8]
    counts: dict[str, int]


def crowded(dataset: Dataset, count: int) -> list[int]:
    """Indices of at most `count` images, those with most pixels where nuclei touch.

    Kinds of image take turns. It depends on the dataset alone, so every network is shown on the
    same images.
    """
    crowds = [np.count_nonzero(_touching(labels)) for labels in dataset.labels]
    by_kind: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(dataset)), key=lambda i: (-crowds[i], dataset.ids[i])):
        by_kind[dataset.kinds[index]].append(index)
    turns = chain.from_iterable(zip_longest(*(by_kind[kind] for kind in sorted(by_kind))))
    return [index for index in turns if index is not None][:count]


def place(labels: NDArray[np.int32], side: int = SIDE) -> tuple[slice, slice]:
    """The window of at most `side` pixels of labels (H, W) where most nuclei touch."""
    shape = [min(side, length) for length in labels.shape]
    density = uniform_filter(_touching(labels).astype(np.float32), shape, mode="constant")
    middle = np.unravel_index(density.argmax(), labels.shape)
    starts = [
        int(np.clip(centre - length // 2, 0, whole - length))
        for centre, length, whole in zip(middle, shape, labels.shape, strict=True)
    ]
    rows, columns = (slice(s, s + length) for s, length in zip(starts, shape, strict=True))
    return rows, columns


def judge(truth: NDArray[np.int32], predicted: NDArray[np.int32]) -> Judged:
    """Outlines of all predictions, and of the nuclei that were missed; both int32 (H, W)."""
    overlaps = metrics.overlap_counts(truth, predicted)
    iou = overlaps.iou
    related = 100 * iou > RELATED
    verdict = np.full(len(overlaps.predicted_areas), _code("false"), np.uint8)
    verdict[overlaps.predicted[related]] = _code("poor")
    verdict[overlaps.predicted[iou > 0.5]] = _code("hit")
    shared = np.bincount(overlaps.true[related], minlength=len(overlaps.true_areas)) > 1
    verdict[overlaps.predicted[related & shared[overlaps.true]]] = _code("split")
    merging = np.bincount(overlaps.predicted[related], minlength=len(verdict)) > 1
    verdict[merging] = _code("merged")
    is_missed = overlaps.true_areas > 0
    is_missed[overlaps.true[related]] = False

    outlines = np.where(instances.borders(truth) & is_missed[truth], _code("missed"), 0)
    outlines = np.where(instances.borders(predicted), verdict[predicted], outlines)
    found = np.bincount(verdict[overlaps.predicted_areas > 0], minlength=len(VERDICTS) + 1)
    found[_code("missed")] = np.count_nonzero(is_missed)
    counts = {name: int(found[_code(name)]) for name in VERDICTS}
    return Judged(outlines.astype(np.uint8), counts)


def _code(verdict: str) -> int:
    return VERDICTS.index(verdict) + 1


def _touching(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels (H, W) whose right or lower neighbour belongs to another nucleus."""
    touching = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        first, second = labels.swapaxes(0, axis)[:-1], labels.swapaxes(0, axis)[1:]
        touching.swapaxes(0, axis)[:-1] |= (first != second) & (first > 0) & (second > 0)
    return touching
