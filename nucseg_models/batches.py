"""Training batches: crops of the images, augmented, with the targets of one architecture."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nucseg_models.architecture import Architecture
from nucseg_models.data import Dataset
from nucseg_models.search_space import Hyperparameters

SCALES = (0.75, 4 / 3)  # nuclei shown smaller or larger by up to a third
GAMMAS = (0.7, 1.4)
NOISE = 6.0  # largest standard deviation of added noise, in grey values of 255


class Batches(keras.utils.PyDataset):
    """One epoch: as many random crops as there are images, in random order.

    Item i is (images float32 (B, S, S, 3) in 0..1, the architecture's targets). An image's share
    of the crops goes by its side (the root of its area): a large one shows more, but more of the
    same; with the emphasis "rare_kinds" also by its kind (see `_weights`). All batches are full, as
    a change of shape would compile the step again: an epoch has the whole number of batches nearest
    to one pass; crops left over come first in the next.
    """

    def __init__(
        self,
        dataset: Dataset,
        architecture: Architecture,
        hyperparameters: Hyperparameters,
        seed: int,
        threads: int = 1,
    ) -> None:
        """`threads` of the processor cut crops, ahead of the training where they are several."""
        super().__init__(workers=threads)
        self.dataset = dataset
        self.architecture = architecture
        self.hyperparameters = hyperparameters
        self.seed = seed
        self.epoch = 0
        self.batch_size = int(hyperparameters["batch_size"])
        sums = np.cumsum(_weights(dataset, str(hyperparameters["emphasis"])))
        self.shares = sums / sums[-1]
        self._kept = -1, np.empty(0, np.int64)  # the last pass, and its order

    def __len__(self) -> int:
        return max(1, round(len(self.dataset) / self.batch_size))

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Any]:
        first = (self.epoch * len(self) + index) * self.batch_size
        crops = [self._crop(position) for position in range(first, first + self.batch_size)]
        images, labels = (np.stack(parts) for parts in zip(*crops, strict=True))
        targets = self.architecture.targets(labels, self.hyperparameters)
        return np.divide(images, 255, dtype=np.float32), targets

    def _crop(self, position: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """The crop at `position` of the endless, seeded sequence of all epochs."""
        turn, place = divmod(position, len(self.dataset))
        chosen = int(self._order(turn)[place])
        rng = np.random.default_rng((self.seed, turn, place))
        image, labels = self.dataset.images[chosen], self.dataset.labels[chosen]
        size = int(self.hyperparameters["image_size"])
        return augmented_crop(image, labels, size, str(self.hyperparameters["augmentation"]), rng)

    def _order(self, turn: int) -> NDArray[np.int64]:
        """Which image each crop of a pass is cut from: evenly spread over the shares, shuffled."""
        turn_kept, order = self._kept
        if turn != turn_kept:
            rng, count = np.random.default_rng((self.seed, turn)), len(self.dataset)
            spread = (np.arange(count) + rng.random()) / count
            order = rng.permutation(np.searchsorted(self.shares, spread))
            self._kept = turn, order  # one assignment, as several threads may cut
        return order


def _weights(dataset: Dataset, emphasis: str) -> NDArray[np.float64]:
    """How often to show each image, beside the others.

    With "rare_kinds" a kind is shown as often as the root of its number of images, not the
    number: 4 images against 400 make a tenth of the crops, not a hundredth. The power 1/2 is
    that of Mahajan et al. 2018, "Exploring the Limits of Weakly Supervised Pretraining", ECCV.
    """
    sides = np.sqrt([labels.size for labels in dataset.labels])
    if emphasis == "none":
        return sides
    count = Counter(dataset.kinds)
    rarity: NDArray[np.float64] = np.array([count[kind] for kind in dataset.kinds]) ** -0.5
    return sides * rarity


def augmented_crop(
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    size: int,
    augmentation: str,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """A random window of `size` pixels: image uint8 (S, S, 3), labels int32 (S, S).

    augmentation: "none" only moves the window; "flips" also mirrors and turns it; "full" also
    scales it, bends its contrast and adds noise. Images smaller than the window are mirrored
    at their edges.
    """
    scale = np.exp(rng.uniform(*np.log(SCALES))) if augmentation == "full" else 1.0
    image, labels = _window(image, labels, round(size / scale), rng)
    if augmentation == "full":
        image, labels = _resize(image, labels, size)
        image = _bend(image, rng)
    if augmentation != "none":
        image, labels = _turn(image, labels, int(rng.integers(8)))
    return image, labels


def _window(
    image: NDArray[np.uint8], labels: NDArray[np.int32], side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """A square of `side` pixels at a random place."""
    short = [(0, max(0, side - length)) for length in labels.shape]
    if any(after for _, after in short):
        image = np.pad(image, (*short, (0, 0)), mode="symmetric")
        labels = np.pad(labels, short, mode="symmetric")
    top, left = (int(rng.integers(length - side + 1)) for length in labels.shape)
    place = np.s_[top : top + side, left : left + side]
    return image[place], labels[place]


def _resize(
    image: NDArray[np.uint8], labels: NDArray[np.int32], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """To `size` pixels a side: the image smoothly, the labels by nearest pixel."""
    shape = (size, size)
    smooth = Image.fromarray(image).resize(shape, Image.Resampling.BILINEAR)
    nearest = Image.fromarray(labels).resize(shape, Image.Resampling.NEAREST)
    return np.asarray(smooth), np.asarray(nearest)


def _bend(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another gamma, contrast and brightness, and a little noise."""
    grey = np.arange(256) / 255.0
    gamma = np.exp(rng.uniform(*np.log(GAMMAS)))
    curve = 255.0 * (grey**gamma * rng.uniform(0.7, 1.1) + rng.uniform(-0.03, 0.1))
    bent: NDArray[np.float32] = curve.astype(np.float32)[image]
    start, level = int(rng.integers(image.size)), rng.uniform(0, NOISE)
    noise = _noise(image.size)[start : start + image.size].reshape(image.shape)
    bent += noise * np.float32(level)
    np.clip(bent, 0, 255, out=bent)
    return bent.astype(np.uint8)


@lru_cache(maxsize=4)  # as many as there are sizes of crops
def _noise(pixels: int) -> NDArray[np.float32]:
    """Twice as much noise as a crop needs, drawn once: drawing it anew was half of a crop's time,
    and a GPU waits for crops.
    """
    return np.random.default_rng(0).standard_normal(2 * pixels, dtype=np.float32)


def _turn(
    image: NDArray[np.uint8], labels: NDArray[np.int32], which: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """One of the 8 ways to lay a square on itself."""
    if which >= 4:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return np.rot90(image, which % 4), np.rot90(labels, which % 4)
