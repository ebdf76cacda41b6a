"""From an image to feature maps at five scales."""

from __future__ import annotations

from typing import Any

from nucseg_models import layers
from nucseg_models.deferred import keras
from nucseg_models.search_space import Hyperparameters

STRIDES = (2, 4, 8, 16, 32)  # pixels of the image a cell of each map
WIDENING = (1, 2, 4, 6, 6)  # channels of each, in multiples of `width`


def backbone(hyperparameters: Hyperparameters, side: int | None = None) -> Any:
    """(B, H, W, 3) to five maps (B, H / stride, W / stride, `pyramid_width`), finest first.

    side: height and width, where they are known.

    The paper's row (Table 2): 6 convolutions, each with its batch normalisation and ReLU: a 5x5
    of stride 2 and a 3x3 on its map, then a 3x3 of stride 2 for each coarser map. `blocks` adds
    pairs of convolutions to every map, with a sum around each pair if `residual`. A 1x1
    convolution then gives every map the same channels; with `pyramid`, the coarser maps are added
    to the finer on the way back (Lin et al. 2017, "Feature Pyramid Networks", CVPR).
    """
    style = {key: hyperparameters[key] for key in ("normalisation", "activation")}
    inputs = x = keras.Input((side, side, 3), name="image")
    maps = []
    for level, widening in enumerate(WIDENING):
        filters = int(hyperparameters["width"]) * widening
        x = layers.convolution(x, filters, kernel=3 if level else 5, strides=2, **style)
        if level == 0:
            x = layers.convolution(x, filters, **style)
        for _ in range(int(hyperparameters["blocks"])):
            x = _block(x, filters, bool(hyperparameters["residual"]), style)
        maps.append(x)
    return keras.Model(inputs, _neck(maps, hyperparameters), name="backbone")


def _block(x: Any, filters: int, residual: bool, style: dict[str, Any]) -> Any:
    """Two convolutions, and the sum with what went in."""
    y = layers.convolution(layers.convolution(x, filters, **style), filters, **style)
    return keras.layers.Add()([x, y]) if residual else y


def _neck(maps: list[Any], hyperparameters: Hyperparameters) -> list[Any]:
    """Maps of equal channels; with `pyramid`, each knows of the coarser ones."""
    channels = int(hyperparameters["pyramid_width"])
    maps = [keras.layers.Conv2D(channels, 1, name=f"lateral_{x}")(m) for x, m in enumerate(maps)]
    if hyperparameters["pyramid"]:
        for level in reversed(range(len(maps) - 1)):
            coarser = keras.layers.UpSampling2D()(maps[level + 1])
            maps[level] = keras.layers.Add()([maps[level], coarser])
    return maps
