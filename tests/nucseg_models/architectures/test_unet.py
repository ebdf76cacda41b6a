from collections import Counter

import pytest

import nucseg_models

UNET = nucseg_models.get("unet")


def kinds(model):
    return Counter(type(layer).__name__ for layer in model.layers)


def test_the_papers_row_has_the_layers_of_table_2():
    model = UNET.build(UNET.paper, 64)
    counts = kinds(model)
    assert counts["Conv2D"] == 19
    assert counts["Conv2DTranspose"] == 4
    assert sum(n for kind, n in counts.items() if "Pooling" in kind) == 6
    assert counts["BatchNormalization"] == counts["Dropout"] == 0
    assert model.output_shape == (None, 64, 64, 1)


def test_the_papers_activations_are_elu():
    model = UNET.build(UNET.paper, 64)
    names = [layer.activation.__name__ for layer in model.layers if "Activation" in str(layer)]
    assert names == ["elu"] * 18


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_depth_is_the_number_of_halvings(depth):
    model = UNET.build({**UNET.paper, "depth": depth, "bottom_poolings": 0, "width": 8}, 64)
    assert kinds(model)["MaxPooling2D"] == kinds(model)["Conv2DTranspose"] == depth
    smallest = min(layer.output.shape[1] for layer in model.layers)
    assert smallest == 64 // 2**depth
    assert UNET.stride({**UNET.paper, "depth": depth}) == 2**depth


def test_a_first_level_of_half_resolution_still_puts_out_the_whole_image():
    model = UNET.build({**UNET.paper, "finest_stride": 2}, 64)
    assert model.output_shape == (None, 64, 64, 1)
    assert kinds(model)["Conv2DTranspose"] == 4 + 1
    assert kinds(model)["Conv2D"] == 19 + 1
    assert UNET.stride({**UNET.paper, "finest_stride": 2}) == 32


def test_dropout_and_residuals_are_in_every_block_when_asked_for():
    model = UNET.build({**UNET.paper, "depth": 2, "dropout": 0.25, "residual": True}, 64)
    dropouts = [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"]
    assert dropouts == [0.25] * 5
    assert kinds(model)["Add"] == 5
