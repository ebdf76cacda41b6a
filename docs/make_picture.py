"""Draws docs/winners.png: made-up images, and what each winner of a sweep makes of them.

python docs/make_picture.py results/NAME
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import mark_boundaries

import nucseg_models
from nucseg_models import data, inference
from nucseg_models.data.synthetic import synthetic

SIDE, SHOWN, SCALE = 96, 4, 2


def main(results: str) -> None:
    """One row an image: as it is, with true outlines, with each winner's outlines."""
    images = synthetic(SHOWN, seed=2018)
    rows = [[crop(images.images[i]), outlined(images, i, images.labels[i])] for i in range(SHOWN)]
    for folder in sorted((Path(results) / "best").iterdir()):
        for row, index, labels in zip(rows, range(SHOWN), predicted(folder, images), strict=True):
            row.append(outlined(images, index, labels))
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    size = (picture.shape[1] * SCALE, picture.shape[0] * SCALE)
    target = Path(__file__).with_name("winners.png")
    Image.fromarray(picture).resize(size, Image.Resampling.NEAREST).save(target, optimize=True)


def predicted(folder: Path, images: data.Dataset) -> list[NDArray[np.int32]]:
    """A winner's labels for the images."""
    import keras  # noqa: PLC0415

    config = json.loads((folder / "config.json").read_text())
    architecture = nucseg_models.get(config["architecture"])
    model = keras.saving.load_model(folder / "model.keras")
    normalised = [data.normalise(image) for image in images.images]
    outputs = inference.outputs(model, normalised, architecture.stride(config["hyperparameters"]))
    labels = {i: architecture.postprocess(o, config["hyperparameters"]) for i, o in outputs}
    return [labels[index] for index in range(len(images))]


def outlined(images: data.Dataset, index: int, labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """An image with the outlines of labels in yellow."""
    drawn = mark_boundaries(images.images[index], labels, color=(1, 0.85, 0), mode="inner")
    return crop((255 * drawn).astype(np.uint8))


def crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The corner that all images have, with a white edge."""
    return np.pad(image[:SIDE, :SIDE], ((2, 2), (2, 2), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main(sys.argv[1])
