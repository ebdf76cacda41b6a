"""Listens to Ray Tune and keeps the record: rows, running trials, and what a person sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from sweeps.assignment import Assignment
from sweeps.progress import Progress
from sweeps.record import EpochRecord, TrialRecord, canonical_json
from sweeps.recorder import Recorder
from sweeps.storage import Store

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


class Recording(Callback):
    """Turns Tune's events into rows, stored as they happen, and shows them.

    A trial that failed, in whatever way, becomes a row with its reason. One that is cut off from
    outside (by Ctrl-C, say) gets no row, but stays in running.json, to be gone on with.
    """

    def __init__(
        self,
        facts: SweepFacts,
        recorder: Recorder,
        progress: Progress,
        store: Store,
    ) -> None:
        self._facts, self._recorder = facts, recorder
        self._progress, self._store = progress, store
        self._begun: dict[str, datetime] = {}
        self.running: dict[str, Assignment] = {}
        self._figures: dict[str, dict[str, Any]] = {}
        # An epoch that is run again after a loss keeps its first row.
        self._recorded = {(row.trial_id, row.epoch) for row in recorder.curves}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles what it is given for its own way to restore, which is not used."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A worker has a trial, for the first time or again."""
        assignment = Assignment.from_config(trial.config)
        if assignment.trial in self.running:
            return
        self._begun[assignment.trial] = datetime.now(UTC)
        self.running[assignment.trial] = assignment
        self._figures[assignment.trial] = {}
        self._write_running()
        self._progress.trial_started(assignment.architecture, assignment.trial)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """An epoch, or a failure's reason."""
        assignment = Assignment.from_config(trial.config)
        self._figures[assignment.trial].update(result)
        if "epoch" not in result:
            return
        if (assignment.trial, result["epoch"]) not in self._recorded:
            self._recorded.add((assignment.trial, result["epoch"]))
            self._recorder.epoch(self._epoch_record(assignment, result))
        self._progress.epoch(
            assignment.architecture,
            assignment.trial,
            result["epoch"],
            assignment.epochs,
            val_iou=result["val_iou"],
            loss=result["loss"],
        )

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The trial finished, was stopped by the scheduler, or told of its failure."""
        name = trial.config["trial"]
        figures = self._figures.get(name, {})
        if "error" in figures:
            self._end(name, "failed", figures["error"])
        else:
            self._end(name, "completed" if figures.get("finished") else "stopped")

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker was lost more often than is borne, out of memory for instance."""
        error = trial.get_error()
        lines = str(error or "").strip().splitlines() or ["the worker was lost"]
        self._end(trial.config["trial"], "failed", f"{type(error).__name__}: {lines[0]}"[:300])

    def end_running(self) -> None:
        """The time is up: what still runs counts as stopped."""
        for name in list(self.running):
            self._end(name, "stopped")

    def _end(self, name: str, status: str, error: str | None = None) -> None:
        if name not in self.running:
            return
        record = self._trial_record(self.running[name], status, error)
        self._recorder.ended(record)
        del self.running[name]
        self._write_running()
        self._progress.trial_ended(record)

    def _write_running(self) -> None:
        configs = [assignment.to_config() for assignment in self.running.values()]
        self._store.write_bytes(RUNNING_FILE, json.dumps(configs, indent=1).encode())

    def _epoch_record(self, assignment: Assignment, result: Mapping[str, Any]) -> EpochRecord:
        return EpochRecord(
            sweep=self._facts.sweep,
            trial_id=assignment.trial,
            architecture=assignment.architecture,
            epoch=result["epoch"],
            seconds=result["seconds"],
            device_seconds=result["seconds"] * self._facts.devices_per_trial,
            loss=result["loss"],
            val_iou=result["val_iou"],
            val_accuracy=result["val_accuracy"],
            learning_rate=result["learning_rate"],
        )

    def _trial_record(self, assignment: Assignment, status: str, error: str | None) -> TrialRecord:
        """The row of a trial, from the last figures that its worker sent."""
        facts, figures = self._facts, self._figures[assignment.trial]
        hyperparameters = assignment.hyperparameters
        device_seconds = figures.get("seconds", 0.0) * facts.devices_per_trial
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
            seed=assignment.seed,
            backend=facts.backend,
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
            started_at=self._begun[assignment.trial],
            ended_at=datetime.now(UTC),
            git_commit=facts.git_commit,
            versions=facts.versions,
        )


def validation_scores(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The `val_*` columns: of the final evaluation, else the pixel scores of the best epoch."""
    source = "final" if figures.get("finished") else "best"
    return {f"val_{name}": figures.get(f"{source}_{name}") for name in FINAL_SCORES}
