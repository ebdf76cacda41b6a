"""Ends trials that take longer than they may, also those that hang and tell nothing."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from sweeps.recording import Recording

SECONDS = 0.5  # between two looks at the trials


class Timeout(Callback):
    """Kills the worker of a trial that has held its devices for longer than `limit` seconds.

    The worker is not asked, as one that hangs would not answer; Tune then gives the next trial a
    new one. The trial failed, and is not tried again.
    """

    def __init__(self, limit: float, recording: Recording) -> None:
        self._limit, self._recording = limit, recording
        self._next = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: see `sweeps.recording.Recording`."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look at the running trials now and then."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        for trial in trials:
            if trial.status == Trial.RUNNING:
                self._end_if_overdue(trial)

    def _end_if_overdue(self, trial: Trial) -> None:
        name, worker = trial.config["trial"], trial.temporary_state.ray_actor
        if worker is None or self._recording.seconds(name) <= self._limit:
            return
        if self._recording.fail(name, f"ran longer than --trial-timeout {self._limit:g}s"):
            trial.max_failures = 0
            ray.kill(worker)
