"""What a layout finds before a pixel is decoded: images, and how to annotate each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from nucseg_models.data.decode import SUFFIXES

LAYOUTS = """What would work:
  ID/images/ID.png with ID/masks/*.png, one mask a nucleus: a folder, or a zip of it
  images/ with labels/ or masks/, label images of the same names but for .png or .tif
  stage1_test or stage1_test.zip with stage1_solution.csv beside it
  a folder that holds stage1_train or stage1_train.zip
  the words synthetic or bbbc038"""


@dataclass(frozen=True)
class Entry:
    """One annotated image: its unique id, the name of its file, and its labels by shape.

    `annotate` takes the image's (H, W) and returns labels int32 (H, W); it raises
    DataError, naming the file, where the annotation can't be used.
    """

    id: str
    image: str
    annotate: Callable[[tuple[int, int]], NDArray[np.int32]]


@dataclass(frozen=True)
class Listing:
    """What is to be read.

    problems: a sentence for each image that can't be used; files: all names the listing
    depends on; table: content beside the files that it depends on too.
    """

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]
    files: tuple[str, ...]
    table: bytes = b""


def by_folder(names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Image files by the folder above `images`, `masks` or `labels`, then by that word.

    `by_folder(["a/images/a.png"])` is `{"a": {"images": ["a/images/a.png"]}}`; the top is "".
    """
    folders: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        *above, last = name.split("/")
        if above and above[-1] in ("images", "masks", "labels") and is_image(last):
            folders["/".join(above[:-1])][above[-1]].append(name)
    return folders


def is_image(name: str) -> bool:
    """Whether the suffix is that of an image file we can decode."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def stem(name: str) -> str:
    """The file's name without folder and suffix."""
    return PurePosixPath(name).stem
