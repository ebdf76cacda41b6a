"""From boxes and masks to labels (NumPy): pasted by score, each nucleus once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from nucseg_models import instances


@dataclass(frozen=True)
class Detections:
    """What was found in one image of `shape` (H, W).

    boxes: float32 (N, 4), top, left, bottom, right in pixels, those to be trusted most first;
    scores: float32 (N,) in 0..1; masks: float32 (N, 28, 28), logits over each box; semantic:
    float32 (H, W), the side head's logits, None without one.
    """

    shape: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: NDArray[np.float32]
    semantic: NDArray[np.float32] | None


def paste(
    found: Detections,
    *,
    score_threshold: float,
    mask_threshold: float,
    overlap: float,
    minimum_area: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Labels 1..n, int32 (H, W), of the detections whose score is at least `score_threshold`, and
    the score of each, float32 (n,).

    A pixel is a nucleus's where its mask's probability is above `mask_threshold`, and goes to the
    first that claims it. A nucleus of which others have taken more than the share `overlap`, or
    that has fewer than `minimum_area` pixels left (at least one), is left out: it was found twice.
    """
    labels = np.zeros(found.shape, np.int32)
    kept, level = [], float(logit(mask_threshold))
    for index in np.flatnonzero(found.scores >= score_threshold):
        window, mask = _on_pixels(found.boxes[index], found.masks[index], found.shape)
        inside = mask > level
        free = inside & (labels[window] == 0)
        area = np.count_nonzero(free)
        if area >= max(1, minimum_area, (1 - overlap) * np.count_nonzero(inside)):
            kept.append(index)
            labels[window][free] = len(kept)
    return labels, found.scores[kept]


def filled(
    labels: NDArray[np.int32], semantic: NDArray[np.float32], *, minimum_area: int
) -> NDArray[np.int32]:
    """Labels grown over what the side head calls nucleus, with new ones where none reaches.

    semantic: logits, float32 (H, W).
    """
    probability = expit(semantic)
    foreground = instances.clean(probability > 0.5, minimum_area=minimum_area) | (labels > 0)
    return instances.grow(labels, foreground, probability)


def _on_pixels(
    box: NDArray[np.float32], mask: NDArray[np.float32], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
    """The pixels whose middles lie in the box, and the mask there, bilinear."""
    result, window = mask, []
    for axis in (0, 1):
        low, high = float(box[axis]), float(box[axis + 2])
        first, last = (int(np.ceil(end - 0.5)) for end in (low, high))
        places = np.arange(max(0, first), min(shape[axis], last))
        window.append(slice(max(0, first), max(0, first) + len(places)))
        bins = len(mask)
        position = np.clip((places + 0.5 - low) / max(high - low, 1e-6) * bins - 0.5, 0, bins - 1)
        before = np.minimum(position.astype(np.intp), bins - 2)
        share = (position - before).astype(np.float32)[:, None]
        result = (result[before] * (1 - share) + result[before + 1] * share).T
    return (window[0], window[1]), result
