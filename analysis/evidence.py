"""What verdicts on the paper's claims are drawn from: the winners, their images, their repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from analysis.intervals import Interval, difference_interval, mean_interval
from analysis.load import TRIAL, AnalysisError


@dataclass(frozen=True)
class Difference:
    """How far two networks are apart, over images and over fresh seeds; None if not measured."""

    over_images: Interval | None
    over_seeds: Interval | None

    def __str__(self) -> str:
        images, seeds = (part or "not measured" for part in (self.over_images, self.over_seeds))
        return f"over images {images}, over fresh seeds {seeds}"

    @property
    def sign(self) -> int:
        """1 or -1 where both say so, else 0."""
        signs = {part.sign if part else 0 for part in (self.over_images, self.over_seeds)}
        return signs.pop() if len(signs) == 1 else 0


@dataclass(frozen=True)
class Evidence:
    """What the verdicts are drawn from: rows of `TrialRecord` and `ImageRecord` (validation only).

    Raises AnalysisError if the sweeps are of several datasets, whose scores say nothing together.
    """

    trials: pl.DataFrame
    images: pl.DataFrame

    def __post_init__(self) -> None:
        datasets = self.trials.select("dataset", "dataset_sha256").unique("dataset_sha256")
        if datasets.height > 1:
            raise AnalysisError(
                "these sweeps used different images, so their scores can't be compared: "
                f"{', '.join(datasets['dataset'].sort())}; name the sweeps of one of them"
            )

    def winner(self, architecture: str) -> pl.DataFrame:
        """The row of its best trial, or no row."""
        mine = self.trials.filter(pl.col("architecture") == architecture, "is_best")
        return mine.sort("val_iou", descending=True).head(1)

    def again(self, winner: Mapping[str, Any], column: str = "val_iou") -> pl.Series:
        """What a winner's settings reached with fresh seeds, as far as they were trained again."""
        repeats = self.trials.filter(
            pl.col("sweep") == winner["sweep"], pl.col("confirms") == winner["trial_id"]
        )
        return repeats[column].drop_nulls()

    def difference(self, first: str, second: str, score: str, comparisons: int) -> Difference:
        """`first`'s score less `second`'s; "errors" are splits and merges an image.

        comparisons: how many are made for the same claim.
        """
        confidence = 1 - 0.05 / comparisons
        over_images = [self._by_image(name, score) for name in (first, second)]
        both = over_images[0].join(over_images[1], on="image", suffix="_of_second").sort("image")
        apart = both["score"] - both["score_of_second"]
        one, other = (self._by_seed(name, score) for name in (first, second))
        return Difference(
            mean_interval(apart, confidence) if len(apart) else None,
            difference_interval(one, other, confidence) if min(len(one), len(other)) > 1 else None,
        )

    def by_image(
        self, having: pl.DataFrame, lacking: pl.DataFrame, score: str, confidence: float
    ) -> Interval | None:
        """The best trial of some less the best of others, image by image; None if not measured.

        Both of one sweep, whose trials are judged on the same images: the sweep that came furthest.
        """
        column = f"val_{score}"
        for sweep in having.sort(column, descending=True)["sweep"].unique(maintain_order=True):
            best = [
                trials.filter(pl.col("sweep") == sweep, pl.col("val_by_image").is_not_null())
                .sort(column, "trial_id", descending=[True, False])
                .head(1)["val_by_image"]
                for trials in (having, lacking)
            ]
            if all(len(found) for found in best):
                one, other = (json.loads(found[0]).get(score, []) for found in best)
                if one and len(one) == len(other):
                    return mean_interval(np.subtract(one, other), confidence)
        return None

    def images_of(self, architecture: str) -> pl.DataFrame:
        """The rows of the images that its winner, of all sweeps the best, segmented."""
        return self.images.join(self.winner(architecture).select(TRIAL), on=TRIAL)

    def _by_image(self, architecture: str, score: str) -> pl.DataFrame:
        """The winner's score on each image."""
        value = pl.col("splits") + pl.col("merges") if score == "errors" else pl.col(score)
        return self.images_of(architecture).select("image", value.alias("score"))

    def _by_seed(self, architecture: str, score: str) -> pl.Series:
        """The score of each repeat of the winner."""
        winner = self.winner(architecture).to_dicts()
        if not winner:
            return pl.Series([], dtype=pl.Float64)
        if score != "errors":
            return self.again(winner[0], f"val_{score}")
        totals = self.again(winner[0], "val_splits") + self.again(winner[0], "val_merges")
        images = self.images_of(architecture)
        return totals / images["image"].n_unique() if images.height else totals.clear()
