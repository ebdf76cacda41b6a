"""The real training and test set of the Data Science Bowl, where they are at hand."""

import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from nucseg_models.boxes import anchors
from nucseg_models.data import load, load_test, split
from nucseg_models.data.splitting import groups
from nucseg_models.detection.backbone import STRIDES
from nucseg_models.detection.matching import ANCHOR_HIT, LEAST

REAL = Path(__file__).parents[4] / "shared" / "data" / "dsb2018"
ZIP_SHA256 = "c39074013642583e45fd7eb7e979f6cce6d30755547213a69fa71c67b6ce523b"

pytestmark = [
    pytest.mark.skipif(not REAL.is_dir(), reason=f"no real images at {REAL}"),
    pytest.mark.xdist_group("real images"),  # one process decodes them, not each
]


@pytest.fixture(scope="module")
def root():
    with tempfile.TemporaryDirectory() as folder:  # 0.7 GB, which tmp_path would keep
        yield Path(folder)


@pytest.fixture(scope="module")
def training(root):
    return load(REAL, cache_folder=root)


def test_the_training_set_is_read_as_documented(training):
    assert len(training) == 670
    assert sum(int(labels.max()) for labels in training.labels) == 29_461
    assert Counter(training.kinds) == {"fluorescence": 546, "tissue": 108, "brightfield": 16}
    assert training.sha256 == ZIP_SHA256


def test_a_second_load_takes_about_a_second(training, root):
    start = time.perf_counter()
    again = load(REAL / "stage1_train.zip", cache_folder=root)
    assert time.perf_counter() - start < 5  # 0.8 s where measured; room for a busy machine
    assert again.ids == training.ids


def test_the_test_set_is_read_as_documented(root):
    test = load_test(REAL, cache_folder=root)
    assert len(test) == 33
    assert sum(int(labels.max()) for labels in test.labels) == 2_347


def test_the_split_has_its_fraction_of_each_kind_and_cuts_no_group(training):
    related = [{training.ids[i] for i in group} for group in groups(training.images)]
    grouped = sum(len(group) for group in related if len(group) > 1)
    assert 0.7 < grouped / len(training) < 0.9
    assert max(map(len, related)) < 0.05 * len(training)
    for seed in range(3):
        _, validation = split(training, seed=seed)
        assert len(validation) / 670 == pytest.approx(0.1, abs=0.03)
        for kind, count in Counter(training.kinds).items():
            assert Counter(validation.kinds)[kind] / count == pytest.approx(0.1, abs=0.05)
        chosen = set(validation.ids)
        assert all(group <= chosen or not group & chosen for group in related)


def test_halves_and_changed_copies_of_real_images_are_put_together(training):
    generator = np.random.default_rng(0)
    originals = [training.images[i] for i in range(0, 670, 10)]
    images = []
    for image in originals:
        middle = image.shape[1] // 2
        left, right = image[:, :middle], image[:, middle:]
        noise = generator.normal(0, 2, left.shape)
        copy = np.clip(0.8 * np.rot90(left[::-1, ::-1], 2)[::-1] + np.flipud(noise), 0, 255)
        images += [left, right, copy.astype(np.uint8)]
    number = {i: n for n, group in enumerate(groups(images)) for i in group}
    copies = np.mean([number[3 * i] == number[3 * i + 2] for i in range(len(originals))])
    halves = np.mean([number[3 * i] == number[3 * i + 1] for i in range(len(originals))])
    assert copies > 0.97
    assert halves > 0.7  # the others have nothing but empty ground along the seam


def best_anchor_overlaps(boxes, scale):
    """For each box (N, 4), the overlap with its best anchor, laid out as far as boxes reach."""
    side = int(boxes.max()) // 32 * 32 + 64
    sizes = [(side // stride, side // stride) for stride in STRIDES[1:]]
    lattice = anchors(sizes, STRIDES[1:], scale)
    sides = lattice[:, 2] - lattice[:, 0]
    centre, best = (boxes[:, :2] + boxes[:, 2:]) / 2, np.zeros(len(boxes))
    for size in np.unique(sides):
        chosen = lattice[sides == size]
        nearest = chosen[cKDTree((chosen[:, :2] + chosen[:, 2:]) / 2).query(centre)[1]]
        shared = np.minimum(boxes[:, 2:], nearest[:, 2:]) - np.maximum(boxes[:, :2], nearest[:, :2])
        shared = np.prod(np.maximum(shared, 0), axis=1)
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + size**2
        best = np.maximum(best, shared / (areas - shared))
    return best


def test_nearly_every_true_box_has_an_anchor_that_overlaps_it_well(training):
    found = [box for labels in training.labels for box in ndimage.find_objects(labels)]
    boxes = np.array([(r.start, c.start, r.stop, c.stop) for r, c in found], float)
    best = best_anchor_overlaps(boxes, scale=3.0)
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    assert len(boxes) == 29_461
    assert np.mean(best[sides >= 12] >= ANCHOR_HIT) > 0.9
    assert np.mean(best >= LEAST) > 0.99  # each has one that answers for it
    assert best.mean() > 0.6
