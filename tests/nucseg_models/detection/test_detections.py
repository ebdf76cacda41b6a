import numpy as np
import pytest

from nucseg_models.detection.detections import Detections, filled, paste

SETTINGS = {"score_threshold": 0.5, "mask_threshold": 0.5, "overlap": 0.5, "minimum_area": 0}


def detections(*found, shape=(20, 30), semantic=None):
    """Each of `found` is (box, score); every mask covers its box."""
    return Detections(
        shape=shape,
        boxes=np.array([box for box, _ in found], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score in found], np.float32),
        masks=np.full((len(found), 28, 28), 9.0, np.float32),
        semantic=semantic,
    )


def test_a_mask_fills_the_pixels_whose_middles_lie_in_its_box():
    labels, _ = paste(detections(((2, 3, 5.4, 7.6), 0.9)), **SETTINGS)
    assert labels.dtype == np.int32
    assert labels.shape == (20, 30)
    rows, columns = np.nonzero(labels)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 4, 3, 7)
    assert len(rows) == 3 * 5


def test_a_mask_keeps_its_shape_when_it_is_stretched():
    found = detections(((0, 0, 20, 20), 0.9))
    found.masks[0, :, 14:] = -9.0
    labels, _ = paste(found, **SETTINGS)
    assert (labels[:, :10] == 1).all()
    assert (labels[:, 10:] == 0).all()


def test_pixels_go_to_the_first_that_claims_them():
    labels, _ = paste(detections(((0, 0, 10, 10), 0.9), ((0, 6, 10, 16), 0.8)), **SETTINGS)
    assert (labels[:10, :10] == 1).all()
    assert (labels[:10, 10:16] == 2).all()


@pytest.mark.parametrize(("overlap", "count"), [(0.3, 1), (0.5, 2)])
def test_a_nucleus_that_others_have_taken_is_left_out(overlap, count):
    found = detections(((0, 0, 10, 10), 0.9), ((0, 6, 10, 16), 0.8))
    labels, _ = paste(found, **(SETTINGS | {"overlap": overlap}))
    assert labels.max() == count


def test_doubtful_and_small_ones_are_left_out_without_a_gap_in_the_numbers():
    found = detections(((0, 0, 5, 5), 0.4), ((0, 10, 2, 12), 0.9), ((10, 10, 15, 15), 0.6))
    labels, scores = paste(found, **(SETTINGS | {"minimum_area": 5}))
    assert np.unique(labels).tolist() == [0, 1]
    assert labels[12, 12] == 1
    assert scores.tolist() == [np.float32(0.6)]


def test_a_box_beyond_the_image_or_without_a_pixel_leaves_nothing():
    found = detections(((0, 40, 5, 45), 0.9), ((3, 3, 3.2, 3.2), 0.9), ((-4, -4, 3, 3), 0.9))
    labels, _ = paste(found, **SETTINGS)
    assert labels.max() == 1
    assert (labels[:3, :3] == 1).all()


def test_nothing_found_is_an_empty_image():
    labels, scores = paste(detections(), **SETTINGS)
    assert labels.max() == 0
    assert scores.shape == (0,)


def test_the_side_head_grows_what_was_found_and_adds_what_was_not():
    semantic = np.full((20, 30), -5.0, np.float32)
    semantic[0:8, 0:8] = semantic[12:18, 20:26] = 5.0
    labels, _ = paste(detections(((2, 2, 6, 6), 0.9)), **SETTINGS)
    grown = filled(labels, semantic, minimum_area=4)
    assert (grown[0:8, 0:8] == 1).all()
    assert (grown[12:18, 20:26] == 2).all()
    assert np.count_nonzero(grown) == 64 + 36


def test_what_was_found_stays_where_the_side_head_sees_nothing():
    labels, _ = paste(detections(((2, 2, 6, 6), 0.9)), **SETTINGS)
    grown = filled(labels, np.full((20, 30), -5.0, np.float32), minimum_area=0)
    np.testing.assert_array_equal(grown, labels)
