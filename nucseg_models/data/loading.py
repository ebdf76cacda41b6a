"""One call from what a user gives as data to a Dataset."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from nucseg_models.data import cache, decode, layouts
from nucseg_models.data.dataset import Dataset
from nucseg_models.data.download import fetch
from nucseg_models.data.errors import DataError, bad_input
from nucseg_models.data.files import Files
from nucseg_models.data.kinds import kind_of
from nucseg_models.data.listing import LAYOUTS, Entry, Listing
from nucseg_models.data.locate import Located, locate
from nucseg_models.data.run_length import SOLUTION
from nucseg_models.data.synthetic import synthetic

Progress = Callable[[int, int], None]
Pixels = tuple[NDArray[np.uint8], NDArray[np.int32]]
TEST_COUNT, TEST_SEED = 24, 1_000_003  # synthetic test images: how many, and how far the seed


def load(
    source: str | Path,
    *,
    skip_bad_images: bool = False,
    seed: int = 0,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The annotated images at `source`, which is looked at to find out what it is.

    source: "synthetic" (made from `seed`), "bbbc038" (the public download), or a folder or
        zip in one of the layouts that `listing.LAYOUTS` names.
    skip_bad_images: leave out images that can't be used, and list them in
        `Dataset.skipped`; else any bad image is an error.
    cache_folder: where decoded images and downloads are kept; default `cache.cache_root`.
    progress: called with (done, total): bytes of a download, then images decoded.

    Ids are sorted. Raises DataError, one for all bad images, if there is nothing to be
    used, or, without `skip_bad_images`, anything that can't be.
    """
    if source == "synthetic":
        return synthetic(seed=seed)
    root = cache.cache_root(cache_folder)
    path = _downloaded(["stage1_train.zip"], root, progress) if source == "bbbc038" else source
    return _load(str(source), locate(path, test=False), skip_bad_images, root, progress)


def load_test(
    source: str | Path,
    *,
    skip_bad_images: bool = False,
    seed: int = 0,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The test images at `source`; arguments, result and errors as of `load`.

    In a folder that holds stage1_test, or stage1_test.zip, these are meant, and "bbbc038"
    means the public test images. "synthetic" gives other images than `load` does.
    """
    if source == "synthetic":
        return synthetic(TEST_COUNT, seed=seed + TEST_SEED)
    root = cache.cache_root(cache_folder)
    names = [SOLUTION, "stage1_test.zip"]
    path = _downloaded(names, root, progress) if source == "bbbc038" else source
    return _load(str(source), locate(path, test=True), skip_bad_images, root, progress)


def _downloaded(names: Sequence[str], root: Path, progress: Progress | None) -> Path:
    """The last of the public files `names`, with the others beside it."""
    return [fetch(name, root / "bbbc038", progress=progress) for name in names][-1]


def _load(
    name: str, located: Located, skip_bad_images: bool, root: Path, progress: Progress | None
) -> Dataset:
    try:
        listing = layouts.find(located.files, located.solution)
    except DataError as error:
        raise DataError(f"{located.path}: {error}. {LAYOUTS}") from error
    sha256 = _digest(located, listing)
    path = cache.cache_path(root, sha256)
    dataset = cache.read(path)
    if dataset is None:
        dataset = _kept(path, _decoded(located, listing, sha256, progress))
    if dataset.skipped and not skip_bad_images:
        raise _bad_images(located, dataset.skipped, len(dataset))
    return replace(dataset, name=name)


def _digest(located: Located, listing: Listing) -> str:
    """Hexadecimal digest of all that is read: for a zip alone, that of the zip."""
    sha256 = located.files.sha256(listing.files)
    if not listing.table:
        return sha256
    return hashlib.sha256(sha256.encode() + listing.table).hexdigest()


def _decoded(located: Located, listing: Listing, sha256: str, progress: Progress | None) -> Dataset:
    """All images that can be used; DataError if there are none."""
    entries = sorted(listing.entries, key=lambda entry: entry.id)
    pixels: list[Pixels] = []
    ids: list[str] = []
    problems = list(listing.problems)
    room = Room(located.path)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders work outside Python's lock
        results = pool.map(partial(_read, located.files, room), entries)
        for done, (entry, result) in enumerate(zip(entries, results, strict=True), start=1):
            if isinstance(result, DataError):
                problems.append(str(result))
            else:
                pixels.append(result)
                ids.append(entry.id)
            if progress is not None:
                progress(done, len(entries))
    if not any(labels.any() for _, labels in pixels):
        problems = problems or ["the annotations hold no nucleus"]
        raise bad_input(f"{located.path}: no image can be used", problems, LAYOUTS)
    return Dataset(
        name=str(located.path),
        images=[image for image, _ in pixels],
        labels=[labels for _, labels in pixels],
        ids=tuple(ids),
        kinds=tuple(kind_of(image) for image, _ in pixels),
        sha256=sha256,
        skipped=tuple(problems),
    )


class Room:
    """The memory that decoded images may fill: half of the machine's. A few kilobytes may claim
    gigabytes of black pixels, and many such files more than there is.
    """

    def __init__(self, path: Path) -> None:
        """`path`: where the images are, for the message of DataError."""
        self._path, self._lock = path, Lock()
        self._left = self._whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2

    def take(self, size: int) -> None:
        """Hold so many bytes; DataError where there were not so many left."""
        with self._lock:
            self._left -= size
        self.require()

    def require(self) -> None:
        """DataError where more was taken than there is."""
        if self._left < 0:
            raise DataError(
                f"{self._path}: the decoded images need more than {self._whole / 1e9:.0f} GB, half "
                "of this machine's memory: give fewer or smaller ones, or a larger machine"
            )


def _read(files: Files, room: Room, entry: Entry) -> Pixels | DataError:
    """One image and its labels, or what is wrong with them; raises where `room` has none left."""
    room.require()
    try:
        image = decode.image(files.read(entry.image), entry.image)
        labels = entry.annotate((image.shape[0], image.shape[1]))
    except DataError as error:
        return error
    except OSError as error:
        return DataError(f"{entry.image}: can't be read ({error})")
    room.take(image.nbytes + labels.nbytes)
    return image, labels


def _kept(path: Path, dataset: Dataset) -> Dataset:
    """The dataset as the cache gives it back; as it is where the cache can't be written."""
    try:
        cache.write(path, dataset)
    except OSError as error:
        warnings.warn(
            f"{path.parent}: decoded images can't be kept there ({error}); they will be decoded "
            "again the next time. Set NUCSEG_CACHE to a folder with room that can be written to.",
            stacklevel=2,
        )
        return dataset
    return cache.read(path) or dataset


def _bad_images(located: Located, problems: tuple[str, ...], good: int) -> DataError:
    return bad_input(
        f"{located.path}: {len(problems)} of {good + len(problems)} images can't be used",
        problems,
        f"Mend or remove them (images must be {decode.READABLE}), or leave them out with "
        "--skip-bad-images.",
    )
