"""What networks that label pixels share: targets, losses, and the way from pixels to nuclei.

The paper (section on post-processing, claim 3) notes that a semantic mask is the union of all
nuclei and has to be split; here a watershed does it, with settings that are searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nucseg_models import inference, instances
from nucseg_models.architecture import Architecture
from nucseg_models.deferred import keras
from nucseg_models.flops import flops
from nucseg_models.losses import Loss
from nucseg_models.search_space import Choice, Float, Hyperparameters, Int, SearchSpace

POSTPROCESSING: SearchSpace = {
    "threshold": Float(0.2, 0.8),
    "minimum_area": Int(0, 60),
    "splitting": Choice("components", "watershed"),
    "seed_smoothing": Float(0.0, 3.0),
    "seed_depth": Float(0.1, 4.0),
}
LOSS: SearchSpace = {"loss": Choice("bce", "dice", "focal", "bce_dice", "focal_dice")}
# As in the paper: pixels above one half, each connected component a nucleus.
PAPER_POSTPROCESSING: Hyperparameters = {
    "threshold": 0.5,
    "minimum_area": 0,
    "splitting": "components",
    "seed_smoothing": 1.0,
    "seed_depth": 1.0,
}
GOOD_POSTPROCESSING: Hyperparameters = {
    "threshold": 0.5,
    "minimum_area": 16,
    "splitting": "watershed",
    "seed_smoothing": 1.0,
    "seed_depth": 0.75,
}


class Pixelwise(Architecture):
    """One logit a pixel: nucleus or not. Outputs are logits; their sigmoid is the probability.

    The sigmoid that the paper puts at the output is taken inside the loss, where it cannot
    saturate in float32, and again here, before the threshold.
    """

    def targets(
        self, labels: NDArray[np.int32], hyperparameters: Hyperparameters
    ) -> NDArray[np.float32]:
        """Float32 (B, S, S, 1): 1 in nuclei, 0 elsewhere."""
        return (labels > 0).astype(np.float32)[..., None]

    def loss(self, model: Any, pixel_loss: Loss) -> Loss:
        """The pixels' alone."""
        return pixel_loss

    def outputs(
        self, model: Any, images: Sequence[NDArray[np.uint8]], hyperparameters: Hyperparameters
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Logits, float32 (H, W, C), in the order of sizes."""
        return inference.outputs(model, images, self.stride(hyperparameters))

    def flops(self, hyperparameters: Hyperparameters, image_size: int) -> int:
        """Of all layers."""
        with keras.device("cpu"):
            return flops(self.build(hyperparameters, image_size))

    def probability(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """That a pixel is nucleus, float32 (H, W) in 0..1."""
        probability: NDArray[np.float32] = expit(outputs[..., 0])
        return probability

    def foreground(
        self, outputs: NDArray[np.float32], hyperparameters: Hyperparameters
    ) -> NDArray[np.bool_]:
        """Pixels whose probability is above `threshold`, cleaned of specks and small holes."""
        return cleaned(self.probability(outputs), hyperparameters)

    def postprocess(
        self, outputs: NDArray[np.float32], hyperparameters: Hyperparameters
    ) -> NDArray[np.int32]:
        """Connected components of the foreground, or its watershed."""
        watershed = hyperparameters["splitting"] == "watershed"
        probability = self.probability(outputs)
        return instances.split_touching(
            probability,
            cleaned(probability, hyperparameters),
            seed_smoothing=float(hyperparameters["seed_smoothing"]),
            seed_depth=float(hyperparameters["seed_depth"]) if watershed else np.inf,
        )

    def certainty(
        self,
        outputs: NDArray[np.float32],
        labels: NDArray[np.int32],
        hyperparameters: Hyperparameters,
    ) -> NDArray[np.float32]:
        """Mean probability of each nucleus's pixels."""
        return instances.means(self.probability(outputs), labels)

    def postprocessing(self) -> tuple[str, ...]:
        """The threshold and the watershed's settings."""
        return tuple(POSTPROCESSING)


def cleaned(
    probability: NDArray[np.float32], hyperparameters: Hyperparameters
) -> NDArray[np.bool_]:
    """Pixels (H, W) above `threshold`, without specks and small holes, bool (H, W)."""
    mask = probability > float(hyperparameters["threshold"])
    return instances.clean(mask, minimum_area=int(hyperparameters["minimum_area"]))
