"""The layout of StarDist and Cellpose users: `images/` and, of the same names, `labels/`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nucseg_models.data import decode
from nucseg_models.data.errors import DataError
from nucseg_models.data.files import Files
from nucseg_models.data.listing import Entry, Listing, stem
from nucseg_models.data.masks import from_label_image


def listing(files: Files, found: Mapping[str, list[str]]) -> Listing:
    """An entry for each image with a label image of the same stem.

    `found` is one folder of `by_folder`. `labels` are taken where there are any, else
    `masks`. A label image that is background alone says that there is no nucleus.
    """
    word = "labels" if found.get("labels") else "masks"
    images, labels = _by_stem(found.get("images", [])), _by_stem(found.get(word, []))
    entries, problems = [], []
    for name in sorted(images.keys() | labels.keys()):
        image, label = images.get(name, []), labels.get(name, [])
        if len(image) == len(label) == 1:
            entries.append(Entry(name, image[0], partial(_labels, files, label[0])))
        elif not label:
            problems.append(f"{image[0]}: has no mask ({word}/{name}.png or .tif)")
        elif not image:
            problems.append(f"{label[0]}: has no image (images/{name}.png or .tif)")
        else:
            problems.append(f"{', '.join(image + label)}: needs one image and one label image")
    used = [*found.get("images", []), *found.get(word, [])]
    return Listing(tuple(entries), tuple(problems), tuple(used))


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    stems = defaultdict(list)
    for name in names:
        stems[stem(name)].append(name)
    return dict(stems)


def _labels(files: Files, name: str, shape: tuple[int, int]) -> NDArray[np.int32]:
    if name.lower().endswith((".jpg", ".jpeg")):
        raise DataError(f"{name}: JPEG changes labels; needs a PNG or TIFF label image")
    return from_label_image(decode.label_image(files.read(name), name, shape))
