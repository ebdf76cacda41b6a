import keras
import numpy as np
import pytest
import tensorflow as tf

import nucseg_models
from nucseg_models import metrics
from nucseg_models.data.synthetic import synthetic
from nucseg_models.detection import matching
from nucseg_models.workshop import Workshop

MASK_RCNN = nucseg_models.get("mask_rcnn")
SIDE = 64


def images_and_labels(count=2, seed=0):
    """Made-up images float32 (count, 64, 64, 3) in 0..1, and their labels."""
    data = synthetic(count, seed=seed, sides=(SIDE, SIDE))
    return np.stack(data.images) / np.float32(255), np.stack(data.labels)


@pytest.fixture(scope="module")
def settings(tiny):
    return tiny(MASK_RCNN, semantic_head=True, optimizer="adamw", learning_rate=2e-3)


@pytest.fixture(scope="module")
def network(settings):
    """A compiled tiny network; tests may train it further."""
    return Workshop().model(MASK_RCNN, settings, seed=0)


def test_detections_have_the_shapes_that_an_images_area_gives(network):
    images, _ = images_and_labels()
    found = network.predict_on_batch(images)
    count = SIDE**2 // matching.PIXELS_A_REGION
    assert {key: value.shape for key, value in found.items()} == {
        "boxes": (2, count, 4),
        "scores": (2, count),
        "masks": (2, count, 28, 28),
        "semantic": (2, SIDE, SIDE, 1),
    }
    assert all(value.dtype == np.float32 for value in found.values())


def test_boxes_lie_in_the_image_and_scores_between_0_and_1_best_first(network):
    images, _ = images_and_labels()
    found = network.predict_on_batch(images)
    assert found["boxes"].min() >= 0
    assert found["boxes"].max() <= SIDE
    scores = found["scores"][0][found["scores"][0] > 0]
    assert scores.max() <= 1
    assert (np.diff(scores) <= 0).all()


every_fullness = pytest.mark.parametrize(
    "labels",
    [
        pytest.param(np.zeros((2, SIDE, SIDE), np.int32), id="no nucleus"),
        pytest.param(
            np.arange(1, SIDE**2 + 1, dtype=np.int32).reshape(1, SIDE, SIDE).repeat(2, axis=0),
            id="a nucleus a pixel",
        ),
        pytest.param(np.ones((2, SIDE, SIDE), np.int32), id="one nucleus everywhere"),
    ],
)


@every_fullness
def test_loss_and_weights_stay_finite_however_full_the_image(network, settings, labels):
    images, _ = images_and_labels()
    for _ in range(2):
        assert np.isfinite(network.train_on_batch(images, MASK_RCNN.targets(labels, settings)))
    assert all(np.isfinite(weight).all() for weight in network.get_weights())


@every_fullness
def test_every_weight_has_a_finite_gradient_however_full_the_image(network, settings, labels):
    images, _ = images_and_labels()
    targets = MASK_RCNN.targets(labels, settings)
    with tf.GradientTape() as tape:
        outputs = network(images, training=True)
        loss = network.compute_loss(y=targets, y_pred=outputs)
    for gradient in tape.gradient(loss, [v.value for v in network.trainable_variables]):
        assert gradient is not None
        assert np.isfinite(np.asarray(gradient)).all()


def test_a_network_without_a_side_head_puts_out_no_semantic_map(tiny):
    model = MASK_RCNN.build(tiny(MASK_RCNN), None)
    assert "semantic" not in model(np.zeros((1, 32, 32, 3), np.float32))


def test_it_learns_to_find_the_nuclei_of_an_image_with_and_without_the_side_head(tiny):
    settings = tiny(
        MASK_RCNN,
        width=16,
        pyramid=True,
        semantic_head=True,
        optimizer="adamw",
        learning_rate=3e-3,
        score_threshold=0.3,
        image_size=SIDE,
    )
    model = Workshop().model(MASK_RCNN, settings, seed=0)
    images, labels = images_and_labels(4, seed=1)
    targets = MASK_RCNN.targets(labels, settings)
    for _ in range(120):
        model.train_on_batch(images, targets)
    whole = [np.rint(image * 255).astype(np.uint8) for image in images]
    found = dict(MASK_RCNN.outputs(model, whole, settings))
    for fill in (False, True):
        chosen = {**settings, "fill": fill}
        scores = [
            metrics.score_image(labels[index], MASK_RCNN.postprocess(found[index], chosen))
            for index in range(4)
        ]
        assert np.mean([score.iou for score in scores]) > 0.7
        assert np.mean([score.f1_50 for score in scores]) > 0.7


def test_the_seed_decides_which_regions_are_learnt_from(settings):
    images, labels = images_and_labels()
    targets = MASK_RCNN.targets(labels, settings)
    workshop, losses = Workshop(), []
    for seed in (0, 0, 1):
        model = workshop.model(MASK_RCNN, settings, seed=seed)
        losses.append([float(model.train_on_batch(images, targets)) for _ in range(2)])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert keras.backend.backend() == "tensorflow"
