"""Architecture: the one interface that a network offers to training, search and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nucseg_models.deferred import keras
from nucseg_models.losses import Loss
from nucseg_models.search_space import Hyperparameters, SearchSpace

# Hyperparameters that are variables of the training graph, or never reach it.
FREE = ("learning_rate", "schedule", "weight_decay", "loss", "augmentation", "emphasis")


class Architecture(ABC):
    """A family of networks; hyperparameters choose the member.

    name: what the command line calls it; the file's name too.
    search_space: every hyperparameter and its range.
    paper: the hyperparameters of the paper's row of Table 2; always trial 0 of a search.
    paper_epochs: passes over the training images in the paper's row.
    starts: further configurations to try before the sampler chooses, the best known first.
    gpu_share: how much of a GPU one training holds, 0 to 1, if a user does not say: below 1 where a
        T4's 16 GB are enough for several.
    """

    name: ClassVar[str]
    search_space: ClassVar[SearchSpace]
    paper: ClassVar[Hyperparameters]
    paper_epochs: ClassVar[int]
    starts: ClassVar[tuple[Hyperparameters, ...]] = ()
    gpu_share: ClassVar[float] = 1.0

    @abstractmethod
    def build(
        self,
        hyperparameters: Hyperparameters,
        image_size: int | None,
        pretrained: str | None = None,
    ) -> Any:
        """A `keras.Model` from float32 (B, S, S, 3) in 0..1 to this architecture's outputs.

        image_size: S in pixels, a multiple of `stride`; None leaves height and width open.
        pretrained: "imagenet" or a weights file, where the architecture takes one.
        """

    @abstractmethod
    def stride(self, hyperparameters: Hyperparameters) -> int:
        """Pixels that the sides of an input must be a multiple of."""

    @abstractmethod
    def targets(self, labels: NDArray[np.int32], hyperparameters: Hyperparameters) -> Any:
        """What the model is to learn from label images int32 (B, S, S): an array, or a dictionary
        of arrays, with B rows each.
        """

    @abstractmethod
    def loss(self, model: Any, pixel_loss: Loss) -> Loss | None:
        """A function from (targets, outputs) of a batch to a scalar, in `keras.ops`; None where
        the model has its own `compute_loss`.

        pixel_loss: the one of `nucseg_models.losses` that hyperparameter `loss` names.
        """

    @abstractmethod
    def outputs(
        self, model: Any, images: Sequence[NDArray[np.uint8]], hyperparameters: Hyperparameters
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index, output) for each normalised image uint8 (H, W, 3) of any size, whole.

        What an output is, only `foreground` and `postprocess` need to know.
        """

    @abstractmethod
    def foreground(self, outputs: Any, hyperparameters: Hyperparameters) -> NDArray[np.bool_]:
        """Which pixels are nucleus, (H, W), from one image's outputs."""

    @abstractmethod
    def postprocess(self, outputs: Any, hyperparameters: Hyperparameters) -> NDArray[np.int32]:
        """Nuclei as labels 1..n, int32 (H, W); more than 0 exactly where `foreground` is."""

    @abstractmethod
    def certainty(
        self, outputs: Any, labels: NDArray[np.int32], hyperparameters: Hyperparameters
    ) -> NDArray[np.float32]:
        """How sure the network is of each nucleus that `postprocess` made, float32 (n,), 0..1."""

    @abstractmethod
    def flops(self, hyperparameters: Hyperparameters, image_size: int) -> int:
        """Floating-point operations of the model for one image; see `nucseg_models.flops`."""

    def load(self, path: Path) -> Any:
        """The model that was saved there, opened in safe mode: no code of the file's is run."""
        return keras.saving.load_model(path, safe_mode=True)

    def accepts_pretrained(self) -> bool:
        """Whether `build` can start from pre-trained weights."""
        return False

    def fixed_by(self, pretrained: str) -> Hyperparameters:
        """The hyperparameters that "imagenet" or a weights file leaves no choice of.

        Raises ValueError for a file that can't hold this architecture's weights.
        """
        return {}

    def compiled_hyperparameters(self, hyperparameters: Hyperparameters) -> Mapping[str, Any]:
        """Those that shape the compiled training step: trials that share them can share it.

        The rest is set afresh in every trial without compiling anything.
        """
        free = {*FREE, *self.postprocessing()}
        return {name: value for name, value in hyperparameters.items() if name not in free}

    def postprocessing(self) -> tuple[str, ...]:
        """Names of the hyperparameters that only `foreground` and `postprocess` read."""
        return ()
