"""Listens to Ray Tune and keeps the record: rows, running trials, and what a person sees."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ray.exceptions import RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial

from sweeps.assignment import Assignment
from sweeps.failure import is_lost_machine, last_error, reason
from sweeps.progress import Progress
from sweeps.recorder import Recorder
from sweeps.rows import SweepFacts, Underway, epoch_record, trial_record, worker
from sweeps.storage import StorageError, Store

RUNNING_FILE = "running.json"  # trials that have begun and not ended: what --resume goes on with


class Recording(Callback):
    """Turns Tune's events into rows, stored as they happen, and shows them.

    A trial that failed, in whatever way, becomes a row with its reason. One that is cut off from
    outside (by Ctrl-C, say) gets no row, but stays in running.json, to be gone on with; so do
    those of `waiting`, cut off in an earlier run, until they begin again. Where storage fails,
    that is shown, and what could not be stored is stored with the next event; a trial stays in
    running.json until its row is stored, so that nothing forgets it if the driver dies first.
    """

    def __init__(
        self,
        facts: SweepFacts,
        recorder: Recorder,
        progress: Progress,
        store: Store,
        waiting: Iterable[Assignment] = (),
    ) -> None:
        self._facts, self._recorder = facts, recorder
        self._progress, self._store = progress, store
        self._waiting = {assignment.trial: assignment for assignment in waiting}
        self._running: dict[str, Underway] = {}
        self._unstored: dict[str, Assignment] = {}  # ended, but storage has no row of it yet
        self._is_written = True  # running.json, as it should be
        self._shown: dict[str, Trial] = {}  # what Tune knows of those that run
        self._unpriced: set[str] = set()  # devices whose price was asked for, and is not known
        # Of what has not ended. An epoch that is run again after a loss keeps its first row.
        self._recorded: defaultdict[str, set[int]] = defaultdict(set)
        self._earlier_seconds: dict[str, float] = {}
        for row in recorder.curves:
            if not recorder.has_ended(row.architecture, row.trial_id):
                self._recorded[row.trial_id].add(row.epoch)
                self._earlier_seconds[row.trial_id] = row.seconds

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles what it is given for its own way to restore, which is not used."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A worker has a trial, for the first time or again."""
        assignment = Assignment.from_config(trial.config)
        name, now = assignment.trial, time.monotonic()
        self._shown[name] = trial
        if name in self._running:
            self._running[name].take()
            return
        earlier = self._earlier_seconds.get(name, 0.0)
        self._running[name] = Underway(assignment, datetime.now(UTC), earlier, now)
        self._waiting.pop(name, None)
        self._write_running()
        self._progress.trial_started(assignment.architecture, name)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """An epoch, the final evaluation, or a failure's reason."""
        underway = self._running[trial.config["trial"]]
        underway.see()
        if not self._is_written:
            self._write_running()
        underway.worker = worker(result) or underway.worker
        earlier = [_finite(row) for row in result.get("earlier", ())]
        figures = _finite(result)
        for row in (*earlier, figures):
            underway.figures.update(row)
            self._keep_epoch(underway, row)
        self._check_price(underway)
        if "error" in figures:
            trial.max_failures = 0  # its worker may now end: it is not to be tried again
        if "loss" in figures:
            assignment = underway.assignment
            self._progress.epoch(
                assignment.architecture,
                assignment.trial,
                figures["epoch"],
                assignment.epochs,
                val_iou=figures["val_iou"],
                loss=figures["loss"],
            )

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The trial finished, was stopped by the scheduler, or told of its failure."""
        name = trial.config["trial"]
        if name not in self._running:
            return
        figures = self._running[name].figures
        if figures.get("finished"):  # also where it took too long, but ended first
            self._end(name, "completed")
        elif "error" in figures:
            self._end(name, "failed", figures["error"])
        else:
            self._end(name, "stopped")

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker was lost; the trial will go on elsewhere, but what it cost is spent.

        Where its machine was lost, Tune is made to forget that: it is no fault of the trial.
        """
        name, error = trial.config["trial"], last_error(trial)
        if name in self._running:  # else its worker was lost before it had the trial
            self._running[name].lose(reason(error) if error else None)
        what = "worker"
        if error and is_lost_machine(error):
            trial.run_metadata.num_failures -= 1
            what = "machine"
        if isinstance(error, RayTaskError):  # it told of no failure of its own
            self._progress.message(f"{name}: {reason(error)}; it will be tried again")
        else:
            self._progress.message(f"{name}: its {what} was lost, it will go on with another")

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker was lost more often than is borne, out of memory for instance."""
        name, error = trial.config["trial"], last_error(trial)
        architecture = trial.config["architecture"]
        if name not in self._running and not self._recorder.has_ended(architecture, name):
            self.on_trial_start(iteration, trials, trial)  # no worker lived to have it
        if name in self._running:
            self._running[name].see()
            told = self._running[name].figures.get("error")
            lost = reason(error) if error else "the worker was lost"
            self._end(name, "failed", told or lost)

    def unended(self) -> list[Assignment]:
        """Trials that have begun, in this run or an earlier one, and not ended."""
        return [*self._waiting.values(), *(each.assignment for each in self._running.values())]

    def seconds(self, trial: str) -> float:
        """How long a trial that has not ended has held its devices until now."""
        underway = self._running.get(trial)
        if underway is None:  # no worker has had it yet
            return self._earlier_seconds.get(trial, 0.0)
        if self._shown[trial].status == Trial.PAUSED:  # it holds no device
            return underway.seconds
        return underway.seconds + time.monotonic() - underway.since

    def device_seconds(self, trial: str) -> float:
        """What a running trial has cost until now."""
        return self.seconds(trial) * self._facts.devices_per_trial

    def why_lost(self, trial: str) -> str | None:
        """How a running trial's worker was lost before, if it was."""
        return self._running[trial].why_lost if trial in self._running else None

    def fail(self, trial: str, why: str) -> bool:
        """Note why a running trial's worker is about to be killed; False where it told its end."""
        figures = self._running[trial].figures
        if "error" in figures or figures.get("finished"):
            return False
        figures["error"] = why
        return True

    def usd(self) -> float:
        """What all trials have cost until now, as far as prices of their devices are known."""
        running = (
            self._facts.prices.usd(each.figures.get("device"), self.device_seconds(name))
            for name, each in self._running.items()
        )
        return self._recorder.usd + sum(filter(None, running))

    def all_is_spent(self) -> bool:
        """Whether the sweep has cost as much as it may."""
        return self._facts.max_usd is not None and self.usd() >= self._facts.max_usd

    def _check_price(self, underway: Underway) -> None:
        """Say it, once, where a device has no price, so that --max-usd can't be kept."""
        device = underway.figures.get("device")
        if self._facts.max_usd is None or device is None or device in self._unpriced:
            return
        if self._facts.prices.usd(device, 1.0) is None:
            self._unpriced.add(device)
            self._progress.message(
                f"--usd-per-hour has no price of {device}: --max-usd does not count what it costs"
            )

    def end_running(self) -> None:
        """The time is up: what still runs counts as stopped."""
        for name in list(self._running):
            self._running[name].see()
            self._end(name, "stopped")

    def _keep_epoch(self, underway: Underway, figures: Mapping[str, Any]) -> None:
        """Make a row of an epoch, if the figures are one's and it has none yet."""
        recorded = self._recorded[underway.assignment.trial]
        if "loss" in figures and figures["epoch"] not in recorded:
            recorded.add(figures["epoch"])
            with self._stored():
                self._recorder.epoch(epoch_record(self._facts, underway, figures))

    def _end(self, name: str, status: str, error: str | None = None) -> None:
        underway = self._running.pop(name)
        del self._shown[name]
        self._recorded.pop(name, None)
        record = trial_record(self._facts, underway, status, error)
        self._unstored[name] = underway.assignment
        with self._stored():
            self._recorder.ended(record)
            self._unstored.clear()  # rows that could not be stored before are now, too
        self._write_running()
        self._progress.trial_ended(record)

    def _write_running(self) -> None:
        """Write down what a driver that takes over must go on with: all that has no row."""
        configs = [each.to_config() for each in (*self.unended(), *self._unstored.values())]
        self._is_written = False
        with self._stored():
            self._recorder.check()
            self._store.write_bytes(RUNNING_FILE, json.dumps(configs).encode())
            self._is_written = True

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """Storage may be away for a while: a sweep of days must not end by that."""
        try:
            yield
        except StorageError as error:
            self._progress.message(f"{error}; it will be tried again")


def _finite(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures, with None for a number that is none."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }
