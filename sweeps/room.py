"""As many trials begin as there is room for, all at once, and no trial is chosen before."""

from __future__ import annotations

import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.search import ConcurrencyLimiter, Searcher

from sweeps import cluster
from sweeps.cluster import Bundle

SECONDS = 2.0  # between two looks at the cluster


class Room(Callback):
    """Keeps `searcher`, which Tune asks for trials, to those that have room.

    Tune by itself starts one worker after another, each seconds long, and always has one trial
    more that waits; where it may start more (`TUNE_MAX_PENDING_TRIALS_PG`), as many wait. But a
    trial that is chosen only when it can begin is chosen by a sampler that knows more.
    """

    def __init__(self, searcher: Searcher, bundle: Bundle, limit: int | None) -> None:
        """A trial uses `bundle`; at most `limit` run at once, whatever the room."""
        self.searcher = ConcurrencyLimiter(searcher, max_concurrent=1)
        self._bundle, self._limit = bundle, limit
        self._places, self._next = 0, 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: see `sweeps.recording.Recording`."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look at the cluster now and then. A paused trial uses nothing, but is live to Tune."""
        if time.monotonic() >= self._next:
            self._places = cluster.places(self._bundle, cluster.machines())
            self._next = time.monotonic() + SECONDS
        paused = sum(trial.status == Trial.PAUSED for trial in trials)
        most = max(1, self._places) + paused  # one waits for a first machine
        self.searcher.set_max_concurrency(min(most, self._limit or most))
