import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nucseg_models
from nucseg_models.batches import Batches, augmented_crop
from nucseg_models.data import Dataset

UNET, CNN = nucseg_models.get("unet"), nucseg_models.get("cnn")
AUGMENTATIONS = ["none", "flips", "full"]
every_augmentation = pytest.mark.parametrize("augmentation", AUGMENTATIONS)


def dataset(labels):
    """Images whose pixels are their labels' numbers, in grey."""
    return Dataset(
        name="numbers",
        images=[grey(image) for image in labels],
        labels=labels,
        ids=tuple(str(i) for i in range(len(labels))),
        kinds=("fluorescence",) * len(labels),
        sha256="0",
    )


def grey(labels):
    return np.repeat(labels.astype(np.uint8)[..., None], 3, axis=-1)


def constant(count, side=40):
    """`count` images, number i all of label i + 1."""
    return dataset([np.full((side, side), i + 1, np.int32) for i in range(count)])


def batches(
    data,
    *,
    architecture=UNET,
    seed=3,
    size=32,
    batch_size=4,
    augmentation="none",
    emphasis="none",
):
    chosen = {
        **architecture.paper,
        "image_size": size,
        "batch_size": batch_size,
        "augmentation": augmentation,
        "emphasis": emphasis,
    }
    return Batches(data, architecture, chosen, seed)


def epoch_of(items, number):
    items.epoch = number
    return [items[index] for index in range(len(items))]


def numbers_seen(items, epoch):
    """Which of `constant`'s images an epoch shows, in order."""
    images = np.concatenate([image for image, _ in epoch_of(items, epoch)])
    return [round(float(image.mean()) * 255) for image in images]


@every_augmentation
@pytest.mark.parametrize("architecture", [UNET, CNN], ids=["unet", "cnn"])
def test_an_item_is_images_in_0_to_1_and_the_architectures_targets(
    nuclei, architecture, augmentation
):
    images, targets = batches(nuclei, architecture=architecture, augmentation=augmentation)[0]
    assert images.shape == (4, 32, 32, 3)
    assert images.dtype == targets.dtype == np.float32
    assert 0 <= images.min() < 0.2
    assert 0.5 < images.max() <= 1
    channels = {"unet": 1, "cnn": 3}[architecture.name]
    assert targets.shape == (4, 32, 32, channels)


def test_the_brightest_grey_is_1():
    white = dataset([np.full((40, 40), 255, np.int32)])
    assert batches(white, batch_size=1)[0][0].min() == 1.0


@pytest.mark.parametrize(
    ("images", "batch_size", "count"), [(8, 4, 2), (9, 4, 2), (11, 4, 3), (3, 4, 1), (1, 16, 1)]
)
def test_an_epoch_is_the_whole_number_of_full_batches_nearest_to_one_pass(
    images, batch_size, count
):
    items = batches(constant(images), batch_size=batch_size)
    assert len(items) == count
    assert all(len(image) == batch_size for image, _ in epoch_of(items, 0))


def test_every_image_of_one_size_is_shown_once_an_epoch_in_another_order_each_time():
    items = batches(constant(12))
    orders = [numbers_seen(items, epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(1, 13)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_an_image_of_twice_the_side_is_shown_twice_as_often():
    small = [np.full((40, 40), number, np.int32) for number in (1, 2, 3, 4)]
    items = batches(dataset([*small, np.full((80, 80), 5, np.int32)]), batch_size=5)
    shown = [number for epoch in range(60) for number in numbers_seen(items, epoch)]
    counts = [shown.count(number) for number in range(1, 6)]
    assert counts[4] == pytest.approx(2 * sum(counts[:4]) / 4, abs=15)
    assert max(counts[:4]) - min(counts[:4]) <= 20


@pytest.mark.parametrize(("emphasis", "share"), [("none", 1 / 5), ("rare_kinds", 1 / 3)])
def test_rare_kinds_of_image_are_shown_by_the_root_of_their_number_if_asked(emphasis, share):
    data = replace(constant(20), kinds=("tissue",) * 4 + ("fluorescence",) * 16)
    items = batches(data, batch_size=10, emphasis=emphasis)
    shown = [number for epoch in range(30) for number in numbers_seen(items, epoch)]
    counts = [shown.count(number) for number in range(1, 21)]
    assert sum(counts[:4]) / len(shown) == pytest.approx(share, abs=0.01)
    assert max(counts[:4]) - min(counts[:4]) <= 10


def test_images_left_over_come_first_in_the_next_epoch():
    items = batches(constant(9))
    first, second = numbers_seen(items, 0), numbers_seen(items, 1)
    assert len(set(first)) == 8
    assert {second[0]} == set(range(1, 10)) - set(first)
    together = first + second + numbers_seen(items, 2) + numbers_seen(items, 3)
    assert all(sorted(together[start : start + 9]) == list(range(1, 10)) for start in (0, 9, 18))


def test_a_batch_larger_than_the_dataset_shows_images_again():
    seen = numbers_seen(batches(constant(3), batch_size=8), 0)
    assert sorted(seen[:3]) == sorted(seen[3:6]) == [1, 2, 3]


@every_augmentation
def test_an_item_depends_on_seed_epoch_and_index_alone(nuclei, augmentation):
    items = batches(nuclei, augmentation=augmentation)
    expected = epoch_of(items, 2)
    other = batches(nuclei, augmentation=augmentation)
    other.epoch = 2
    again = [other[index] for index in (1, 0)][::-1]
    for one, same in zip(expected, again, strict=True):
        np.testing.assert_array_equal(one[0], same[0])
        np.testing.assert_array_equal(one[1], same[1])


@every_augmentation
def test_another_seed_epoch_or_index_gives_another_item(nuclei, augmentation):
    items = batches(nuclei, augmentation=augmentation)
    shown = [items[0][0], items[1][0], epoch_of(items, 1)[0][0]]
    shown.append(batches(nuclei, seed=4, augmentation=augmentation)[0][0])
    assert len({image.tobytes() for image in shown}) == 4


def test_windows_move_over_the_whole_image():
    numbers = np.arange(50 * 40, dtype=np.int32).reshape(50, 40)
    image = np.repeat((numbers % 256).astype(np.uint8)[..., None], 3, axis=-1)
    corners = set()
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        corners.add(augmented_crop(image, numbers, 32, "none", rng)[1][0, 0])
    expected = {row * 40 + column for row in range(19) for column in range(9)}
    assert corners == expected


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    augmentation=st.sampled_from(AUGMENTATIONS),
    seed=st.integers(0, 1000),
)
def test_a_crop_has_its_size_whatever_the_images(height, width, augmentation, seed):
    labels = np.random.default_rng(seed).integers(0, 5, (height, width), dtype=np.int32)
    rng = np.random.default_rng(seed)
    image, cropped = augmented_crop(grey(labels), labels, 32, augmentation, rng)
    assert (image.shape, cropped.shape) == ((32, 32, 3), (32, 32))
    assert (image.dtype, cropped.dtype) == (np.uint8, np.int32)
    assert set(np.unique(cropped)) <= set(np.unique(labels))


def test_an_image_smaller_than_the_window_is_mirrored_at_its_far_edges():
    labels = np.array([[1, 2], [3, 4]], np.int32)
    image, cropped = augmented_crop(grey(labels), labels, 4, "none", np.random.default_rng(0))
    expected = np.array([[1, 2, 2, 1], [3, 4, 4, 3], [3, 4, 4, 3], [1, 2, 2, 1]])
    np.testing.assert_array_equal(cropped, expected)
    np.testing.assert_array_equal(image[..., 0], expected)


@pytest.mark.parametrize("augmentation", ["none", "flips"])
@given(seed=st.integers(0, 10_000), height=st.integers(10, 60), width=st.integers(10, 60))
def test_image_and_labels_stay_aligned(augmentation, seed, height, width):
    labels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.int32)
    rng = np.random.default_rng(seed)
    image, cropped = augmented_crop(grey(labels), labels, 24, augmentation, rng)
    np.testing.assert_array_equal(image[..., 0], cropped)


def test_image_and_labels_stay_aligned_when_scaled():
    y, x = np.ogrid[:70, :70]
    labels = ((((y - 25) / 18) ** 2 + ((x - 40) / 9) ** 2 < 1) | ((y > 45) & (x < 25))).astype(
        np.int32
    )
    agreement = {}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        image, cropped = augmented_crop(grey(255 * labels), labels, 48, "full", rng)
        bright = image[..., 0] > (int(image.min()) + int(image.max())) / 2
        for shift in [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]:
            moved = np.roll(cropped, shift, axis=(0, 1))[2:-2, 2:-2]
            agreement.setdefault(shift, []).append((moved == bright[2:-2, 2:-2]).mean())
    means = {shift: np.mean(shares) for shift, shares in agreement.items()}
    assert means[0, 0] > 0.98
    assert all(means[0, 0] > means[shift] + 0.005 for shift in means if shift != (0, 0))


@pytest.mark.parametrize("augmentation", ["flips", "full"])
def test_all_eight_ways_to_lay_a_square_are_taken(augmentation):
    labels = np.zeros((96, 96), np.int32)
    labels[:48, :48], labels[:48, 48:], labels[48:, :48] = 1, 2, 3
    corners = set()
    for seed in range(120):
        rng = np.random.default_rng(seed)
        _, cropped = augmented_crop(grey(labels), labels, 96, augmentation, rng)
        corners.add(tuple(cropped[[0, 0, -1, -1], [0, -1, 0, -1]]))
    ways = {(1, 2, 3, 0), (3, 1, 0, 2), (0, 3, 2, 1), (2, 0, 1, 3)}
    ways |= {(2, 1, 0, 3), (1, 3, 2, 0), (3, 0, 1, 2), (0, 2, 3, 1)}
    assert ways <= corners if augmentation == "full" else ways == corners


def test_full_augmentation_shows_nuclei_larger_and_smaller_within_a_third():
    labels = np.zeros((200, 200), np.int32)
    labels[85:115, 85:115] = 1
    areas = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        cropped = augmented_crop(grey(labels), labels, 190, "full", rng)[1]
        areas.append(np.sqrt(np.count_nonzero(cropped)) / 30)
    areas = [scale for scale in areas if scale > 0]
    assert 0.7 < min(areas) < 0.85
    assert 1.2 < max(areas) < 1.4


def test_full_augmentation_bends_the_contrast_but_keeps_its_order():
    labels = np.repeat(np.arange(0, 256, 8, dtype=np.int32)[:, None], 32, axis=1)
    means = set()
    for seed in range(10):
        rng = np.random.default_rng(seed)
        image, cropped = augmented_crop(grey(labels), labels, 32, "full", rng)
        order = np.corrcoef(image[..., 0].ravel(), cropped.ravel())[0, 1]
        assert order > 0.9
        means.add(round(float(image.mean())))
    assert len(means) > 5


def test_the_dataset_is_left_as_it_was(nuclei):
    before = [image.copy() for image in nuclei.images]
    for augmentation in AUGMENTATIONS:
        epoch_of(batches(nuclei, augmentation=augmentation, size=64), 0)
    for image, old in zip(nuclei.images, before, strict=True):
        np.testing.assert_array_equal(image, old)


def test_read_only_images_do():
    labels = np.ones((40, 40), np.int32)
    data = dataset([labels])
    for array in (*data.images, *data.labels):
        array.setflags(write=False)
    for augmentation in AUGMENTATIONS:
        batches(data, batch_size=1, augmentation=augmentation)[0]


def test_a_batch_costs_little():
    side = 256
    data = dataset([np.random.default_rng(0).integers(0, 9, (side, side), dtype=np.int32)])
    items = batches(data, size=side, batch_size=8, augmentation="full")
    seconds = []
    for index in range(3):
        started = time.perf_counter()
        items[index]
        seconds.append(time.perf_counter() - started)
    assert min(seconds) / 8 < 0.05  # some 6 ms an image on one core; a step takes ten times that
