"""A grid of small U-Nets trained to their end: the table that time_to_quality.py searches in.

    python benchmarks/record_grid.py --data ../shared/data/dsb2018 --out grid.json

Each of the 756 settings, which reach as far as the U-Net's own search space does, is trained for
nine epochs on 40 images and scored on 8, one thread each, two processes at once. The cost of an
epoch is the processor time that it took, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import nucseg_models
from nucseg_models.data import Dataset
from nucseg_models.data.loading import load
from nucseg_models.data.normalise import normalise

EPOCHS = 9
UNET = nucseg_models.get("unet")
FIXED = {**UNET.starts[0], "width": 8, "depth": 3, "image_size": 64, "batch_size": 8}
# Those that shape the training graph come first: the others share it.
GRID: dict[str, tuple[Any, ...]] = {
    "optimizer": ("adam", "sgd", "adadelta"),
    "normalisation": ("none", "batch"),
    "activation": ("relu", "elu", "sigmoid"),
    "loss": ("bce", "dice", "bce_dice"),
    "schedule": ("constant", "cosine"),
    "learning_rate": (1e-4, 4e-4, 1.5e-3, 6e-3, 2e-2, 8e-2, 0.3),
}


def images(data: str) -> tuple[Dataset, Dataset]:
    """40 to train on and 8 to score, evenly spread over what is there."""
    whole = load(data)
    few = whole.subset(np.linspace(0, len(whole) - 1, 48).astype(int))
    few = replace(few, images=[normalise(image) for image in few.images])
    return few.subset(np.delete(np.arange(48), np.s_[::6])), few.subset(np.arange(48)[::6])


def train(data: str, every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each settings' curve: IoU after each epoch, and seconds of the processor until then."""
    from nucseg_models import device
    from nucseg_models.training import DivergedError, TrainingRun
    from nucseg_models.workshop import Workshop

    device.prepare(1)
    workshop, (training, validation), rows = Workshop(), images(data), []
    for number, chosen in enumerate(every):
        begun, scores, seconds = time.process_time(), [], []
        run = TrainingRun(
            UNET,
            {**FIXED, **chosen},
            train=training,
            validation=validation,
            epochs=EPOCHS,
            seed=0,
            workshop=workshop,
        )
        try:
            while not run.done():
                scores.append(run.epoch().validation.iou)
                seconds.append(time.process_time() - begun)
        except DivergedError:
            scores, seconds = [*scores, 0.0], [*seconds, time.process_time() - begun]
        rows.append({"settings": chosen, "scores": scores, "seconds": seconds})
        print(f"{number + 1} of {len(every)}: {max(scores):.3f}", flush=True)
    return rows


def main() -> None:
    """Train all and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="1", OMP_NUM_THREADS="1")
    every = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    halves = [every[: len(every) // 2], every[len(every) // 2 :]]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        rows = itertools.chain(*pool.map(train, [arguments.data] * 2, halves))
    arguments.out.write_text(json.dumps({"epochs": EPOCHS, "rows": [*rows]}) + "\n")


if __name__ == "__main__":
    main()
