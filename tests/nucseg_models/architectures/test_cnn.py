from collections import Counter

import numpy as np
import pytest

import nucseg_models
from nucseg_models.architectures.cnn import BACKGROUND, BORDER, NUCLEUS

CNN = nucseg_models.get("cnn")


def logits(nucleus, border, background):
    """One pixel's outputs, (1, 1, 3)."""
    return np.array([[[nucleus, border, background]]], np.float32)


def picture(rows):
    """Outputs (H, W, 3) of a drawing: N nucleus, B border, a dot background."""
    place = {"N": NUCLEUS, "B": BORDER, ".": BACKGROUND}
    outputs = np.full((len(rows), len(rows[0]), 3), -8.0, np.float32)
    for row, line in enumerate(rows):
        for column, letter in enumerate(line):
            outputs[row, column, place[letter]] = 8.0
    return outputs


def test_the_papers_row_has_the_layers_of_table_2():
    model = CNN.build(CNN.paper, 32)
    kinds = Counter(type(layer).__name__ for layer in model.layers)
    assert kinds == {
        "InputLayer": 1,
        "BatchNormalization": 1,
        "Dense": 6,
        "Activation": 6,
        "Conv2D": 1,
    }
    assert model.get_layer("logits").kernel_size == (3, 3)
    assert {layer.activation.__name__ for layer in model.layers if "Activation" in str(layer)} == {
        "sigmoid"
    }
    assert model.output_shape == (None, 32, 32, 3)


def test_the_papers_dense_layers_see_one_pixel_at_a_time():
    model = CNN.build(CNN.paper, None)
    image = np.zeros((1, 9, 9, 3), np.float32)
    changed = image.copy()
    changed[0, 4, 4] = 1.0
    moved = np.abs(model.predict_on_batch(changed) - model.predict_on_batch(image)).max(axis=-1)[0]
    assert (moved[3:6, 3:6] > 0).all()
    moved[3:6, 3:6] = 0
    assert not moved.any()


def test_a_kernel_turns_dense_layers_into_convolutions_with_doubling_dilation():
    model = CNN.build({**CNN.paper, "kernel": 3, "dilation": True}, None)
    hidden = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"][:-1]
    assert [layer.dilation_rate[0] for layer in hidden] == [1, 2, 4, 8, 1, 2]


def test_targets_are_inside_border_and_background():
    labels = np.zeros((1, 5, 5), np.int32)
    labels[0, 1:4, 1:4] = 7
    targets = CNN.targets(labels, CNN.paper)[0]
    inside = np.zeros((5, 5))
    inside[2, 2] = 1
    np.testing.assert_array_equal(targets[..., NUCLEUS], inside)
    np.testing.assert_array_equal(targets[..., BACKGROUND], labels[0] == 0)
    np.testing.assert_array_equal(targets.sum(axis=-1), 1)


@pytest.mark.parametrize(
    ("outputs", "is_nucleus"),
    [
        (logits(4, -4, -4), True),
        (logits(-4, 4, -4), True),
        (logits(-4, -4, 4), False),
        (logits(0, -40, 1), False),  # 1/2 against 0.73
        (logits(0, 0, 1), True),  # twice 1/2 against 0.73
        (logits(-60, -60, -60), False),  # nothing says nucleus
        (logits(-200, -200, -200), False),
    ],
)
def test_a_pixel_is_nucleus_where_inside_and_border_outweigh_background(outputs, is_nucleus):
    assert CNN.foreground(outputs, CNN.paper).item() is is_nucleus


def test_border_pixels_part_touching_nuclei_by_watershed_but_not_by_components():
    outputs = picture(
        [
            "..........",
            ".BBBBBBBB.",
            ".BNNBBNNB.",
            ".BNNBBNNB.",
            ".BBBBBBBB.",
            "..........",
        ]
    )
    joined = CNN.postprocess(outputs, CNN.paper)
    parted = CNN.postprocess(outputs, {**CNN.paper, "splitting": "watershed"})
    assert joined.max() == 1
    assert parted.max() == 2
    assert (parted[1:5, 1:5] == parted[2, 2]).mean() == 1
    assert (parted[1:5, 5:9] == parted[2, 7]).mean() == 1
