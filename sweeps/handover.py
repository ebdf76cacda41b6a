"""What a worker leaves in storage after each epoch, and takes up there; it waits out an outage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ray import tune
from ray.train._internal.session import get_session

PATIENCE = 60.0  # seconds that an epoch waits for storage that is away, or full
_LONGEST_PAUSE = 8.0  # seconds between two attempts
_Result = TypeVar("_Result")


class UnstoredError(Exception):
    """Storage stayed away, which is no fault of the trial: Tune may try it again."""


def report(figures: Mapping[str, Any], folder: Path) -> None:
    """Tell the driver an epoch's figures, once the checkpoint in a folder is stored.

    Storage that is away is waited for, as the epoch would have to be trained again. Raises
    UnstoredError where it is for longer than PATIENCE.
    """
    checkpoint = tune.Checkpoint.from_directory(folder)
    _patiently(
        "the checkpoint can't be stored",
        lambda: tune.report(dict(figures), checkpoint=checkpoint),
        again=_write_over,
    )


def take_up(resumed_from: str | None, folder: Path) -> bool:
    """Copy the checkpoint to go on from, if there is any, into an empty folder.

    It is Tune's own, else that of the sweep that is resumed (a local path or an s3:// URI). Returns
    whether there is one. Raises UnstoredError as `report` does.
    """
    checkpoint = tune.get_checkpoint()
    if checkpoint is None and resumed_from:
        checkpoint = tune.Checkpoint(resumed_from)
    if checkpoint is None:
        return False
    _patiently("the checkpoint can't be read", lambda: checkpoint.to_directory(folder))
    return True


def _patiently(
    what: str, attempt: Callable[[], _Result], again: Callable[[], None] = lambda: None
) -> _Result:
    """Attempt it until storage works; `again` comes before each attempt but the first."""
    begun, pause = time.monotonic(), 0.5
    while True:
        try:
            return attempt()
        except OSError as error:
            if time.monotonic() - begun + pause > PATIENCE:
                raise UnstoredError(f"{what}: {error}") from error
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        again()


def _write_over() -> None:
    """Have the next checkpoint take the place of the one that is half written.

    Tune would number it anew, and the half would lie on a disk that is full, perhaps.
    """
    if session := get_session():
        session.storage.current_checkpoint_index -= 1
