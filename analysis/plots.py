"""Figures: functions that take axes and frames, and draw."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import tradeoff
from analysis.measures import unit

# Okabe and Ito's colours, told apart with every kind of colour vision; by architecture's rank.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


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
        drawn.savefig(file, format=kind, dpi=200, metadata=metadata)
    return file.getvalue()


def colours(architectures: pl.Series) -> dict[str, str]:
    """A colour for each architecture, the same in every figure of the same results."""
    names = sorted(architectures.unique())
    return {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}


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
    axes.legend(frameon=False)


def draw_hypervolume(axes: Axes, over_time: pl.DataFrame, cost: str, gain: str) -> None:
    """How much of the cost-gain plane the search had won, by the time that each trial ended."""
    axes.step(over_time["hours"], over_time["hypervolume"], where="post", color=COLOURS[0])
    axes.set(
        xlabel="hours since the first trial began",
        ylabel=f"hypervolume of {gain} over {cost}",
        title="What the search had found, and when",
        ylim=(0, 1),
    )
