"""Figures: functions that take axes and frames, and draw."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis import tradeoff
from analysis.colours import COLOURS, colours
from analysis.measures import spans_decades, unit
from analysis.tables import cell

BINS = 6  # of a hyperparameter with many values, in an interaction


def figure(draw: Callable[[Axes], None]) -> Figure:
    """A figure of one plot."""
    drawn = Figure(figsize=(7, 4.5), layout="constrained")
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    return drawn


def as_bytes(drawn: Figure, kind: str) -> bytes:
    """A figure as a "png" or "svg" file."""
    file = io.BytesIO()
    # Without the date and with a salt of ours, the same results give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "nucseg"}):
        metadata = {"Date": None} if kind == "svg" else None
        drawn.savefig(file, format=kind, dpi=150, metadata=metadata)
    return file.getvalue()


def draw_tradeoff(axes: Axes, scored: pl.DataFrame, cost: str, gain: str) -> None:
    """Every trial, and each architecture's front as a line; the paper's rows as stars.

    Points are drawn as one picture, so that a hundred thousand leave an SVG small.
    """
    for name, colour in colours(scored["architecture"]).items():
        mine = scored.filter(pl.col("architecture") == name)
        axes.scatter(mine[cost], mine[gain], s=14, color=colour, alpha=0.5, lw=0, rasterized=True)
        front = tradeoff.front(mine, cost, gain)
        axes.step(front[cost], front[gain], where="post", color=colour, lw=1.5, label=name)
        paper = mine.filter("is_paper")
        axes.scatter(paper[cost], paper[gain], s=90, marker="*", color=colour, edgecolor="black")
    axes.scatter([], [], s=90, marker="*", color="white", edgecolor="black", label="paper's row")
    if (scored[cost] > 0).all():
        axes.set_xscale("log")
    axes.set(xlabel=f"{cost} ({unit(cost)})", ylabel=gain, title="Accuracy against compute")
    axes.legend(frameon=False, loc="lower right")  # "best" tries all points: seconds


def draw_hypervolume(axes: Axes, over_time: pl.DataFrame, cost: str, gain: str) -> None:
    """How much of the cost-gain plane the search had won, by the time that each trial ended."""
    axes.step(over_time["hours"], over_time["hypervolume"], where="post", color=COLOURS[0])
    axes.set(
        xlabel="hours since the first trial began",
        ylabel=f"hypervolume of {gain} over {cost}",
        title="What the search had found, and when",
        ylim=(0, 1),
    )


def slices(settings: pl.DataFrame, gain: pl.Series) -> Figure:
    """The gain over each hyperparameter, a plot each."""
    columns = min(3, settings.width)
    rows = -(-settings.width // columns)
    drawn = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    places = drawn.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, values in zip(places, settings, strict=False):
        draw_slice(axes, values, gain)
    for axes in places[settings.width :]:
        axes.set_axis_off()
    for axes in places[::columns]:
        axes.set_ylabel(gain.name)
    return drawn


def draw_slice(axes: Axes, values: pl.Series, gain: pl.Series) -> None:
    """A point a trial: what it reached with which value; none for trials without the setting."""
    has_value = values.is_not_null()
    values, gain = values.filter(has_value), gain.filter(has_value)
    x = values if values.dtype.is_numeric() else values.cast(pl.String)
    axes.scatter(x, gain, s=12, color=COLOURS[0], alpha=0.5, lw=0, rasterized=True)
    if values.dtype.is_numeric() and spans_decades(values):
        axes.set_xscale("log")
    axes.set_xlabel(values.name)


def draw_interaction(axes: Axes, pair: pl.DataFrame, gain: pl.Series) -> None:
    """The mean gain in the cells of a grid over two hyperparameters; empty where none was tried."""
    both = pair.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    first, second = (_binned(column) for column in pair.filter(both))
    cells = (
        pl.DataFrame({"x": first[0], "y": second[0], "gain": gain.filter(both)})
        .group_by("x", "y")
        .agg(pl.col("gain").mean())
    )
    grid = np.full((len(second[1]), len(first[1])), np.nan)
    grid[cells["y"], cells["x"]] = cells["gain"]
    picture = axes.imshow(grid, origin="lower", aspect="auto", cmap="viridis")
    axes.set_xticks(range(len(first[1])), first[1], rotation=45, ha="right")
    axes.set_yticks(range(len(second[1])), second[1])
    axes.set(
        xlabel=pair.columns[0], ylabel=pair.columns[1], title="The two that matter most, together"
    )
    axes.figure.colorbar(picture, label=f"mean {gain.name}")


def _binned(values: pl.Series) -> tuple[NDArray[np.intp], list[str]]:
    """The bin of each value, and the bins' names: values if few, else ranges of equal counts."""
    if not values.dtype.is_numeric() or values.n_unique() <= BINS:
        names, bins = np.unique(values.to_numpy(), return_inverse=True)
        return bins, [cell(name) for name in names.tolist()]
    edges = np.quantile(values.to_numpy(), np.linspace(0, 1, BINS + 1))
    bins = np.clip(np.searchsorted(edges, values.to_numpy(), side="right") - 1, 0, BINS - 1)
    return bins, [f"{low:.2g} to {high:.2g}" for low, high in pairwise(edges)]
