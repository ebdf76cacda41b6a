"""Mask R-CNN over whole images of any size, by overlapping tiles, each nucleus once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucseg_models.detection.detections import Detections

SHARED = 3 / 8  # of a tile's side: any nucleus smaller than that is whole in one of its tiles
AT_ONCE = 4  # tiles
LEAST_SCORE = 0.05  # less is never asked for
EDGE = 2.0  # pixels: a box so near to a tile's cut edge may be a part of something larger


@dataclass(frozen=True)
class Tile:
    """Where a tile lies: its image, its first row and column in it, and its side in pixels."""

    image: int
    top: int
    left: int
    side: int


def outputs(
    model: Any, images: Sequence[NDArray[np.uint8]], side: int
) -> Iterator[tuple[int, Detections]]:
    """Yield (index, detections) for each normalised image uint8 (H, W, 3), in order.

    side: of all tiles, in pixels; always the same for one model, so that it is compiled once.
    """
    tiles = [
        Tile(index, top, left, side)
        for index, image in enumerate(images)
        for top in starts(image.shape[0], side)
        for left in starts(image.shape[1], side)
    ]
    found: list[tuple[Tile, dict[str, NDArray[np.float32]]]] = []
    for first in range(0, len(tiles), AT_ONCE):
        for tile, output in _predict(model, images, tiles[first : first + AT_ONCE]):
            if found and found[0][0].image != tile.image:
                yield found[0][0].image, _joined(found, images)
                found = []
            found.append((tile, output))
    if found:
        yield found[0][0].image, _joined(found, images)


def starts(length: int, side: int) -> list[int]:
    """Where tiles begin so that they cover `length` pixels, the last flush with the end."""
    if length <= side:
        return [0]
    return [*range(0, length - side, side - overlap(side)), length - side]


def overlap(side: int) -> int:
    """Pixels that neighbouring tiles share, at least."""
    return int(SHARED * side)


def _predict(
    model: Any, images: Sequence[NDArray[np.uint8]], tiles: Sequence[Tile]
) -> Iterator[tuple[Tile, dict[str, NDArray[np.float32]]]]:
    """What the network puts out for each tile; always the same number go in together."""
    side = tiles[0].side
    batch = np.zeros((AT_ONCE, side, side, 3), np.float32)
    for place, tile in zip(batch, tiles, strict=False):
        part = images[tile.image][tile.top : tile.top + side, tile.left : tile.left + side]
        short = [(0, side - length) for length in part.shape[:2]]
        place[:] = np.pad(part, (*short, (0, 0)), mode="symmetric") / np.float32(255)
    predicted = model.predict_on_batch(batch)
    for number, tile in enumerate(tiles):
        yield tile, {key: np.asarray(value)[number] for key, value in predicted.items()}


def _joined(
    found: Sequence[tuple[Tile, dict[str, NDArray[np.float32]]]],
    images: Sequence[NDArray[np.uint8]],
) -> Detections:
    """One image's detections from those of its tiles: whole ones before those cut by an edge."""
    height, width = images[found[0][0].image].shape[:2]
    kept, cut = [], []
    for tile, output in found:
        chosen = output["scores"] >= LEAST_SCORE
        place = np.array([tile.top, tile.left, tile.top, tile.left], np.float32)
        kept.append(
            (output["boxes"][chosen] + place, output["scores"][chosen], output["masks"][chosen])
        )
        cut.append(_is_cut(output["boxes"][chosen], tile, height, width))
    boxes, scores, masks = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    order = np.lexsort((-scores, np.concatenate(cut)))
    semantic = _stitched(found, height, width) if "semantic" in found[0][1] else None
    return Detections((height, width), boxes[order], scores[order], masks[order], semantic)


def _is_cut(boxes: NDArray[np.float32], tile: Tile, height: int, width: int) -> NDArray[np.bool_]:
    """Which boxes end where their tile does but the image does not."""
    is_cut = np.zeros(len(boxes), bool)
    for axis, (start, length) in enumerate(((tile.top, height), (tile.left, width))):
        if start > 0:
            is_cut |= boxes[:, axis] < EDGE
        if start + tile.side < length:
            is_cut |= boxes[:, axis + 2] > tile.side - EDGE
    return is_cut


def _stitched(
    found: Sequence[tuple[Tile, dict[str, NDArray[np.float32]]]], height: int, width: int
) -> NDArray[np.float32]:
    """The side head's logits: of each tile what is at least half an overlap from a cut edge."""
    result = np.empty((height, width), np.float32)
    for tile, output in found:
        half = overlap(tile.side) // 2
        above, before = (half if start else 0 for start in (tile.top, tile.left))
        below, after = tile.top + tile.side, tile.left + tile.side
        place = result[tile.top + above : below, tile.left + before : after]
        place[:] = output["semantic"][above:, before:, 0][: place.shape[0], : place.shape[1]]
    return result
