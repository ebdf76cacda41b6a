"""What one worker does with a trial: train, report each epoch, evaluate at the end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ray import tune

import nucseg_models
from nucseg_models import device
from nucseg_models.data import Dataset
from nucseg_models.data.cache import cache_root
from nucseg_models.evaluation import Evaluation
from nucseg_models.metrics import PixelScores
from nucseg_models.training import DivergedError, EpochReport, TrainingRun
from nucseg_models.workshop import Workshop
from sweeps import handover
from sweeps.assignment import Assignment
from sweeps.checkpoints import CURVE
from sweeps.failure import is_out_of_memory, reason
from sweeps.weights import Weights

# Kept warm from trial to trial: a worker builds a training graph once where shapes allow.
WORKSHOP = Workshop()
_prepared: set[int] = set()


def run_trial(
    config: dict[str, Any], *, train: Dataset, validation: Dataset, weights: Weights | None = None
) -> None:
    """Ray Tune's trainable. A failure is reported as a result with an `error`.

    Where training diverged, as some settings do, the worker stays warm. After any other failure it
    is raised too, for Ray to end this process: what is left in it can't harm the next trial. Where
    storage stays away, that is only raised: the trial goes on from the last stored checkpoint.
    """
    assignment = Assignment.from_config(config)
    if not _prepared:
        device.prepare(assignment.threads, assignment.precision)
        _prepared.add(assignment.threads)
    device.restart_peak_memory()
    try:
        if weights and assignment.pretrained:
            path = weights.placed(cache_root(None))
            assignment = replace(assignment, pretrained=str(path))
        _train_within_memory(assignment, train, validation)
    except handover.UnstoredError:
        raise  # storage may come back
    except Exception as error:  # whatever goes wrong in one trial must not end the sweep
        tune.report({"error": reason(error), "device": device.name()})
        if not isinstance(error, DivergedError):
            raise


def _train_within_memory(assignment: Assignment, train: Dataset, validation: Dataset) -> None:
    """Train; where memory runs out, go on once more at half the batch."""
    half = int(assignment.hyperparameters["batch_size"]) // 2
    try:
        _train(assignment, train, validation)
        return
    except Exception as error:
        if half == 0 or not is_out_of_memory(reason(error)):
            raise
    # Only now, as the error held on to what filled the memory.
    changed = {"batch_size": half}
    hyperparameters = {**assignment.hyperparameters, **changed}
    _train(replace(assignment, hyperparameters=hyperparameters), train, validation, changed)


def _train(
    assignment: Assignment,
    train: Dataset,
    validation: Dataset,
    changed: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Train to the end, reporting and checkpointing after each epoch.

    changed: hyperparameters that are not those that the driver knows.
    """
    architecture = nucseg_models.get(assignment.architecture)
    run = TrainingRun(
        architecture,
        assignment.hyperparameters,
        train=train,
        validation=validation,
        epochs=assignment.epochs,
        seed=assignment.seed,
        pretrained=assignment.pretrained,
        deadline=assignment.deadline,
        workshop=WORKSHOP,
        threads=assignment.threads,
    )
    earlier = _restore(run, assignment)
    curve = [*earlier]
    facts = {**_model_facts(run, assignment), "device": device.name(), "changed": dict(changed)}
    ended: dict[str, Any] = {}
    while not (ended or run.done()):
        figures = _epoch_figures(run, run.epoch())
        ended = _finish(run) if run.done() else {}
        curve.append(figures)
        _report(run, {**facts, "earlier": earlier, **figures, **ended}, curve)
        earlier = []  # told once
    if not ended:  # gone on with after its last epoch, or the time ran out after an epoch
        _report(run, {**facts, "earlier": earlier, **_finish(run)}, curve)


def _restore(run: TrainingRun, assignment: Assignment) -> list[dict[str, Any]]:
    """Go on from this trial's checkpoint: Tune's own, or that of the sweep that is resumed.

    Returns the figures of the epochs before: the driver may have missed some as it was cut off.
    """
    with tempfile.TemporaryDirectory() as folder:
        if not handover.take_up(assignment.checkpoint, Path(folder)):
            return []
        run.load(Path(folder))
        curve: list[dict[str, Any]] = json.loads((Path(folder) / CURVE).read_text())
    return curve


def _model_facts(run: TrainingRun, assignment: Assignment) -> dict[str, Any]:
    """What does not change while the trial runs."""
    return {"parameters": run.model.count_params(), "flops_per_image": run.flops_per_image}


def _epoch_figures(run: TrainingRun, report: EpochReport) -> dict[str, Any]:
    """What an epoch adds: its own figures, the best so far, and what was spent until now."""
    return {
        "epoch": report.epoch,
        "loss": report.loss,
        "learning_rate": report.learning_rate,
        "val_iou": report.validation.iou,
        "val_accuracy": report.validation.accuracy,
        **_scores("best", run.best),
        "images_per_second": report.images_per_second,
        **_spent(run),
    }


def _finish(run: TrainingRun) -> dict[str, Any]:
    """The final evaluation, with the best epoch's weights."""
    evaluation: Evaluation = run.finish()
    training = run.score_training_images()
    in_order = sorted(evaluation.by_image.items())  # architectures take images as suits them
    return {
        "finished": True,
        **_scores("final", evaluation.scores),
        "by_image": {
            name: [round(getattr(scores, name), 4) for _, scores in in_order]
            for name in ("iou", "map")
        },
        "train_iou": training.iou,
        "train_accuracy": training.accuracy,
        "predict_seconds": evaluation.predict_seconds,
        **_spent(run),
    }


def _spent(run: TrainingRun) -> dict[str, float]:
    """Where the time went, and the memory that it took."""
    return {
        "start_seconds": run.clock.start,
        "train_seconds": run.clock.train,
        "eval_seconds": run.clock.evaluate,
        "peak_memory_bytes": device.peak_memory_bytes(),
    }


def _scores(prefix: str, scores: PixelScores) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in asdict(scores).items()}


def _report(run: TrainingRun, figures: dict[str, Any], curve: list[dict[str, Any]]) -> None:
    """Tell the driver, with all that is needed to go on from here elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        run.save(Path(folder))
        (Path(folder) / CURVE).write_text(json.dumps(curve))
        handover.report(figures, Path(folder))
