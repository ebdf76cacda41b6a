"""Fresh weights for a model that is there already, drawn by its layers' own initializers.

Building a second model for its weights took most of a later trial's start; and Keras's global seed
empties TensorFlow's cache of compiled graphs, which cost another second for a U-Net.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

GENERATOR = "seed_generator_state"  # what Keras calls a random generator's variable


def draw(model: Any, seed: int) -> None:
    """Set all weights as on the model's first day, and its random generators, by `seed` alone."""
    pairs = list(_initialized(model))
    generators = [v for v in model.variables if v.name == GENERATOR]
    seeds = np.random.SeedSequence(seed).generate_state(len(pairs) + len(generators)) >> 1
    for (variable, initializer), chosen in zip(pairs, seeds, strict=False):
        if hasattr(initializer, "seed"):
            initializer.seed = int(chosen)
        variable.assign(initializer(variable.shape, dtype=variable.dtype))
    for variable, chosen in zip(generators, seeds[len(pairs) :], strict=True):
        variable.assign(np.array([chosen, 0]))


def loaded(model: Any) -> list[tuple[Any, NDArray[np.float32]]]:
    """The weights of a newly built model that came from elsewhere, with their values: those that
    are not what their initializer gives.
    """
    found = []
    for variable, initializer in _initialized(model):
        value = ops.convert_to_numpy(variable)
        drawn = initializer(variable.shape, dtype=variable.dtype)
        if not np.array_equal(value, ops.convert_to_numpy(drawn)):
            found.append((variable, value))
    return found


def _initialized(model: Any) -> Iterator[tuple[Any, Any]]:
    """Each weight of each layer, in a fixed order, with its initializer."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _initialized(layer)
            continue
        for variable in layer.weights:
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            if initializer is None:
                raise TypeError(
                    f"layer {layer.name} must have a {variable.name}_initializer, by which its "
                    f"{variable.name} can be drawn afresh for each trial"
                )
            yield variable, initializer
