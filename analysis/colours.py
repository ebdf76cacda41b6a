"""A colour for each architecture, the same in every figure."""

from __future__ import annotations

import polars as pl

from analysis.paper import ORDER

# Okabe and Ito's colours, told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")


def colours(architectures: pl.Series) -> dict[str, str]:
    """A colour for each name: the paper's networks have theirs, whatever else is shown."""
    others = sorted(set(architectures) - set(ORDER))
    chosen = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate([*ORDER, *others])}
    return {name: chosen[name] for name in sorted(set(architectures))}
