"""Brings every image to bright nuclei on a dark ground, over the full range: what models see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucseg_models.data.kinds import has_bright_ground

PERCENTILES = (1.0, 99.8)  # the low and high ends of the stretch, in percent of the pixels


def normalise(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch a uint8 (H, W, 3) image to 0..255, and invert it where its ground is bright.

    The 1st percentile goes to 0 and the 99.8th to 255, linearly, clipped. On a dark
    ground (fluorescence) one range serves all channels, so that an empty channel stays
    empty; on a bright ground (stains, brightfield) each channel has its own range, which
    takes out the colour of the lamp, and the result is inverted. Grey stays grey. A channel
    of a single value, so a constant image too, becomes zeros.
    """
    inverted = has_bright_ground(image)
    counts = np.stack([np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)])
    if not inverted:
        counts = np.broadcast_to(counts.sum(axis=0), counts.shape)
    channels = [_table(c, inverted)[image[..., i]] for i, c in enumerate(counts)]
    return np.stack(channels, axis=-1)


def _table(counts: NDArray[np.int64], inverted: bool) -> NDArray[np.uint8]:
    """The 256 new values of one channel, given how often each old value occurs."""
    cumulated = np.cumsum(counts)
    ranks = [percent / 100 * (cumulated[-1] - 1) for percent in PERCENTILES]
    low, high = np.searchsorted(cumulated, ranks, side="right")
    if low == high:  # too few pixels differ for the percentiles to: take all of them
        low, high = np.flatnonzero(counts)[[0, -1]]
    if low == high:
        return np.zeros(256, np.uint8)
    stretched = np.clip((np.arange(256) - low) / (high - low), 0, 1)
    table: NDArray[np.uint8] = np.rint(255 * stretched).astype(np.uint8)
    return 255 - table if inverted else table
