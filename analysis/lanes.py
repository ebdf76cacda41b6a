"""Who held which trial, from when until when: the lanes of a timeline of workers."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl

from analysis import thinning
from analysis.load import TRIAL

MOST_BARS = 400  # of a timeline that has one for each trial; of more, those side by side are one
LEAST_GAP = 1 / 1000  # of a timeline's length: shorter gaps could not be seen
SCHEMA = {
    **dict.fromkeys((*TRIAL, "worker"), pl.String),
    **dict.fromkeys(("begun", "ended"), pl.Int64),  # milliseconds since 1970
    **dict.fromkeys(("failed", "lost"), pl.Boolean),
}
WORKER = pl.col("worker").fill_null("unknown worker")


def of_ended(trials: pl.DataFrame) -> pl.DataFrame:
    """Who held each trial, from when until when: the workers that it lost, too. See `SCHEMA`."""
    lanes = trials.select(
        *(*TRIAL, "losses"),
        WORKER,
        pl.col("started_at").dt.epoch("ms").alias("begun"),
        pl.col("ended_at").dt.epoch("ms").alias("ended"),
        (pl.col("status") == "failed").alias("failed"),
        pl.lit(False).alias("lost"),
    )
    parts = []
    for row in lanes.filter(pl.col("losses").is_not_null()).iter_rows(named=True):
        losses = json.loads(row["losses"])
        had = [(_ms(each["since"]), _ms(at), each["worker"]) for at, each in losses.items()]
        parts += [
            {**row, "begun": since, "ended": at, "worker": worker, "failed": False, "lost": True}
            for since, at, worker in had
        ]
        parts.append({**row, "begun": max(at for _, at, _ in had)})
    whole = lanes.filter(pl.col("losses").is_null())
    return pl.concat([whole, pl.DataFrame(parts, schema=lanes.schema)]).select(*SCHEMA)


def of_running(epochs: pl.DataFrame) -> pl.DataFrame:
    """The same of trials that have not ended, until their last epoch, from all of their epochs.

    An epoch has taken what the trial's seconds grew by.
    """
    before = pl.col("seconds").shift(1, fill_value=0.0).over(TRIAL, order_by="epoch")
    ended = pl.col("ended_at").dt.epoch("ms")
    begun = ended - (1000 * (pl.col("seconds") - before)).round().cast(pl.Int64)
    told = epochs.with_columns(WORKER, ended=ended, begun=begun).filter(ended.is_not_null())
    held = told.group_by(*TRIAL, "worker").agg(pl.col("begun").min(), pl.col("ended").max())
    return held.with_columns(failed=pl.lit(False), lost=pl.lit(False)).select(*SCHEMA)


def _ms(time: str) -> int:
    """Milliseconds since 1970 of an ISO time."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def joined(lanes: pl.DataFrame) -> pl.DataFrame:
    """Trials of an architecture that a worker held one after another, as one of no name."""
    gap = LEAST_GAP * float(lanes["ended"].max() - lanes["begun"].min() + 1)  # type: ignore[operator]  # integers
    busy = [
        (architecture, worker, begun, ended, None)
        for (architecture, worker), held in lanes.group_by("architecture", "worker")
        for begun, ended in thinning.merged(held["begun"].to_list(), held["ended"].to_list(), gap)
    ]
    columns = ("architecture", "worker", "begun", "ended", "trial_id")
    return pl.DataFrame(busy, schema=columns, orient="row").sort("begun", "worker")
