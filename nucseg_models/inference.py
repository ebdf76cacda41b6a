"""A model's outputs for whole images of any size, each at its own resolution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIXELS_AT_ONCE = 1 << 19  # a batch of 8 images of 256x256: enough to keep two cores busy
LARGEST_SIDE = 1536  # pixels; larger images are cut into overlapping tiles
OVERLAP = 256  # pixels that neighbouring tiles share; half of it is cut off each


def outputs(
    model: Any, images: Sequence[NDArray[np.uint8]], stride: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (index, float32 (H, W, C)) for each normalised image uint8 (H, W, 3).

    Images of one padded size go through the network together, so the order is by size. `stride`
    is what the sides of an input must be a multiple of; images are mirrored at their lower and
    right edges up to that, and the surplus is cut off again.
    """
    for shape, indices in sorted(_by_padded_shape(images, stride).items()):
        if max(shape) > LARGEST_SIDE:
            yield from ((index, _tiled(model, images[index], stride)) for index in indices)
            continue
        count = min(len(indices), max(1, PIXELS_AT_ONCE // (shape[0] * shape[1])))
        for first in range(0, len(indices), count):
            chosen = indices[first : first + count]
            batch = np.stack([_padded(images[index], shape) for index in chosen])
            for index, output in zip(chosen, _predict(model, batch, count), strict=True):
                height, width = images[index].shape[:2]
                yield index, output[:height, :width]


def _predict(model: Any, batch: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """Outputs float32 (B, H, W, C) of a batch uint8 (B, H, W, 3), B <= count.

    Where the network is compiled for each shape, which takes seconds, the batch is filled up to
    `count` images: the last one of a size then needs no compiling of its own.
    """
    size = len(batch)
    if model.jit_compile:
        batch = np.concatenate([batch, np.repeat(batch[-1:], count - size, axis=0)])
    return np.asarray(model.predict_on_batch(batch.astype(np.float32) / 255.0))[:size]


def _by_padded_shape(
    images: Sequence[NDArray[np.uint8]], stride: int
) -> dict[tuple[int, int], list[int]]:
    """Indices of the images that are equally large once padded."""
    groups = defaultdict(list)
    for index, image in enumerate(images):
        height, width = (-(-side // stride) * stride for side in image.shape[:2])
        groups[height, width].append(index)
    return groups


def _padded(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The image, mirrored at its lower and right edges up to `shape`."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, shape[0] - height), (0, shape[1] - width), (0, 0)), mode="symmetric")


def _tiled(model: Any, image: NDArray[np.uint8], stride: int) -> NDArray[np.float32]:
    """Outputs of an image that is too large to go through at once, without seams.

    Each tile keeps what is at least half an overlap away from its cut edges.
    """
    side = LARGEST_SIDE // stride * stride
    rows, columns = (_starts(length, side) for length in image.shape[:2])
    result: NDArray[np.float32] | None = None
    for top in rows:
        for left in columns:
            tile = image[top : top + side, left : left + side]
            ((_, output),) = outputs(model, [tile], stride)
            if result is None:
                result = np.empty((*image.shape[:2], output.shape[-1]), np.float32)
            above, before = (OVERLAP // 2 if start else 0 for start in (top, left))
            result[top + above : top + side, left + before : left + side] = output[above:, before:]
    if result is None:
        raise ValueError(f"an image needs at least one pixel; got shape {image.shape}")
    return result


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of `side` begin so that they cover `length`, the last one flush with its end."""
    if length <= side:
        return [0]
    starts = range(0, length - side, side - OVERLAP)
    return [*starts, length - side]
