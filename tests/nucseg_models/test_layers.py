import keras
import numpy as np
import pytest

from nucseg_models import layers


@pytest.mark.parametrize("kind", ["none", "batch", "group"])
@pytest.mark.parametrize("channels", [1, 3, 8, 12, 16, 24, 32, 48])
def test_every_normalisation_fits_every_width(channels, kind):
    x = keras.Input((4, 4, channels))
    assert layers.normalise(x, kind).shape == x.shape


def test_no_normalisation_adds_no_layer():
    x = keras.Input((4, 4, 8))
    assert layers.normalise(x, "none") is x


def test_group_normalisation_takes_eight_groups_where_they_come_out_even():
    def groups(channels):
        x = keras.Input((4, 4, channels))
        return keras.Model(x, layers.normalise(x, "group")).layers[-1].groups

    assert [groups(channels) for channels in (8, 12, 16, 3)] == [8, 4, 8, 1]


@pytest.mark.parametrize(("normalisation", "biased"), [("none", True), ("batch", False)])
def test_a_convolution_has_a_bias_unless_it_is_normalised(normalisation, biased):
    x = keras.Input((6, 6, 3))
    y = layers.convolution(x, 5, normalisation=normalisation, activation="relu")
    model = keras.Model(x, y)
    assert model.output_shape == (None, 6, 6, 5)
    convolution, last = model.layers[1], model.layers[-1]
    assert convolution.kernel_size == (3, 3)
    assert convolution.use_bias is biased
    assert last.activation is keras.activations.relu


def test_logits_are_float32_under_mixed_precision():
    x = keras.Input((6, 6, 3))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        hidden = keras.layers.Conv2D(4, 1)(x)
        logits = layers.mask_logits(hidden, channels=3, kernel=3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert hidden.dtype == "float16"
    assert logits.dtype == "float32"
    outputs = keras.Model(x, logits)(np.ones((1, 6, 6, 3), np.float32))
    assert tuple(outputs.shape) == (1, 6, 6, 3)
