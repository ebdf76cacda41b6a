"""How well a predicted segmentation agrees with the truth, in numbers from arrays (NumPy only).

Pixels and nuclei are counted at the image's own resolution. Labels are integer (H, W) arrays,
0 background and each other number one nucleus; numbers may be missing. Every score is in 0..1,
1 is best, except `splits` and `merges`, which are counts.

An image without true nuclei scores 1 where nothing was predicted either, else 0; only its pixel
accuracy keeps its usual meaning.

Published scores of the same name differ: some average over pixels or classes, not over images,
and some allow IoU equal to the threshold. What is meant here stands with each function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = tuple(range(50, 100, 5))
"""IoU thresholds of the 2018 Data Science Bowl, in percent, so that comparisons are exact."""

RELATED = 10
"""IoU in percent above which a nucleus and a prediction are related, for splits and merges."""


@dataclass(frozen=True)
class PixelScores:
    """Foreground IoU, Dice and pixel accuracy, each in 0..1."""

    iou: float
    dice: float
    accuracy: float


@dataclass(frozen=True)
class Scores(PixelScores):
    """Pixel scores, and those of nuclei one by one.

    map: Data Science Bowl score; f1_50, f1_70: F1 at IoU 0.5 and 0.7; aji: aggregated Jaccard
    index; all in 0..1. splits, merges: counts.
    """

    map: float
    f1_50: float
    f1_70: float
    aji: float
    splits: int
    merges: int


@dataclass(frozen=True)
class Overlaps:
    """Which nuclei overlap which predictions, and by how much: all that instance scores need.

    true_areas (T,), predicted_areas (P,): int64, pixels of each label, 0 for a missing number;
    entry 0, the background, is set to 0. true, predicted: int64 (K,), the labels of each
    overlapping pair; intersection: int64 (K,), pixels that they share, at least 1.
    """

    true_areas: NDArray[np.int64]
    predicted_areas: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    intersection: NDArray[np.int64]

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels in either of each pair, int64 (K,)."""
        areas = self.true_areas[self.true] + self.predicted_areas[self.predicted]
        return areas - self.intersection

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, float64 (K,), in 0 (excluded) to 1."""
        return self.intersection / self.union

    @property
    def true_count(self) -> int:
        """How many nuclei there are."""
        return int(np.count_nonzero(self.true_areas))

    @property
    def predicted_count(self) -> int:
        """How many nuclei were predicted."""
        return int(np.count_nonzero(self.predicted_areas))


def overlap_counts(
    truth_labels: NDArray[np.integer], predicted_labels: NDArray[np.integer]
) -> Overlaps:
    """Count the pixels that each nucleus shares with each prediction, as a sparse table.

    Both integer (H, W) of one shape, values >= 0. Raises ValueError otherwise.
    """
    for name, labels in (("true", truth_labels), ("predicted", predicted_labels)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name} labels must be integers, not {labels.dtype}")
        if labels.size and labels.min() < 0:
            raise ValueError(f"{name} labels must be 0 or above, not {labels.min()}")
    _check_shapes(truth_labels, predicted_labels)
    true_areas, predicted_areas = _areas(truth_labels), _areas(predicted_labels)
    shared = (truth_labels > 0) & (predicted_labels > 0)
    pair_codes = truth_labels[shared].astype(np.int64) * len(predicted_areas)
    pair_codes += predicted_labels[shared]
    pairs, intersection = np.unique(pair_codes, return_counts=True)
    true, predicted = np.divmod(pairs, len(predicted_areas))
    return Overlaps(true_areas, predicted_areas, true, predicted, intersection)


def foreground_iou(truth_mask: NDArray[np.bool_], predicted_mask: NDArray[np.bool_]) -> float:
    """Pixels in both masks over pixels in either (Jaccard 1912), of boolean (H, W) arrays."""
    _check_shapes(truth_mask, predicted_mask)
    shared = np.count_nonzero(truth_mask & predicted_mask)
    return _share(shared, np.count_nonzero(truth_mask | predicted_mask))


def dice(truth_mask: NDArray[np.bool_], predicted_mask: NDArray[np.bool_]) -> float:
    """Twice the shared pixels over the pixels of both (Dice 1945), of boolean (H, W) arrays.

    For one image Dice = 2 IoU / (1 + IoU). Means over images obey no such equation, but as the
    function is concave, a mean Dice is at most 2 m / (1 + m) of the mean IoU m, and at least m.
    """
    _check_shapes(truth_mask, predicted_mask)
    shared = np.count_nonzero(truth_mask & predicted_mask)
    return _share(2 * shared, np.count_nonzero(truth_mask) + np.count_nonzero(predicted_mask))


def pixel_accuracy(truth_mask: NDArray[np.bool_], predicted_mask: NDArray[np.bool_]) -> float:
    """Share of pixels, nucleus and background alike, that agree, of boolean (H, W) arrays.

    Flattering where nuclei are few: "all background" is right on about 90 % of DSB2018's pixels.
    """
    _check_shapes(truth_mask, predicted_mask)
    return _share(np.count_nonzero(truth_mask == predicted_mask), truth_mask.size)


def true_positives(overlaps: Overlaps, percent: int) -> int:
    """Nuclei found: pairs with IoU above `percent` / 100, for `percent` of at least 50.

    "Above" is strict, as in the Data Science Bowl. Labels do not overlap, so above one half a
    nucleus has at most one such prediction and a prediction one such nucleus: no assignment has
    to be solved. At exactly one half both halves of a nucleus would qualify; neither counts.
    (StarDist counts IoU equal to the threshold and solves the assignment.)
    """
    if not 50 <= percent <= 100:
        raise ValueError(f"percent must be in 50..100 for matches to be unique, not {percent}")
    return int(np.count_nonzero(_above(overlaps, percent)))


def data_science_bowl_score(overlaps: Overlaps) -> float:
    """Mean over IoU thresholds 0.50, 0.55 ... 0.95 of TP / (TP + FP + FN), for one image.

    Source: kaggle.com/c/data-science-bowl-2018, page "Evaluation", where the mean over images
    is the score. The field calls it mean average precision (mAP), though nothing is ranked.
    """
    found = [true_positives(overlaps, percent) for percent in THRESHOLDS]
    objects = overlaps.true_count + overlaps.predicted_count
    return fmean(_share(count, objects - count) for count in found)


def f1(overlaps: Overlaps, percent: int) -> float:
    """2 TP / (2 TP + FP + FN) at IoU above `percent` / 100.

    Source: Caicedo et al. 2019, "Evaluation of Deep Learning Strategies for Nucleus
    Segmentation in Fluorescence Images", Cytometry A 95, 952-965.
    """
    found = true_positives(overlaps, percent)
    return _share(2 * found, overlaps.true_count + overlaps.predicted_count)


def aggregated_jaccard(overlaps: Overlaps) -> float:
    """Aggregated Jaccard index (AJI): penalises missed, extra and badly outlined nuclei at once.

    Each nucleus is paired with the prediction of highest IoU, which several nuclei may share.
    AJI = pixels shared in all pairs / (pixels of the pairs' unions + pixels of the nuclei and of
    the predictions in no pair).

    Source: Kumar et al. 2017, "A Dataset and a Technique for Generalized Nuclear Segmentation
    for Computational Pathology", IEEE TMI 36, 1550-1560, algorithm 1. It leaves ties open: here
    the larger of equally good predictions counts and none of them is extra, so that the score
    does not depend on how labels are numbered.
    """
    iou = overlaps.iou
    best_iou = np.zeros(len(overlaps.true_areas))
    np.maximum.at(best_iou, overlaps.true, iou)
    best = iou == best_iou[overlaps.true]
    shared, union = np.zeros_like(overlaps.true_areas), overlaps.true_areas.copy()
    np.maximum.at(shared, overlaps.true[best], overlaps.intersection[best])
    np.maximum.at(union, overlaps.true[best], overlaps.union[best])
    extra = np.delete(overlaps.predicted_areas, overlaps.predicted[best])
    return _share(shared.sum(), union.sum() + extra.sum())


def splits(overlaps: Overlaps) -> int:
    """Nuclei cut up: those with two or more predictions of IoU above 0.1.

    Source: Caicedo et al. 2019 (Cytometry A 95, 952-965) and the code published with it, which
    calls a nucleus and a prediction matched above IoU 0.1. So shreds below a tenth of a nucleus
    make no split; those count as extra predictions in the other scores.
    """
    return _shared_labels(overlaps.true[_above(overlaps, RELATED)])


def merges(overlaps: Overlaps) -> int:
    """Predictions that join nuclei: those with two or more nuclei of IoU above 0.1.

    Source and limits as for `splits`, whose mirror image this is: a prediction over ten or more
    equal nuclei, each a tenth of it or less, is no merge, but ten missed nuclei.
    """
    return _shared_labels(overlaps.predicted[_above(overlaps, RELATED)])


def score_pixels(
    truth_labels: NDArray[np.integer], predicted_mask: NDArray[np.bool_]
) -> PixelScores:
    """Pixel scores of a boolean (H, W) mask against true labels (H, W)."""
    truth_mask = truth_labels > 0
    return PixelScores(
        iou=foreground_iou(truth_mask, predicted_mask),
        dice=dice(truth_mask, predicted_mask),
        accuracy=pixel_accuracy(truth_mask, predicted_mask),
    )


def score_image(truth_labels: NDArray[np.int32], predicted_labels: NDArray[np.int32]) -> Scores:
    """All scores of predicted labels against true labels, both int32 (H, W)."""
    overlaps = overlap_counts(truth_labels, predicted_labels)
    pixels = score_pixels(truth_labels, predicted_labels > 0)
    return Scores(
        iou=pixels.iou,
        dice=pixels.dice,
        accuracy=pixels.accuracy,
        map=data_science_bowl_score(overlaps),
        f1_50=f1(overlaps, 50),
        f1_70=f1(overlaps, 70),
        aji=aggregated_jaccard(overlaps),
        splits=splits(overlaps),
        merges=merges(overlaps),
    )


def mean_pixel_scores(scores: Sequence[PixelScores]) -> PixelScores:
    """Mean over images, each image weighing the same; ValueError where there is no image."""
    return PixelScores(**{field.name: _mean(scores, field.name) for field in fields(PixelScores)})


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Mean over images, each image weighing the same; `splits` and `merges` are totals.

    Raises ValueError where there is no image.
    """
    counts = {"splits", "merges"}
    means = {f.name: _mean(scores, f.name) for f in fields(Scores) if f.name not in counts}
    return Scores(
        **means,
        splits=sum(image.splits for image in scores),
        merges=sum(image.merges for image in scores),
    )


def _areas(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    areas: NDArray[np.int64] = np.bincount(labels.ravel(), minlength=1)
    areas[0] = 0
    return areas


def _above(overlaps: Overlaps, percent: int) -> NDArray[np.bool_]:
    """Pairs whose IoU is above `percent` / 100, told in integers, free of rounding."""
    above: NDArray[np.bool_] = 100 * overlaps.intersection > percent * overlaps.union
    return above


def _shared_labels(labels: NDArray[np.int64]) -> int:
    return int(np.count_nonzero(np.bincount(labels) > 1))


def _share(part: int | np.integer, whole: int | np.integer) -> float:
    """`part` / `whole`, or 1 where there is nothing to find and nothing was found."""
    return float(part / whole) if whole else 1.0


def _mean(scores: Sequence[PixelScores], name: str) -> float:
    if not scores:
        raise ValueError("a mean needs the scores of at least one image, but there are none")
    return fmean(getattr(image, name) for image in scores)


def _check_shapes(truth: NDArray[np.generic], prediction: NDArray[np.generic]) -> None:
    if truth.shape != prediction.shape:
        raise ValueError(
            f"truth and prediction must be of one size, not {truth.shape} and {prediction.shape}"
        )
