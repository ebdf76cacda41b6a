"""Which columns count as a cost, and which as a gain."""

from __future__ import annotations

import polars as pl

from sweeps.record import TrialRecord, columns

COSTS = (
    "device_seconds",
    "usd",
    "flops_per_image",
    "parameters",
    "peak_memory_bytes",
    "predict_seconds",
)
GAINS = tuple(
    f"{images}_{score}"
    for images in ("val", "test")
    for score in ("iou", "dice", "accuracy", "map", "f1_50", "f1_70", "aji")
)


def unit(column: str) -> str:
    """The unit of a column of `TrialRecord`, in words."""
    return columns(TrialRecord)[column][2].unit


def spans_decades(values: pl.Series) -> bool:
    """Whether numbers are best seen on a logarithmic scale: positive, and over two decades."""
    numbers = values.to_numpy()
    return bool(numbers.min() > 0 and numbers.max() >= 100 * numbers.min())
