import time

import keras
import numpy as np
import pytest

import nucseg_models
from nucseg_models.data import Dataset
from nucseg_models.evaluation import evaluate, evaluate_pixels

UNET = nucseg_models.get("unet")
HYPERPARAMETERS = {**UNET.paper, "depth": 3}


@pytest.fixture(scope="module")
def model():
    """A network that finds nucleus where the red channel is bright: the answer is in the image."""
    layer = keras.layers.Conv2D(1, 1)
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    layer.set_weights([np.array([20, 0, 0]).reshape(1, 1, 3, 1), np.array([-10])])
    return model


def dataset(*pairs):
    """Images that show their second array in red, with the first as truth."""
    images = [np.zeros((*shown.shape, 3), np.uint8) for _, shown in pairs]
    for image, (_, shown) in zip(images, pairs, strict=True):
        image[..., 0] = 255 * (shown > 0)
    return Dataset(
        name="red",
        images=images,
        labels=[truth for truth, _ in pairs],
        ids=tuple(f"image {i}" for i in range(len(pairs))),
        kinds=("fluorescence",) * len(pairs),
        sha256="0",
    )


def squares(shape, *corners):
    """Labels of 4 x 4 pixel squares."""
    labels = np.zeros(shape, np.int32)
    for number, (row, column) in enumerate(corners, start=1):
        labels[row : row + 4, column : column + 4] = number
    return labels


# Found whole; half of it and as much beside it: IoU 8 / 24, accuracy all but 16 pixels.
PERFECT = squares((20, 11), (2, 2), (10, 5))
HALF = squares((13, 30), (4, 4))
SHIFTED = squares((13, 30), (4, 6))


def test_pixel_scores_are_means_over_whole_images(model):
    scores = evaluate_pixels(
        model, UNET, HYPERPARAMETERS, dataset((PERFECT, PERFECT), (HALF, SHIFTED))
    )
    assert scores.iou == pytest.approx((1 + 1 / 3) / 2)
    assert scores.dice == pytest.approx((1 + 1 / 2) / 2)
    assert scores.accuracy == pytest.approx((1 + (390 - 16) / 390) / 2)


def test_every_score_is_given_for_each_image_by_its_id(model):
    # The order through the network is by size, and so another than the dataset's.
    found = evaluate(model, UNET, HYPERPARAMETERS, dataset((PERFECT, PERFECT), (HALF, SHIFTED)))
    assert set(found.by_image) == {"image 0", "image 1"}
    assert found.by_image["image 0"].iou == found.by_image["image 0"].map == 1
    assert found.by_image["image 1"].iou == pytest.approx(1 / 3)
    assert found.by_image["image 1"].f1_50 == 0
    assert found.scores.f1_50 == pytest.approx(0.5)
    assert found.scores.iou == pytest.approx(2 / 3)


def test_both_ways_agree_on_pixels(model, nuclei):
    pixels = evaluate_pixels(model, UNET, HYPERPARAMETERS, nuclei)
    full = evaluate(model, UNET, HYPERPARAMETERS, nuclei).scores
    assert (full.iou, full.dice, full.accuracy) == pytest.approx(
        (pixels.iou, pixels.dice, pixels.accuracy)
    )


def test_settings_of_the_post_processing_count(model):
    strict = {**HYPERPARAMETERS, "minimum_area": 17}
    assert evaluate(model, UNET, strict, dataset((PERFECT, PERFECT))).scores.iou == 0


def test_touching_nuclei_count_as_merged_by_components(model):
    touching = squares((16, 16), (4, 4), (4, 8))
    scores = evaluate(model, UNET, HYPERPARAMETERS, dataset((touching, touching))).scores
    assert scores.iou == 1
    assert scores.merges == 1


def test_seconds_an_image_are_those_of_prediction(model):
    data = dataset(*[(PERFECT, PERFECT)] * 4)
    started = time.perf_counter()
    found = evaluate(model, UNET, HYPERPARAMETERS, data)
    assert 0 < found.predict_seconds <= (time.perf_counter() - started) / 4


def test_a_visitor_sees_each_image_once_and_its_time_is_not_counted(model):
    seen = {}

    def visit(index, output, labels):
        time.sleep(0.2)
        seen[index] = labels.max()

    data = dataset((PERFECT, PERFECT), (HALF, SHIFTED))
    evaluate(model, UNET, HYPERPARAMETERS, data)  # compiles
    found = evaluate(model, UNET, HYPERPARAMETERS, data, visit)
    assert seen == {0: 2, 1: 1}
    assert found.predict_seconds < 0.2
