"""How sure a mean is: bootstrap intervals over images, seeds or trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval over `count` values; no interval for one value."""

    mean: float
    low: float | None
    high: float | None
    count: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.3f} (one value)"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"

    def __neg__(self) -> Interval:
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Interval(-self.mean, low, high, self.count)

    def lies_above(self, other: Interval) -> bool:
        """Whether the two intervals do not meet, and this is the higher."""
        return self.low is not None and other.high is not None and self.low > other.high

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below 0, else 0."""
        if self.low is not None and self.low > 0:
            return 1
        return -1 if self.high is not None and self.high < 0 else 0


def mean_interval(values: ArrayLike) -> Interval:
    """The mean of values (N,), N >= 1, and its interval (percentile bootstrap, seeded).

    The percentile method is what SciPy falls back on where the others are not defined, as where
    all values are equal; with the tens of images that there are here they agree.
    """
    # SciPy's statistics take half a second to load.
    from scipy.stats import bootstrap  # noqa: PLC0415

    found = np.asarray(values, float)
    mean = float(found.mean())
    if len(found) < 2:
        return Interval(mean, None, None, len(found))
    rng = np.random.default_rng(0)
    result = bootstrap((found,), np.mean, confidence_level=CONFIDENCE, method="percentile", rng=rng)
    low, high = map(float, result.confidence_interval)
    return Interval(mean, low, high, len(found))
