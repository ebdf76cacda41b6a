"""Trials that have begun and not ended: only their curves tell of them yet."""

from __future__ import annotations

import polars as pl

from analysis.load import TRIAL


def epochs(curves: pl.DataFrame, trials: pl.DataFrame) -> pl.DataFrame:
    """The rows of `curves` whose trial has no row in `trials`, in the order of their epochs."""
    return curves.join(trials, on=TRIAL, how="anti").sort("epoch")


def trials(epochs: pl.DataFrame) -> pl.DataFrame:
    """A row a trial: how far it has come, in the columns of a summary."""
    return (
        epochs.group_by(TRIAL)
        .agg(
            pl.col("epoch").max().alias("epochs_run"),
            pl.col("val_iou").max(),
            pl.col("device_seconds").max(),
            pl.col("worker").last(),
            pl.col("ended_at").max().alias("last_heard_of"),
        )
        .with_columns(status=pl.lit("running"))
        .sort(TRIAL)
    )
