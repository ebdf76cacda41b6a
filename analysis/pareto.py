"""Which trials nobody beats at their price, and how much they are worth together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def front(costs: ArrayLike, gains: ArrayLike) -> NDArray[np.intp]:
    """Indices of the points on the Pareto front, the cheapest first.

    costs, gains: (N,), finite; a cost is the better the lower, a gain the higher. A point is on
    the front if it gains anything, and no other is at most as dear and at least as good; of equal
    points the first is.
    """
    cost, gain = np.asarray(costs, float), np.asarray(gains, float)
    order = np.lexsort((-gain, cost))
    best_before = np.maximum.accumulate(np.concatenate([[0.0], gain[order]]))[:-1]
    return order[gain[order] > best_before]


def hypervolumes(
    costs: Sequence[float], gains: Sequence[float], reference_cost: float
) -> NDArray[np.float64]:
    """After each point, the area that the points so far dominate, float64 (N,).

    The area of (cost, gain) lies between the front, gain 0 and `reference_cost`: a search is worth
    the more the sooner it grows (Zitzler and Thiele 1999, the S metric). Points at or beyond the
    reference, or without gain, add nothing.
    """
    growth = np.zeros(len(costs))
    front_costs: list[float] = [reference_cost]
    front_gains: list[float] = [np.inf]  # the reference's wall
    for n, (cost, gain) in enumerate(zip(costs, gains, strict=True)):
        place = bisect_left(front_costs, cost)
        below = front_gains[place - 1] if place else 0.0
        if gain <= below or cost >= reference_cost:
            continue
        end, left = place, cost
        while True:  # over what the new point overtakes, up to the first that is better
            growth[n] += (front_costs[end] - left) * (gain - below)
            if front_gains[end] > gain:
                break
            left, below, end = front_costs[end], front_gains[end], end + 1
        front_costs[place:end], front_gains[place:end] = [cost], [gain]
    return np.cumsum(growth)
