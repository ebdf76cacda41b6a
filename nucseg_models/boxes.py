"""Boxes around nuclei: anchors, overlap, coding, suppression, and features cut out by them.

A box is (top, left, bottom, right) in pixels of the image, float32; pixel (0, 0) reaches from 0
to 1. Batches are (B, N, 4). Everything is vectorised over boxes and images and its shapes do not
depend on values, so that any Keras backend compiles it once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucseg_models.deferred import keras

# Of offsets and of logarithms of sizes: Girshick 2015, "Fast R-CNN", normalises to unit variance.
SPREAD = (0.1, 0.1, 0.2, 0.2)
LARGEST_GROWTH = math.log(8.0)  # a side changes at most by this factor: exp cannot overflow
SMALLEST_SIDE = 0.5  # pixels: the logarithm of a side stays finite
ROUNDS = 12  # of suppression: see `suppress`


def anchors(
    sizes: Sequence[tuple[int, int]], strides: Sequence[int], scale: float
) -> NDArray[np.float32]:
    """Square boxes around the cells of feature maps, (A, 4), map after map, row by row.

    sizes: height and width of each map; strides: pixels a cell. Each cell has two, of side
    ``scale * stride`` and 1.41 times that: strides of 4 to 32 at scale 3 give sides of 12 to 136
    pixels in equal ratios, as Lin et al. 2017 ("Feature Pyramid Networks", CVPR) lay them out.
    """
    every = []
    for (height, width), stride in zip(sizes, strides, strict=True):
        rows, columns = (np.arange(n) * stride + stride / 2 for n in (height, width))
        half = np.array([1.0, math.sqrt(2.0)]) * scale * stride / 2
        y, x, h = (grid.ravel() for grid in np.meshgrid(rows, columns, half, indexing="ij"))
        every.append(np.stack([y - h, x - h, y + h, x + h], axis=1))
    return np.concatenate(every).astype(np.float32)


def area(boxes: Any) -> Any:
    """Pixels, (..., N) of (..., N, 4); 0 for a box that is turned inside out."""
    ops = keras.ops
    height, width = (ops.maximum(boxes[..., i + 2] - boxes[..., i], 0.0) for i in (0, 1))
    return height * width


def overlap(first: Any, second: Any) -> Any:
    """Intersection over union of each with each: (B, N, 4) and (B, M, 4) to (B, N, M), 0..1."""
    ops = keras.ops
    one, two = first[:, :, None], second[:, None]
    top_left = ops.maximum(one[..., :2], two[..., :2])
    bottom_right = ops.minimum(one[..., 2:], two[..., 2:])
    sides = ops.maximum(bottom_right - top_left, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / ops.maximum(area(one) + area(two) - shared, 1e-6)


def encode(boxes: Any, references: Any) -> Any:
    """What leads from references to boxes, both (..., 4): offsets in the reference's sides, and
    logarithms of the ratios of sides, each divided by its SPREAD (Girshick et al. 2014, R-CNN,
    appendix C).
    """
    ops = keras.ops
    (centre, side), (base, scale) = _centre_and_side(boxes), _centre_and_side(references)
    moves = ops.concatenate([(centre - base) / scale, ops.log(side / scale)], axis=-1)
    return ops.divide(moves, ops.convert_to_tensor(SPREAD))


def decode(deltas: Any, references: Any) -> Any:
    """The boxes that deltas lead to from their references: the inverse of `encode`.

    Sides grow or shrink at most eightfold, whatever the deltas.
    """
    ops = keras.ops
    base, scale = _centre_and_side(references)
    deltas = ops.multiply(deltas, ops.convert_to_tensor(SPREAD))
    centre = base + ops.clip(deltas[..., :2], -4.0, 4.0) * scale
    side = scale * ops.exp(ops.clip(deltas[..., 2:], -LARGEST_GROWTH, LARGEST_GROWTH))
    return ops.concatenate([centre - side / 2, centre + side / 2], axis=-1)


def _centre_and_side(boxes: Any) -> tuple[Any, Any]:
    side = keras.ops.maximum(boxes[..., 2:] - boxes[..., :2], SMALLEST_SIDE)
    return (boxes[..., :2] + boxes[..., 2:]) / 2, side


def clip(boxes: Any, height: int, width: int) -> Any:
    """The part of each box (..., 4) that lies within the image."""
    limits = np.array([height, width, height, width], np.float32)
    return keras.ops.clip(boxes, 0.0, limits)


def suppress(boxes: Any, threshold: float) -> Any:
    """Which boxes stay when each gives way to better ones that it overlaps: 1 or 0, (B, N).

    boxes (B, N, 4) stand best first. Non-maximum suppression: a box goes if a box before it that
    stays overlaps it by more than `threshold`. Instead of box by box this is worked out for all
    at once, in rounds; after n of them everything is settled that no chain of more than n boxes
    leads to. ROUNDS equals the loop also where hundreds of boxes crowd.
    """
    ops = keras.ops
    count = boxes.shape[1]
    before = ops.convert_to_tensor(np.tri(count, k=-1, dtype=np.float32))
    rivals = ops.cast(overlap(boxes, boxes) > threshold, "float32") * before
    stays = ops.ones_like(boxes[..., 0])
    for _ in range(ROUNDS):
        beaten = ops.squeeze(ops.matmul(rivals, stays[..., None]), -1)
        stays = ops.cast(beaten < 0.5, "float32")
    return stays


def cut_out(levels: Sequence[Any], strides: Sequence[int], boxes: Any, size: int) -> Any:
    """Features under each box: (B, h, w, C) a level and boxes (B, N, 4) to (B, N, size, size, C).

    RoIAlign (He et al. 2017, "Mask R-CNN", section 3): bilinear, nothing rounded, one sample in
    the middle of each of the size x size bins. Strides double from level to level; a box takes
    the one where 14 bins are about a cell each. Beyond a map's edge its outermost cells go on.
    """
    ops = keras.ops
    shapes = np.array([level.shape[1:3] for level in levels], np.int32)
    cells = np.prod(shapes, axis=1)
    joined = ops.concatenate(
        [
            ops.reshape(level, (-1, int(count), level.shape[-1]))
            for level, count in zip(levels, cells, strict=True)
        ],
        axis=1,
    )
    chosen = _level(boxes, strides)[..., None]
    first, height, width, stride = (
        ops.take(ops.convert_to_tensor(values.astype(np.int32)), chosen)
        for values in (np.cumsum(cells) - cells, *shapes.T, np.array(strides))
    )
    row, column = (
        position / ops.cast(stride, "float32") - 0.5 for position in samples(boxes, size)
    )
    (top, bottom, down), (left, right, across) = _between(row, height), _between(column, width)
    down, across = down[..., :, None, None], across[..., None, :, None]

    def features(row: Any, column: Any) -> Any:
        return gather(joined, (first + row * width)[..., :, None] + column[..., None, :])

    above = features(top, left) * (1 - across) + features(top, right) * across
    below = features(bottom, left) * (1 - across) + features(bottom, right) * across
    return above * (1 - down) + below * down


def samples(boxes: Any, size: int) -> tuple[Any, Any]:
    """Rows and columns, each (B, N, size), of the middles of size x size bins in each box."""
    share = keras.ops.convert_to_tensor((np.arange(size, dtype=np.float32) + 0.5) / size)
    top, left, bottom, right = (boxes[..., i, None] for i in range(4))
    return top + (bottom - top) * share, left + (right - left) * share


def gather(cells: Any, index: Any) -> Any:
    """What stands at each index: cells (B, P, C) and int32 (B, ...) to (B, ..., C)."""
    ops = keras.ops
    count, channels = cells.shape[1:]
    image = ops.arange(ops.shape(index)[0], dtype="int32") * count
    image = ops.reshape(image, (-1, *(1 for _ in index.shape[1:])))
    return ops.take(ops.reshape(cells, (-1, channels)), index + image, axis=0)


def _level(boxes: Any, strides: Sequence[int]) -> Any:
    """Which level each box takes, int32 (B, N)."""
    ops = keras.ops
    side = ops.sqrt(ops.maximum(area(boxes), 1.0))
    doublings = ops.round(ops.log(side / (14.0 * strides[0])) / math.log(2.0))
    return ops.cast(ops.clip(doublings, 0, len(strides) - 1), "int32")


def _between(position: Any, length: Any) -> tuple[Any, Any, Any]:
    """The cells before and after each position, int32, and the share of the one after."""
    ops = keras.ops
    position = ops.clip(position, 0.0, ops.cast(length, "float32") - 1.0)
    before = ops.cast(ops.floor(position), "int32")
    return before, ops.minimum(before + 1, length - 1), position - ops.cast(before, "float32")
