"""The images of a sweep: fetched, read, split and normalised once, before any trial."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as Bar

from nucseg_models import data, get
from nucseg_models.data import Dataset
from nucseg_models.data.cache import cache_root
from nucseg_models.data.run_length import SOLUTION
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.storage import fetch

# Where Keras has its own weights from, and where it keeps them.
IMAGENET, KERAS_MODELS = "https://storage.googleapis.com", Path("~/.keras/models")


@dataclass(frozen=True)
class Inputs:
    """Normalised images: to train on, to choose by, and, if any, to test the winners on."""

    train: Dataset
    validation: Dataset
    test: Dataset | None

    def describe(self) -> dict[str, Any]:
        """What sweep.json says of the data."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: _described(part) for name, part in parts.items() if part is not None}

    def left_out(self) -> list[str]:
        """A sentence for each image that ``--skip-bad-images`` left out, after their number."""
        parts = (self.train, self.test) if self.test else (self.train,)
        found = [sentence for part in parts for sentence in part.skipped]
        return (
            [f"images that can't be used and are left out: {len(found)}", *found] if found else []
        )

    def are_those_of(self, described: Mapping[str, Any]) -> bool:
        """Whether sweep.json describes the same images, in the same split; the test images only
        where both have some, as they may be given later.
        """
        mine = self.describe()
        compared = ["train", "validation", *(["test"] if "test" in described and self.test else [])]
        return all(
            mine[name][what] == described.get(name, {}).get(what)
            for name in compared
            for what in ("sha256", "ids")
        )


def read(config: SweepConfig) -> Inputs:
    """The images that `config` names; DataError or StorageError where they can't be had.

    ConfigError if the test images are those that are trained on.
    """
    annotated = _load(data.load, config.data, config)
    train, validation = data.split(annotated, seed=config.seed)
    test = _load(data.load_test, config.test_data, config) if config.test_data else None
    if test is not None and test.sha256 == annotated.sha256:
        raise ConfigError(
            f"--test-data {config.test_data} holds the images of --data {config.data}: winners "
            "can't be tested on what they were trained on"
        )
    return Inputs(_normalised(train), _normalised(validation), test and _normalised(test))


def _load(reader: Callable[..., Dataset], source: str, config: SweepConfig) -> Dataset:
    """Read one `--data` or `--test-data`, with a bar where it takes long."""
    path = source
    if source.startswith("s3://"):
        path = str(fetch(source, cache_root(None) / "s3", beside=(SOLUTION,)))
    hidden = config.quiet or not Console().is_terminal
    with Bar(transient=True, disable=hidden) as bar:
        task = bar.add_task(f"reading {source}", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        dataset = reader(
            path, skip_bad_images=config.skip_bad_images, seed=config.seed, progress=show
        )
    return replace(dataset, name=source)


def _normalised(dataset: Dataset) -> Dataset:
    """The same images as models see them."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return replace(dataset, images=list(pool.map(data.normalise, dataset.images)))


def _described(dataset: Dataset) -> Mapping[str, Any]:
    return {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "images": len(dataset),
        "nuclei": int(sum(labels.max(initial=0) for labels in dataset.labels)),
        "kinds": {kind: dataset.kinds.count(kind) for kind in data.KINDS},
        "skipped": list(dataset.skipped),
        "ids": list(dataset.ids),
    }


def _check_download() -> None:
    """ConfigError where Keras could not download ImageNet's weights, and has not done so before."""
    if list(KERAS_MODELS.expanduser().glob("resnet*notop*")):
        return
    try:
        urllib.request.urlopen(IMAGENET, timeout=10).close()
    except urllib.error.HTTPError:
        return  # it answers
    except OSError as error:
        raise ConfigError(
            f"--pretrained imagenet downloads weights from {IMAGENET}, which can't be "
            f"reached ({error}): connect this machine, or give a file of such weights, or none"
        ) from error


def weights_path(config: SweepConfig) -> str | None:
    """What `--pretrained` means to a worker: None, "imagenet", or a local weights file.

    ConfigError if no architecture of the sweep takes weights, or one can't take these.
    """
    if config.pretrained == "none":
        return None
    takers = [each for each in map(get, config.arch) if each.accepts_pretrained()]
    if not takers:
        raise ConfigError(
            f"--pretrained {config.pretrained} needs an architecture that takes weights, such as "
            f"resnet; --arch is {', '.join(config.arch)}"
        )
    if config.pretrained == "imagenet":
        _check_download()
        return "imagenet"
    path = fetch(config.pretrained, cache_root(None) / "s3")
    if not path.is_file():
        raise ConfigError(f"--pretrained {config.pretrained} must be a weights file, not a folder")
    try:
        for architecture in takers:
            architecture.fixed_by(str(path.resolve()))
    except ValueError as error:
        raise ConfigError(f"--pretrained {config.pretrained}: {error}") from error
    return str(path.resolve())
