"""Tells what kind of microscopy an image is from its colours alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BRIGHT_GROUND = 100  # median brightness, of 255; the real training set has none from 45 to 125


def has_bright_ground(image: NDArray[np.uint8]) -> bool:
    """Whether most of a uint8 (H, W, 3) image is bright: dark nuclei on a light ground.

    True if the median over pixels of the mean of red, green and blue is at least
    `BRIGHT_GROUND`. A fluorescence image that is mostly nucleus, and bright, is mistaken.
    """
    sums = image.sum(axis=2, dtype=np.uint16).ravel()
    below = np.count_nonzero(sums < 3 * BRIGHT_GROUND)
    return bool(2 * below < sums.size)


def kind_of(image: NDArray[np.uint8]) -> str:
    """One of `KINDS` for a uint8 (H, W, 3) image.

    A dark ground means fluorescence, in grey or false colour; a bright ground means
    brightfield if red = green = blue at every pixel, stained tissue if not.
    """
    if not has_bright_ground(image):
        return "fluorescence"
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    grey = np.array_equal(red, green) and np.array_equal(green, blue)
    return "brightfield" if grey else "tissue"
