"""What every input that can't be used raises, worded the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 10


class DataError(ValueError):
    """Images or annotations that can't be used; the message names them and says what would work."""


def bad_input(summary: str, problems: Sequence[str], remedy: str) -> DataError:
    """One error for all of `problems`: the first `LISTED` of them, how many more, the remedy."""
    lines = [f"  {problem}" for problem in problems[:LISTED]]
    if len(problems) > LISTED:
        lines.append(f"  ... and {len(problems) - LISTED} more")
    return DataError("\n".join([f"{summary}:", *lines, remedy]))
