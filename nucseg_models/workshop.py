"""Compiled models, kept from trial to trial: a worker builds a training graph once."""

from __future__ import annotations

import json
from typing import Any

import keras
from keras import ops

from nucseg_models import optimizers
from nucseg_models.architecture import Architecture
from nucseg_models.search_space import Hyperparameters


class Workshop:
    """Gives models that are ready to train, reusing the last one's graph where it fits.

    Nothing of the trial before is left in a reused model: weights are drawn afresh from the
    trial's seed, and the optimizer's state and the random generators are set back.
    """

    def __init__(self) -> None:
        self._key = ""
        self._model: Any = None

    def model(
        self,
        architecture: Architecture,
        hyperparameters: Hyperparameters,
        seed: int,
        pretrained: str | None = None,
    ) -> Any:
        """A compiled `keras.Model` with fresh weights; valid until the next call."""
        shape = architecture.compiled_hyperparameters(hyperparameters)
        key = json.dumps([architecture.name, pretrained, dict(shape)], sort_keys=True)
        keras.utils.set_random_seed(seed)
        if key == self._key:
            fresh = architecture.build(hyperparameters, None, pretrained)
            _copy_state(fresh, self._model)
        else:
            self._model, self._key = None, ""  # free the old graph before building the new
            keras.backend.clear_session()
            keras.utils.set_random_seed(seed)
            self._model = _compiled(architecture, hyperparameters, pretrained)
            self._key = key
        self._model.optimizer.learning_rate = float(hyperparameters["learning_rate"])
        return self._model


def _compiled(
    architecture: Architecture, hyperparameters: Hyperparameters, pretrained: str | None
) -> Any:
    """A new model with its loss and optimizer; the training graph is built at the first step."""
    model = architecture.build(hyperparameters, None, pretrained)
    optimizer = optimizers.make(hyperparameters)
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss=architecture.loss(hyperparameters),
        jit_compile=_worth_jit(),
    )
    return model


def _worth_jit() -> bool:
    """JAX needs compiling; TensorFlow gains from XLA on a GPU, but loses by it on a CPU
    (a U-Net took 1.7 times as long), and torch on either.
    """
    if keras.backend.backend() == "tensorflow":
        return len(keras.distribution.list_devices("gpu")) > 0
    return bool(keras.backend.backend() == "jax")


def state(model: Any) -> list[Any]:
    """What training changes in a model, beside the optimizer: weights and random generators."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


def _copy_state(source: Any, target: Any) -> None:
    """Weights and random generators of `source`; a new optimizer's state."""
    for mine, fresh in zip(state(target), state(source), strict=True):
        mine.assign(ops.convert_to_numpy(fresh))
    target.optimizer.reset()
