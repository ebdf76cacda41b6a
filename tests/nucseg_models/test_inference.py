import keras
import numpy as np
import pytest

from nucseg_models import inference


@pytest.fixture(scope="module")
def model():
    """Two channels, each from the 25 pixels around: what a seam would show in."""
    keras.utils.set_random_seed(0)
    stack = [keras.Input((None, None, 3)), keras.layers.Conv2D(2, 5, padding="same")]
    return keras.Sequential(stack)


def image(height, width, seed=0):
    return np.random.default_rng((seed, height, width)).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


def directly(model, picture):
    batch = picture[None].astype(np.float32) / 255
    return keras.ops.convert_to_numpy(model(batch))[0]


def outputs(model, images, stride):
    return dict(inference.outputs(model, images, stride))


def test_an_image_that_needs_no_padding_goes_through_as_it_is(model):
    picture = image(32, 48)
    found = outputs(model, [picture], stride=16)
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[0], directly(model, picture), atol=1e-6)


@pytest.mark.parametrize("stride", [1, 8, 32])
def test_outputs_have_the_images_own_size_and_index(model, stride):
    shapes = [(31, 33), (1, 1), (64, 64), (31, 33), (33, 31), (5, 70), (64, 64)]
    images = [image(*shape, seed=i) for i, shape in enumerate(shapes)]
    found = list(inference.outputs(model, images, stride))
    assert sorted(index for index, _ in found) == list(range(len(shapes)))
    for index, output in found:
        height, width = shapes[index]
        assert output.shape == (height, width, 2)
        inside = np.s_[: max(0, height - 2), : max(0, width - 2)]  # beyond, mirrored pixels count
        np.testing.assert_allclose(
            output[inside], directly(model, images[index])[inside], atol=1e-5
        )


def test_lower_and_right_edges_are_mirrored_up_to_the_stride(model):
    picture = image(6, 5)
    mirrored = np.pad(picture, ((0, 2), (0, 3), (0, 0)), mode="symmetric")
    found = outputs(model, [picture], stride=8)
    np.testing.assert_allclose(found[0], directly(model, mirrored)[:6, :5], atol=1e-6)


def test_images_of_one_size_go_through_together_up_to_a_limit(model, monkeypatch):
    monkeypatch.setattr(inference, "PIXELS_AT_ONCE", 3 * 16 * 16)
    images = [image(16, 16, seed=i) for i in range(7)]
    sizes = []
    whole = inference._predict
    monkeypatch.setattr(
        inference, "_predict", lambda m, batch, n: sizes.append(len(batch)) or whole(m, batch, n)
    )
    found = outputs(model, images, stride=8)
    assert sizes == [3, 3, 1]
    for index, picture in enumerate(images):
        np.testing.assert_allclose(found[index], directly(model, picture), atol=1e-6)


def test_where_each_shape_is_compiled_the_last_batch_is_filled_up(monkeypatch):
    monkeypatch.setattr(inference, "PIXELS_AT_ONCE", 3 * 16 * 16)
    images = [image(16, 16, seed=i) for i in range(4)]
    batches = []

    class Compiled:
        jit_compile = True

        def predict_on_batch(self, batch):
            batches.append(batch.shape)
            return batch[..., :1]

    found = outputs(Compiled(), images, stride=8)
    assert batches == [(3, 16, 16, 3)] * 2
    for index, picture in enumerate(images):
        np.testing.assert_allclose(found[index], picture[..., :1] / 255.0, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width"), [(160, 200), (64, 200), (200, 64), (72, 72), (128, 112), (16, 400)]
)
@pytest.mark.parametrize("stride", [1, 8])
def test_an_image_cut_into_tiles_shows_no_seam(model, height, width, stride, monkeypatch):
    monkeypatch.setattr(inference, "LARGEST_SIDE", 70)
    monkeypatch.setattr(inference, "OVERLAP", 16)
    picture = image(height, width)
    found = outputs(model, [picture], stride)
    np.testing.assert_allclose(found[0], directly(model, picture), atol=1e-5)


def test_no_tile_is_larger_than_the_largest_side(model, monkeypatch):
    monkeypatch.setattr(inference, "LARGEST_SIDE", 70)
    monkeypatch.setattr(inference, "OVERLAP", 16)
    shapes = set()
    whole = inference._predict
    monkeypatch.setattr(
        inference, "_predict", lambda m, part, n: shapes.add(part.shape[1:3]) or whole(m, part, n)
    )
    outputs(model, [image(150, 90)], stride=8)
    assert shapes == {(64, 64)}


@pytest.mark.parametrize("length", range(1, 300, 13))
def test_tiles_cover_the_whole_length_with_enough_overlap(length, monkeypatch):
    monkeypatch.setattr(inference, "OVERLAP", 16)
    starts = inference._starts(length, 64)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - 64)
    assert all(0 < step <= 64 - 16 for step in np.diff(starts))


def test_large_images_and_small_ones_come_out_of_one_call(model, monkeypatch):
    monkeypatch.setattr(inference, "LARGEST_SIDE", 64)
    monkeypatch.setattr(inference, "OVERLAP", 16)
    images = [image(100, 80), image(30, 20), image(80, 100), image(30, 20, seed=5)]
    found = outputs(model, images, stride=1)
    for index, picture in enumerate(images):
        np.testing.assert_allclose(found[index], directly(model, picture), atol=1e-5)


def test_no_images_give_no_outputs(model):
    assert outputs(model, [], stride=8) == {}
