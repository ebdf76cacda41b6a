"""What is kept of each image as a winner is evaluated: its scores, and places to look at."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nucseg_models import gallery, instances, metrics
from nucseg_models.architecture import Architecture
from nucseg_models.data import Dataset
from nucseg_models.metrics import Scores

GALLERY_IMAGES = 9


class Viewer:
    """Looks on as `evaluate` goes over a dataset's images.

    `places` are rows of the gallery, by the columns of `GalleryRecord`.
    """

    def __init__(
        self,
        architecture: Architecture,
        hyperparameters: Mapping[str, Any],
        which: str,
        dataset: Dataset,
    ) -> None:
        self._architecture, self._hyperparameters = architecture, hyperparameters
        self._which, self._dataset = which, dataset
        self._crowded = set(gallery.crowded(dataset, GALLERY_IMAGES))
        self._unsplit: dict[str, Scores] = {}
        self.places: list[dict[str, Any]] = []

    def visit(self, index: int, output: Any, labels: NDArray[np.int32]) -> None:
        """See one image: its number, the network's output, and the labels made of that."""
        truth = self._dataset.labels[index]
        whole = instances.components(self._architecture.foreground(output, self._hyperparameters))
        self._unsplit[self._dataset.ids[index]] = metrics.score_image(truth, whole)
        if index in self._crowded:
            self.places.append(self._place(index, labels))

    def images(self, scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
        """A row an image, by the columns of `ImageRecord`."""
        return [
            {
                "images": self._which,
                "image": image,
                "kind": kind,
                **asdict(scores[image]),
                "map_unsplit": self._unsplit[image].map,
                "merges_unsplit": self._unsplit[image].merges,
            }
            for image, kind in zip(self._dataset.ids, self._dataset.kinds, strict=True)
        ]

    def _place(self, index: int, labels: NDArray[np.int32]) -> dict[str, Any]:
        truth = self._dataset.labels[index]
        place = gallery.place(truth)
        judged = gallery.judge(truth[place], labels[place])
        return {
            "image": self._dataset.ids[index],
            "kind": self._dataset.kinds[index],
            "picture": _png(self._dataset.images[index][place]),
            "outlines": _png(judged.outlines),
            **judged.counts,
        }


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
