import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nucseg_models.data.masks import Mask, cropped, from_label_image, paint


def rectangle(row, column, height, width):
    return Mask(row, column, np.ones((height, width), np.bool_))


def test_masks_are_numbered_in_their_order():
    labels = paint([rectangle(0, 0, 1, 2), rectangle(1, 1, 1, 2)], (2, 3))
    assert labels.tolist() == [[1, 1, 0], [0, 2, 2]]
    assert labels.dtype == np.int32


def test_where_masks_overlap_the_smaller_nucleus_has_the_pixel():
    small, large = rectangle(0, 1, 1, 1), rectangle(0, 0, 1, 3)
    assert paint([small, large], (1, 3)).tolist() == [[2, 1, 2]]
    assert paint([large, small], (1, 3)).tolist() == [[1, 2, 1]]


def test_of_two_overlapping_equals_the_later_has_the_pixel():
    assert paint([rectangle(0, 0, 1, 2), rectangle(0, 1, 1, 2)], (1, 3)).tolist() == [[1, 2, 2]]


def test_a_nucleus_covered_by_smaller_ones_is_dropped_and_numbers_stay_consecutive():
    covered = rectangle(0, 0, 1, 2)
    left, right = rectangle(0, 0, 1, 1), rectangle(0, 1, 1, 1)
    assert paint([covered, left, right], (1, 3)).tolist() == [[1, 2, 0]]


def test_an_empty_mask_is_dropped():
    nothing = cropped(np.zeros((2, 2), np.bool_))
    assert paint([nothing, rectangle(1, 1, 1, 1)], (2, 2)).tolist() == [[0, 0], [0, 1]]
    assert paint([nothing], (2, 2)).tolist() == [[0, 0], [0, 0]]


@given(arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_cropping_keeps_every_pixel(covers):
    assert (paint([cropped(covers)], covers.shape) == covers).all()


def test_labels_become_consecutive_in_their_order():
    labels = from_label_image(np.array([[9, 0, 400], [9, 0, 2]]))
    assert labels.tolist() == [[2, 0, 3], [2, 0, 1]]
    assert labels.dtype == np.int32


def test_a_label_image_without_background_has_no_zero():
    assert from_label_image(np.array([[3, 5]])).tolist() == [[1, 2]]


def test_a_label_image_of_background_alone_has_no_nucleus():
    assert not from_label_image(np.zeros((2, 2), np.int64)).any()


def test_a_black_and_white_mask_is_cut_into_connected_pieces_corners_included():
    mask = np.array([[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 0, 0]])
    assert from_label_image(mask).tolist() == [[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 0]]


def test_with_more_values_two_pieces_of_one_value_are_one_nucleus():
    assert from_label_image(np.array([[7, 0, 7, 8]])).tolist() == [[1, 0, 1, 2]]


@given(
    arrays(np.uint16, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 9))
)
def test_every_result_is_numbered_from_one_without_a_gap(labels):
    result = from_label_image(labels)
    present = np.unique(result[result > 0])
    assert present.tolist() == list(range(1, len(present) + 1))
    assert ((result > 0) == (labels > 0)).all()
