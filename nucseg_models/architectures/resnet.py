"""ResNet-152 (He et al., CVPR 2016) as an encoder, with a light decoder to one mask."""

from __future__ import annotations

from pathlib import Path
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
from nucseg_models.search_space import LEARNING, Choice, Hyperparameters

# Last block of each stage, at strides 4, 8, 16 (and 32, the encoder's end).
STAGE_BLOCKS = {50: (3, 4, 6), 101: (3, 4, 23), 152: (3, 8, 36)}


class ResNet(Pixelwise):
    """(B, S, S, 3) to logits (B, S, S, 1).

    The paper's row (Table 2): 152 stacked layers with pre-trained weights. They are the 151
    convolutions on the main path of Keras's own ResNet152 (1 at the input, 3 in each of 50
    bottleneck blocks; the 4 projections of shortcuts are beside the path) and, in place of the
    classifier, the convolution that puts out the mask. Between the two, a decoder climbs from
    stride 32 to 1: at each step doubling (each pixel repeated, as in feature pyramid networks, Lin
    et al., CVPR 2017), the encoder's features of that scale, one 3x3 convolution; it is counted
    apart.
    """

    name = "resnet"
    search_space = {
        "layers": Choice(50, 101, 152),
        "decoder_width": Choice(16, 32, 64),
        "normalisation": Choice("none", "batch", "group"),
        "activation": Choice("elu", "relu", "silu", "gelu"),
        **LOSS,
        **LEARNING,
        **POSTPROCESSING,
    }
    paper = {
        "layers": 152,
        "decoder_width": 32,
        "normalisation": "batch",
        "activation": "relu",
        "loss": "bce",
        "optimizer": "adadelta",
        "learning_rate": 0.1,
        "schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 10,
        "augmentation": "none",
        "emphasis": "none",
        "image_size": 128,
        **PAPER_POSTPROCESSING,
    }
    paper_epochs = 40
    starts = (
        {
            **paper,
            "layers": 50,
            "loss": "bce_dice",
            "optimizer": "adamw",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "weight_decay": 1e-4,
            "batch_size": 8,
            "augmentation": "full",
            "image_size": 128,
            **GOOD_POSTPROCESSING,
        },
    )

    def stride(self, hyperparameters: Hyperparameters) -> int:
        """Five halvings."""
        return 32

    def accepts_pretrained(self) -> bool:
        """The encoder takes ImageNet's weights, or a file of them."""
        return True

    def fixed_by(self, pretrained: str) -> Hyperparameters:
        """Of a file, the depth that its weights are of; ImageNet's are there for each."""
        return {} if pretrained == "imagenet" else {"layers": _depth(Path(pretrained))}

    def build(
        self,
        hyperparameters: Hyperparameters,
        image_size: int | None,
        pretrained: str | None = None,
    ) -> Any:
        """The functional model; see the class for its layers.

        pretrained: weights of `keras.applications.ResNet*` without its classifier. They expect
        ImageNet's colours, so the input is brought from 0..1 to those first. Raises ValueError
        for a file that holds no such weights.
        """
        depth = int(hyperparameters["layers"])
        inputs = keras.Input((image_size, image_size, 3), name="image")
        encoder = _encoder(depth, _imagenet_colours(inputs), pretrained)
        names = [f"conv{n + 2}_block{block}_out" for n, block in enumerate(STAGE_BLOCKS[depth])]
        skips = [encoder.get_layer(name).output for name in names]
        skips = [encoder.get_layer("conv1_relu").output, *skips]
        x = encoder.output
        for skip in (*reversed(skips), None):
            x = _up(x, skip, hyperparameters)
        return keras.Model(inputs, layers.mask_logits(x), name=self.name)


def _depth(file: Path) -> int:
    """The depth of the ResNet whose weights a file holds, told by the number of its kernels."""
    import h5py  # noqa: PLC0415 - slow to load, and only needed with a file of weights

    kernels = 0

    def count(_: str, entry: Any) -> None:
        nonlocal kernels
        kernels += len(getattr(entry, "shape", ())) == 4

    try:
        with h5py.File(file) as weights:
            weights.visititems(count)
    except OSError as error:
        raise ValueError(f"{file} is no file of weights (.weights.h5 or .h5): {error}") from error
    # The first; three in each block, and one beside each stage's first.
    known = {1 + 3 * (sum(blocks) + 3) + 4: depth for depth, blocks in STAGE_BLOCKS.items()}
    if kernels not in known:
        raise ValueError(
            f"{file} holds {kernels} convolutions; it must hold the weights of keras.applications."
            f"ResNet50, ResNet101 or ResNet152 with include_top=False, which have {[*known]}"
        )
    return known[kernels]


def _encoder(depth: int, x: Any, pretrained: str | None) -> Any:
    """Keras's own ResNet on `x`, without its classifier; ValueError for a file that is not its."""
    network = f"ResNet{depth}"
    try:
        encoder = getattr(keras.applications, network)(
            include_top=False, weights=pretrained, input_tensor=x
        )
    except (OSError, ValueError) as error:
        if pretrained is None:
            raise
        raise ValueError(
            f"{pretrained} holds no weights for {network}: it takes a .weights.h5 or .h5 file, "
            f"saved from keras.applications.{network}(include_top=False)\n{error}"
        ) from error
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = layers.MOMENTUM
    return encoder


def _imagenet_colours(inputs: Any) -> Any:
    """0..1 to 0..255 less ImageNet's mean colour, roughly what the pre-trained weights saw."""
    return keras.layers.Rescaling(255.0, offset=-114.0, name="imagenet_colours")(inputs)


def _up(x: Any, skip: Any, hyperparameters: Hyperparameters) -> Any:
    """Twice the size; joined with the encoder's features of that size; one convolution."""
    style = {key: hyperparameters[key] for key in ("normalisation", "activation")}
    x = layers.convolution(x, int(hyperparameters["decoder_width"]), kernel=1, **style)
    # Not bilinear: with that, Keras cannot trace a TensorFlow graph for images of any size.
    x = keras.layers.UpSampling2D()(x)
    if skip is not None:
        x = keras.layers.Concatenate()([x, skip])
    return layers.convolution(x, int(hyperparameters["decoder_width"]), **style)


ARCHITECTURE = ResNet()
