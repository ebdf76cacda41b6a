"""Architecture: the one interface that a network offers to training, search and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nucseg_models.search_space import Hyperparameters, SearchSpace


class Architecture(ABC):
    """A family of networks; hyperparameters choose the member.

    name: what the command line calls it; the file's name too.
    search_space: every hyperparameter and its range.
    paper: the hyperparameters of the paper's row of Table 2; always trial 0 of a search.
    paper_epochs: passes over the training images in the paper's row.
    starts: further configurations to try before the sampler chooses, the best known first.
    """

    name: ClassVar[str]
    search_space: ClassVar[SearchSpace]
    paper: ClassVar[Hyperparameters]
    paper_epochs: ClassVar[int]
    starts: ClassVar[tuple[Hyperparameters, ...]] = ()

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
    def targets(
        self, labels: NDArray[np.int32], hyperparameters: Hyperparameters
    ) -> NDArray[np.float32]:
        """What the model should put out for label images int32 (B, S, S)."""

    @abstractmethod
    def loss(self, hyperparameters: Hyperparameters) -> Callable[[Any, Any], Any]:
        """A function from (targets, outputs) of a batch to a scalar, in `keras.ops`."""

    @abstractmethod
    def foreground(
        self, outputs: NDArray[np.float32], hyperparameters: Hyperparameters
    ) -> NDArray[np.bool_]:
        """Which pixels are nucleus, (H, W), from one image's outputs (H, W, C)."""

    @abstractmethod
    def postprocess(
        self, outputs: NDArray[np.float32], hyperparameters: Hyperparameters
    ) -> NDArray[np.int32]:
        """Nuclei as labels 1..n, int32 (H, W); more than 0 exactly where `foreground` is."""

    def accepts_pretrained(self) -> bool:
        """Whether `build` can start from pre-trained weights."""
        return False

    def compiled_hyperparameters(self, hyperparameters: Hyperparameters) -> Mapping[str, Any]:
        """Those that shape the compiled training step: trials that share them can share it.

        The rest is set afresh in every trial without compiling anything.
        """
        free = {"learning_rate", "schedule", "augmentation", *self.postprocessing()}
        return {name: value for name, value in hyperparameters.items() if name not in free}

    def postprocessing(self) -> tuple[str, ...]:
        """Names of the hyperparameters that only `foreground` and `postprocess` read."""
        return ()
