"""A picture of a replay: how near each strategy has come to the best, by what it has spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

POINTS = 200  # of the cost, at which lines are drawn
Course = Sequence[tuple[float, float]]  # (device-seconds, best IoU until then), ascending


def draw(path: Path, regrets: Mapping[str, Mapping[str, Sequence[Course]]]) -> None:
    """A plot an architecture: of each strategy the median over its courses, one a seed.

    The best IoU of a course is counted as far as its end; the kind of file is that of `path`.
    OSError or ValueError where it can't be written or its kind is not known.
    """
    drawn = Figure(figsize=(7, 4 * len(regrets)), layout="constrained")
    axes = drawn.subplots(len(regrets), squeeze=False)[:, 0]
    for each, (architecture, strategies) in zip(axes, regrets.items(), strict=True):
        most = max(c[-1][0] for courses in strategies.values() for c in courses)
        spent = np.linspace(0, most, POINTS)
        for strategy, courses in strategies.items():
            each.plot(spent, median(courses, spent), label=strategy)
        each.set(xlabel="device-seconds", ylabel="best IoU so far", title=architecture)
        each.spines[["top", "right"]].set_visible(False)
        each.legend(frameon=False)
    drawn.savefig(path, dpi=150)


def median(courses: Sequence[Course], spent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median over courses of the best IoU when so much is spent; nan where half have ended."""
    lines = []
    for course in courses:
        seconds, best = np.array(course).T
        place = np.searchsorted(seconds, spent, side="right") - 1
        line = np.where(place < 0, 0.0, best[place])
        lines.append(np.where(spent > seconds[-1], np.nan, line))
    goes_on = np.mean(np.isnan(lines), axis=0) <= 0.5
    result = np.full(len(spent), np.nan)
    result[goes_on] = np.nanmedian(np.array(lines)[:, goes_on], axis=0)
    return result
