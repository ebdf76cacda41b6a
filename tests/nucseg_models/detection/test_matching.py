import numpy as np
import pytest
from keras import ops, random

from nucseg_models.detection import matching


def as_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def squares(*places, side=20):
    """Label image (1, 64, 64) with a square nucleus at each (number, top, left)."""
    labels = np.zeros((1, 64, 64), np.int32)
    for number, top, left in places:
        labels[0, top : top + side, left : left + side] = number
    return labels


def test_nuclei_are_renumbered_and_their_boxes_listed_in_that_order():
    labels = np.zeros((2, 32, 32), np.int32)
    labels[0, 2:4, 5:9] = 7
    labels[0, 10:20, 10:20] = 3
    renumbered, listed = matching.listed_boxes(labels)
    assert listed.shape == (2, 4, 4)
    np.testing.assert_array_equal(listed[0], [[10, 10, 20, 20], [2, 5, 4, 9], [0] * 4, [0] * 4])
    np.testing.assert_array_equal(listed[1], 0)
    np.testing.assert_array_equal(renumbered[0, 2:4, 5:9], 2)
    assert (renumbered > 0).sum() == (labels > 0).sum()
    assert renumbered.dtype == np.int32


def test_of_more_nuclei_than_are_listed_the_largest_are_kept():
    labels = np.zeros((1, 32, 32), np.int32)
    for number in range(1, 7):
        labels[0, 5 * number - 5, :number] = number
    renumbered, listed = matching.listed_boxes(labels)
    assert (listed[0].sum(axis=1) > 0).all()
    assert [np.count_nonzero(renumbered == n) for n in range(1, 6)] == [6, 5, 4, 3, 0]


def test_anchors_hit_from_half_overlap_on_and_every_nucleus_has_its_nearest():
    truth = np.array([[[0, 0, 10, 10], [30, 30, 34, 34], [0, 0, 0, 0]]], np.float32)
    anchors = np.array(
        [[[0, 0, 10, 10], [0, 0, 10, 15], [0, 0, 10, 25], [0, 0, 40, 40], [28, 28, 36, 36]]],
        np.float32,
    )
    match = matching.match_anchors(anchors, truth)
    np.testing.assert_array_equal(match.hit, [[1, 1, 0, 0, 1]])
    np.testing.assert_array_equal(match.miss, [[0, 0, 0, 1, 0]])
    assert as_numpy(match.nucleus)[0, [0, 1, 4]].tolist() == [0, 0, 1]


def test_where_there_is_no_nucleus_every_anchor_misses():
    anchors = np.array([[[0, 0, 10, 10], [5, 5, 9, 9]]], np.float32)
    match = matching.match_anchors(anchors, np.zeros((1, 3, 4), np.float32))
    assert as_numpy(match.hit).sum() == 0
    assert as_numpy(match.miss).sum() == 2


def test_regions_are_sampled_from_those_that_hit_and_those_that_do_not():
    truth = np.array([[[0, 0, 10, 10], [20, 20, 30, 30]]], np.float32)
    near = truth + np.array([0, 0, 1, 1], np.float32)
    far = np.tile(np.array([[[40, 40, 50, 50]]], np.float32), (1, 5, 1))
    nowhere = np.zeros((1, 3, 4), np.float32)
    candidates = np.concatenate([far, near, nowhere], axis=1)
    sample = matching.sample_regions(candidates, truth, 4, random.SeedGenerator(0))
    hit, miss = as_numpy(sample.match.hit)[0], as_numpy(sample.match.miss)[0]
    assert hit.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert miss.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    regions, nucleus = as_numpy(sample.regions)[0], as_numpy(sample.match.nucleus)[0]
    for place in (0, 1):
        np.testing.assert_array_equal(regions[place], near[0, nucleus[place]])
    assert sorted(nucleus[:2].tolist()) == [0, 1]
    np.testing.assert_array_equal(regions[4:], far[0, :4])


def test_the_sample_is_another_each_time():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (1, 60, 2)).astype(np.float32)
    candidates = np.concatenate([corner, corner + 5], axis=-1)
    seed = random.SeedGenerator(0)
    truth = np.zeros((1, 2, 4), np.float32)
    drawn = {
        as_numpy(matching.sample_regions(candidates, truth, 5, seed).regions).tobytes()
        for _ in range(3)
    }
    assert len(drawn) == 3


@pytest.mark.parametrize("number", [1, 2])
def test_a_mask_is_what_its_own_nucleus_covers_of_each_bin(number):
    labels = squares((1, 10, 10), (2, 10, 30))
    region = np.array([[[10, 20, 30, 40]]], np.float32)  # half of each
    masks = matching.mask_targets(labels, region, np.array([[number - 1]], np.int32), 4)
    left_half = np.repeat([[1, 1, 0, 0]], 4, axis=0)
    expected = left_half if number == 1 else 1 - left_half
    np.testing.assert_array_equal(as_numpy(masks)[0, 0, :, :, 0], expected)


def test_a_bin_that_is_covered_in_part_has_its_share():
    labels = squares((1, 0, 0), side=1)
    region = np.array([[[0, 0, 2, 2]]], np.float32)
    masks = matching.mask_targets(labels, region, np.zeros((1, 1), np.int32), 1)
    assert float(as_numpy(masks).item()) == 0.25
