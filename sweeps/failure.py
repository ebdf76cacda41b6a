"""Why a trial failed, in words that fit a row."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ray.exceptions import ActorUnavailableError, RayActorError

if TYPE_CHECKING:  # a winner's process, which needs this file, would import Tune for a second
    from ray.tune.experiment import Trial

LONGEST = 300  # characters
# As TensorFlow, torch, JAX, Python and Ray's memory monitor say it.
_NO_MEMORY = re.compile(
    r"ResourceExhausted|RESOURCE_EXHAUSTED|OutOfMemory|MemoryError|running low on memory"
)


def reason(error: BaseException) -> str:
    """A failure in one line: its kind and its message's first line, at most `LONGEST`.

    Of an error that Ray brings from another process, what happened there.
    """
    error = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    return f"{kind}: {lines[0]}"[:LONGEST] if lines else kind


def is_out_of_memory(reason: str) -> bool:
    """Whether a failure's `reason` is that memory ran out, the device's or the machine's."""
    return _NO_MEMORY.search(reason) is not None


def last_error(trial: Trial) -> BaseException | None:
    """What ended a trial's worker, as Tune wrote it down on this machine a moment ago.

    Trial.get_pickled_error looks where the results are, to which Tune copies it only later.
    """
    written = Path(trial.pickled_error_file) if trial.pickled_error_file else None
    if written is None or not written.exists():
        return None
    error: BaseException = pickle.loads(written.read_bytes())
    return error


def is_lost_machine(error: BaseException) -> bool:
    """Whether a worker was lost with its whole machine or its network, and did not die by itself.

    A machine that was announced to be taken away is left to Tune, which knows of that.
    """
    if isinstance(error, ActorUnavailableError):
        return True
    announced = isinstance(error, RayActorError) and error.preempted
    return not announced and "its node has died" in str(error)
