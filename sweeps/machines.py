"""Machines that come and go while a sweep runs: said, and asked for while trials wait for room."""

from __future__ import annotations

import signal
import time
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup

from sweeps import cluster
from sweeps.cluster import Bundle
from sweeps.progress import Progress

SECONDS = 2.0  # between two looks at the cluster


class Machines(Callback):
    """Shows how many machines there are, and holds the cluster to as many as the trials need.

    Tune asks for room for one trial more than it has, so a cluster would grow by one machine
    after another, each minutes later. Here all that is missing is asked for at once: by a placement
    group, which Ray forgets if the sweep dies, so that the machines end when they are idle.
    """

    def __init__(self, bundle: Bundle, trials: int, limit: int | None, progress: Progress) -> None:
        """`trials` are to run, at most `limit` at once, each with the resources of `bundle`."""
        self._bundle = {name: amount for name, amount in bundle.items() if amount}
        self._left, self._limit, self._progress = trials, limit, progress
        self._asked: PlacementGroup | None = None
        self._missed = 0  # when it was last looked
        self._seen = 0  # machines
        self._next = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: see `sweeps.recording.Recording`."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look at the cluster now and then; at each step while something is asked for.

        What was missing twice is asked for, as Tune may be about to ask for it itself, and given
        up at once when Tune did: for what both ask for, the cluster would start machines twice.
        """
        due = time.monotonic() >= self._next
        if not trials or not (due or self._asked):  # without trials, Tune has yet to ask
            return
        there = cluster.machines()
        waiting = sum(trial.status == Trial.PENDING for trial in trials)  # Tune asks for these
        missing = self._missing(there) - waiting
        if due:
            self._next = time.monotonic() + SECONDS
            self._tell(there)
            self._missed, missing = missing, min(missing, self._missed)
        elif self._asked:
            missing = min(missing, self._asked.bundle_count)
        self._ask(missing)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """One trial less to find room for."""
        self._left -= 1

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """One trial less to find room for."""
        self._left -= 1

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Nothing more is needed."""
        self._ask(0)

    def _tell(self, there: list[Bundle]) -> None:
        before, self._seen = self._seen, len(there)
        if before != self._seen:
            self._progress.message(self._described(there))
        if before and not there:
            self._stop()

    def _stop(self) -> None:
        """What can't come back is not waited for: even this machine's own part of Ray is gone."""
        self._progress.message("Ray has lost every machine, this one too: the sweep stops")
        signal.raise_signal(signal.SIGINT)  # Tune then stops in order

    def _described(self, there: list[Bundle]) -> str:
        cores, gpus = (int(sum(each.get(name, 0) for each in there)) for name in ("CPU", "GPU"))
        room = cluster.places(self._bundle, there)
        return (
            f"{_counted(len(there), 'machine')}: {_counted(cores, 'CPU core')}, "
            f"{_counted(gpus, 'GPU')}, room for {_counted(room, 'trial')} at once"
        )

    def _missing(self, there: list[Bundle]) -> int:
        """For how many trials there is no room, though the cluster may grow to have it."""
        room = cluster.places(self._bundle, there)
        most = max(room, cluster.places(self._bundle, cluster.may_have()))
        return min(self._left, most, self._limit or self._left) - room

    def _ask(self, missing: int) -> None:
        """Hold one request open for all that is missing: what is free in part never fulfils it.

        If it is granted, the room is for Tune, which waits for it, and is not asked for again yet.
        """
        if self._asked and _granted(self._asked):
            missing = 0
        if self._asked and self._asked.bundle_count != missing:
            ray.util.remove_placement_group(self._asked)
            self._asked = None
        if missing > 0 and self._asked is None:
            self._asked = ray.util.placement_group([self._bundle] * missing)


def _granted(group: PlacementGroup) -> bool:
    return bool(ray.util.placement_group_table(group).get("state") == "CREATED")


def _counted(number: int, what: str) -> str:
    """``1 machine``, ``2 machines``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
