import math

import keras
import numpy as np
import pytest

from nucseg_models import optimizers

HYPERPARAMETERS = {
    "optimizer": "adam",
    "learning_rate": 0.05,
    "schedule": "constant",
    "weight_decay": 0.0,
}
KINDS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "sgd": lambda **settings: keras.optimizers.SGD(momentum=0.9, **settings),
    "adadelta": keras.optimizers.Adadelta,
}
SHAPES = [(4, 5), (5,), (5, 3), (3,), ()]
every_optimizer = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """The first and third of these weights are larger than a group, and so one each alone."""
    monkeypatch.setattr(optimizers, "GROUP_SIZE", 8)


def weights():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.standard_normal(shape).astype(np.float32)) for shape in SHAPES]


def gradients(step):
    """Of a norm of about 5.7 in odd steps, where they are clipped to 5, and 0.6 in even ones."""
    rng = np.random.default_rng((1, step))
    scale = 1.0 if step % 2 else 0.1
    return [
        keras.ops.convert_to_tensor((scale * rng.standard_normal(shape)).astype(np.float32))
        for shape in SHAPES
    ]


def fused(name="adam", weight_decay=0.0):
    """An optimizer, and the weights that it is built on."""
    chosen = {**HYPERPARAMETERS, "optimizer": name, "weight_decay": weight_decay}
    optimizer, variables = optimizers.make(chosen), weights()
    optimizer.build(variables)
    return optimizer, variables


def step(optimizer, variables, steps):
    for number in steps:
        optimizer.apply(gradients(number), variables)


def values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def assert_equal(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("group_size", "slices"),
    [(8, [(0, 1), (1, 2), (2, 3), (3, 5)]), (25, [(0, 2), (2, 5)]), (1000, [(0, 5)])],
)
def test_weights_are_joined_in_groups_of_at_most_the_group_size(group_size, slices, monkeypatch):
    monkeypatch.setattr(optimizers, "GROUP_SIZE", group_size)
    groups = optimizers._groups([20, 5, 15, 3, 1])
    assert [(group.start, group.stop) for group in groups] == slices


@pytest.mark.parametrize("group_size", [25, 1000])
def test_larger_groups_change_nothing(group_size, monkeypatch):
    small, expected = fused()
    step(small, expected, range(4))
    monkeypatch.setattr(optimizers, "GROUP_SIZE", group_size)
    large, variables = fused()
    step(large, variables, range(4))
    for one, other in zip(values(variables), values(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)


def test_the_gradients_of_these_tests_are_clipped_in_some_steps_only():
    norms = [
        math.sqrt(sum(float(keras.ops.sum(g * g)) for g in gradients(number))) for number in (0, 1)
    ]
    assert norms[0] < optimizers.GRADIENT_NORM_LIMIT < norms[1]


@pytest.mark.parametrize(
    ("name", "weight_decay"), [*((name, 0.01) for name in KINDS), ("adam", 0.0), ("adamw", 0.0)]
)
def test_every_step_is_that_of_the_plain_optimizer(name, weight_decay):
    plain = KINDS[name](learning_rate=0.05, global_clipnorm=5.0, weight_decay=weight_decay)
    expected = weights()
    plain.build(expected)
    optimizer, variables = fused(name, weight_decay)
    for number in range(5):
        step(plain, expected, [number])
        step(optimizer, variables, [number])
        for one, other in zip(values(variables), values(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(values(variables), values(weights()), strict=True)]
    assert min(moved) > 1e-5


@pytest.mark.parametrize("name", ["adamw", "nadam"])
def test_a_fit_is_that_of_the_plain_optimizer(name):
    images = np.random.default_rng(0).random((16, 4), np.float32)
    fitted = []
    for optimizer in (
        optimizers.make({**HYPERPARAMETERS, "optimizer": name, "weight_decay": 1e-3}),
        KINDS[name](learning_rate=0.05, global_clipnorm=5.0, weight_decay=1e-3),
    ):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
        optimizer.build(model.trainable_variables)
        model.compile(optimizer=optimizer, loss="mse", jit_compile=False)
        model.fit(images, images[:, :1], batch_size=4, epochs=2, shuffle=False, verbose=0)
        fitted.append(model.get_weights())
    for one, other in zip(*fitted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@every_optimizer
def test_an_optimizer_that_starts_again_is_as_new(name):
    fresh, expected = fused(name)
    step(fresh, expected, range(3))

    used, variables = fused(name)
    used.learning_rate = 0.3
    step(used, variables, range(20, 23))
    for variable, value in zip(variables, weights(), strict=True):
        variable.assign(value)
    used.restart({**HYPERPARAMETERS, "weight_decay": 0.0})
    assert_equal(values(used.slots()), values(fused(name)[0].slots()))
    step(used, variables, range(3))
    assert_equal(values(variables), values(expected))


@every_optimizer
def test_slots_and_weights_are_all_that_going_on_needs(name):
    optimizer, variables = fused(name)
    step(optimizer, variables, range(2))
    slots, kept = values(optimizer.slots()), values(variables)
    step(optimizer, variables, range(2, 4))

    other, others = fused(name)
    step(other, others, range(30, 31))
    for variable, value in zip([*other.slots(), *others], [*slots, *kept], strict=True):
        variable.assign(value)
    other.read()
    step(other, others, range(2, 4))
    assert_equal(values(others), values(variables))


def test_weights_changed_elsewhere_count_once_they_are_read():
    optimizer, variables = fused()
    for variable in variables:
        variable.assign(keras.ops.zeros_like(variable))
    optimizer.read()
    optimizer.learning_rate = 0.0
    step(optimizer, variables, [0])
    assert all(not value.any() for value in values(variables))


def test_a_learning_rate_set_later_is_the_one_that_counts():
    optimizer, variables = fused("sgd")
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    step(optimizer, variables, [0])
    for one, start, gradient in zip(values(variables), weights(), gradients(0), strict=True):
        np.testing.assert_allclose(one, start - 0.5 * gradient, rtol=1e-5, atol=1e-6)


def test_a_learning_rate_glides_from_step_to_step():
    optimizer, variables = fused("sgd")
    optimizer.glide(0.5, 0.1, steps=2)
    used = []
    for number in range(3):
        used.append(float(optimizer.learning_rate))
        step(optimizer, variables, [number])
    assert used == pytest.approx([0.5, 0.3, 0.1])


def test_a_gliding_rate_counts_in_a_fit_too():
    images, model = np.ones((4, 1), np.float32), keras.Sequential([keras.Input((1,))])
    model.add(keras.layers.Dense(1, use_bias=False, kernel_initializer="ones"))
    optimizer = optimizers.make({**HYPERPARAMETERS, "optimizer": "sgd"})
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer, loss=lambda truth, output: output, jit_compile=False)
    optimizer.glide(0.5, 0.0, steps=2)
    model.fit(images, images, batch_size=2, epochs=1, verbose=0)
    # Gradient 1 in both steps: 0.5, then 0.25 and nine tenths of the first step again.
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(1 - 0.5 - (0.25 + 0.45))


def test_steps_are_counted():
    optimizer, variables = fused()
    step(optimizer, variables, range(3))
    assert int(optimizer.iterations) == 3


def rate(progress, schedule="cosine"):
    return optimizers.learning_rate({"learning_rate": 0.2, "schedule": schedule}, progress)


@pytest.mark.parametrize("progress", [0.0, 0.01, 0.5, 1.0])
def test_a_constant_rate_stays(progress):
    assert rate(progress, "constant") == 0.2


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, 0.1),  # the warm-up starts at half the peak
        (0.015, 0.15),
        (0.25, 0.2 * (1 + math.sqrt(0.5)) / 2),
        (0.5, 0.1),
        (2 / 3, 0.05),
        (1.0, 0.002),  # never below a hundredth of the peak
        (1.5, 0.002),
    ],
)
def test_a_cosine_rate_warms_up_and_falls(progress, expected):
    assert rate(progress) == pytest.approx(expected)


def test_a_cosine_rate_rises_to_its_peak_once_and_never_above():
    rates = [rate(progress / 1000) for progress in range(1001)]
    top = int(np.argmax(rates))
    assert 0.02 <= top / 1000 <= 0.04
    assert max(rates) == pytest.approx(0.2, rel=0.01)
    assert max(rates) <= 0.2
    assert np.all(np.diff(rates[: top + 1]) > 0)
    assert np.all(np.diff(rates[top:]) <= 0)
    assert min(rates) > 0
