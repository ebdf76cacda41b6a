"""Mask R-CNN as one Keras model: what it puts out, and the joint loss that it learns by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from nucseg_models import boxes, losses
from nucseg_models.detection import heads, matching
from nucseg_models.detection.backbone import STRIDES, backbone

SAME_PROPOSAL, SAME_NUCLEUS = 0.7, 0.5  # overlaps above which the better one of two stays
NEVER = -1e9


@keras.saving.register_keras_serializable("nucseg_models")
class RegionNetwork(keras.Model):
    """Finds, boxes and masks every nucleus of an image (He et al. 2017, "Mask R-CNN", ICCV).

    Images float32 (B, S, S, 3) in 0..1, S a multiple of 32, to a dictionary of float32:
    "boxes" (B, R, 4), best first; "scores" (B, R) in 0..1, 0 where a better box covers the same
    nucleus; "masks" (B, R, 28, 28), logits over each box; "semantic" (B, S, S, 1), the side
    head's logits, where there is one. R is S * S / 256.

    In training it puts out what the loss needs instead, and the heads that work on regions run
    in `compute_loss`, on regions chosen with the truth at hand.
    """

    def __init__(self, hyperparameters: Mapping[str, Any], name: str = "mask_rcnn") -> None:
        super().__init__(name=name)
        self.hyperparameters = dict(hyperparameters)
        self.backbone = backbone(hyperparameters)
        self.proposal_head = heads.proposal_head(hyperparameters)
        self.box_head = heads.box_head(hyperparameters)
        self.mask_head = heads.mask_head(hyperparameters)
        self.semantic_head = (
            heads.semantic_head(hyperparameters) if hyperparameters["semantic_head"] else None
        )
        self.pixel_loss = losses.get(str(hyperparameters["loss"]))
        self.seeds = keras.random.SeedGenerator()
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {"hyperparameters": self.hyperparameters, "name": self.name}

    def call(self, images: Any, training: bool = False) -> dict[str, Any]:
        """See the class; ValueError unless the images' size is known as the graph is built."""
        if None in images.shape[1:3]:
            raise ValueError(
                "this network is built for images of one size, the first that it is given; "
                "`nucseg_models.get('mask_rcnn').outputs` takes images of any size"
            )
        maps = self.backbone(images, training=training)
        found = [self.proposal_head(x) for x in maps[1:]]
        raw = {"maps": maps, "proposals": ops.concatenate(found, axis=1)}
        if self.semantic_head is not None:
            raw["semantic"] = self.semantic_head(maps[0])
        return raw if training else self._detect(raw)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The sum of all heads' losses: y is what `MaskRCNN.targets` gives, y_pred what `call`
        gives in training.
        """
        maps, truth = y_pred["maps"], y["boxes"]
        anchors = self._anchors(maps)
        total = _proposal_loss(y_pred["proposals"], anchors, truth)
        candidates = ops.stop_gradient(self._regions(y_pred["proposals"], maps)[0])
        candidates = ops.concatenate([candidates, truth], axis=1)
        count = max(4, _pixels(maps) // matching.PIXELS_A_SAMPLE)
        sample = matching.sample_regions(candidates, truth, count, self.seeds)
        total += _box_loss(self._answers(maps, sample.regions), sample, truth)
        total += self._mask_loss(maps, sample, y["labels"], count)
        if "semantic" in y_pred:
            pixels = ops.cast(y["labels"] > 0, "float32")[..., None]
            total += losses.bce_dice(pixels, _enlarged(y_pred["semantic"]))
        return total

    def _detect(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Boxes, scores and masks from what the whole image's heads say."""
        maps = raw["maps"]
        regions, likely = self._regions(raw["proposals"], maps)
        answers = self._answers(maps, regions)
        # A region that the proposals doubt is doubtful still when its box has been moved.
        scores = ops.sqrt(ops.sigmoid(answers[..., 0] + heads.RARE) * likely)
        scores, order = ops.top_k(scores, regions.shape[1])
        found = _moved(boxes.gather(answers, order), boxes.gather(regions, order), maps)
        masks = self._masks(maps, found)
        detections = {
            "boxes": found,
            "scores": scores * boxes.suppress(found, SAME_NUCLEUS),
            "masks": ops.squeeze(masks, -1),
        }
        if "semantic" in raw:
            detections["semantic"] = _enlarged(raw["semantic"])
        return detections

    def _regions(self, proposals: Any, maps: list[Any]) -> tuple[Any, Any]:
        """The best proposals (B, R, 4) that do not overlap too much, and how likely they are,
        (B, R) in 0..1; the surplus are empty boxes.
        """
        pixels = _pixels(maps)
        logits, order = ops.top_k(
            proposals[..., 0] + heads.RARE, pixels // matching.PIXELS_A_PROPOSAL
        )
        anchors = ops.take(self._anchors(maps)[0], order, axis=0)
        found = _moved(boxes.gather(proposals, order), anchors, maps)
        stays = boxes.suppress(found, SAME_PROPOSAL)
        ranks = ops.where(stays > 0.5, logits, NEVER)
        best, order = ops.top_k(ranks, pixels // matching.PIXELS_A_REGION)
        real = ops.cast(best > NEVER / 2, "float32")
        return boxes.gather(found, order) * real[..., None], ops.sigmoid(best)

    def _anchors(self, maps: list[Any]) -> Any:
        """(1, A, 4)."""
        sizes = [tuple(x.shape[1:3]) for x in maps[1:]]
        scale = float(self.hyperparameters["anchor_scale"])
        return ops.convert_to_tensor(boxes.anchors(sizes, STRIDES[1:], scale)[None])

    def _answers(self, maps: list[Any], regions: Any) -> Any:
        """What the box head says of each region, (B, R, 5)."""
        features = boxes.cut_out(maps, STRIDES, regions, heads.BOX_BINS)
        answers = self.box_head(ops.reshape(features, (-1, *features.shape[2:])))
        return ops.reshape(answers, (-1, regions.shape[1], 5))

    def _masks(self, maps: list[Any], regions: Any) -> Any:
        """Logits of each region's mask, (B, R, 28, 28, 1)."""
        features = boxes.cut_out(maps, STRIDES, regions, heads.MASK_BINS)
        masks = self.mask_head(ops.reshape(features, (-1, *features.shape[2:])))
        return ops.reshape(masks, (-1, regions.shape[1], *masks.shape[1:]))

    def _mask_loss(self, maps: list[Any], sample: matching.Sample, labels: Any, count: int) -> Any:
        """Of the regions that hit a nucleus, by `pixel_loss`."""
        regions, hit = sample.regions[:, :count], sample.match.hit[:, :count]
        nucleus = sample.match.nucleus[:, :count]
        truth = matching.mask_targets(labels, regions, nucleus, heads.MASK_SIDE)
        logits = self._masks(maps, regions)
        # Where a region hits nothing, logits that agree with an empty truth: nothing to learn.
        counts = hit[..., None, None, None] > 0.5
        logits, truth = ops.where(counts, logits, -30.0), ops.where(counts, truth, 0.0)
        shape = (-1, heads.MASK_SIDE, heads.MASK_SIDE, 1)
        return self.pixel_loss(ops.reshape(truth, shape), ops.reshape(logits, shape))


def _proposal_loss(answers: Any, anchors: Any, truth: Any) -> Any:
    """Focal loss of objectness (Lin et al. 2017, "Focal Loss", ICCV: most anchors are easy), and
    smooth L1 of the hits' boxes; a hit each.
    """
    match = matching.match_anchors(anchors, truth)
    logits = answers[..., 0] + heads.RARE
    wrong = ops.abs(match.hit - ops.sigmoid(logits))
    entropy = ops.binary_crossentropy(match.hit, logits, from_logits=True)
    focal = ops.sum(wrong**2 * entropy * (match.hit + match.miss))
    moves = boxes.encode(boxes.gather(truth, match.nucleus), anchors)
    off = ops.sum(_smooth_l1(moves, answers) * match.hit)
    return (focal + off) / ops.maximum(ops.sum(match.hit), 1.0)


def _box_loss(answers: Any, sample: matching.Sample, truth: Any) -> Any:
    """Cross-entropy of the class, and smooth L1 of the hits' boxes."""
    match = sample.match
    entropy = ops.binary_crossentropy(match.hit, answers[..., 0] + heads.RARE, from_logits=True)
    counted = match.hit + match.miss
    wrong = ops.sum(entropy * counted) / ops.maximum(ops.sum(counted), 1.0)
    moves = boxes.encode(boxes.gather(truth, match.nucleus), sample.regions)
    off = ops.sum(_smooth_l1(moves, answers) * match.hit)
    return wrong + off / ops.maximum(ops.sum(match.hit), 1.0)


def _smooth_l1(moves: Any, answers: Any) -> Any:
    """Summed over the four numbers of a box: quadratic up to 1 (Girshick 2015, equation 3)."""
    return 4.0 * keras.losses.huber(moves, answers[..., 1:])


def _pixels(maps: list[Any]) -> int:
    """Of the image that the maps are of."""
    height, width = maps[0].shape[1:3]
    return int(height * width * STRIDES[0] ** 2)


def _moved(answers: Any, references: Any, maps: list[Any]) -> Any:
    """The boxes that answers (B, N, 5) lead to, within the image."""
    height, width = (side * STRIDES[0] for side in maps[0].shape[1:3])
    return boxes.clip(boxes.decode(answers[..., 1:], references), height, width)


def _enlarged(logits: Any) -> Any:
    """From the finest map's size to the image's."""
    height, width = (side * STRIDES[0] for side in logits.shape[1:3])
    return ops.image.resize(logits, (height, width), interpolation="bilinear")
