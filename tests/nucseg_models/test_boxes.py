import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy.ndimage import map_coordinates

from nucseg_models import boxes

seeds = st.integers(0, 10_000)


def some_boxes(rng, count, side=64.0, least=0.0):
    """Boxes float32 (1, count, 4) within a square of `side` pixels."""
    corner = rng.uniform(0, side, (1, count, 2))
    far = corner + rng.uniform(least, side / 3, (1, count, 2))
    return np.concatenate([corner, far], axis=-1).astype(np.float32)


def as_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def plain_overlap(one, two):
    """Intersection over union of two boxes, pair by pair."""
    shared = max(0, min(one[2], two[2]) - max(one[0], two[0]))
    shared *= max(0, min(one[3], two[3]) - max(one[1], two[1]))
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, two)]
    return shared / max(sum(areas) - shared, 1e-6)


def plain_suppression(candidates, threshold):
    """Box by box, best first, as it is usually written."""
    kept = []
    for index, box in enumerate(candidates):
        if all(plain_overlap(candidates[other], box) <= threshold for other in kept):
            kept.append(index)
    return kept


def test_each_cell_has_two_square_anchors_around_its_middle():
    found = boxes.anchors([(1, 2)], [4], scale=2.0)
    half = 4 * np.sqrt(2)
    expected = [
        [-2, -2, 6, 6],
        [2 - half, 2 - half, 2 + half, 2 + half],
        [-2, 2, 6, 10],
        [2 - half, 6 - half, 2 + half, 6 + half],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_anchors_of_all_maps_stand_one_after_the_other():
    found = boxes.anchors([(4, 4), (2, 2)], [4, 8], scale=3.0)
    sides = found[:, 2] - found[:, 0]
    assert len(found) == 2 * 16 + 2 * 4
    np.testing.assert_allclose(sides[:2], [12, 12 * np.sqrt(2)], rtol=1e-6)
    np.testing.assert_allclose(sides[-2:], [24, 24 * np.sqrt(2)], rtol=1e-6)


def test_the_overlap_of_two_boxes_is_their_intersection_over_their_union():
    first = np.array([[[0, 0, 2, 2]]], np.float32)
    second = np.array([[[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 4, 4], [0, 0, 0, 0]]], np.float32)
    np.testing.assert_allclose(boxes.overlap(first, second), [[[1, 1 / 7, 0, 0]]], atol=1e-6)


@given(seed=seeds)
def test_overlaps_are_those_of_each_pair_alone(seed):
    rng = np.random.default_rng(seed)
    first, second = some_boxes(rng, 5), some_boxes(rng, 3)
    expected = [[plain_overlap(a, b) for b in second[0]] for a in first[0]]
    np.testing.assert_allclose(boxes.overlap(first, second)[0], expected, atol=1e-5)


@given(seed=seeds)
def test_what_was_encoded_is_decoded(seed):
    rng = np.random.default_rng(seed)
    references = some_boxes(rng, 8, least=4.0)
    sides = references[..., 2:] - references[..., :2]
    centres = references[..., :2] + sides * rng.uniform(-1, 2, sides.shape)
    half = sides * np.exp(rng.uniform(-2, 2, sides.shape)) / 2
    truth = np.concatenate([centres - half, centres + half], axis=-1).astype(np.float32)
    back = boxes.decode(boxes.encode(truth, references), references)
    np.testing.assert_allclose(back, truth, rtol=1e-4, atol=1e-2)


def test_a_box_is_its_own_reference_by_deltas_of_0():
    one = np.array([[[3, 5, 10, 20]]], np.float32)
    np.testing.assert_allclose(boxes.encode(one, one), np.zeros((1, 1, 4)), atol=1e-6)


@pytest.mark.parametrize("size", [1e30, -1e30])
def test_deltas_of_any_size_and_empty_boxes_stay_finite(size):
    reference = np.array([[[0, 0, 8, 8]]], np.float32)
    far = boxes.decode(np.full((1, 1, 4), size, np.float32), reference)
    assert np.isfinite(as_numpy(far)).all()
    empty = np.zeros((1, 1, 4), np.float32)
    assert np.isfinite(as_numpy(boxes.encode(empty, empty))).all()


def test_boxes_are_clipped_to_the_image():
    wide = np.array([[-5, -6, 100, 200]], np.float32)
    np.testing.assert_array_equal(boxes.clip(wide, 10, 20), [[0, 0, 10, 20]])


@settings(max_examples=40)
@given(seed=seeds, threshold=st.sampled_from([0.3, 0.5, 0.7]), side=st.sampled_from([10, 40, 200]))
def test_suppression_leaves_what_a_plain_loop_leaves(seed, threshold, side):
    candidates = some_boxes(np.random.default_rng(seed), 150, side=float(side), least=1.0)
    stays = as_numpy(boxes.suppress(candidates, threshold))[0]
    assert np.flatnonzero(stays).tolist() == plain_suppression(candidates[0], threshold)


def test_suppression_follows_chains():
    shifted = np.array([[[0, x, 10, x + 10] for x in range(0, 24, 3)]], np.float32)
    kept = plain_suppression(shifted[0], 0.5)
    assert kept == [0, 2, 4, 6]
    assert np.flatnonzero(as_numpy(boxes.suppress(shifted, 0.5))[0]).tolist() == kept


def plain_cut_out(level, stride, box, size):
    """One region (size, size, C) by SciPy's bilinear interpolation."""
    share = (np.arange(size) + 0.5) / size
    rows = (box[0] + (box[2] - box[0]) * share) / stride - 0.5
    columns = (box[1] + (box[3] - box[1]) * share) / stride - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    channels = [
        map_coordinates(c, grid, order=1, mode="nearest") for c in np.moveaxis(level, -1, 0)
    ]
    return np.stack(channels, axis=-1)


@settings(max_examples=20)
@given(seed=seeds, size=st.sampled_from([1, 2, 7, 14]))
def test_features_are_cut_out_as_scipy_samples_them(seed, size):
    rng = np.random.default_rng(seed)
    strides = (2, 4, 8)
    levels = [rng.standard_normal((2, 64 // s, 96 // s, 3)).astype(np.float32) for s in strides]
    regions = np.concatenate([some_boxes(rng, 6, side=64, least=1.0) for _ in range(2)])
    regions[:, 0] = [0, 0, 64, 64]  # one that takes a coarser level
    found = as_numpy(boxes.cut_out(levels, strides, regions, size))
    for image in range(2):
        for number, box in enumerate(regions[image]):
            side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
            level = int(np.clip(np.round(np.log2(side / 28)), 0, 2))
            expected = plain_cut_out(levels[level][image], strides[level], box, size)
            np.testing.assert_allclose(found[image, number], expected, atol=1e-4)


def test_a_box_that_covers_one_cell_is_cut_out_as_that_cell():
    level = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    found = boxes.cut_out([level], [2], np.array([[[2, 4, 4, 6]]], np.float32), 1)
    assert as_numpy(found).ravel().tolist() == [6.0]


def test_gathering_takes_from_each_image_its_own():
    cells = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    found = boxes.gather(cells, np.array([[2, 0], [1, 1]], np.int32))
    np.testing.assert_array_equal(found, [[[4, 5], [0, 1]], [[8, 9], [8, 9]]])
