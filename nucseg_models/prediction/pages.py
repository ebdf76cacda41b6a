"""Image files as pages: what is stored, and what networks see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageSequence

from nucseg_models.data import decode
from nucseg_models.data.errors import DataError

CHANNELS, SAMPLES = "C", "S"  # tifffile's letters: stains of one place; red, green, blue, alpha


@dataclass(frozen=True)
class Page:
    """One image. intensity: float32 (H, W), the mean over the stored channels (not of alpha), in
    the file's own unit; image: uint8 (H, W, 3), see `decode.image`.
    """

    intensity: NDArray[np.float32]
    image: NDArray[np.uint8]


def find(paths: Iterable[Path]) -> list[Path]:
    """The image files among `paths` and in the folders among them, each once, folders sorted.

    DataError for a path that is not there, and where there is no image at all.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        wanted = (p for p in inside if p == path or p.suffix.lower() in decode.SUFFIXES)
        found |= dict.fromkeys(p for p in wanted if p.is_file())
    if not found:
        raise DataError(
            f"no images in {', '.join(map(str, paths))}: files must end in "
            f"{', '.join(decode.SUFFIXES)}"
        )
    return list(found)


def read(path: Path) -> list[Page]:
    """The pages of an image file, one or more; DataError, naming the file, if it is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    return [_page(pixels, str(path)) for pixels in _pages(data, str(path))]


def _page(pixels: NDArray[np.generic], name: str) -> Page:
    image = decode.as_image(pixels, name)
    values = decode.channels_last(pixels, name).astype(np.float32)
    opaque = values[..., :-1] if values.shape[2] in (2, 4) else values
    # As mean(axis=2), which takes twice the time over so short an axis.
    return Page(np.einsum("hwc->hw", opaque) / np.float32(opaque.shape[2]), image)


def _pages(data: bytes, name: str) -> Iterator[NDArray[np.generic]]:
    """Pixels of each page, (H, W) or (H, W, samples): all planes of a stack, all frames."""
    if not name.lower().endswith((".tif", ".tiff")):
        yield decode.raw(data, name)
        return
    with decode.decoding(name), decode.opened_by_tifffile(data, name) as file:
        try:
            for series in file.series:
                yield from _planes(series.asarray(), series.axes)
        except ValueError:  # a compression that tifffile lacks and Pillow knows, such as LZW
            decode.refuse_deep_colour(file, name)
            with decode.opened_by_pillow(data, name) as opened:
                yield from (np.asarray(frame) for frame in ImageSequence.Iterator(opened))


def _planes(pixels: NDArray[np.generic], axes: str) -> Iterator[NDArray[np.generic]]:
    """Each plane of a TIFF's array; samples last.

    Three channels are taken for colours; of another number, which have none, the mean is.
    """
    for axis in [letter for letter in axes if letter in (CHANNELS, SAMPLES)]:
        pixels = np.moveaxis(pixels, axes.index(axis), -1)
        axes = axes.replace(axis, "") + axis
    if axes.endswith(CHANNELS) and pixels.shape[-1] != 3:
        pixels, axes = pixels.mean(axis=-1, dtype=np.float32), axes.removesuffix(CHANNELS)
    yield from pixels.reshape(-1, *pixels.shape[axes.index("Y") :])
