"""Which anchors and regions are answerable for which nucleus, and what their masks should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucseg_models import boxes
from nucseg_models.deferred import keras

# Ren et al. 2015, "Faster R-CNN", has 0.7 and 0.3 for anchors; nuclei are small, and a pixel costs
# them more overlap than it costs a car.
ANCHOR_HIT, ANCHOR_MISS, REGION_HIT = 0.5, 0.3, 0.5
LEAST = 0.1  # every nucleus has its nearest anchor, if that overlaps it so much
# How many of each, by an image's area: 256x256 pixels have 512 proposals, of which 256 regions
# remain; training looks at 64 that hit a nucleus and 64 that do not, of up to 256 nuclei.
PIXELS_A_PROPOSAL, PIXELS_A_REGION, PIXELS_A_SAMPLE, PIXELS_A_NUCLEUS = 128, 256, 1024, 256


@dataclass(frozen=True)
class Match:
    """hit, miss: 1 or 0, float32 (B, N), both 0 where undecided; nucleus: whose, int32 (B, N)."""

    hit: Any
    miss: Any
    nucleus: Any


@dataclass(frozen=True)
class Sample:
    """Regions to learn from: boxes (B, R, 4), the nucleus of each (B, R), and whether it counts as
    hit or miss, float32 (B, R). The first regions are those that may be hits.
    """

    regions: Any
    match: Match


def listed_boxes(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label images (B, S, S), renumbered 1..n, and box i - 1 of nucleus i: (B, N, 4), 0 beyond n.

    N is S * S / PIXELS_A_NUCLEUS; of more nuclei the largest are kept, the rest is background.
    """
    most = max(1, labels[0].size // PIXELS_A_NUCLEUS)
    renumbered, listed = np.zeros_like(labels), np.zeros((len(labels), most, 4), np.float32)
    for image, (old, new) in enumerate(zip(labels, renumbered, strict=True)):
        sizes = np.bincount(old.ravel())
        sizes[0] = 0
        kept = np.argsort(-sizes, kind="stable")[: min(most, np.count_nonzero(sizes))]
        table = np.zeros(len(sizes), np.int32)
        table[kept] = np.arange(1, len(kept) + 1)
        new[:] = table[old]
        found = ndimage.find_objects(new)
        listed[image, : len(kept)] = [(r.start, c.start, r.stop, c.stop) for r, c in found] or 0
    return renumbered, listed


def match_anchors(anchors: Any, truth: Any) -> Match:
    """anchors (1, A, 4), truth (B, N, 4), 0 where there is none; see the constants above."""
    ops = keras.ops
    shared = boxes.overlap(anchors, truth)
    best = ops.max(shared, axis=2)
    nearest = ops.logical_and(shared >= ops.max(shared, axis=1, keepdims=True), shared > LEAST)
    chosen = ops.any(nearest, axis=2)
    hit = ops.logical_or(best >= ANCHOR_HIT, chosen)
    miss = ops.logical_and(best < ANCHOR_MISS, ops.logical_not(chosen))
    nucleus = ops.cast(ops.argmax(shared, axis=2), "int32")
    return Match(ops.cast(hit, "float32"), ops.cast(miss, "float32"), nucleus)


def sample_regions(candidates: Any, truth: Any, count: int, seed: Any) -> Sample:
    """`count` regions that hit a nucleus and `count` that do not, at random: R = 2 * count.

    candidates (B, M, 4), M >= count. Where there are fewer of a kind, others stand in their
    place and count as neither. The true boxes should be among the candidates.
    """
    ops = keras.ops
    shared = boxes.overlap(candidates, truth)
    best, nucleus = ops.max(shared, axis=2), ops.cast(ops.argmax(shared, axis=2), "int32")
    real = boxes.area(candidates) > 0.0
    hit = ops.cast(ops.logical_and(real, best >= REGION_HIT), "float32")
    miss = ops.cast(ops.logical_and(real, best < REGION_HIT), "float32")
    luck = keras.random.uniform(ops.shape(best), seed=seed)
    chosen = [ops.top_k(kind + luck, count)[1] for kind in (2.0 * hit, 2.0 * miss)]
    index = ops.concatenate(chosen, axis=1)
    first = ops.convert_to_tensor(np.repeat(np.array([1.0, 0.0], np.float32), count))
    return Sample(
        boxes.gather(candidates, index),
        Match(
            boxes.gather(hit[..., None], index)[..., 0] * first,
            boxes.gather(miss[..., None], index)[..., 0] * (1.0 - first),
            boxes.gather(nucleus[..., None], index)[..., 0],
        ),
    )


def mask_targets(labels: Any, regions: Any, nucleus: Any, size: int) -> Any:
    """How much of each bin of each region its own nucleus covers: (B, R, size, size, 1), 0..1.

    Four samples a bin, read from the label images int32 (B, S, S) themselves: the masks of
    hundreds of nuclei are never laid out.
    """
    ops = keras.ops
    height, width = labels.shape[1:]
    rows, columns = boxes.samples(regions, 2 * size)
    rows = ops.cast(ops.clip(ops.floor(rows), 0, height - 1), "int32")
    columns = ops.cast(ops.clip(ops.floor(columns), 0, width - 1), "int32")
    pixel = rows[..., :, None] * width + columns[..., None, :]
    found = boxes.gather(ops.reshape(labels, (-1, height * width, 1)), pixel)[..., 0]
    inside = ops.cast(ops.equal(found, nucleus[..., None, None] + 1), "float32")
    bins = ops.reshape(inside, (-1, regions.shape[1], size, 2, size, 2))
    return ops.mean(bins, axis=(3, 5))[..., None]
