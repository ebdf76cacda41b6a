"""Mask R-CNN (He et al., ICCV 2017): box, class and mask of each nucleus, learnt in parallel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nucseg_models import instances
from nucseg_models.architecture import Architecture
from nucseg_models.deferred import keras
from nucseg_models.detection import heads, matching, tiles
from nucseg_models.detection.backbone import STRIDES, backbone
from nucseg_models.detection.detections import Detections, filled, paste
from nucseg_models.detection.matching import PIXELS_A_REGION
from nucseg_models.flops import flops
from nucseg_models.losses import Loss
from nucseg_models.pixelwise import LOSS
from nucseg_models.search_space import LEARNING, Choice, Float, Hyperparameters, Int, SearchSpace

if TYPE_CHECKING:
    from nucseg_models.detection.network import RegionNetwork

POSTPROCESSING: SearchSpace = {
    "score_threshold": Float(0.1, 0.9),
    "mask_threshold": Float(0.3, 0.7),
    "overlap": Float(0.1, 0.7),
    "minimum_area": Int(0, 60),
    "fill": Choice(False, True),
}


class MaskRCNN(Architecture):
    """(B, S, S, 3) to boxes, scores, masks of 28x28; see `nucseg_models.detection.network`.

    The paper's row (Table 2): 6 convolutions, 6 batch normalisations and 6 ReLUs in the
    backbone; box, class and mask heads in parallel; SGD at 0.01, batches of 16.

    `semantic_head` adds a side head that labels pixels, as in Hollandi et al. 2020
    ("nucleAIzer"), and `fill` lets it grow detections and add what they missed: what boxes find
    alone is told by `fill` being off. `loss` is the mask head's.
    """

    name = "mask_rcnn"
    search_space = {
        "width": Choice(8, 16, 24, 32, 48),
        "blocks": Int(0, 2),
        "residual": Choice(False, True),
        "normalisation": Choice("batch", "group"),
        "activation": Choice("elu", "relu", "silu", "gelu"),
        "pyramid": Choice(False, True),
        "pyramid_width": Choice(16, 32, 48, 64, 96),
        "head_width": Choice(32, 64, 128, 256),
        "mask_convolutions": Int(1, 4),
        "anchor_scale": Float(2.0, 4.0),
        "semantic_head": Choice(False, True),
        **LOSS,
        **LEARNING,
        **POSTPROCESSING,
    }
    paper = {
        "width": 16,
        "blocks": 0,
        "residual": False,
        "normalisation": "batch",
        "activation": "relu",
        "pyramid": False,
        "pyramid_width": 32,
        "head_width": 128,
        "mask_convolutions": 2,
        "anchor_scale": 3.0,
        "semantic_head": False,
        "loss": "bce",
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 16,
        "augmentation": "none",
        "emphasis": "none",
        "image_size": 128,
        "score_threshold": 0.5,
        "mask_threshold": 0.5,
        "overlap": 0.5,
        "minimum_area": 0,
        "fill": False,
    }
    paper_epochs = 30
    starts = (
        {
            **paper,
            "width": 24,
            "blocks": 1,
            "residual": True,
            "pyramid": True,
            "pyramid_width": 48,
            "anchor_scale": 2.5,
            "semantic_head": True,
            "optimizer": "adamw",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "weight_decay": 1e-4,
            "batch_size": 8,
            "augmentation": "full",
            "image_size": 192,
            "score_threshold": 0.4,
            "minimum_area": 16,
            "fill": True,
        },
    )

    def stride(self, hyperparameters: Hyperparameters) -> int:
        """Of the coarsest map."""
        return STRIDES[-1]

    def build(
        self,
        hyperparameters: Hyperparameters,
        image_size: int | None,
        pretrained: str | None = None,
    ) -> RegionNetwork:
        """The model, for crops and tiles of any size; see `RegionNetwork`."""
        return self._network()(hyperparameters)

    def _network(self) -> type[RegionNetwork]:
        """The model's class; imported here, as it needs Keras and the command line does not."""
        from nucseg_models.detection.network import RegionNetwork  # noqa: PLC0415

        return RegionNetwork

    def targets(
        self, labels: NDArray[np.int32], hyperparameters: Hyperparameters
    ) -> Mapping[str, NDArray[Any]]:
        """Under "labels" int32 (B, S, S), renumbered 1..n; under "boxes" float32 (B, N, 4)."""
        renumbered, boxes = matching.listed_boxes(labels)
        return {"labels": renumbered, "boxes": boxes}

    def loss(self, model: RegionNetwork, pixel_loss: Loss) -> None:
        """None: the joint loss is the model's own; its mask head learns by `pixel_loss`."""
        model.pixel_loss = pixel_loss

    def load(self, path: Path) -> RegionNetwork:
        """A saved model, opened in safe mode once Keras knows its class."""
        self._network()
        model: RegionNetwork = super().load(path)
        return model

    def flops(self, hyperparameters: Hyperparameters, image_size: int) -> int:
        """Of the backbone and every head, for all the regions that an image has."""
        with keras.device("cpu"):
            sides = [image_size // stride for stride in STRIDES]
            pixels = image_size**2
            whole = [backbone(hyperparameters, image_size)]
            whole += [heads.proposal_head(hyperparameters, side) for side in sides[1:]]
            if hyperparameters["semantic_head"]:
                whole.append(heads.semantic_head(hyperparameters, sides[0]))
            region = [heads.box_head(hyperparameters), heads.mask_head(hyperparameters)]
        regions = pixels // PIXELS_A_REGION
        return sum(map(flops, whole)) + regions * sum(map(flops, region))

    def outputs(
        self, model: Any, images: Sequence[NDArray[np.uint8]], hyperparameters: Hyperparameters
    ) -> Iterator[tuple[int, Detections]]:
        """Yield (index, detections), by tiles of twice the training crop, 256 pixels at most."""
        return tiles.outputs(model, images, min(256, 2 * int(hyperparameters["image_size"])))

    def foreground(
        self, outputs: Detections, hyperparameters: Hyperparameters
    ) -> NDArray[np.bool_]:
        """The union of all nuclei."""
        return self.postprocess(outputs, hyperparameters) > 0

    def postprocess(
        self, outputs: Detections, hyperparameters: Hyperparameters
    ) -> NDArray[np.int32]:
        """Masks pasted by score, then, with `fill`, grown and added to by the side head."""
        labels, _ = _pasted(outputs, hyperparameters)
        if hyperparameters["fill"] and outputs.semantic is not None:
            minimum_area = int(hyperparameters["minimum_area"])
            return filled(labels, outputs.semantic, minimum_area=minimum_area)
        return labels

    def certainty(
        self, outputs: Detections, labels: NDArray[np.int32], hyperparameters: Hyperparameters
    ) -> NDArray[np.float32]:
        """The score of what was detected; the side head's mean probability of what it added."""
        _, scores = _pasted(outputs, hyperparameters)
        if outputs.semantic is None:
            return scores
        seen = instances.means(expit(outputs.semantic), labels)
        return np.concatenate([scores, seen[len(scores) :]])

    def postprocessing(self) -> tuple[str, ...]:
        """What `postprocess` reads."""
        return tuple(POSTPROCESSING)


def _pasted(
    outputs: Detections, hyperparameters: Hyperparameters
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Labels and scores of the detections, without the side head."""
    return paste(
        outputs,
        score_threshold=float(hyperparameters["score_threshold"]),
        mask_threshold=float(hyperparameters["mask_threshold"]),
        overlap=float(hyperparameters["overlap"]),
        minimum_area=int(hyperparameters["minimum_area"]),
    )


ARCHITECTURE = MaskRCNN()
