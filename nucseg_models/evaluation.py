"""Score a model on a Dataset, each image whole and at its own resolution."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucseg_models import metrics
from nucseg_models.architecture import Architecture
from nucseg_models.data import Dataset
from nucseg_models.search_space import Hyperparameters

Visit = Callable[[int, Any, NDArray[np.int32]], None]


@dataclass(frozen=True)
class Evaluation:
    """Means over the images, the same for each image by its id, and seconds an image to predict
    (network and post-processing, without scoring).
    """

    scores: metrics.Scores
    by_image: dict[str, metrics.Scores]
    predict_seconds: float


def evaluate_pixels(
    model: Any, architecture: Architecture, hyperparameters: Hyperparameters, dataset: Dataset
) -> metrics.PixelScores:
    """Mean foreground IoU, Dice and accuracy: what each epoch is judged by."""
    return metrics.mean_pixel_scores(
        [
            metrics.score_pixels(
                dataset.labels[index], architecture.foreground(output, hyperparameters)
            )
            for index, output in architecture.outputs(model, dataset.images, hyperparameters)
        ]
    )


def evaluate(
    model: Any,
    architecture: Architecture,
    hyperparameters: Hyperparameters,
    dataset: Dataset,
    visit: Visit = lambda index, output, labels: None,
) -> Evaluation:
    """Every metric, of nuclei as well as pixels.

    visit: is shown each image's index, output and labels on the way; its time is not counted.
    """
    by_image, elsewhere, started = {}, 0.0, time.perf_counter()
    for index, output in architecture.outputs(model, dataset.images, hyperparameters):
        labels = architecture.postprocess(output, hyperparameters)
        before = time.perf_counter()
        by_image[dataset.ids[index]] = metrics.score_image(dataset.labels[index], labels)
        visit(index, output, labels)
        elsewhere += time.perf_counter() - before
    seconds = (time.perf_counter() - started - elsewhere) / len(dataset)
    return Evaluation(metrics.mean_scores(list(by_image.values())), by_image, seconds)
