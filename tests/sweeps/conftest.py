"""Images on disk, for all tests of sweeps/."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucseg_models.data.synthetic import synthetic


@pytest.fixture(scope="session")
def write_images() -> Callable[..., str]:
    """Writes tiny synthetic images as folders of images and label images; returns the folder."""

    def write(folder: Path, count: int = 6, seed: int = 0) -> str:
        made = synthetic(count, seed=seed, sides=(48, 64))
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True)
        for name, image, labels in zip(made.ids, made.images, made.labels, strict=True):
            Image.fromarray(image).save(folder / "images" / f"{name}.png")
            Image.fromarray(labels.astype(np.uint16)).save(folder / "labels" / f"{name}.png")
        return str(folder)

    return write
