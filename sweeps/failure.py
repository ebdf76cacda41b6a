"""Why a trial failed, in words that fit a row."""

from __future__ import annotations

LONGEST = 300  # characters


def reason(error: BaseException) -> str:
    """A failure in one line: its kind and its message's first line, at most `LONGEST`.

    Of an error that Ray brings from another process, what happened there.
    """
    error = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    return f"{kind}: {lines[0]}"[:LONGEST] if lines else kind


def is_lost_machine(error: BaseException) -> bool:
    """Whether Ray says that a worker died with its whole machine, not by itself."""
    return "its node has died" in str(error)
