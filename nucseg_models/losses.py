"""Pixelwise losses for masks, on any Keras backend (`keras.ops` only).

Each takes the truth, (B, H, W, C) in 0..1 of any dtype, and the *logits* of the same shape, and
gives a float32 scalar >= 0, lower being better. The C classes (such as nucleus and border) are
independent questions, each answered by a sigmoid. Arithmetic is float32 also where the network's
is not, and finite for logits of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nucseg_models.deferred import keras

Loss = Callable[[Any, Any], Any]

PARTS: tuple[str, ...] = ("bce", "dice", "focal")
LOSSES: tuple[str, ...] = ("bce", "dice", "focal", "bce_dice", "focal_dice")


def get(name: str) -> Loss:
    """The loss of that name, one of LOSSES; ValueError for any other."""
    losses: dict[str, Loss] = dict(
        zip(LOSSES, (bce, dice, focal, bce_dice, focal_dice), strict=True)
    )
    if name not in losses:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {name!r}")
    return losses[name]


class AnyLoss:
    """All of LOSSES in one training graph: their parts, weighted by a variable.

    Branches of the graph would be exact too, but made it a quarter slower to build.
    """

    def __init__(self) -> None:
        self._weights = keras.Variable([0.0] * len(PARTS), trainable=False, name="loss")

    def choose(self, name: str) -> None:
        """From now on the loss of that name, one of LOSSES; ValueError for any other."""
        get(name)
        self._weights.assign([float(part in name.split("_")) for part in PARTS])

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        """As the losses of this file."""
        parts = [get(name)(y_true, y_pred) for name in PARTS]
        return keras.ops.sum(self._weights * keras.ops.stack(parts))


def bce(y_true: Any, y_pred: Any) -> Any:
    """Binary cross-entropy in nats, mean over all pixels and classes."""
    return keras.ops.mean(_cross_entropy(*_float32(y_true, y_pred)))


def dice(y_true: Any, y_pred: Any) -> Any:
    """Soft Dice loss: 1 - (2 sum(p y) + 1) / (sum(p^2) + sum(y^2) + 1), mean over classes.

    The sums run over the pixels of the whole batch, not of each image: a crop with few nuclei
    or none then weighs no more than its pixels. The 1, a pixel's worth, makes the loss 0 where
    there is nothing to find and nothing was found. In 0..1.

    Source: Milletari, Navab and Ahmadi 2016, "V-Net", 3DV, equation of section 3 (it has the
    squares, but no smoothing).
    """
    truth, logits = _float32(y_true, y_pred)
    probability = keras.ops.sigmoid(logits)
    pixels = (0, 1, 2)
    shared = keras.ops.sum(truth * probability, axis=pixels)
    sizes = keras.ops.sum(keras.ops.square(truth) + keras.ops.square(probability), axis=pixels)
    return keras.ops.mean(1.0 - (2.0 * shared + 1.0) / (sizes + 1.0))


def focal(y_true: Any, y_pred: Any, gamma: float = 2.0) -> Any:
    """Focal loss: cross-entropy times (1 - p_t)^gamma, mean over all pixels and classes.

    p_t is the probability given to the true answer, so pixels that are right already count
    little. gamma >= 1 (0 would be `bce`; between the two the slope has no bound).

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", ICCV, equation 4, with
    the paper's gamma of 2 and without class weights alpha. Unlike there the sum is divided by
    the number of pixels, not of objects.
    """
    truth, logits = _float32(y_true, y_pred)
    probability = keras.ops.sigmoid(logits)
    missing = truth * (1.0 - probability) + (1.0 - truth) * probability
    return keras.ops.mean(missing**gamma * _cross_entropy(truth, logits))


def bce_dice(y_true: Any, y_pred: Any) -> Any:
    """`bce` + `dice`, as in Isensee et al. 2021 (nnU-Net, Nature Methods 18, 203-211)."""
    return bce(y_true, y_pred) + dice(y_true, y_pred)


def focal_dice(y_true: Any, y_pred: Any) -> Any:
    """`focal` + `dice`, as in Zhu et al. 2019 (AnatomyNet, Medical Physics 46, 576-589)."""
    return focal(y_true, y_pred) + dice(y_true, y_pred)


def _cross_entropy(truth: Any, logits: Any) -> Any:
    """Binary cross-entropy of each pixel and class, from logits, which is what keeps it finite."""
    return keras.ops.binary_crossentropy(truth, logits, from_logits=True)


def _float32(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    return keras.ops.cast(y_true, "float32"), keras.ops.cast(y_pred, "float32")
