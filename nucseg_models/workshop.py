"""Compiled models, kept from trial to trial: a worker builds a training graph once."""

from __future__ import annotations

import gc
import json
from typing import Any

import keras

from nucseg_models import device, fresh_weights, losses, optimizers
from nucseg_models.architecture import Architecture
from nucseg_models.search_space import Hyperparameters


class Workshop:
    """Gives models that are ready to train, reusing the last one's graph where it fits.

    Nothing of the trial before is left in a reused model: weights and random generators are set by
    the trial's seed alone, as they are in a new one, and the optimizer's state is cleared.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        """Free what is held."""
        self._key = ""
        self._model: Any = None
        self._loss: Any = None
        self._loaded: list[tuple[Any, Any]] = []
        self._flops: int | None = None

    def model(
        self,
        architecture: Architecture,
        hyperparameters: Hyperparameters,
        seed: int,
        pretrained: str | None = None,
    ) -> Any:
        """A compiled `keras.Model` with fresh weights; valid until the next call."""
        key = _key(architecture, hyperparameters, pretrained)
        if key != self._key:
            self._clear()  # the old graph, before the new one is built
            policy = keras.config.dtype_policy()
            keras.backend.clear_session()  # would forget the precision too
            keras.config.set_dtype_policy(policy)
            gc.collect()
            device.give_back_memory()
            self._build(architecture, hyperparameters, pretrained)
            self._key = key
        fresh_weights.draw(self._model, seed)
        for variable, value in self._loaded:
            variable.assign(value)
        optimizers.restart(self._model, hyperparameters)
        if "loss" in hyperparameters:
            self._loss.choose(str(hyperparameters["loss"]))
        return self._model

    def flops(self, architecture: Architecture, hyperparameters: Hyperparameters) -> int:
        """Of the model that was last asked for, for one training crop; counted once a graph."""
        if self._flops is None:
            size = int(hyperparameters["image_size"])
            self._flops = architecture.flops(hyperparameters, size)
        return self._flops

    def _build(
        self, architecture: Architecture, hyperparameters: Hyperparameters, pretrained: str | None
    ) -> None:
        """A new model with its loss and optimizer; its graph is traced at the first step."""
        self._model = architecture.build(hyperparameters, None, pretrained)
        self._loaded = fresh_weights.loaded(self._model) if pretrained else []
        self._loss = losses.AnyLoss()
        optimizer = optimizers.make(hyperparameters)
        optimizer.build(self._model.trainable_variables)
        self._model.compile(
            optimizer=optimizer,
            loss=architecture.loss(self._model, self._loss),
            jit_compile=_worth_jit(),
        )
        self._model.optimizer.build(self._model.trainable_variables)  # the loss scaling's, if any


def _key(
    architecture: Architecture, hyperparameters: Hyperparameters, pretrained: str | None
) -> str:
    """The same for trials that can share a training graph."""
    shape = dict(architecture.compiled_hyperparameters(hyperparameters))
    if keras.backend.backend() == "jax":  # it reads a variable that is not the model's only once
        shape["loss"] = hyperparameters.get("loss")
    return json.dumps([architecture.name, pretrained, shape], sort_keys=True)


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
