"""Fit and evaluate one architecture on one Dataset; needs no Ray."""

from __future__ import annotations

import io
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from nucseg_models import device, optimizers
from nucseg_models.architecture import Architecture
from nucseg_models.batches import Batches
from nucseg_models.data import Dataset
from nucseg_models.evaluation import Evaluation, evaluate, evaluate_pixels
from nucseg_models.metrics import PixelScores
from nucseg_models.search_space import Hyperparameters
from nucseg_models.workshop import Workshop, state


class DivergedError(ArithmeticError):
    """The loss is no longer a number: the learning rate was too high for this network."""


@dataclass(frozen=True)
class Clock:
    """Seconds that a run has spent: from nothing to its first step, in training, in evaluation."""

    start: float = 0.0
    train: float = 0.0
    evaluate: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.start + self.train + self.evaluate

    def __add__(self, other: Clock) -> Clock:
        return Clock(
            self.start + other.start, self.train + other.train, self.evaluate + other.evaluate
        )


@dataclass(frozen=True)
class EpochReport:
    """One epoch: number from 1, learning rate at its first step, mean training loss, validation
    scores (means over whole images), training images a second (without the first step of all,
    which builds the graph).
    """

    epoch: int
    learning_rate: float
    loss: float
    validation: PixelScores
    images_per_second: float


class TrainingRun:
    """One training of one configuration, epoch by epoch; keeps the best epoch's weights.

    `train` and `validation` hold normalised images (see `nucseg_models.data.normalise`).
    epochs: at most so many passes. deadline: a `time.time()` by which the run ends itself,
    final evaluation included; a cosine schedule then ends with the last epoch that fits.
    threads: of the processor, which beside a GPU cut crops; without one they train.
    """

    def __init__(
        self,
        architecture: Architecture,
        hyperparameters: Hyperparameters,
        *,
        train: Dataset,
        validation: Dataset,
        epochs: int,
        seed: int,
        pretrained: str | None = None,
        deadline: float | None = None,
        workshop: Workshop | None = None,
        threads: int = 1,
    ) -> None:
        self.began = time.time()
        self.architecture, self.hyperparameters = architecture, hyperparameters
        self.train, self.validation = train, validation
        self.epochs, self.deadline = epochs, deadline
        workshop = workshop or Workshop()
        self.model = workshop.model(architecture, hyperparameters, seed, pretrained)
        self.flops_per_image = workshop.flops(architecture, hyperparameters)
        cutting = threads if device.on_gpu() else 1
        self.batches = Batches(train, architecture, hyperparameters, seed, cutting)
        self.clock = Clock(start=time.time() - self.began)
        self.epochs_run = 0
        self.progress = 0.0  # share of the learning rate's schedule that is over
        self.has_graph = False  # nor after `load`
        self.epoch_seconds = 0.0
        self.best = PixelScores(iou=0.0, dice=0.0, accuracy=0.0)
        self.best_weights: list[NDArray[np.float32]] = []

    def epoch(self) -> EpochReport:
        """Train on one pass over the images, then score the validation images.

        Raises DivergedError if the loss is not finite.
        """
        started, left = time.time(), self._epochs_left()
        progress = 1 - (1 - self.progress) * (left - 1) / left
        rate, end = (
            optimizers.learning_rate(self.hyperparameters, at) for at in (self.progress, progress)
        )
        optimizers.of(self.model).glide(rate, end, len(self.batches))
        self.batches.epoch = self.epochs_run
        loss, building = self._fit()
        trained = time.time()
        if not math.isfinite(loss):
            raise DivergedError(
                f"loss became {loss} in epoch {self.epochs_run + 1} at learning rate {rate:g}: "
                "try a lower one"
            )
        scores = evaluate_pixels(
            self.model, self.architecture, self.hyperparameters, self.validation
        )
        self._keep_if_best(scores)
        self.epochs_run, self.progress = self.epochs_run + 1, progress
        ended, training = time.time(), trained - started - building
        self.epoch_seconds = ended - started - building
        self.clock += Clock(start=building, train=training, evaluate=ended - trained)
        steps = len(self.batches) - (building > 0)
        images = steps * self.batches.batch_size
        return EpochReport(self.epochs_run, rate, loss, scores, images / training)

    def _fit(self) -> tuple[float, float]:
        """One pass; its mean loss, and the seconds that count as start: up to the first step."""
        started, first_step = time.time(), _FirstStep()
        history = self.model.fit(self.batches, verbose=0, shuffle=False, callbacks=[first_step])
        counts, self.has_graph = not self.has_graph and len(self.batches) > 1, True
        return history.history["loss"][0], (first_step.ended - started) if counts else 0.0

    def done(self) -> bool:
        """Whether all epochs are run, or no further one fits before the deadline."""
        if self.progress >= 1 or self.epochs_run >= self.epochs:
            return True
        return self.epochs_run > 0 and self._epochs_that_fit() < 1

    def _epochs_left(self) -> int:
        """Epochs to come, the next included: those asked for, or those that fit if fewer; >= 1.

        Before the first epoch all count, however long the start took: a seed so gives the same
        run with a deadline as without, unless time does run out.
        """
        left = self.epochs - self.epochs_run
        fit = self._epochs_that_fit() if self.epochs_run else left
        return max(1, math.floor(min(left, fit)))

    def _epochs_that_fit(self) -> float:
        """How many epochs there is time for, each taken to last a tenth more than the last did."""
        return (self._last_moment() - time.time()) / (1.1 * self.epoch_seconds)

    def finish(self) -> Evaluation:
        """Go back to the best epoch's weights and score validation images in full."""
        started = time.time()
        self.model.set_weights(self.best_weights)
        evaluation = evaluate(self.model, self.architecture, self.hyperparameters, self.validation)
        self.clock += Clock(evaluate=time.time() - started)
        return evaluation

    def score_training_images(self) -> PixelScores:
        """Pixel scores of as many training images as there are validation images."""
        started = time.time()
        chosen = range(min(len(self.train), len(self.validation)))
        scores = evaluate_pixels(
            self.model, self.architecture, self.hyperparameters, self.train.subset(chosen)
        )
        self.clock += Clock(evaluate=time.time() - started)
        return scores

    def save(self, folder: Path) -> None:
        """Write all that going on from here needs, about 4 times the weights, into `folder`."""
        variables = {"model": state(self.model), "slot": optimizers.slots(self.model)}
        groups = {kind: [ops.convert_to_numpy(v) for v in vs] for kind, vs in variables.items()}
        groups["best"] = self.best_weights
        arrays = {f"{kind}_{n}": a for kind, group in groups.items() for n, a in enumerate(group)}
        np.savez(folder / "state.npz", **arrays)
        counters = {
            "epochs_run": self.epochs_run,
            "progress": self.progress,
            "best": asdict(self.best),
            "epoch_seconds": self.epoch_seconds,
            "clock": [self.clock.start, self.clock.train, self.clock.evaluate],
        }
        (folder / "counters.json").write_text(json.dumps(counters))

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote."""
        groups = _arrays(folder / "state.npz")
        variables = [*state(self.model), *optimizers.slots(self.model)]
        for variable, value in zip(variables, groups["model"] + groups["slot"], strict=True):
            variable.assign(value)
        optimizers.of(self.model).read()
        self.best_weights = groups["best"]
        counters = json.loads((folder / "counters.json").read_text())
        self.clock = Clock(*counters["clock"])
        self.best = PixelScores(**counters["best"])
        self.epochs_run, self.progress = counters["epochs_run"], counters["progress"]
        self.epoch_seconds = counters["epoch_seconds"]

    def _keep_if_best(self, scores: PixelScores) -> None:
        if not self.best_weights or scores.iou > self.best.iou:
            self.best = scores
            self.best_weights = self.model.get_weights()

    def _last_moment(self) -> float:
        """When the last epoch must have ended to leave time for the final evaluation."""
        if self.deadline is None:
            return math.inf
        return self.deadline - 3 * self.clock.evaluate / max(1, self.epochs_run)


class _FirstStep(keras.callbacks.Callback):
    """Notes when the first step of a pass ended: the one that builds the training graph."""

    ended = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras after each step."""
        self.ended = self.ended or time.time()


def best_weights(state: bytes) -> list[NDArray[np.float32]]:
    """The best epoch's weights, in the model's order, from a checkpoint's state.npz."""
    return _arrays(io.BytesIO(state))["best"]


def _arrays(file: Path | io.BytesIO) -> dict[str, list[Any]]:
    """The arrays of a checkpoint by kind, each in order: "model", "best", "slot"."""
    groups: dict[str, list[Any]] = {"model": [], "best": [], "slot": []}
    with np.load(file) as arrays:
        for key in arrays.files:
            groups[key.split("_")[0]].append(arrays[key])
    return groups
