from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import find_boundaries

from nucseg_models import instances

properties = settings(max_examples=50, deadline=None, derandomize=True)
shapes = st.tuples(st.integers(1, 14), st.integers(1, 14))
masks = hnp.arrays(bool, shapes)
mask_pairs = shapes.flatmap(lambda shape: st.tuples(*[hnp.arrays(bool, shape)] * 2))
probabilities_of_masks = masks.flatmap(
    lambda mask: st.tuples(
        hnp.arrays(np.float32, mask.shape, elements=st.floats(0, 1, width=32)), st.just(mask)
    )
)
EDGES = ndimage.generate_binary_structure(2, 1)


def mask(*rows: str) -> np.ndarray:
    """A bool mask from rows of `#` (foreground) and `.`."""
    return np.array([[character == "#" for character in row] for row in rows])


def discs(shape: tuple[int, int], *centres: tuple[int, int], radius: int) -> np.ndarray:
    y, x = np.indices(shape)
    return np.any([(y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in centres], axis=0)


def split(foreground: np.ndarray, smoothing: float = 0.0, depth: float = 1.0) -> np.ndarray:
    certain = np.ones(foreground.shape, np.float32)
    return instances.split_touching(certain, foreground, seed_smoothing=smoothing, seed_depth=depth)


def assert_valid(labels: np.ndarray, foreground: np.ndarray) -> None:
    """Labels are int32, numbered 1..n, each connected, and cover exactly the foreground."""
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels > 0, foreground)
    numbers = np.unique(labels[foreground])
    np.testing.assert_array_equal(numbers, np.arange(1, len(numbers) + 1))
    for number in numbers:
        assert ndimage.label(labels == number, EDGES)[1] == 1


def test_two_touching_discs_are_cut_at_their_waist():
    labels = split(discs((30, 40), (15, 12), (15, 27), radius=8))
    assert labels.max() == 2
    assert (labels[15, 12], labels[15, 27]) == (1, 2)
    assert set(np.unique(labels[:, :19])) == {0, 1}
    assert set(np.unique(labels[:, 21:])) == {0, 2}


def test_one_disc_stays_whole():
    assert split(discs((30, 30), (15, 15), radius=9), depth=0.5).max() == 1


def test_an_infinite_depth_leaves_connected_components():
    touching_and_apart = discs((40, 40), (10, 8), (10, 22), (30, 10), radius=7)
    assert split(touching_and_apart, depth=math.inf).max() == 2


def test_no_depth_makes_each_maximum_a_nucleus():
    # The bar is 3 high, and 1 high in the middle: distance 2 at both ends, 1 between them.
    dumbbell = mask(".......", "###.###", "#######", "###.###", ".......")
    assert split(dumbbell, depth=0).max() == 2
    assert split(dumbbell, depth=1).max() == 2
    assert split(dumbbell, depth=1.01).max() == 1


def test_smoothing_removes_seeds_of_a_ragged_outline():
    ragged = discs((40, 40), (20, 20), radius=12)
    ragged &= np.random.default_rng(0).random(ragged.shape) > 0.03
    assert split(ragged, depth=0.5, smoothing=2).max() < split(ragged, depth=0.5).max()


def test_a_dip_in_probability_splits_where_the_outline_has_no_waist():
    bar = np.zeros((11, 40), bool)
    bar[1:10, 1:39] = True
    probability = np.ones(bar.shape, np.float32)
    probability[:, 19:21] = 0.5
    whole = split(bar)
    halves = instances.split_touching(probability, bar, seed_smoothing=0, seed_depth=1)
    assert whole.max() == 1
    assert halves.max() == 2
    assert (halves[5, 5], halves[5, 35]) == (1, 2)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7)])
def test_an_empty_mask_has_no_nuclei_and_a_full_one_has_one(shape):
    assert split(np.zeros(shape, bool)).max() == 0
    assert split(np.ones(shape, bool)).tolist() == np.ones(shape).tolist()


@properties
@given(probabilities_of_masks, st.floats(0, 3), st.sampled_from([0, 0.5, 1, 2, math.inf]))
def test_splitting_gives_connected_labels_and_leaves_the_foreground(pair, smoothing, depth):
    probability, foreground = pair
    labels = instances.split_touching(
        probability, foreground, seed_smoothing=smoothing, seed_depth=depth
    )
    assert_valid(labels, foreground)


@properties
@given(masks, st.floats(0, 3), st.floats(0, 3))
def test_a_greater_depth_never_gives_more_nuclei(foreground, first, second):
    shallow, deep = sorted((first, second))
    assert split(foreground, depth=deep).max() <= split(foreground, depth=shallow).max()
    components = ndimage.label(foreground, EDGES)[1]
    assert split(foreground, depth=math.inf).max() == components


# Depths that no two heights differ by: h-maxima leave out those that just reach it.
@pytest.mark.parametrize(("smoothing", "depth"), [(0, 0.437), (1, 0.0137)])
@properties
@given(seed=st.integers(0, 2**32 - 1))
def test_seeds_are_the_h_maxima_of_the_distance(smoothing, depth, seed):
    noise = np.random.default_rng(seed).normal(size=(48, 48))
    foreground = ndimage.gaussian_filter(noise, 2) > -0.05
    height = ndimage.distance_transform_edt(foreground).astype(np.float32)
    height = np.where(foreground, ndimage.gaussian_filter(height, smoothing), -9)
    sunk = reconstruction(np.where(foreground, height - depth, -9), height, footprint=EDGES)
    expected = ndimage.label(local_maxima(sunk, connectivity=1), EDGES)[1]
    assert split(foreground, smoothing, depth).max() == expected


def test_cleaning_fills_small_holes_and_drops_small_specks():
    dirty = mask("#####..", "#.###.#", "#####.#", "#####..")
    clean = mask("#####..", "#####..", "#####..", "#####..")
    np.testing.assert_array_equal(instances.clean(dirty, minimum_area=3), clean)
    np.testing.assert_array_equal(instances.clean(dirty, minimum_area=2) ^ clean, dirty & ~clean)


def test_the_gap_in_a_ring_of_nuclei_stays_open():
    angles = np.arange(6) * np.pi / 3
    centres = [(30 + 18 * np.sin(a), 30 + 18 * np.cos(a)) for a in angles]
    ring = discs((60, 60), *centres, radius=10)
    assert ndimage.label(~ring)[1] == 2
    np.testing.assert_array_equal(instances.clean(ring, minimum_area=100), ring)


def test_background_cut_off_by_the_edge_of_the_image_is_no_hole():
    corner = mask(".###", "####", "####")
    np.testing.assert_array_equal(instances.clean(corner, minimum_area=5), corner)


def test_a_hole_that_leaks_through_a_corner_is_no_hole():
    leaking = mask("......", ".###..", ".#.#..", ".##...", "......")
    np.testing.assert_array_equal(instances.clean(leaking, minimum_area=5), leaking)


@properties
@given(masks, st.integers(0, 9))
def test_cleaning_twice_changes_nothing_more(foreground, minimum_area):
    once = instances.clean(foreground, minimum_area=minimum_area)
    np.testing.assert_array_equal(instances.clean(once, minimum_area=minimum_area), once)
    sizes = np.bincount(ndimage.label(once, EDGES)[0].ravel())[1:]
    assert (sizes >= minimum_area).all()


@properties
@given(masks)
def test_a_minimum_area_of_one_pixel_changes_nothing(foreground):
    np.testing.assert_array_equal(instances.clean(foreground, minimum_area=1), foreground)


def test_markers_grow_until_they_meet_at_the_least_probable_pixels():
    foreground = mask("#########")
    markers = mask("#.......#")
    probability = np.array([[0.9, 0.9, 0.9, 0.9, 0.9, 0.6, 0.7, 0.9, 0.9]], np.float32)
    labels = instances.labels_from_markers(markers, foreground, probability)
    assert labels[0, :5].tolist() == [1] * 5
    assert labels[0, 6:].tolist() == [2] * 3


def test_a_component_without_a_marker_is_one_nucleus_and_stray_markers_are_ignored():
    foreground = mask("###.##.##", "###.##.##", ".........")
    markers = mask("#.#....#.", "#.#......", "....#....")
    labels = instances.labels_from_markers(markers, foreground, np.ones((3, 9), np.float32))
    assert_valid(labels, foreground)
    assert (labels[0, 0], labels[0, 2], labels[0, 7]) == (1, 2, 3)
    assert (labels[:2, 4:6] == 4).all()


@properties
@given(mask_pairs)
def test_labels_from_markers_are_connected_and_leave_the_foreground(pair):
    markers, foreground = pair
    labels = instances.labels_from_markers(markers, foreground, np.ones(markers.shape, np.float32))
    assert_valid(labels, foreground)
    assert labels.max() >= ndimage.label(markers & foreground, EDGES)[1]


def test_borders_are_the_pixels_next_to_background_or_another_nucleus():
    labels = np.array(
        [
            [1, 1, 1, 2, 2],
            [1, 1, 1, 2, 2],
            [1, 1, 1, 2, 2],
            [0, 0, 0, 2, 2],
        ],
        np.int32,
    )
    expected = mask("..##.", "..##.", "####.", "...#.")
    np.testing.assert_array_equal(instances.borders(labels), expected)


@properties
@given(shapes.flatmap(lambda s: hnp.arrays(np.int32, (3, *s), elements=st.integers(0, 3))))
def test_borders_of_a_batch_are_those_that_scikit_image_finds(batch):
    expected = [find_boundaries(labels, mode="inner", connectivity=1) for labels in batch]
    np.testing.assert_array_equal(instances.borders(batch), expected)
