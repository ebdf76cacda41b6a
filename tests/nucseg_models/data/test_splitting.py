from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucseg_models.data import KINDS, DataError, split
from nucseg_models.data.splitting import groups
from nucseg_models.data.synthetic import synthetic

DATASET = synthetic(40, seed=0, sides=(64, 96))


def with_images(images):
    """DATASET's first image and labels repeated, but for the images' pixels."""
    count = len(images)
    return replace(
        DATASET,
        images=images,
        labels=[np.zeros(image.shape[:2], np.int32) for image in images],
        ids=tuple(f"{i:03d}" for i in range(count)),
        kinds=("fluorescence",) * count,
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 40), st.floats(0.05, 0.95))
def test_every_image_is_on_exactly_one_side_and_neither_is_empty(seed, count, fraction):
    dataset = DATASET.subset(range(40 - count, 40))
    training, validation = split(dataset, seed=seed, validation_fraction=fraction)
    assert sorted(training.ids + validation.ids) == sorted(dataset.ids)
    assert len(training) >= 1
    assert len(validation) >= 1


def test_each_kind_has_its_share_in_validation():
    _, validation = split(DATASET, seed=1, validation_fraction=0.25)
    wanted = {kind: count / 4 for kind, count in Counter(DATASET.kinds).items()}
    for kind in KINDS:
        assert Counter(validation.kinds)[kind] == pytest.approx(wanted[kind], abs=0.5)


def test_the_split_follows_the_seed_and_not_the_order_of_images():
    chosen = split(DATASET, seed=7)[1].ids
    reordered = DATASET.subset(np.random.default_rng(0).permutation(40))
    assert split(reordered, seed=7)[1].ids == chosen
    assert len({split(DATASET, seed=seed)[1].ids for seed in range(5)}) == 5


def test_pixels_and_labels_stay_with_their_ids():
    for part in split(DATASET, seed=0):
        for image, labels, name in zip(part.images, part.labels, part.ids, strict=True):
            i = DATASET.ids.index(name)
            assert image is DATASET.images[i]
            assert labels is DATASET.labels[i]


def test_copies_and_tiles_stay_on_one_side(make):
    images = []
    for image in map(make.texture, range(12)):
        copy = np.ascontiguousarray(np.rot90(image[:, :80]))
        images += [image[:, :80], image[:, 80:], copy]
    related = [set(group) for group in groups(images)]
    assert [sorted(group) for group in related] == [
        [3 * i, 3 * i + 1, 3 * i + 2] for i in range(12)
    ]
    for seed in range(5):
        validation = {int(name) for name in split(with_images(images), seed=seed)[1].ids}
        assert all(group <= validation or not group & validation for group in related)


def test_if_all_images_are_copies_each_side_still_has_one():
    image = DATASET.images[0]
    training, validation = split(with_images([image, image.copy()]), seed=0)
    assert len(training) == len(validation) == 1


def test_two_images_of_two_kinds_are_divided():
    dataset = DATASET.subset([0, 39])
    assert len(set(dataset.kinds)) == 2
    assert [len(part) for part in split(dataset, seed=0)] == [1, 1]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_cannot_be_divided(count):
    with pytest.raises(DataError, match="give two or more"):
        split(DATASET.subset(range(count)), seed=0)


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 15])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(DATASET, seed=0, validation_fraction=fraction)
