"""What Mask R-CNN's boxes find alone, and what its side head adds.

    python benchmarks/side_head.py results/NAME --data ../shared/data/dsb2018 [--seed 0]

Scores the winner best/mask_rcnn on the validation images of the split that `--seed` gives, four
ways: detections alone; detections grown and added to by the side head; the side head alone, split
into nuclei by the U-Net start's watershed, or not split. So no one credits boxes for what pixels
did. Give the data and seed of the sweep, or training images would be among them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import nucseg_models
from nucseg_models import data, metrics
from nucseg_models.detection.detections import Detections


def main() -> None:
    """Predict each image once, and score it in four ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = arguments.results / "best" / "mask_rcnn"
    chosen = json.loads((folder / "config.json").read_text())["hyperparameters"]
    architecture = nucseg_models.get("mask_rcnn")
    _, validation = data.split(data.load(arguments.data), seed=arguments.seed)
    images = [data.normalise(image) for image in validation.images]
    scores: dict[str, list[metrics.Scores]] = {}
    for index, found in architecture.outputs(
        architecture.load(folder / "model.keras"), images, chosen
    ):
        for way, labels in _ways(architecture, found, chosen).items():
            scores.setdefault(way, []).append(metrics.score_image(validation.labels[index], labels))
    for way, each in scores.items():
        mean = metrics.mean_scores(each)
        print(
            f"{way:<34} IoU {mean.iou:.3f}  score {mean.map:.3f}  F1 {mean.f1_50:.3f}  "
            f"splits {mean.splits}  merges {mean.merges}"
        )


def _ways(
    architecture: nucseg_models.Architecture, found: Detections, chosen: dict[str, Any]
) -> dict[str, Any]:
    """Labels int32 (H, W) of one image, by what they are made from."""
    ways = {"detections alone": architecture.postprocess(found, {**chosen, "fill": False})}
    if found.semantic is not None:
        both = {**chosen, "fill": True}
        ways["detections and side head"] = architecture.postprocess(found, both)
        unet = nucseg_models.get("unet")
        ways["side head alone, by watershed"] = unet.postprocess(
            found.semantic[..., None], unet.starts[0]
        )
        nothing = replace(found, scores=np.zeros_like(found.scores))
        ways["side head alone, by components"] = architecture.postprocess(nothing, both)
    return ways


if __name__ == "__main__":
    main()
