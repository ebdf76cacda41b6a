import numpy as np
import pytest

import nucseg_models
from nucseg_models import search_space
from nucseg_models.pixelwise import GOOD_POSTPROCESSING, PAPER_POSTPROCESSING, POSTPROCESSING

UNET = nucseg_models.get("unet")
LOG_3 = np.log(3)  # sigmoid(log 3) = 3/4


def outputs(probability):
    """Logits (H, W, 1) of a probability (H, W) in 0..1, both excluded."""
    p = np.asarray(probability, np.float32)
    return np.log(p / (1 - p))[..., None]


@pytest.mark.parametrize("settings", [PAPER_POSTPROCESSING, GOOD_POSTPROCESSING])
def test_the_settings_lie_within_their_space(settings):
    search_space.check(settings, POSTPROCESSING)


def test_targets_are_1_in_every_nucleus():
    labels = np.array([[[0, 1], [7, 0]]], np.int32)
    np.testing.assert_array_equal(UNET.targets(labels, UNET.paper)[..., 0], [[[0, 1], [1, 0]]])


@pytest.mark.parametrize(("threshold", "count"), [(0.2, 3), (0.5, 2), (0.74, 2), (0.76, 1)])
def test_pixels_above_the_threshold_are_foreground(threshold, count):
    row = outputs([[0.1, 0.3, 0.75, 0.9]])
    mask = UNET.foreground(row, {**UNET.paper, "threshold": threshold})
    assert np.count_nonzero(mask) == count


def test_specks_below_the_minimum_area_are_background():
    probability = np.full((8, 8), 0.1)
    probability[0, 0] = 0.9
    probability[3:6, 3:6] = 0.9
    mask = UNET.foreground(outputs(probability), {**UNET.paper, "minimum_area": 9})
    assert np.count_nonzero(mask) == 9
    assert not UNET.foreground(outputs(probability), {**UNET.paper, "minimum_area": 10}).any()


@pytest.mark.parametrize(("splitting", "count"), [("components", 1), ("watershed", 2)])
def test_two_discs_that_touch_are_two_nuclei_by_watershed_only(splitting, count):
    y, x = np.ogrid[:20, :34]
    discs = ((y - 10) ** 2 + (x - 9) ** 2 < 64) | ((y - 10) ** 2 + (x - 23) ** 2 < 64)
    labels = UNET.postprocess(
        outputs(np.where(discs, 0.99, 0.01)), {**UNET.paper, "splitting": splitting}
    )
    assert labels.max() == count
    assert (labels[10, 9] != labels[10, 23]) is np.bool_(count == 2)


def test_a_deep_enough_seed_depth_splits_nothing():
    y, x = np.ogrid[:20, :34]
    discs = ((y - 10) ** 2 + (x - 9) ** 2 < 64) | ((y - 10) ** 2 + (x - 23) ** 2 < 64)
    settings = {**UNET.paper, "splitting": "watershed", "seed_depth": 8.0}
    assert UNET.postprocess(outputs(np.where(discs, 0.99, 0.01)), settings).max() == 1
