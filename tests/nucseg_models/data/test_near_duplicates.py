import numpy as np
import pytest

from nucseg_models.data.near_duplicates import near_duplicates, signature
from nucseg_models.data.synthetic import synthetic

IMAGES = synthetic(6, seed=0).images


def noisy(image):
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip(0.7 * image + 20 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        noisy,
        np.rot90,
        lambda image: image[:, ::-1],
        lambda image: noisy(np.rot90(image[::-1], 3)),
        lambda image: image[2:, :-2],
        lambda image: np.repeat(np.repeat(image, 2, axis=0), 2, axis=1),
    ],
    ids=["same", "noisy and dimmer", "turned", "mirrored", "all of it", "cropped", "enlarged"],
)
def test_a_changed_copy_is_found_and_nothing_else(change):
    images = [*IMAGES, np.ascontiguousarray(change(IMAGES[2]))]
    assert near_duplicates(images).tolist() == [[2, 6]]


def test_common_uneven_lighting_does_not_make_images_alike():
    rows, columns = np.mgrid[-1:1:96j, -1:1:96j]
    light = 220 - 60 * (rows**2 + columns**2)
    images = [
        np.repeat((light + np.random.default_rng(i).normal(0, 2, light.shape))[..., None], 3, 2)
        for i in range(4)
    ]
    assert len(near_duplicates([image.astype(np.uint8) for image in images])) == 0


def test_empty_and_tiny_images_are_like_nothing():
    empty, tiny = np.zeros((40, 40, 3), np.uint8), np.full((5, 5, 3), 7, np.uint8)
    assert len(near_duplicates([empty, empty, tiny, tiny])) == 0
    assert not signature(empty).any()
    assert near_duplicates([]).shape == (0, 2)
