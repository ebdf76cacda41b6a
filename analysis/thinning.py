"""Fewer points where there are too many to draw, never the ones that matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis import tradeoff

MOST_TRIALS = 3000
MOST_CURVES = 60
MOST_EPOCHS = 200  # points of one curve


def trials(scored: pl.DataFrame, cost: str, gain: str, most: int = MOST_TRIALS) -> pl.DataFrame:
    """At most `most` trials and the ones that are never left out, in their order.

    Always there: each architecture's Pareto front and best trial, and the paper's rows. The others
    are drawn at random (seeded), each as likely as the next.
    """
    together = scored.with_row_index("place")
    kept = pl.concat(
        [
            together.filter(pl.col("is_best") | pl.col("is_paper")),
            *(tradeoff.front(part, cost, gain) for part in together.partition_by("architecture")),
        ]
    )["place"]
    others = together.filter(~pl.col("place").is_in(kept.implode()))["place"]
    room = max(0, most - kept.n_unique())
    drawn = others.sample(min(room, len(others)), seed=0)
    return together.filter(pl.col("place").is_in(pl.concat([kept, drawn]).implode())).drop("place")


def evenly(count: int, most: int = MOST_EPOCHS) -> NDArray[np.intp]:
    """Indices of at most `most` of `count` things, the first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def merged(starts: Sequence[float], ends: Sequence[float], gap: float) -> list[tuple[float, float]]:
    """Intervals, sorted by their start, joined where less than `gap` lies between them."""
    joined: list[tuple[float, float]] = []
    for start, end in zip(starts, ends, strict=True):
        if joined and start - joined[-1][1] < gap:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
