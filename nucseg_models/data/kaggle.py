"""The layout of the Data Science Bowl: `ID/images/ID.png` and `ID/masks/*.png`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nucseg_models.data import decode
from nucseg_models.data.files import Files
from nucseg_models.data.listing import Entry, Listing
from nucseg_models.data.masks import paint

Folders = Mapping[str, Mapping[str, list[str]]]


def listing(files: Files, folders: Folders) -> Listing:
    """An entry for each folder of `by_folder` with one image and at least one mask file.

    Empty (black) masks are dropped: an image whose masks are all empty has no nucleus.
    """
    ids = unique_ids(folders)
    entries, problems = [], []
    for folder, found in sorted(folders.items()):
        images, masks = found.get("images", []), sorted(found.get("masks", []))
        problem = image_problem(folder, images)
        if problem is None and not masks:
            problem = f"{images[0]}: has no mask ({folder}/masks/*.png)"
        if problem is None:
            entries.append(Entry(ids[folder], images[0], partial(_labels, files, masks)))
        else:
            problems.append(problem)
    used = [name for found in folders.values() for names in found.values() for name in names]
    return Listing(tuple(entries), tuple(problems), tuple(used))


def unique_ids(folders: Folders) -> dict[str, str]:
    """The last part of each folder's path, or the whole path where that isn't unique."""
    short = {folder: folder.split("/")[-1] for folder in folders}
    clash = len(set(short.values())) < len(short)
    return {folder: folder for folder in folders} if clash else short


def image_problem(folder: str, images: list[str]) -> str | None:
    """What is wrong with the images of one folder, which should be exactly one."""
    if not images:
        return f"{folder}/masks: has no image ({folder}/images/*.png)"
    if len(images) > 1:
        return f"{folder}/images: holds {len(images)} images, needs one"
    return None


def _labels(files: Files, masks: list[str], shape: tuple[int, int]) -> NDArray[np.int32]:
    return paint([decode.mask(files.read(name), name, shape) for name in masks], shape)
