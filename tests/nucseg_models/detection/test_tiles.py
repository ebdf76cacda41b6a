from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from nucseg_models.detection import tiles
from nucseg_models.detection.detections import paste

SETTINGS = {"score_threshold": 0.5, "mask_threshold": 0.5, "overlap": 0.3, "minimum_area": 0}
ROOM = 100  # detections a tile
SIDE = 256


class Seer:
    """Stands in for a trained network: finds exactly the bright squares of each tile."""

    def __init__(self):
        self.shapes = set()

    def predict_on_batch(self, images):
        self.shapes.add(images.shape)
        boxes = np.zeros((len(images), ROOM, 4), np.float32)
        scores = np.zeros((len(images), ROOM), np.float32)
        for image, found, score in zip(images, boxes, scores, strict=True):
            labels, count = ndimage.label(image[..., 0] > 0.5)
            for number, (rows, columns) in enumerate(ndimage.find_objects(labels)):
                found[number] = rows.start, columns.start, rows.stop, columns.stop
            score[:count] = 0.9
        return {
            "boxes": boxes,
            "scores": scores,
            "masks": np.full((len(images), ROOM, 28, 28), 9.0, np.float32),
            "semantic": (images[..., :1] - 0.5) * 20,
        }


def image_of(shape, squares):
    """Grey image uint8, dark but for bright squares (top, left, side)."""
    image = np.zeros((*shape, 3), np.uint8)
    for top, left, side in squares:
        image[top : top + side, left : left + side] = 255
    return image


@given(length=st.integers(1, 2000))
def test_tiles_cover_a_side_and_neighbours_share_enough(length):
    starts = tiles.starts(length, SIDE)
    assert starts[0] == 0
    assert max(starts[-1] + SIDE, length) == max(length, SIDE)
    assert all(0 < b - a <= SIDE - tiles.overlap(SIDE) for a, b in pairwise(starts))


@pytest.mark.parametrize("shape", [(40, 50), (256, 256), (300, 700), (700, 257)])
def test_each_nucleus_is_found_once_whole_wherever_tiles_end(shape):
    rng = np.random.default_rng(shape[0])
    grid = [(y, x) for y in range(2, shape[0] - 25, 30) for x in range(2, shape[1] - 25, 30)]
    chosen = rng.permutation(len(grid))[: min(len(grid), 60)]
    squares = [(*grid[place], int(rng.integers(6, 24))) for place in chosen]
    image = image_of(shape, squares)
    ((index, found),) = tiles.outputs(Seer(), [image], SIDE)
    labels, _ = paste(found, **SETTINGS)
    assert index == 0
    assert labels.max() == len(squares)
    np.testing.assert_array_equal(labels > 0, image[..., 0] > 0)
    np.testing.assert_array_equal(found.semantic > 0, image[..., 0] > 0)


@pytest.mark.parametrize("left", range(150, 270, 17))
def test_a_nucleus_as_large_as_tiles_overlap_is_never_cut(left):
    side = tiles.overlap(SIDE) - 4
    image = image_of((300, 600), [(60, left, side)])
    ((_, found),) = tiles.outputs(Seer(), [image], SIDE)
    labels, _ = paste(found, **SETTINGS)
    assert labels.max() == 1
    assert (labels > 0).sum() == side**2


def test_images_come_in_order_and_all_batches_have_one_shape():
    seer = Seer()
    images = [image_of((300, 40), [(5, 5, 9)]), image_of((30, 30), []), image_of((30, 600), [])]
    found = dict(tiles.outputs(seer, images, SIDE))
    assert list(found) == [0, 1, 2]
    assert [d.shape for d in found.values()] == [(300, 40), (30, 30), (30, 600)]
    assert len(found[1].scores) == 0
    assert seer.shapes == {(tiles.AT_ONCE, SIDE, SIDE, 3)}
