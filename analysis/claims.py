"""The paper's claims, each with a verdict from what the sweeps measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from analysis.intervals import Interval, mean_interval
from analysis.paper import ORDER, ROWS

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "not enough evidence"


@dataclass(frozen=True)
class Verdict:
    """A claim in a sentence, what the results say of it, and the figures that say so."""

    claim: str
    verdict: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """What the verdicts are drawn from.

    trials: rows of `TrialRecord`. images: rows of `ImageRecord`, of validation images only.
    """

    trials: pl.DataFrame
    images: pl.DataFrame

    def winner(self, architecture: str) -> pl.DataFrame:
        """The row of its best trial, or no row."""
        mine = self.trials.filter(pl.col("architecture") == architecture, "is_best")
        return mine.sort("val_iou", descending=True).head(1)

    def again(self, winner: Mapping[str, Any]) -> Interval | None:
        """The IoU of a winner's settings over fresh seeds, if they were trained again."""
        repeats = self.trials.filter(
            pl.col("sweep") == winner["sweep"], pl.col("confirms") == winner["trial_id"]
        )["val_iou"].drop_nulls()
        return mean_interval(repeats) if len(repeats) else None

    def difference(self, first: str, second: str, score: pl.Expr) -> Interval | None:
        """The mean over images of `first`'s score less `second`'s; None without common images.

        A winner of several sweeps counts with its mean on each image.
        """
        parts = [
            self.images.filter(pl.col("architecture") == name)
            .group_by("image")
            .agg(score.mean().alias(name))
            for name in (first, second)
        ]
        both = parts[0].join(parts[1], on="image").sort("image")
        return mean_interval(both[first] - both[second]) if both.height else None


def verdicts(evidence: Evidence) -> list[Verdict]:
    """One for each claim of the paper that an experiment can decide."""
    claims: tuple[Callable[[Evidence], Verdict], ...] = (
        iou_rises,
        compute_rises_otherwise,
        mask_rcnn_separates_best,
        masks_need_splitting,
        sigmoid_learns_worse,
    )
    return [claim(evidence) for claim in claims]


def iou_rises(evidence: Evidence) -> Verdict:
    """Claim 1, first half: each step of the order must be a gain that is sure."""
    steps = {
        f"{ROWS[better].model} - {ROWS[worse].model}": evidence.difference(
            better, worse, pl.col("iou")
        )
        for worse, better in pairwise(ORDER)
    }
    return Verdict(
        "IoU rises from simple CNN to ResNet to U-Net to Mask R-CNN",
        _all_of(steps.values()),
        tuple(f"{name}: IoU {interval or 'not measured'}" for name, interval in steps.items()),
    )


def compute_rises_otherwise(evidence: Evidence) -> Verdict:
    """Claim 1, second half: ResNet's winner cost most, and is only third by IoU."""
    winners = {name: evidence.winner(name) for name in ORDER}
    figures = tuple(
        f"{ROWS[name].model}: IoU {row['val_iou'][0]:.3f}, {row['device_seconds'][0]:.0f} "
        f"device-seconds on {row['device'][0]}"
        for name, row in winners.items()
        if row.height
    )
    claim = "compute does not rise with IoU: ResNet is the slowest and only third best"
    if len(figures) < len(ORDER) or len({row["device"][0] for row in winners.values()}) > 1:
        return Verdict(claim, UNDECIDED, figures)
    cost = {name: row["device_seconds"][0] for name, row in winners.items()}
    iou = {name: row["val_iou"][0] for name, row in winners.items()}
    third = sorted(iou, key=iou.__getitem__, reverse=True).index("resnet") == 2
    slowest = max(cost, key=cost.__getitem__) == "resnet"
    return Verdict(claim, CONFIRMED if third and slowest else REFUTED, figures)


def mask_rcnn_separates_best(evidence: Evidence) -> Verdict:
    """Claim 2: by the Data Science Bowl's score, and by splits and merges, against each other."""
    others = [name for name in ORDER if name != "mask_rcnn"]
    score = {
        f"Data Science Bowl score, Mask R-CNN - {ROWS[name].model}": evidence.difference(
            "mask_rcnn", name, pl.col("map")
        )
        for name in others
    }
    errors = {
        f"splits and merges an image, Mask R-CNN - {ROWS[name].model}": evidence.difference(
            "mask_rcnn", name, pl.col("splits") + pl.col("merges")
        )
        for name in others
    }
    fewer = [interval and -interval for interval in errors.values()]
    return Verdict(
        "Mask R-CNN separates touching nuclei best",
        _all_of([*score.values(), *fewer]),
        tuple(f"{name}: {i or 'not measured'}" for name, i in (score | errors).items()),
    )


def masks_need_splitting(evidence: Evidence) -> Verdict:
    """Claim 3: what splitting adds to the score of each network that labels pixels."""
    gains = {
        ROWS[name].model: _gain_by_splitting(evidence.images.filter(pl.col("architecture") == name))
        for name in ORDER
        if name != "mask_rcnn"
    }
    measured = [gain for gain in gains.values() if gain]
    return Verdict(
        "a semantic mask is the union of all nuclei, and has to be split by post-processing",
        _all_of(measured) if measured else UNDECIDED,
        tuple(
            f"{name}: Data Science Bowl score by splitting {gain or 'not measured'}"
            for name, gain in gains.items()
        ),
    )


def _gain_by_splitting(images: pl.DataFrame) -> Interval | None:
    """The winner's score less that of its connected components, a mean over images."""
    gains = (images["map"] - images["map_unsplit"]).drop_nulls()
    return mean_interval(gains) if len(gains) else None


def sigmoid_learns_worse(evidence: Evidence) -> Verdict:
    """Claim 4, as far as a search shows it: trials with sigmoid activations against the others."""
    activation = pl.col("hyperparameters").str.json_path_match("$.activation")
    scored = evidence.trials.filter(pl.col("val_iou").is_not_null()).with_columns(
        activation=activation
    )
    sigmoid = scored.filter(pl.col("activation") == "sigmoid")["val_iou"]
    others = scored.filter(pl.col("activation") != "sigmoid")["val_iou"]
    claim = "sigmoid activations in deep networks learn worse; ReLU and its like cure it"
    if min(len(sigmoid), len(others)) == 0:
        return Verdict(claim, UNDECIDED, ("trials with and without sigmoid are needed",))
    low, high = mean_interval(sigmoid), mean_interval(others)
    figures = (
        f"val_iou of {low.count} trials with sigmoid: {low}",
        f"val_iou of {high.count} trials with other activations: {high}",
    )
    return Verdict(claim, CONFIRMED if high.lies_above(low) else UNDECIDED, figures)


def _all_of(differences: Iterable[Interval | None]) -> str:
    """Confirmed if all are surely positive, refuted if one is surely negative."""
    signs = [0 if interval is None else interval.sign for interval in differences]
    if all(sign > 0 for sign in signs):
        return CONFIRMED
    return REFUTED if any(sign < 0 for sign in signs) else UNDECIDED
