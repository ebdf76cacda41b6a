"""What a trial may need at most: over it none can win, and the sampler learns to keep off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.config import SweepConfig

# option -> the column of summary.parquet that it bounds
BOUNDED = {"max_memory": "peak_memory_bytes", "max_seconds_per_image": "predict_seconds"}


@dataclass(frozen=True)
class Limits:
    """The largest values that columns may take."""

    largest: Mapping[str, float]

    @classmethod
    def of(cls, config: SweepConfig) -> Limits:
        """Those that a sweep was asked to keep."""
        asked = {column: getattr(config, option) for option, column in BOUNDED.items()}
        return cls({column: value for column, value in asked.items() if value is not None})

    def excess(self, figures: Mapping[str, Any]) -> dict[str, float]:
        """By column how far over its limit a trial is, as a share of it: negative within it.

        0 where it was not measured (yet), which breaks no limit.
        """
        measured = {column: figures.get(column) for column in self.largest}
        return {
            column: 0.0 if value is None else value / self.largest[column] - 1
            for column, value in measured.items()
        }

    def broken(self, figures: Mapping[str, Any]) -> str | None:
        """The limits that a trial is over, in words; None where it keeps them all."""
        found = [
            f"{column} {figures[column]:.4g} is over {self.largest[column]:.4g}"
            for column, excess in self.excess(figures).items()
            if excess > 0
        ]
        return "; ".join(found) or None
