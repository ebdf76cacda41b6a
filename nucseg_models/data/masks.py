"""From one mask a nucleus, or a label image of any type, to labels 0 (background), 1..n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components


@dataclass(frozen=True)
class Mask:
    """One nucleus, cropped: bool `pixels` whose first is at (`row`, `column`) of the image."""

    row: int
    column: int
    pixels: NDArray[np.bool_]


def cropped(covers: NDArray[np.bool_]) -> Mask:
    """The nucleus that bool (H, W) `covers` marks in the whole image."""
    rows, columns = np.flatnonzero(covers.any(axis=1)), np.flatnonzero(covers.any(axis=0))
    if not rows.size:
        return Mask(0, 0, np.zeros((0, 0), np.bool_))
    inside = covers[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Mask(int(rows[0]), int(columns[0]), inside.copy())


def paint(masks: Sequence[Mask], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Labels int32 of `shape` (H, W); nuclei are numbered in the order of `masks`.

    Where masks overlap, the pixel goes to the smaller nucleus (of two equals, to the
    later), so that a small nucleus on top of a large one isn't lost. A mask without a
    pixel, or with none left to it, is dropped; numbers stay consecutive.
    """
    labels = np.zeros(shape, np.int32)
    areas = [np.count_nonzero(mask.pixels) for mask in masks]
    for i in sorted(range(len(masks)), key=lambda i: -areas[i]):
        mask = masks[i]
        height, width = mask.pixels.shape
        window = labels[mask.row : mask.row + height, mask.column : mask.column + width]
        window[mask.pixels] = i + 1
    painted = np.zeros(len(masks) + 1, np.int32)
    painted[labels] = 1
    painted[0] = 0
    return labels if painted[1:].all() else np.cumsum(painted, dtype=np.int32)[labels]


def from_label_image(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Labels int32 (H, W) of a label image (H, W) >= 0: each value but 0 is a nucleus.

    An image with a single value besides 0 (a black and white mask) can't tell nuclei
    apart: there each 8-connected component is one.
    """
    values, places = np.unique(labels, return_inverse=True)
    numbers = np.arange(len(values), dtype=np.int32) + (values[0] != 0)
    numbered: NDArray[np.int32] = numbers[places].reshape(labels.shape)
    if numbered.max() == 1:
        connected_components(numbered, structure=np.ones((3, 3)), output=numbered)
    return numbered
