"""Optimizers and learning rates, by name; and one optimizer that updates all weights at once."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from nucseg_models.search_space import Hyperparameters

GRADIENT_NORM_LIMIT = 5.0
WARM_UP = 0.03  # share of the training over which a cosine schedule first rises
MOMENTUM = 0.9
GROUP_SIZE = 1 << 22  # weights: 16 MB, small enough for the allocator to reuse


def make(hyperparameters: Hyperparameters) -> Fused:
    """The optimizer that `hyperparameters` name, gradients clipped to a norm of 5."""
    settings: dict[str, Any] = {
        "learning_rate": float(hyperparameters["learning_rate"]),
        "global_clipnorm": GRADIENT_NORM_LIMIT,
        "weight_decay": float(hyperparameters["weight_decay"]),
    }
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "nadam": keras.optimizers.Nadam,
        "sgd": keras.optimizers.SGD,
        "adadelta": keras.optimizers.Adadelta,
    }
    name = str(hyperparameters["optimizer"])
    if name == "sgd":
        settings["momentum"] = MOMENTUM
    return Fused(kinds[name](**settings))


def learning_rate(hyperparameters: Hyperparameters, progress: float) -> float:
    """The rate at `progress` (0..1) of the training: constant, or a warmed-up half cosine."""
    peak = float(hyperparameters["learning_rate"])
    if hyperparameters["schedule"] == "constant":
        return peak
    if progress < WARM_UP:
        return peak * (progress + WARM_UP) / (2 * WARM_UP)
    return peak * max(0.01, 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def of(model: Any) -> Fused:
    """A compiled model's, out of the loss scaling that Keras puts around it in float16."""
    scaling = _scaling(model)
    fused: Fused = scaling.inner_optimizer if scaling else model.optimizer
    return fused


def restart(model: Any, hyperparameters: Hyperparameters) -> None:
    """As `Fused.restart`, and the loss is scaled as at first."""
    of(model).restart(hyperparameters)
    if scaling := _scaling(model):
        scaling.step_counter.assign(0)
        scaling.dynamic_scale.assign(scaling.initial_scale)


def slots(model: Any) -> list[Any]:
    """The variables that a checkpoint needs beside the weights."""
    scaling = _scaling(model)
    scale = [scaling.step_counter, scaling.dynamic_scale] if scaling else []
    return [*of(model).slots(), *scale]


def _scaling(model: Any) -> Any:
    """The loss scaling around a compiled model's optimizer; None where there is none."""
    wraps = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    return model.optimizer if wraps else None


class Fused(keras.optimizers.Optimizer):
    """Applies another optimizer to weights joined in a few flat vectors.

    An optimizer's update is a dozen operations a weight array, and ResNet-152 has some 650
    arrays: building that graph took longer than everything else before the first step. Joined,
    it is a dozen operations for each 4 million weights, plus one assignment an array.

    The flat vectors are the master copy: call `read()` after changing weights elsewhere.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__(learning_rate=0.0, name="fused")
        self.inner = inner

    def build(self, variables: list[Any]) -> None:
        """Join `variables` and build the inner optimizer on the result; once."""
        if self.built:
            return
        super().build(variables)
        self._groups = _groups([math.prod(v.shape) for v in variables])
        self._flats = [
            self.add_variable((sum(math.prod(v.shape) for v in variables[group]),), name="flat")
            for group in self._groups
        ]
        self.read()
        self.inner.build(self._flats)
        decay = self.inner.weight_decay
        self.inner.weight_decay = self.add_variable((), name="weight_decay")
        self.inner.weight_decay.assign(decay)
        self._change = self.add_variable((), name="rate_change")
        scalars = [v for v in self.slots() if len(v.shape) == 0]
        self._fresh = {id(v): float(ops.convert_to_numpy(v)) for v in scalars}

    def read(self) -> None:
        """Take the weights as they are now."""
        for flat, group in zip(self._flats, self._groups, strict=True):
            parts = [ops.reshape(v, (-1,)) for v in self._trainable_variables[group]]
            flat.assign(ops.concatenate(parts))

    def restart(self, hyperparameters: Hyperparameters) -> None:
        """Forget all past gradients; take the weights as they are now, and the settings that need
        no other graph: learning rate and weight decay.
        """
        for variable in self.slots():
            fresh = self._fresh.get(id(variable), 0.0)
            variable.assign(ops.full(variable.shape, fresh, dtype=variable.dtype))
        self._change.assign(0.0)
        self.inner.weight_decay.assign(float(hyperparameters["weight_decay"]))
        self.learning_rate = float(hyperparameters["learning_rate"])
        self.read()

    def glide(self, start: float, end: float, steps: int) -> None:
        """Move the learning rate evenly from `start`, at the next step, to `end`, `steps` later.

        Done in the training graph, so that it holds on every backend while a `fit` goes on.
        """
        self.learning_rate = start
        self._change.assign((end - start) / steps)

    def slots(self) -> list[Any]:
        """The variables that a checkpoint needs beside the weights."""
        return [self.iterations, *self.inner.variables]

    @property
    def variables(self) -> list[Any]:
        """All state, the inner optimizer's included."""
        return [*super().variables, *self.inner.variables]

    def apply(self, grads: list[Any], trainable_variables: list[Any] | None = None) -> None:
        """Update all weights from their gradients, one for each, none missing."""
        joined = [
            ops.concatenate([ops.reshape(gradient, (-1,)) for gradient in grads[group]])
            for group in self._groups
        ]
        self.inner.apply(joined, self._flats)
        self.inner.learning_rate = self.inner.learning_rate + self._change
        for flat, group in zip(self._flats, self._groups, strict=True):
            _scatter(flat, self._trainable_variables[group])
        self.iterations.assign_add(1)

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.inner.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.inner.learning_rate = value


def _groups(sizes: list[int]) -> list[slice]:
    """Runs of arrays with at most GROUP_SIZE weights together, or one array alone."""
    starts, total = [0], 0
    for index, size in enumerate(sizes):
        if total and total + size > GROUP_SIZE:
            starts.append(index)
            total = 0
        total += size
    return [slice(*pair) for pair in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def _scatter(flat: Any, variables: list[Any]) -> None:
    """Assign the parts of a flat vector to the variables that it joins."""
    ends = np.cumsum([math.prod(v.shape) for v in variables])[:-1].tolist()
    parts = ops.split(flat, ends) if ends else [flat]  # TensorFlow splits nothing into one part
    for variable, part in zip(variables, parts, strict=True):
        variable.assign(ops.reshape(part, variable.shape))
