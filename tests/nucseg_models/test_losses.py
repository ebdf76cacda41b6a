from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from nucseg_models import losses

properties = settings(max_examples=15, deadline=None, derandomize=True)
every_loss = pytest.mark.parametrize("name", losses.LOSSES)
LOG_3 = math.log(3)  # sigmoid(log 3) = 3/4, sigmoid(-log 3) = 1/4


def image(*pixels: float) -> np.ndarray:
    """One image of one row and one class."""
    return np.array(pixels, np.float32).reshape(1, 1, -1, 1)


def value(name: str, truth: np.ndarray, logits: np.ndarray) -> float:
    return float(losses.get(name)(truth, logits))


# Probabilities 3/4, 3/4, 1/4, 1/2 of truth 1, 0, 0, 1.
TRUTH, LOGITS = image(1, 0, 0, 1), image(LOG_3, LOG_3, -LOG_3, 0)
BCE = (math.log(4 / 3) + math.log(4) + math.log(4 / 3) + math.log(2)) / 4
FOCAL = (math.log(4 / 3) / 16 + math.log(4) * 9 / 16 + math.log(4 / 3) / 16 + math.log(2) / 4) / 4
DICE = 1 - (2 * (3 / 4 + 1 / 2) + 1) / ((9 + 9 + 1 + 4) / 16 + 2 + 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bce", BCE),
        ("focal", FOCAL),
        ("dice", DICE),
        ("bce_dice", BCE + DICE),
        ("focal_dice", FOCAL + DICE),
    ],
)
def test_losses_are_those_worked_out_by_hand(name, expected):
    assert value(name, TRUTH, LOGITS) == pytest.approx(expected, rel=1e-6)


def test_a_gamma_of_one_weighs_by_the_missing_probability():
    loss = losses.focal(image(1), image(-LOG_3), gamma=1.0)
    assert float(loss) == pytest.approx(3 / 4 * math.log(4))


def test_dice_pools_the_images_of_a_batch_but_not_its_classes():
    truth = np.array([[1, 0], [0, 0]], np.float32).reshape(2, 1, 1, 2)  # batch, class
    logits = np.where(truth > 0, 1e4, -1e4).astype(np.float32)
    logits[:, 0, 0, 0] *= -1
    # Class 0: a pixel missed in one image, one too many in the other, 1 - 1 / (1 + 1 + 1).
    # Class 1: nothing there, nothing predicted.
    assert value("dice", truth, logits) == pytest.approx((2 / 3 + 0) / 2)


@every_loss
def test_nothing_predicted_where_nothing_is_costs_nothing(name):
    assert value(name, image(0, 0, 0), image(-1e4, -1e4, -1e4)) == 0


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_losses_are_float32_and_finite_for_any_logits(name, dtype):
    truth = np.array([0, 0, 1, 1, 0], np.uint8).reshape(1, 1, -1, 1)
    logits = image(1e4, -1e4, 1e4, -1e4, 0).astype(dtype)
    loss = losses.get(name)(truth, logits)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert loss.shape == ()
    assert np.isfinite(float(loss))


@every_loss
@pytest.mark.parametrize("certainty", [1e4, -1e4])
def test_a_training_step_from_extreme_logits_keeps_weights_finite(name, certainty):
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Conv2D(1, 1)])
    model.set_weights([np.full((1, 1, 1, 1), certainty, np.float32), np.zeros(1, np.float32)])
    model.compile("sgd", loss=losses.get(name), run_eagerly=True)
    images = np.ones((2, 2, 2, 1), np.float32)
    loss = model.train_on_batch(images, np.zeros_like(images))
    assert np.isfinite(loss)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


pixels = hnp.arrays(np.float32, (2, 2, 3, 2), elements=st.sampled_from([0, 1]))
uncertain = hnp.arrays(np.float32, (2, 2, 3, 2), elements=st.floats(-3, 3, width=32))


@every_loss
@properties
@given(truth=pixels, logits=uncertain, step=st.floats(0.125, 2))
def test_a_better_prediction_costs_less(name, truth, logits, step):
    better = logits + np.float32(step) * (2 * truth - 1)
    assert value(name, truth, better) < value(name, truth, logits)


@every_loss
@properties
@given(truth=pixels, logits=uncertain)
def test_losses_are_never_negative(name, truth, logits):
    assert value(name, truth, logits) >= 0


def test_cross_entropy_agrees_with_that_of_keras():
    random = np.random.default_rng(0)
    truth, logits = random.random((2, 4, 4, 2)), random.normal(size=(2, 4, 4, 2))
    expected = keras.losses.BinaryCrossentropy(from_logits=True)(truth, logits)
    assert value("bce", truth, logits) == pytest.approx(float(ops.mean(expected)), rel=1e-5)


@every_loss
@pytest.mark.parametrize("scale", [1.0, 1e8])
def test_the_loss_of_all_losses_is_the_one_that_was_chosen_last(name, scale):
    loss = losses.AnyLoss()
    for chosen in ("focal_dice", name):
        loss.choose(chosen)
    logits = scale * LOGITS
    assert float(loss(TRUTH, logits)) == pytest.approx(value(name, TRUTH, logits), rel=1e-6)


def test_the_loss_of_all_losses_knows_no_others():
    with pytest.raises(ValueError, match="not 'l2'"):
        losses.AnyLoss().choose("l2")


def test_an_unknown_loss_is_refused_with_the_names_that_exist():
    with pytest.raises(ValueError, match="one of bce, dice, focal, bce_dice, focal_dice, not 'l2'"):
        losses.get("l2")
