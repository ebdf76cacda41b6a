from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import grey_dilation, label

from nucseg_models.data import KINDS
from nucseg_models.data.kinds import kind_of
from nucseg_models.data.synthetic import synthetic


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    first, again, other = synthetic(6, seed=3), synthetic(6, seed=3), synthetic(6, seed=4)
    assert first.sha256 == again.sha256 != other.sha256
    for a, b in zip([*first.images, *first.labels], [*again.images, *again.labels], strict=True):
        assert (a == b).all()


def test_images_are_of_the_sizes_and_types_asked_for():
    dataset = synthetic(10, seed=0, sides=(50, 60))
    for image, labels in zip(dataset.images, dataset.labels, strict=True):
        assert image.shape == (*labels.shape, 3)
        assert all(50 <= side <= 60 for side in labels.shape)
        assert (image.dtype, labels.dtype) == (np.uint8, np.int32)


def test_labels_are_consecutive_nuclei_each_in_one_piece():
    for labels in synthetic(8, seed=1).labels:
        assert labels.max() >= 1
        for number in range(1, labels.max() + 1):
            assert label(labels == number)[1] == 1


def test_many_nuclei_touch_another():
    touching = total = 0
    for labels in synthetic(12, seed=0).labels:
        reach = grey_dilation(labels, size=(3, 3))
        for number in range(1, labels.max() + 1):
            touching += bool((reach[labels == number] != number).any())
            total += 1
    assert touching / total > 0.15


def test_every_kind_occurs_and_looks_like_it():
    dataset = synthetic(seed=0)
    assert len(dataset) == 48
    assert [kind_of(image) for image in dataset.images] == list(dataset.kinds)
    assert all(Counter(dataset.kinds)[kind] >= 5 for kind in KINDS)
    assert set(synthetic(3, seed=0).kinds) == set(KINDS)


def test_nuclei_differ_from_the_ground():
    dataset = synthetic(9, seed=2)
    for image, labels in zip(dataset.images, dataset.labels, strict=True):
        brightness = image.mean(axis=2)
        inside, outside = brightness[labels > 0], brightness[labels == 0]
        assert abs(inside.mean() - outside.mean()) > 2 * outside.std()


@pytest.mark.parametrize(("count", "sides"), [(0, (96, 160)), (3, (20, 40)), (3, (90, 80))])
def test_impossible_requests_are_refused(count, sides):
    with pytest.raises(ValueError, match="need count"):
        synthetic(count, seed=0, sides=sides)
