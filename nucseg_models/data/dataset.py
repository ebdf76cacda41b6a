"""The one shape that annotated images have in this project, whatever file they came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KINDS = ("fluorescence", "tissue", "brightfield")


@dataclass(frozen=True)
class Dataset:
    """Annotated images, each at its own size.

    name: what the user called it (the value of ``--data``, or a part of it).
    images: uint8 (H, W, 3) an image; labels: int32 (H, W), 0 background, 1..n nuclei.
    ids: one unique name an image; kinds: one of KINDS an image.
    sha256: hexadecimal digest of the content that was read.
    skipped: a sentence for each image left out as bad (``--skip-bad-images``).
    Arrays may be read-only views of one memory-mapped file: copy before changing them.
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    labels: Sequence[NDArray[np.int32]]
    ids: tuple[str, ...]
    kinds: tuple[str, ...]
    sha256: str
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, indices: Iterable[int]) -> Dataset:
        """The images at `indices`, in that order; pixels are shared, not copied."""
        chosen = list(indices)
        return Dataset(
            name=self.name,
            images=[self.images[i] for i in chosen],
            labels=[self.labels[i] for i in chosen],
            ids=tuple(self.ids[i] for i in chosen),
            kinds=tuple(self.kinds[i] for i in chosen),
            sha256=self.sha256,
            skipped=self.skipped,
        )
