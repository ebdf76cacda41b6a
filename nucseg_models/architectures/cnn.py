"""Simple CNN: a small network on every pixel, and one convolution that looks around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nucseg_models import instances, layers
from nucseg_models.deferred import keras
from nucseg_models.pixelwise import (
    GOOD_POSTPROCESSING,
    LOSS,
    PAPER_POSTPROCESSING,
    POSTPROCESSING,
    Pixelwise,
    cleaned,
)
from nucseg_models.search_space import LEARNING, Choice, Hyperparameters, Int

NUCLEUS, BORDER, BACKGROUND = range(3)


class SimpleCNN(Pixelwise):
    """(B, S, S, 3) to logits (B, S, S, 3): nucleus, border of a nucleus, background.

    The paper's row (Table 2): 1 batch normalisation of the input, 6 dense layers applied to
    every pixel, 1 output convolution of 3x3; sigmoid throughout. The search may give the hidden
    layers a wider view (`kernel` above 1 makes them convolutions, `dilation` doubles their
    spacing from layer to layer) and a normalisation each.
    """

    name = "cnn"
    search_space = {
        "width": Choice(8, 16, 24, 32, 48),
        "hidden_layers": Int(2, 8),
        "kernel": Choice(1, 3, 5),
        "dilation": Choice(False, True),
        "normalisation": Choice("none", "batch"),
        "activation": Choice("elu", "relu", "silu", "gelu", "sigmoid"),
        **LOSS,
        **LEARNING,
        **POSTPROCESSING,
    }
    paper = {
        "width": 16,
        "hidden_layers": 6,
        "kernel": 1,
        "dilation": False,
        "normalisation": "none",
        "activation": "sigmoid",
        "loss": "bce",
        "optimizer": "adam",
        "learning_rate": 0.1,
        "schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 32,
        "augmentation": "none",
        "emphasis": "none",
        "image_size": 128,
        **PAPER_POSTPROCESSING,
    }
    paper_epochs = 15
    gpu_share = 0.5
    starts = (
        {
            **paper,
            "kernel": 3,
            "dilation": True,
            "normalisation": "batch",
            "activation": "relu",
            "loss": "bce_dice",
            "optimizer": "adamw",
            "learning_rate": 5e-3,
            "schedule": "cosine",
            "weight_decay": 1e-4,
            "batch_size": 8,
            "augmentation": "flips",
            "image_size": 128,
            **GOOD_POSTPROCESSING,
        },
    )

    def stride(self, hyperparameters: Hyperparameters) -> int:
        """No layer changes the size."""
        return 1

    def build(
        self,
        hyperparameters: Hyperparameters,
        image_size: int | None,
        pretrained: str | None = None,
    ) -> Any:
        """The functional model; see the class for its layers."""
        inputs = keras.Input((image_size, image_size, 3), name="image")
        x = layers.normalise(inputs, "batch")
        for index in range(int(hyperparameters["hidden_layers"])):
            x = _hidden(x, index, hyperparameters)
        return keras.Model(inputs, layers.mask_logits(x, channels=3, kernel=3), name=self.name)

    def targets(
        self, labels: NDArray[np.int32], hyperparameters: Hyperparameters
    ) -> NDArray[np.float32]:
        """Float32 (B, S, S, 3): one-hot nucleus (its inside), border, background."""
        border = instances.borders(labels)
        inside = (labels > 0) & ~border
        return np.stack([inside, border, labels == 0], axis=-1).astype(np.float32)

    def probability(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The share of nucleus and border in the three sigmoids' sum, float32 (H, W) in 0..1.

        0 where all three are: a pixel that nothing speaks for is background.
        """
        single = expit(outputs)
        nuclear = single[..., NUCLEUS] + single[..., BORDER]
        share: NDArray[np.float32] = nuclear / np.maximum(nuclear + single[..., BACKGROUND], 1e-6)
        return share

    def postprocess(
        self, outputs: NDArray[np.float32], hyperparameters: Hyperparameters
    ) -> NDArray[np.int32]:
        """Connected components, or a watershed from the pixels that are inside, not border."""
        if hyperparameters["splitting"] == "components":
            return super().postprocess(outputs, hyperparameters)
        probability = self.probability(outputs)
        foreground = cleaned(probability, hyperparameters)
        markers = foreground & (outputs[..., NUCLEUS] > outputs[..., BORDER])
        return instances.labels_from_markers(markers, foreground, probability)


def _hidden(x: Any, index: int, hyperparameters: Hyperparameters) -> Any:
    """A dense layer on every pixel, or a convolution where the search widened the view."""
    width, kernel = int(hyperparameters["width"]), int(hyperparameters["kernel"])
    if kernel == 1:
        x = keras.layers.Dense(width)(x)
    else:
        dilation = 2 ** (index % 4) if hyperparameters["dilation"] else 1
        x = keras.layers.Conv2D(width, kernel, padding="same", dilation_rate=dilation)(x)
    x = layers.normalise(x, str(hyperparameters["normalisation"]))
    return keras.layers.Activation(hyperparameters["activation"])(x)


ARCHITECTURE = SimpleCNN()
