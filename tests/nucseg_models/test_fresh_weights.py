import keras
import numpy as np
import pytest

import nucseg_models
from nucseg_models import fresh_weights


def values(model):
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables]


def network():
    """A kernel of 8000 weights, a normalisation, and dropout."""
    inputs = keras.Input((100,))
    x = keras.layers.Dense(80, kernel_initializer="he_normal")(inputs)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(x))
    inner = keras.Sequential([keras.Input((80,)), keras.layers.Dense(80, name="inner")])
    return keras.Model(inputs, inner(x))


def test_a_used_model_gets_the_weights_of_a_new_one():
    new, used = network(), network()
    used.compile("sgd", "mse")
    used.fit(np.ones((8, 100)), np.ones((8, 80)), verbose=0)
    for model in (new, used):
        fresh_weights.draw(model, seed=5)
    for one, other in zip(new.variables, used.variables[: len(new.variables)], strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_are_as_their_initializers_mean_them():
    model = network()
    fresh_weights.draw(model, seed=5)
    kernel, bias, gamma = (np.array(variable) for variable in model.variables[:3])
    assert kernel.std() == pytest.approx(np.sqrt(2 / 100), rel=0.05)
    assert abs(kernel).max() > 3 * kernel.std() / 2
    assert not bias.any()
    assert (gamma == 1).all()


def test_another_seed_gives_other_weights_and_no_two_arrays_are_alike():
    model = network()
    fresh_weights.draw(model, seed=5)
    before = values(model)
    fresh_weights.draw(model, seed=6)
    drawn = [(a, b) for a, b in zip(before, values(model), strict=True) if np.unique(a).size > 2]
    assert len(drawn) == 2
    assert all((a != b).mean() > 0.99 for a, b in drawn)
    ((first, _), (second, _)) = drawn
    assert np.isin(first[:80], second).mean() < 0.01


@pytest.mark.parametrize("name", nucseg_models.names())
def test_an_architectures_random_layers_are_drawn_and_its_generators_set(name, tiny):
    architecture = nucseg_models.get(name)
    dropout = {"dropout": 0.3} if "dropout" in architecture.search_space else {}
    model = architecture.build(tiny(architecture, **dropout), None)
    fresh_weights.draw(model, seed=0)
    before = values(model)
    fresh_weights.draw(model, seed=1)
    for variable, old, new in zip(model.variables, before, values(model), strict=True):
        is_random = variable.name in ("kernel", fresh_weights.GENERATOR)
        assert np.array_equal(old, new) != is_random, variable.path


def test_weights_that_came_from_elsewhere_are_told_from_those_that_were_drawn():
    model = network()
    assert fresh_weights.loaded(model) == []
    model.layers[1].bias.assign(np.arange(80.0))
    ((variable, value),) = fresh_weights.loaded(model)
    assert variable is model.layers[1].bias
    np.testing.assert_array_equal(value, np.arange(80.0))


def test_a_weight_without_an_initializer_is_named():
    class Odd(keras.layers.Layer):
        def build(self, shape):
            self.slope = self.add_weight(shape=(), name="slope")

        def call(self, x):
            return x * self.slope

    inputs = keras.Input((2,))
    with pytest.raises(TypeError, match="layer odd must have a slope_initializer"):
        fresh_weights.draw(keras.Model(inputs, Odd(name="odd")(inputs)), seed=0)
