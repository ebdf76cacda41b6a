"""Blocks that two or more architectures share: `keras.layers` alone, so any backend runs them."""

from __future__ import annotations

import math
from typing import Any

from nucseg_models.deferred import keras

# Of batch statistics' running average. An epoch has tens of steps here, too few for Keras's 0.99 to
# catch up before the first validations.
MOMENTUM = 0.9


def normalise(x: Any, kind: str) -> Any:
    """Batch normalisation of (B, H, W, C), or in 8 groups (fewer if 8 cannot divide C), or none."""
    if kind == "batch":
        return keras.layers.BatchNormalization(momentum=MOMENTUM)(x)
    if kind == "group":
        return keras.layers.GroupNormalization(groups=math.gcd(8, x.shape[-1]))(x)
    return x


def convolution(
    x: Any, filters: int, *, normalisation: str, activation: str, kernel: int = 3, strides: int = 1
) -> Any:
    """Convolution, normalisation, activation: (B, H, W, C) to (B, H / strides, ..., filters)."""
    initializer = "glorot_uniform" if activation == "sigmoid" else "he_normal"
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=normalisation == "none",
        kernel_initializer=initializer,
    )(x)
    return keras.layers.Activation(activation)(normalise(x, normalisation))


def mask_logits(x: Any, channels: int = 1, kernel: int = 1) -> Any:
    """The output layer: a logit a pixel and channel, float32 whatever the policy."""
    return keras.layers.Conv2D(channels, kernel, padding="same", dtype="float32", name="logits")(x)
