"""What a network costs for one image, counted from its layers."""

from __future__ import annotations

import math
from typing import Any

COUNTED = ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Dense")


def flops(model: Any) -> int:
    """Floating-point operations of one forward pass over one image.

    Two (a product and a sum) for each weight each time it is used by a convolution, transposed
    convolution or dense layer; the rest (activations, normalisation, poolings) is a few per
    cent and left out, as is usual. The model must be built for a fixed image size.
    """
    return sum(_layer_flops(layer) for layer in model.layers)


def _layer_flops(layer: Any) -> int:
    kind = type(layer).__name__
    if kind not in COUNTED:
        return 0
    # A transposed convolution uses each weight once an input pixel, the others once an output's.
    shape = layer.input.shape if kind == "Conv2DTranspose" else layer.output.shape
    return int(2 * math.prod(layer.kernel.shape) * math.prod(shape[1:-1]))
