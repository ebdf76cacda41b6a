"""Finds out by looking which layout some files are in."""

from __future__ import annotations

from nucseg_models.data import kaggle, label_images, run_length
from nucseg_models.data.errors import DataError
from nucseg_models.data.files import Files
from nucseg_models.data.listing import Listing, by_folder, is_image, stem


def find(files: Files, solution: bytes | None) -> Listing:
    """What is to be read from `files`; `solution` is the run-length table beside them, if any.

    DataError if they are in no layout that we know; what is wrong with single images is
    in the listing's `problems`.
    """
    folders = by_folder(files.names)
    with_images = [folder for folder, found in folders.items() if "images" in found]
    if not with_images:
        images = sum(is_image(name) for name in files.names)
        raise DataError(f"has no images/ folder with images ({images} image files in all)")
    named = [folder for folder in with_images if not _is_one_image(folder, folders[folder])]
    if len(with_images) == 1 and named:
        if len(folders[named[0]]) == 1:
            raise DataError("has images/, but neither labels/ nor masks/ beside it")
        return label_images.listing(files, folders[named[0]])
    if 2 * len(named) > len(with_images):
        raise DataError(f"holds several data sets ({', '.join(sorted(named))}): give one of them")
    if all("masks" not in found for found in folders.values()):
        if solution is None:
            raise DataError(f"has images without masks, and no {run_length.SOLUTION} beside it")
        return run_length.listing(folders, solution)
    return kaggle.listing(files, folders)


def _is_one_image(folder: str, found: dict[str, list[str]]) -> bool:
    """Whether this is an `ID` of the Kaggle layout, rather than a folder of many images."""
    if not folder or len(found["images"]) != 1:
        return False
    image = stem(found["images"][0])
    if image == folder.rsplit("/", maxsplit=1)[-1]:
        return True
    return image not in {stem(name) for word in ("masks", "labels") for name in found.get(word, [])}
