"""What every architecture must keep to; a new one is picked up by its file."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import nucseg_models
from nucseg_models import fresh_weights, search_space
from nucseg_models.pixelwise import Pixelwise
from nucseg_models.search_space import Choice, Int
from nucseg_models.workshop import Workshop

every_architecture = pytest.mark.parametrize("name", nucseg_models.names())
PIXELWISE = [n for n in nucseg_models.names() if isinstance(nucseg_models.get(n), Pixelwise)]
every_pixelwise_architecture = pytest.mark.parametrize("name", PIXELWISE)
EVERY_START = [
    pytest.param(name, start, id=f"{name}-{position}")
    for name in nucseg_models.names()
    for position, start in enumerate(
        [nucseg_models.get(name).paper, *nucseg_models.get(name).starts]
    )
]
# Of the paper: optimizer, learning rate, batch size, epochs.
TABLE_2 = {
    "cnn": ("adam", 0.1, 32, 15),
    "resnet": ("adadelta", 0.1, 10, 40),
    "unet": ("adam", 0.01, 16, 20),
    "mask_rcnn": ("sgd", 0.01, 16, 30),
}
STEPS = 6
# Its second stage learns from what its first has only begun to propose.
SLOW_STARTERS = {"mask_rcnn": 40}


def random_point(space, rng):
    """Any hyperparameters of the search space, but the shallowest of the deep networks."""
    point = {name: _draw(distribution, rng) for name, distribution in space.items()}
    return point | ({"layers": 50} if "layers" in space else {})


def _draw(distribution, rng):
    if isinstance(distribution, Choice):
        return distribution.options[rng.integers(len(distribution.options))]
    if isinstance(distribution, Int):
        return int(rng.integers(distribution.low, distribution.high + 1))
    return float(rng.uniform(distribution.low, distribution.high))


def arrays(outputs):
    """A model's outputs as a list of arrays, however they are nested."""
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


def smallest_side(architecture, hyperparameters):
    """At least 32 pixels, and what the strides ask for."""
    stride = architecture.stride(hyperparameters)
    return -(-32 // stride) * stride


@pytest.fixture(scope="module")
def trained(tiny, nuclei):
    """A function from an architecture's name to its tiny network after a few steps on one batch:
    (architecture, hyperparameters, model, images, first weights, losses).
    """
    cases = {}

    def train(name):
        architecture = nucseg_models.get(name)
        hyperparameters = tiny(architecture, optimizer="adamw", learning_rate=1e-3)
        model = Workshop().model(architecture, hyperparameters, seed=0)
        first_weights = model.get_weights()
        images = np.stack([image[:32, :32] for image in nuclei.images[:2]]) / np.float32(255)
        labels = np.stack([labels[:32, :32] for labels in nuclei.labels[:2]])
        targets = architecture.targets(labels, hyperparameters)
        losses = [
            float(model.train_on_batch(images, targets))
            for _ in range(SLOW_STARTERS.get(name, STEPS))
        ]
        return architecture, hyperparameters, model, images, first_weights, losses

    def trained_once(name):
        if name not in cases:
            cases[name] = train(name)
        return cases[name]

    return trained_once


@every_architecture
def test_its_name_is_that_of_its_file(name):
    assert nucseg_models.get(name).name == name


@pytest.mark.parametrize(("name", "start"), EVERY_START)
def test_the_papers_row_and_every_start_lie_within_the_search_space(name, start):
    search_space.check(start, nucseg_models.get(name).search_space)


@every_architecture
def test_the_papers_row_learns_as_table_2_says(name):
    architecture = nucseg_models.get(name)
    row = [architecture.paper[key] for key in ("optimizer", "learning_rate", "batch_size")]
    assert (*row, architecture.paper_epochs) == TABLE_2[name]


@every_architecture
def test_every_member_fits_a_side_of_64_pixels_and_so_each_multiple(name):
    architecture = nucseg_models.get(name)
    rng = np.random.default_rng(0)
    points = [random_point(architecture.search_space, rng) for _ in range(200)]
    assert {64 % architecture.stride(point) for point in points} == {0}


@every_architecture
def test_the_search_space_reaches_beyond_the_papers_row(name):
    architecture = nucseg_models.get(name)
    rng = np.random.default_rng(0)
    points = [random_point(architecture.search_space, rng) for _ in range(50)]
    fixed = [key for key in architecture.paper if all(p[key] == points[0][key] for p in points)]
    assert set(fixed) <= {"layers"}


@every_architecture
def test_hyperparameters_outside_of_the_search_space_are_refused_by_name(name):
    architecture = nucseg_models.get(name)
    for key, distribution in architecture.search_space.items():
        with pytest.raises(ValueError, match=f"{key} must be .*got 'nonsense'") as refusal:
            search_space.check({**architecture.paper, key: "nonsense"}, architecture.search_space)
        assert str(distribution) in str(refusal.value)


@every_architecture
def test_post_processing_is_the_only_part_that_shapes_no_training_step(name):
    architecture = nucseg_models.get(name)
    compiled = architecture.compiled_hyperparameters(architecture.paper)
    assert set(architecture.postprocessing()) <= set(architecture.search_space)
    assert {"optimizer", "batch_size", "image_size"} <= set(compiled)
    free = {"learning_rate", "schedule", "weight_decay", "loss", *architecture.postprocessing()}
    assert not set(compiled) & free
    json.dumps(dict(compiled))


@every_architecture
def test_the_order_of_hyperparameters_does_not_matter_to_what_is_compiled(name):
    architecture = nucseg_models.get(name)
    turned = dict(reversed(architecture.paper.items()))
    assert architecture.compiled_hyperparameters(turned) == architecture.compiled_hyperparameters(
        architecture.paper
    )


@every_architecture
def test_a_training_holds_a_gpu_or_a_whole_fraction_of_one(name):
    share = nucseg_models.get(name).gpu_share
    assert 1 / share == round(1 / share) >= 1


@pytest.mark.parametrize(("name", "start"), EVERY_START)
def test_the_papers_row_and_every_start_build_for_the_smallest_image(name, start):
    architecture = nucseg_models.get(name)
    side = smallest_side(architecture, start)
    outputs = architecture.build(start, side)(np.zeros((1, side, side, 3), np.float32))
    assert len(arrays(outputs)) > 0
    assert all(len(array) == 1 for array in arrays(outputs))


@pytest.mark.parametrize(("name", "start"), EVERY_START)
def test_the_cost_of_an_image_grows_with_its_area(name, start):
    architecture = nucseg_models.get(name)
    small, large = (architecture.flops(start, side) for side in (64, 128))
    assert small > 1e6
    assert large == pytest.approx(4 * small, rel=0.02)


@every_architecture
@pytest.mark.parametrize("seed", range(2))
def test_random_points_of_the_search_space_build_and_give_finite_outputs(name, seed):
    architecture = nucseg_models.get(name)
    rng = np.random.default_rng(seed)
    point = random_point(architecture.search_space, rng)
    search_space.check(point, architecture.search_space)
    side = smallest_side(architecture, point)
    keras.utils.set_random_seed(seed)
    outputs = architecture.build(point, side)(rng.random((1, side, side, 3), np.float32))
    assert all(np.isfinite(array).all() for array in arrays(outputs))


@every_architecture
def test_running_averages_of_batch_statistics_keep_up_with_a_short_training(name, trained):
    *_, model, _, _, _ = trained(name)
    momenta = [layer.momentum for layer in model._flatten_layers() if hasattr(layer, "momentum")]
    assert all(momentum <= 0.9 for momentum in momenta)


@every_pixelwise_architecture
def test_outputs_are_as_large_as_inputs_of_any_size(name, trained):
    architecture, hyperparameters, model, *_ = trained(name)
    stride = architecture.stride(hyperparameters)
    # One after the other through one compiled function, as in inference.
    for height, width in [(32, 32), (5 * stride, 3 * stride), (3 * stride, 5 * stride)]:
        outputs = model.predict_on_batch(np.zeros((1, height, width, 3), np.float32))
        targets = architecture.targets(np.zeros((1, height, width), np.int32), hyperparameters)
        assert outputs.shape == targets.shape
        assert outputs.dtype == targets.dtype == np.float32


@every_architecture
def test_a_few_steps_lower_the_loss(name, trained):
    *_, losses = trained(name)
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0]
    assert losses[-1] < losses[0]


@every_architecture
def test_no_weight_and_no_output_is_nan_after_training(name, trained):
    _, _, model, images, *_ = trained(name)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert all(np.isfinite(array).all() for array in arrays(model.predict_on_batch(images)))


@every_architecture
def test_every_weight_is_trained(name, trained):
    _, _, model, _, first_weights, _ = trained(name)
    unchanged = [
        variable.path
        for variable, first in zip(model.weights, first_weights, strict=True)
        if np.array_equal(keras.ops.convert_to_numpy(variable), first)
    ]
    assert unchanged == []


@every_architecture
@pytest.mark.parametrize(("seed", "is_same"), [(0, True), (1, False)])
def test_one_seed_gives_one_network_and_another_seed_another(name, seed, is_same, trained):
    architecture, hyperparameters, _, _, first_weights, _ = trained(name)
    model = architecture.build(hyperparameters, None)
    fresh_weights.draw(model, seed)
    weights = model.get_weights()
    assert all(map(np.array_equal, weights, first_weights)) is is_same


@every_architecture
def test_a_saved_model_loads_in_safe_mode_and_gives_the_same_outputs(name, trained, tmp_path):
    architecture, hyperparameters, model, images, *_ = trained(name)
    uncompiled = architecture.build(hyperparameters, None)
    uncompiled.set_weights(model.get_weights())
    uncompiled.save(tmp_path / "model.keras")
    loaded = architecture.load(tmp_path / "model.keras")
    expected = arrays(uncompiled(images))
    for mine, theirs in zip(arrays(loaded(images)), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(arrays(model.predict_on_batch(images)), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3, rtol=1e-4)


def assert_valid_labels(labels, foreground):
    """int32, 1..n without a gap, more than 0 exactly on the foreground."""
    assert labels.dtype == np.int32
    assert foreground.dtype == bool
    assert labels.shape == foreground.shape
    numbers = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(numbers, np.arange(1, len(numbers) + 1))
    np.testing.assert_array_equal(labels > 0, foreground)


@every_pixelwise_architecture
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), smoothing=st.floats(0, 4), spread=st.floats(0, 200))
def test_any_outputs_become_valid_labels(name, seed, smoothing, spread):
    architecture = nucseg_models.get(name)
    rng = np.random.default_rng(seed)
    point = random_point(architecture.search_space, rng)
    channels = architecture.targets(np.zeros((1, 4, 4), np.int32), point).shape[-1]
    noise = rng.standard_normal((37, 23, channels))
    outputs = gaussian_filter(noise, (smoothing, smoothing, 0)) * spread
    outputs = outputs.astype(np.float32)
    foreground = architecture.foreground(outputs, point)
    assert foreground.shape == (37, 23)
    assert_valid_labels(architecture.postprocess(outputs, point), foreground)


@every_architecture
def test_a_trained_network_labels_images_of_any_size(name, trained):
    architecture, hyperparameters, trained_model, *_ = trained(name)
    model = architecture.build(hyperparameters, None)
    model.set_weights(trained_model.get_weights())
    rng = np.random.default_rng(0)
    shapes = [(32, 32), (61, 47), (300, 33), (1, 1)]
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    found = dict(architecture.outputs(model, images, hyperparameters))
    assert sorted(found) == [0, 1, 2, 3]
    for index, shape in enumerate(shapes):
        foreground = architecture.foreground(found[index], hyperparameters)
        labels = architecture.postprocess(found[index], hyperparameters)
        assert labels.shape == shape
        assert_valid_labels(labels, foreground)


@every_pixelwise_architecture
def test_outputs_that_are_the_targets_give_the_nuclei_back(name, nuclei):
    architecture = nucseg_models.get(name)
    labels = nuclei.labels[0]
    targets = architecture.targets(labels[None], architecture.paper)
    outputs = ((targets[0] - 0.5) * 20).astype(np.float32)
    np.testing.assert_array_equal(architecture.foreground(outputs, architecture.paper), labels > 0)


@every_pixelwise_architecture
def test_targets_are_finite_float32_between_0_and_1(name, nuclei):
    architecture = nucseg_models.get(name)
    labels = np.stack([labels[:48, :48] for labels in nuclei.labels])
    targets = architecture.targets(labels, architecture.paper)
    assert targets.dtype == np.float32
    assert targets.shape[:3] == labels.shape
    assert targets.min() == 0.0
    assert targets.max() == 1.0
