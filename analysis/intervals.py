"""How sure a mean is: intervals over images, seeds or trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
FEW = 20  # values: with fewer, a bootstrap's intervals are too narrow


@dataclass(frozen=True)
class Interval:
    """A mean with its interval over `count` values; no interval for one value."""

    mean: float
    low: float | None
    high: float | None
    count: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.3f} (one value)"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f}; n = {self.count})"

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below 0, else 0."""
        if self.low is not None and self.low > 0:
            return 1
        return -1 if self.high is not None and self.high < 0 else 0


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The mean of values (N,), N >= 1, and its interval.

    Of `FEW` or more values by a seeded bootstrap (percentiles, which are defined for equal values
    too); of fewer, such as seeds, by Student's t: a bootstrap of three values holds the true mean
    in three of four cases only.
    """
    # SciPy's statistics take half a second to load.
    from scipy import stats  # noqa: PLC0415

    found = np.asarray(values, float)
    mean = float(found.mean())
    if len(found) < 2:
        return Interval(mean, None, None, len(found))
    if len(found) < FEW:
        half = float(stats.sem(found) * stats.t.ppf((1 + confidence) / 2, len(found) - 1))
        return Interval(mean, mean - half, mean + half, len(found))
    rng = np.random.default_rng(0)
    result = stats.bootstrap(
        (found,), np.mean, confidence_level=confidence, method="percentile", rng=rng
    )
    low, high = map(float, result.confidence_interval)
    return Interval(mean, low, high, len(found))


def difference_interval(
    first: ArrayLike, second: ArrayLike, confidence: float = CONFIDENCE
) -> Interval:
    """The mean of `first` less that of `second`, each of two or more values, by Welch's t."""
    from scipy import stats  # noqa: PLC0415 - see above

    one, other = np.asarray(first, float), np.asarray(second, float)
    mean = float(one.mean() - other.mean())
    if not (one.std() or other.std()):
        return Interval(mean, mean, mean, min(len(one), len(other)))
    tested = stats.ttest_ind(one, other, equal_var=False)
    low, high = map(float, tested.confidence_interval(confidence))
    return Interval(mean, low, high, min(len(one), len(other)))
