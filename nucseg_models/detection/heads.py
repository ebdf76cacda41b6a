"""The small networks that answer for each cell, region and pixel; logits, in float32."""

from __future__ import annotations

from typing import Any

from nucseg_models.deferred import keras
from nucseg_models.search_space import Hyperparameters

ANCHORS = 2  # a cell: see `nucseg_models.boxes.anchors`
BOX_BINS, MASK_BINS, MASK_SIDE = 7, 14, 28  # He et al. 2017, figure 4; the paper's masks are 28x28
RARE = -2.0  # first logit of "nucleus": most anchors and regions hold none


def proposal_head(hyperparameters: Hyperparameters, side: int | None = None) -> Any:
    """(B, h, w, C) to (B, h * w * ANCHORS, 5): objectness, and what moves the anchor."""
    channels = int(hyperparameters["pyramid_width"])
    inputs = keras.Input((side, side, channels))
    x = _convolution(inputs, channels)
    x = keras.layers.Conv2D(5 * ANCHORS, 1, dtype="float32", kernel_initializer=_small())(x)
    return keras.Model(inputs, keras.layers.Reshape((-1, 5))(x), name="proposal_head")


def box_head(hyperparameters: Hyperparameters) -> Any:
    """(N, 7, 7, C) to (N, 5): whether a nucleus, and what moves the region onto it."""
    inputs = keras.Input((BOX_BINS, BOX_BINS, int(hyperparameters["pyramid_width"])))
    x = keras.layers.Flatten()(inputs)
    for _ in range(2):
        x = keras.layers.Dense(int(hyperparameters["head_width"]), activation="relu")(x)
    outputs = keras.layers.Dense(5, dtype="float32", kernel_initializer=_small())(x)
    return keras.Model(inputs, outputs, name="box_head")


def mask_head(hyperparameters: Hyperparameters) -> Any:
    """(N, 14, 14, C) to (N, 28, 28, 1)."""
    channels = int(hyperparameters["pyramid_width"])
    inputs = x = keras.Input((MASK_BINS, MASK_BINS, channels))
    for _ in range(int(hyperparameters["mask_convolutions"])):
        x = _convolution(x, channels)
    x = keras.layers.Conv2DTranspose(channels, 2, strides=2, activation="relu")(x)
    outputs = keras.layers.Conv2D(1, 1, dtype="float32")(x)
    return keras.Model(inputs, outputs, name="mask_head")


def semantic_head(hyperparameters: Hyperparameters, side: int | None = None) -> Any:
    """(B, h, w, C) to (B, h, w, 1): nucleus or not, a cell of the finest map each."""
    channels = int(hyperparameters["pyramid_width"])
    inputs = keras.Input((side, side, channels))
    outputs = keras.layers.Conv2D(1, 1, dtype="float32")(_convolution(inputs, channels))
    return keras.Model(inputs, outputs, name="semantic_head")


def _convolution(x: Any, channels: int) -> Any:
    """Without batch statistics: regions of one image are too alike for those."""
    return keras.layers.Conv2D(
        channels, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )(x)


def _small() -> Any:
    """First answers near 0: anchors and regions stay where they are."""
    return keras.initializers.RandomNormal(stddev=0.01)
