import keras
import pytest
from keras import layers

import nucseg_models
from nucseg_models.flops import flops


def model(*stack, shape):
    return keras.Sequential([keras.Input(shape), *stack])


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        # 2 operations x kernel x channels in x channels out x pixels out
        (layers.Conv2D(5, 3, padding="same"), (8, 6, 2), 2 * 9 * 2 * 5 * 48),
        (layers.Conv2D(5, 3), (8, 6, 2), 2 * 9 * 2 * 5 * 24),
        (layers.Conv2D(4, 1, strides=2), (8, 6, 2), 2 * 2 * 4 * 12),
        (layers.Conv2D(4, 3, groups=2), (5, 5, 6), 2 * 9 * 3 * 4 * 9),
        # each weight once an input pixel
        (layers.Conv2DTranspose(7, 2, strides=2), (4, 3, 2), 2 * 4 * 2 * 7 * 12),
        (layers.DepthwiseConv2D(3, padding="same"), (4, 4, 6), 2 * 9 * 6 * 16),
        (layers.Dense(5), (3,), 2 * 3 * 5),
        (layers.Dense(5), (8, 6, 3), 2 * 3 * 5 * 48),
        (layers.MaxPooling2D(), (8, 6, 3), 0),
    ],
)
def test_a_layer_costs_what_is_worked_out_by_hand(layer, shape, expected):
    assert flops(model(layer, shape=shape)) == expected


def test_layers_add_up():
    stack = [layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(), layers.Dense(2)]
    assert flops(model(*stack, shape=(4, 4, 1))) == 2 * 9 * 4 * 16 + 2 * 4 * 2 * 4


def test_the_papers_cnn_costs_what_its_layers_do():
    cnn = nucseg_models.get("cnn")
    a_pixel = 2 * (3 * 16 + 5 * 16 * 16 + 9 * 16 * 3)
    assert flops(cnn.build(cnn.paper, 32)) == a_pixel * 32 * 32


def test_four_times_the_pixels_cost_four_times_as_much():
    unet = nucseg_models.get("unet")
    assert flops(unet.build(unet.paper, 64)) == 4 * flops(unet.build(unet.paper, 32))
