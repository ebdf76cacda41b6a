"""Listens to Ray Tune and keeps the record: rows, running trials, and what a person sees."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from sweeps.assignment import Assignment
from sweeps.failure import is_lost_machine, last_error, reason
from sweeps.progress import Progress
from sweeps.record import EpochRecord, TrialRecord, canonical_json
from sweeps.recorder import Recorder
from sweeps.storage import StorageError, Store

RUNNING_FILE = "running.json"  # trials that have begun and not ended: what --resume goes on with
FINAL_SCORES = ("iou", "dice", "accuracy", "map", "f1_50", "f1_70", "aji", "splits", "merges")
MEASURED = (
    "device",
    "parameters",
    "flops_per_image",
    "start_seconds",
    "train_seconds",
    "eval_seconds",
    "images_per_second",
    "predict_seconds",
    "peak_memory_bytes",
    "train_iou",
    "train_accuracy",
)


@dataclass(frozen=True, kw_only=True)
class SweepFacts:
    """What all rows of a sweep have in common."""

    sweep: str
    backend: str
    dataset: str
    dataset_sha256: str
    git_commit: str | None
    versions: str
    devices_per_trial: float
    usd_per_hour: float | None


@dataclass
class Underway:
    """A trial that has begun and not ended.

    seconds: wall time that it has held its devices, as of the last event, stretches that were
    lost or cut off included. since: when that event was (monotonic). figures: the newest of each.
    lost: how often its worker was lost.
    """

    assignment: Assignment
    begun: datetime
    seconds: float
    since: float
    figures: dict[str, Any] = field(default_factory=dict)
    lost: int = 0

    def see(self) -> None:
        """An event: the devices were held until now."""
        now = time.monotonic()
        self.seconds, self.since = self.seconds + now - self.since, now


class Recording(Callback):
    """Turns Tune's events into rows, stored as they happen, and shows them.

    A trial that failed, in whatever way, becomes a row with its reason. One that is cut off from
    outside (by Ctrl-C, say) gets no row, but stays in running.json, to be gone on with; so do
    those of `waiting`, cut off in an earlier run, until they begin again. Where storage fails,
    that is shown, and what could not be stored is stored with the next event.
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
        # An epoch that is run again after a loss keeps its first row.
        self._recorded: set[tuple[str, int | None]] = {
            (row.trial_id, row.epoch) for row in recorder.curves
        }
        self._earlier_seconds = {row.trial_id: row.seconds for row in recorder.curves}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles what it is given for its own way to restore, which is not used."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A worker has a trial, for the first time or again."""
        assignment = Assignment.from_config(trial.config)
        name, now = assignment.trial, time.monotonic()
        if name in self._running:
            self._running[name].since = now
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
        earlier = [_finite(row) for row in result.get("earlier", ())]
        figures = _finite(result)
        for row in (*earlier, figures):
            underway.figures.update(row)
            self._keep_epoch(underway, row)
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
        if "error" in figures:
            self._end(name, "failed", figures["error"])
        else:
            self._end(name, "completed" if figures.get("finished") else "stopped")

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker was lost; the trial will go on elsewhere, but what it cost is spent.

        Where its machine was lost, Tune is made to forget that: it is no fault of the trial.
        """
        name, error = trial.config["trial"], last_error(trial)
        if name in self._running:
            self._running[name].see()
            self._running[name].lost += 1
            what = "worker"
            if error and is_lost_machine(error):
                trial.run_metadata.num_failures -= 1
                what = "machine"
            self._progress.message(f"{name}: its {what} was lost, it will go on with another")

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker was lost more often than is borne, out of memory for instance."""
        name, error = trial.config["trial"], last_error(trial)
        if name in self._running:
            self._running[name].see()
            self._end(name, "failed", reason(error) if error else "the worker was lost")

    def unended(self) -> list[Assignment]:
        """Trials that have begun, in this run or an earlier one, and not ended."""
        return [*self._waiting.values(), *(each.assignment for each in self._running.values())]

    def end_running(self) -> None:
        """The time is up: what still runs counts as stopped."""
        for name in list(self._running):
            self._running[name].see()
            self._end(name, "stopped")

    def _keep_epoch(self, underway: Underway, figures: Mapping[str, Any]) -> None:
        """Make a row of an epoch, if the figures are one's and it has none yet."""
        key = underway.assignment.trial, figures.get("epoch")
        if "loss" in figures and key not in self._recorded:
            self._recorded.add(key)
            with self._stored():
                self._recorder.epoch(self._epoch_record(underway, figures))

    def _end(self, name: str, status: str, error: str | None = None) -> None:
        record = self._trial_record(self._running.pop(name), status, error)
        with self._stored():
            self._recorder.ended(record)
        self._write_running()
        self._progress.trial_ended(record)

    def _write_running(self) -> None:
        configs = [each.to_config() for each in self.unended()]
        with self._stored():
            self._store.write_bytes(RUNNING_FILE, json.dumps(configs, indent=1).encode())

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """Storage may be away for a while: a sweep of days must not end by that."""
        try:
            yield
        except StorageError as error:
            self._progress.message(f"{error}; it will be tried again")

    def _epoch_record(self, underway: Underway, figures: Mapping[str, Any]) -> EpochRecord:
        return EpochRecord(
            sweep=self._facts.sweep,
            trial_id=underway.assignment.trial,
            architecture=underway.assignment.architecture,
            epoch=figures["epoch"],
            seconds=underway.seconds,
            device_seconds=underway.seconds * self._facts.devices_per_trial,
            loss=figures["loss"],
            val_iou=figures["val_iou"],
            val_accuracy=figures["val_accuracy"],
            learning_rate=figures["learning_rate"],
        )

    def _trial_record(self, underway: Underway, status: str, error: str | None) -> TrialRecord:
        """The row of a trial, from the last figures that its worker sent."""
        facts, assignment, figures = self._facts, underway.assignment, underway.figures
        hyperparameters = assignment.hyperparameters
        device_seconds = underway.seconds * facts.devices_per_trial
        price = facts.usd_per_hour
        measured: dict[str, Any] = {name: figures.get(name) for name in MEASURED}
        measured |= validation_scores(figures)
        return TrialRecord(
            sweep=facts.sweep,
            trial_id=assignment.trial,
            architecture=assignment.architecture,
            status=status,
            error=error,
            is_paper=assignment.is_paper,
            confirms=assignment.confirms,
            seed=assignment.seed,
            backend=facts.backend,
            worker=_worker(figures),
            workers_lost=underway.lost,
            dataset=facts.dataset,
            dataset_sha256=facts.dataset_sha256,
            hyperparameters=canonical_json(hyperparameters),
            optimizer=hyperparameters["optimizer"],
            learning_rate=hyperparameters["learning_rate"],
            batch_size=hyperparameters["batch_size"],
            image_size=hyperparameters["image_size"],
            epochs_planned=assignment.epochs,
            epochs_run=figures.get("epoch", 0),
            device_seconds=device_seconds,
            usd=None if price is None else device_seconds / 3600 * price,
            **measured,
            started_at=underway.begun,
            ended_at=datetime.now(UTC),
            git_commit=facts.git_commit,
            versions=facts.versions,
        )


def _worker(figures: Mapping[str, Any]) -> str | None:
    """Who sent the figures; Tune adds that to each result."""
    return f"{figures['hostname']}:{figures['pid']}" if "pid" in figures else None


def _finite(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures, with None for a number that is none."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


def validation_scores(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The `val_*` columns: of the final evaluation, else the pixel scores of the best epoch."""
    source = "final" if figures.get("finished") else "best"
    return {f"val_{name}": figures.get(f"{source}_{name}") for name in FINAL_SCORES}
