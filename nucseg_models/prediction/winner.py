"""A model that a sweep saved, ready to segment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

import nucseg_models
from nucseg_models import search_space
from nucseg_models.data import DataError, normalise
from nucseg_models.search_space import LEARNING


@dataclass(frozen=True)
class Segmentation:
    """The nuclei of one image: labels int32 (H, W), 0 background, 1..n; certainty float32 (n,)."""

    labels: NDArray[np.int32]
    certainty: NDArray[np.float32]


class Winner:
    """The network in a folder such as ``results/NAME/best/unet``, with its hyperparameters.

    It is opened in safe mode: no code in the file is run. Raises DataError if it can't be used.
    """

    def __init__(self, folder: Path) -> None:
        description = _description(folder)
        try:
            self.architecture = nucseg_models.get(description["architecture"])
            self.hyperparameters = description["hyperparameters"]
            # What only training reads may be newer than the model.
            learning = {name: self.architecture.paper[name] for name in LEARNING}
            search_space.check({**learning, **self.hyperparameters}, self.architecture.search_space)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{folder}/config.json does not describe a model of this version: {error}"
            ) from error
        try:
            self.model: Any = self.architecture.load(folder / "model.keras")
        except (OSError, ValueError, TypeError, KeyError, BadZipFile) as error:
            raise DataError(f"{folder}/model.keras can't be loaded: {error}") from error

    def outputs(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[int, Any]]:
        """Yield (index, what the network puts out) of each image uint8 (H, W, 3) of any size.

        Not in order.
        """
        normalised = [normalise(image) for image in images]
        yield from self.architecture.outputs(self.model, normalised, self.hyperparameters)

    def nuclei(self, output: Any) -> Segmentation:
        """The nuclei in what the network put out for an image."""
        labels = self.architecture.postprocess(output, self.hyperparameters)
        certainty = self.architecture.certainty(output, labels, self.hyperparameters)
        return Segmentation(labels, certainty)


def _description(folder: Path) -> dict[str, Any]:
    """The content of config.json."""
    try:
        description = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise DataError(
            f"there is no model in {folder}: give a winner's folder, such as "
            "results/NAME/best/unet, which holds config.json and model.keras"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}/config.json can't be read: {error}") from error
    if not isinstance(description, dict):
        raise DataError(f"{folder}/config.json holds no description of a model")
    return description
