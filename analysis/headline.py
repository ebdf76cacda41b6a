"""What a sweep found, in words: the sentences at the head of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import tradeoff
from analysis.intervals import mean_interval
from analysis.load import mixtures
from analysis.measures import unit
from analysis.tables import cell


def sentences(
    trials: pl.DataFrame, scored: pl.DataFrame, images: pl.DataFrame, cost: str, gain: str
) -> list[str]:
    """The best trial, how sure that is, the cheapest that is as good, and what it took."""
    best = scored.sort(gain, descending=True, maintain_order=True).row(0, named=True)
    said = [
        f"The best is {_name(best)}: {gain} {cell(best[gain])} for {cell(best[cost])} "
        f"{unit(cost)}.{_interval(best, images, gain)}"
    ]
    said += _again(trials, best, gain)
    cheap = tradeoff.cheapest_good(scored, cost, gain).row(0, named=True)
    if _name(cheap) != _name(best) and best[cost] > 0:
        said.append(
            f"As good within {tradeoff.WITHIN}, but cheaper: {_name(cheap)}, {gain} "
            f"{cell(cheap[gain])} for {cell(100 * cheap[cost] / best[cost])} % of that."
        )
    return [*said, *_paper(scored, best, gain), spent(trials), *mixtures(trials)]


def _name(trial: Mapping[str, Any]) -> str:
    return f"{trial['trial_id']} of {trial['sweep']} ({trial['architecture']})"


def _again(trials: pl.DataFrame, best: Mapping[str, Any], gain: str) -> list[str]:
    """What the best settings reached with fresh seeds: the figure that luck has no part in."""
    repeats = trials.filter(
        pl.col("sweep") == best["sweep"], pl.col("confirms") == best["trial_id"]
    )[gain].drop_nulls()
    if repeats.is_empty():
        return []
    return [f"Trained again with fresh seeds, its settings reached {mean_interval(repeats)}."]


def _interval(best: Mapping[str, Any], images: pl.DataFrame, gain: str) -> str:
    """How far the mean over images can be trusted."""
    which, _, score = gain.partition("_")
    mine = images.filter(
        pl.col("trial_id") == best["trial_id"],
        pl.col("sweep") == best["sweep"],
        pl.col("images").str.starts_with(which),
    )
    if mine.height < 2:
        return ""
    found = mean_interval(mine[score])
    return f" The mean over {found.count} images with its 95 % interval: {found}."


def _paper(scored: pl.DataFrame, best: Mapping[str, Any], gain: str) -> list[str]:
    """How the paper's own settings did, for the same architecture."""
    paper = scored.filter("is_paper", pl.col("architecture") == best["architecture"])
    if paper.is_empty():
        return []
    reached = paper.sort(gain, descending=True).row(0, named=True)[gain]
    return [f"The paper's own settings for {best['architecture']} reached {cell(reached)} here."]


def spent(trials: pl.DataFrame) -> str:
    """What all trials took together."""
    hours = trials["device_seconds"].sum() / 3600
    dollars = trials["usd"].sum()
    price = f", {dollars:.2f} dollars" if trials["usd"].count() else ""
    failed = trials.filter(pl.col("status") == "failed").height
    return (
        f"{trials.height} trials took {hours:.3g} device-hours{price}; {failed or 'none'} failed."
    )
