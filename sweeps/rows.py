"""How an event becomes a row: what all trials have in common, what one has, what it sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sweeps.assignment import Assignment
from sweeps.limits import Limits
from sweeps.prices import Prices
from sweeps.record import EpochRecord, TrialRecord, canonical_json

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
    prices: Prices
    limits: Limits
    max_usd: float | None


@dataclass
class Underway:
    """A trial that has begun and not ended.

    seconds: wall time that it has held its devices, as of the last event, stretches that were
    lost or cut off included. since: when that event was (monotonic). figures: the newest of each.
    taken: when its worker, if it has told who it is, got it. losses: as in the column. why_lost:
    how the last of them came about.
    """

    assignment: Assignment
    begun: datetime
    seconds: float
    since: float
    figures: dict[str, Any] = field(default_factory=dict)
    taken: datetime = field(default_factory=lambda: datetime.now(UTC))
    worker: str | None = None
    losses: dict[str, Any] = field(default_factory=dict)
    why_lost: str | None = None

    def see(self) -> None:
        """An event: the devices were held until now."""
        now = time.monotonic()
        self.seconds, self.since = self.seconds + now - self.since, now

    def take(self) -> None:
        """Another worker has it."""
        self.since, self.taken, self.worker = time.monotonic(), datetime.now(UTC), None

    def lose(self, why: str | None) -> None:
        """Its worker is gone, with what it had done since its last checkpoint."""
        self.why_lost = why
        self.see()
        lost = {"since": self.taken.isoformat(), "worker": self.worker or "unknown worker"}
        self.losses[datetime.now(UTC).isoformat()] = lost


def epoch_record(facts: SweepFacts, underway: Underway, figures: Mapping[str, Any]) -> EpochRecord:
    """The row of an epoch."""
    return EpochRecord(
        sweep=facts.sweep,
        trial_id=underway.assignment.trial,
        architecture=underway.assignment.architecture,
        epoch=figures["epoch"],
        seconds=underway.seconds,
        device_seconds=underway.seconds * facts.devices_per_trial,
        loss=figures["loss"],
        val_iou=figures["val_iou"],
        val_accuracy=figures["val_accuracy"],
        learning_rate=figures["learning_rate"],
        worker=underway.worker,
        ended_at=datetime.now(UTC),
    )


def trial_record(
    facts: SweepFacts, underway: Underway, status: str, error: str | None
) -> TrialRecord:
    """The row of a trial, from the last figures that its worker sent."""
    assignment, figures = underway.assignment, underway.figures
    # After memory ran out, a trial goes on with a smaller batch than it was to have.
    hyperparameters = {**assignment.hyperparameters, **figures.get("changed", {})}
    device_seconds = underway.seconds * facts.devices_per_trial
    measured: dict[str, Any] = {name: figures.get(name) for name in MEASURED}
    measured |= _validation_scores(figures)
    if "by_image" in figures:
        measured["val_by_image"] = canonical_json(figures["by_image"])
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
        precision=assignment.precision,
        worker=worker(figures),
        workers_lost=len(underway.losses),
        losses=canonical_json(underway.losses) if underway.losses else None,
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
        usd=facts.prices.usd(figures.get("device"), device_seconds),
        over_limit=facts.limits.broken(figures),
        **measured,
        started_at=underway.begun,
        ended_at=datetime.now(UTC),
        git_commit=facts.git_commit,
        versions=facts.versions,
    )


def worker(figures: Mapping[str, Any]) -> str | None:
    """Who sent the figures; Tune adds that to each result."""
    return f"{figures['hostname']}:{figures['pid']}" if "pid" in figures else None


def _validation_scores(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The `val_*` columns: of the final evaluation, else the pixel scores of the best epoch."""
    source = "final" if figures.get("finished") else "best"
    return {f"val_{name}": figures.get(f"{source}_{name}") for name in FINAL_SCORES}
