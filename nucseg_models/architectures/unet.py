"""U-Net (Ronneberger et al., MICCAI 2015): an encoder and a decoder joined at every scale."""

from __future__ import annotations

from typing import Any

from nucseg_models import layers
from nucseg_models.deferred import keras
from nucseg_models.pixelwise import (
    GOOD_POSTPROCESSING,
    LOSS,
    PAPER_POSTPROCESSING,
    POSTPROCESSING,
    Pixelwise,
)
from nucseg_models.search_space import LEARNING, Choice, Float, Hyperparameters, Int


class UNet(Pixelwise):
    """(B, S, S, 3) to logits (B, S, S, 1).

    The paper's row (Table 2): 19 convolutions (2 at each of 4 scales down, 2 at the bottom, 2 at
    each of 4 scales up, 1 at the output), 4 transposed convolutions, 6 poolings. Four poolings
    halve the image and the four transposed convolutions double it again; the other two, one
    before and one after the bottom's convolutions, have stride 1 (3x3, maximum) and keep the
    size, so the output is as large as the input.

    With `finest_stride` 2 the first level has half the image's resolution, between a convolution
    and a transposed convolution of stride 2: a quarter of the arithmetic.
    """

    name = "unet"
    search_space = {
        "width": Choice(8, 12, 16, 24, 32),
        "depth": Int(2, 5),
        "finest_stride": Choice(1, 2),
        "bottom_poolings": Choice(0, 2),
        "normalisation": Choice("none", "batch", "group"),
        "activation": Choice("elu", "relu", "silu", "gelu", "sigmoid"),
        "residual": Choice(False, True),
        "dropout": Float(0.0, 0.4),
        **LOSS,
        **LEARNING,
        **POSTPROCESSING,
    }
    paper = {
        "width": 16,
        "depth": 4,
        "finest_stride": 1,
        "bottom_poolings": 2,
        "normalisation": "none",
        "activation": "elu",
        "residual": False,
        "dropout": 0.0,
        "loss": "bce",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 16,
        "augmentation": "none",
        "emphasis": "none",
        "image_size": 128,
        **PAPER_POSTPROCESSING,
    }
    paper_epochs = 20
    starts = (
        {
            **paper,
            "width": 24,
            "finest_stride": 2,
            "bottom_poolings": 0,
            "normalisation": "batch",
            "activation": "relu",
            "residual": True,
            "loss": "bce_dice",
            "optimizer": "adamw",
            "learning_rate": 3e-3,
            "schedule": "cosine",
            "weight_decay": 1e-4,
            "batch_size": 8,
            "augmentation": "full",
            "image_size": 192,
            **GOOD_POSTPROCESSING,
        },
    )

    def stride(self, hyperparameters: Hyperparameters) -> int:
        """Two to the number of halvings."""
        return int(hyperparameters["finest_stride"]) << int(hyperparameters["depth"])

    def build(
        self,
        hyperparameters: Hyperparameters,
        image_size: int | None,
        pretrained: str | None = None,
    ) -> Any:
        """The functional model; see the class for its layers."""
        depth, width = int(hyperparameters["depth"]), int(hyperparameters["width"])
        inputs = x = keras.Input((image_size, image_size, 3), name="image")
        if hyperparameters["finest_stride"] == 2:
            x = layers.convolution(x, width, strides=2, **_style(hyperparameters))
        skips = []
        for level in range(depth):
            x = _block(x, width * 2**level, hyperparameters)
            skips.append(x)
            x = keras.layers.MaxPooling2D()(x)
        x = _bottom(x, width * 2**depth, hyperparameters)
        for level in reversed(range(depth)):
            x = keras.layers.Conv2DTranspose(width * 2**level, 2, strides=2)(x)
            x = keras.layers.Concatenate()([skips[level], x])
            x = _block(x, width * 2**level, hyperparameters)
        if hyperparameters["finest_stride"] == 2:
            x = keras.layers.Conv2DTranspose(width, 2, strides=2)(x)
        return keras.Model(inputs, layers.mask_logits(x), name=self.name)


def _block(x: Any, filters: int, hyperparameters: Hyperparameters) -> Any:
    """Two convolutions, with dropout between them and, if asked for, a residual sum."""
    style = _style(hyperparameters)
    first = layers.convolution(x, filters, **style)
    if hyperparameters["dropout"]:
        first = keras.layers.Dropout(float(hyperparameters["dropout"]))(first)
    second = layers.convolution(first, filters, **style)
    return keras.layers.Add()([first, second]) if hyperparameters["residual"] else second


def _style(hyperparameters: Hyperparameters) -> dict[str, Any]:
    """What all convolutions have in common."""
    return {key: hyperparameters[key] for key in ("normalisation", "activation")}


def _bottom(x: Any, filters: int, hyperparameters: Hyperparameters) -> Any:
    """The coarsest block, between two poolings of stride 1 in the paper's row."""
    pool = bool(hyperparameters["bottom_poolings"])
    if pool:
        x = keras.layers.MaxPooling2D(3, strides=1, padding="same")(x)
    x = _block(x, filters, hyperparameters)
    return keras.layers.MaxPooling2D(3, strides=1, padding="same")(x) if pool else x


ARCHITECTURE = UNet()
