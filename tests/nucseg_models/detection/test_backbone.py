import keras
import pytest

import nucseg_models
from nucseg_models.detection.backbone import STRIDES, backbone

MASK_RCNN = nucseg_models.get("mask_rcnn")


def count(model, kind):
    return sum(isinstance(layer, getattr(keras.layers, kind)) for layer in model.layers)


def test_the_papers_row_has_six_convolutions_normalisations_and_activations():
    model = backbone(MASK_RCNN.paper)
    laterals = [layer for layer in model.layers if layer.name.startswith("lateral")]
    assert len(laterals) == len(STRIDES)
    assert count(model, "Conv2D") - len(laterals) == 6
    assert count(model, "BatchNormalization") == 6
    activations = [x for x in model.layers if isinstance(x, keras.layers.Activation)]
    assert [layer.activation.__name__ for layer in activations] == ["relu"] * 6


@pytest.mark.parametrize("start", [MASK_RCNN.paper, *MASK_RCNN.starts])
def test_there_is_a_map_a_stride_all_of_the_same_channels(start):
    shapes = [tuple(x.shape[1:]) for x in backbone(start, 64).outputs]
    assert shapes == [(64 // s, 64 // s, start["pyramid_width"]) for s in STRIDES]


def test_blocks_add_a_pair_of_convolutions_to_every_map():
    plain, deeper = (backbone({**MASK_RCNN.paper, "blocks": n}) for n in (0, 2))
    assert count(deeper, "Conv2D") - count(plain, "Conv2D") == 2 * 2 * len(STRIDES)
    residual = backbone({**MASK_RCNN.paper, "blocks": 2, "residual": True})
    assert count(residual, "Add") == 2 * len(STRIDES)


def test_with_a_pyramid_every_finer_map_is_added_to():
    assert count(backbone({**MASK_RCNN.paper, "pyramid": True}), "Add") == len(STRIDES) - 1
