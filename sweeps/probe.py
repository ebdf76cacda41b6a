"""A short training on a worker, from which a sweep's cost is reckoned."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nucseg_models.data import Dataset

STEPS, IMAGES = 3, 4  # of an epoch of the probe: training steps, and images to choose by
COUNTING_SECONDS = 10.0  # for counting operations of other settings, some of which build slowly


@dataclass(frozen=True)
class Probe:
    """What one configuration took.

    Seconds: start, a training crop, a pixel of an evaluated image. state_bytes: a checkpoint.
    work: how many operations a pixel each of the other configurations needs, as a share of this
    one's, of as many as could be counted; crop: the same of a training crop.
    """

    device: str
    start: float
    crop: float
    pixel: float
    state_bytes: int
    crop_work: Sequence[float]
    pixel_work: Sequence[float]


def probe(
    name: str,
    hyperparameters: Mapping[str, Any],
    others: Sequence[Mapping[str, Any]],
    *,
    threads: int,
    precision: str,
    train: Dataset,
    validation: Dataset,
) -> Probe:
    """Train two short epochs; the second is measured, as it builds no graph any more."""
    # A worker imports Keras; the driver, which imports this file, must not.
    import nucseg_models  # noqa: PLC0415
    from nucseg_models import device  # noqa: PLC0415
    from nucseg_models.training import TrainingRun  # noqa: PLC0415

    device.prepare(threads, precision)
    architecture = nucseg_models.get(name)
    run = TrainingRun(
        architecture,
        hyperparameters,
        train=_some(train, STEPS * int(hyperparameters["batch_size"])),
        validation=_some(validation, IMAGES),
        epochs=2,
        seed=0,
        threads=threads,
    )
    run.epoch()
    start, first = run.clock.start, run.clock
    report = run.epoch()
    pixels = sum(labels.size for labels in run.validation.labels)
    crop_work, pixel_work = _work(architecture, hyperparameters, others)
    return Probe(
        device=device.name(),
        start=start,
        crop=1 / report.images_per_second,
        pixel=(run.clock.evaluate - first.evaluate) / pixels,
        state_bytes=_state_bytes(run),
        crop_work=crop_work,
        pixel_work=pixel_work,
    )


def _some(dataset: Dataset, count: int) -> Dataset:
    """So many images, drawn with a fixed seed; some twice where there are fewer."""
    order = np.random.default_rng(0).permutation(len(dataset))
    return dataset.subset([int(n) for n in np.resize(order, count)])


def _work(
    architecture: Any, probed: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> tuple[list[float], list[float]]:
    """Operations of a crop and of a pixel, as shares of the probed configuration's."""
    deadline = time.monotonic() + COUNTING_SECONDS
    crops, pixels = [], []
    size = int(probed["image_size"])
    whole = architecture.flops(probed, size)
    for other in others:
        side = int(other["image_size"])
        crops.append(architecture.flops(other, side) / whole)
        pixels.append(crops[-1] * (size / side) ** 2)
        if time.monotonic() > deadline:
            break
    return crops, pixels


def _state_bytes(run: Any) -> int:
    """The size of a trial's checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        run.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).iterdir())
