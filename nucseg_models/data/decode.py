"""From the bytes of one image file to arrays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nucseg_models.data.errors import DataError
from nucseg_models.data.masks import Mask, cropped

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
READABLE = "8- or 16-bit PNG or TIFF"
# Pillow takes what a file holds for its format, not its name, and would hand some of the others
# (PostScript) to programs of their own.
FORMATS = ("PNG", "TIFF", "BMP", "JPEG")
# A page of 16,384 x 16,384 takes 7 GB while it is scaled from 16 bits in colour; a few hundred
# bytes can claim more. A file may be a stack of many pages.
MOST_PIXELS, MOST_SAMPLES = 1 << 28, 1 << 30
# TIFFs may leave strips out; a large one with next to nothing in it is damaged, or a bomb.
MOST_RATIO, LARGE_BYTES = 3000, 1 << 26
PLAIN_MODES = ("L", "LA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Bit depth and colour type in a PNG's header: of these Pillow would keep the high byte alone,
# which leaves a 12-bit camera 16 levels of grey.
DEEP_COLOUR = (b"\x10\x02", b"\x10\x04", b"\x10\x06")
SCALED_PERCENTILES = (0.1, 99.9)

Image.MAX_IMAGE_PIXELS = None  # `require_size` refuses, and names the file and what would work


def image(data: bytes, name: str) -> NDArray[np.uint8]:
    """A microscope image as uint8 (H, W, 3); grey is repeated, alpha dropped.

    8-bit values are kept. All else (16-bit, float) is scaled an image at a time: the
    0.1st percentile over all channels goes to 0, the 99.9th to 255, so that neither the
    camera's bit depth nor a few hot pixels decide. `name` is for the message of DataError.
    """
    return as_image(raw(data, name), name)


def raw(data: bytes, name: str) -> NDArray[np.generic]:
    """The pixels of an image file as they are stored; see `as_image`."""
    return _decode(data, name, index_colours=False)


def as_image(pixels: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """What `image` makes of pixels (H, W), (H, W, channels) or (channels, H, W)."""
    pixels = channels_last(pixels, name)
    if pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    if pixels.dtype != np.uint8:
        pixels = _to_8_bits(pixels, name)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def mask(data: bytes, name: str, shape: tuple[int, int]) -> Mask:
    """One nucleus: the pixels that aren't black in a file that must be of `shape` (H, W)."""
    with decoding(name), opened_by_pillow(data, name) as opened:
        if opened.mode == "L":  # as nearly all are: decode once, copy the nucleus alone
            _require_shape((opened.height, opened.width), shape, name)
            box = opened.getbbox() or (0, 0, 0, 0)
            return Mask(box[1], box[0], np.asarray(opened.crop(box)) != 0)
    pixels = channels_last(_decode(data, name, index_colours=False), name)
    _require_shape(pixels.shape[:2], shape, name)
    colours = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    return cropped((colours != 0).any(axis=2))


def label_image(data: bytes, name: str, shape: tuple[int, int]) -> NDArray[np.integer]:
    """A label image (H, W) of `shape`, values >= 0, 0 the background.

    A grey value, a palette's index or a colour is a label (alpha is dropped).
    """
    pixels = channels_last(_decode(data, name, index_colours=True), name)
    _require_shape(pixels.shape[:2], shape, name)
    if pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    whole = pixels.astype(np.int64)
    if not np.array_equal(whole, pixels) or whole.min() < 0:
        raise DataError(f"{name}: labels must be whole numbers from 0")
    if whole.shape[2] == 1:
        return whole[..., 0]
    return (whole[..., 0] << 32) + (whole[..., 1] << 16) + whole[..., 2]


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """DataError instead of whatever a decoder raises over a broken file."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError as error:  # its own words name an object in memory
        raise DataError(f"{name}: can't be decoded as an image (of no known format)") from error
    except Exception as error:
        raise DataError(f"{name}: can't be decoded as an image ({error})") from error


def _decode(data: bytes, name: str, *, index_colours: bool) -> NDArray[np.generic]:
    """Pixels as stored; a palette's colours, or its indices where they are the meaning."""
    with decoding(name):
        if name.lower().endswith((".tif", ".tiff")):
            return _decode_tiff(data, name)
        if data.startswith(PNG_SIGNATURE) and data[24:26] in DEEP_COLOUR:
            raise DataError(
                f"{name}: PNG files with 16 bits a channel can only be read if they are grey; "
                "save it as a 16-bit TIFF, or with 8 bits a channel"
            )
        return _decode_with_pillow(data, name, index_colours=index_colours)


def _decode_tiff(data: bytes, name: str) -> NDArray[np.generic]:
    """tifffile keeps all bit depths; Pillow knows compressions that it lacks."""
    try:
        with opened_by_tifffile(data, name) as file:
            try:
                return np.asarray(file.asarray())
            except ValueError:
                refuse_deep_colour(file, name)
                raise
    except DataError:
        raise
    except ValueError:
        return _decode_with_pillow(data, name, index_colours=True)


def refuse_deep_colour(file: tifffile.TiffFile, name: str) -> None:
    """DataError for colours of more than 8 bits, whose high bytes alone Pillow would read."""
    for page in (series.keyframe for series in file.series):
        if page.samplesperpixel > 1 and (page.dtype is None or page.dtype.itemsize > 1):
            raise DataError(
                f"{name}: TIFF files with more than 8 bits a channel can only be read in colour "
                "if they are packed by Deflate or not at all; save it so"
            )


@contextmanager
def opened_by_tifffile(data: bytes, name: str) -> Iterator[tifffile.TiffFile]:
    """A TIFF file whose pixels are not decoded yet; DataError for more than are read."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        _require_an_end(file, name)
        for series in file.series:
            require_size(series.keyframe.imagelength, series.keyframe.imagewidth, name)
        claimed = sum(map(_bytes_of, file.series))
        if claimed > max(LARGE_BYTES, MOST_RATIO * len(data)):
            raise DataError(
                f"{name}: claims {claimed / 1e6:,.0f} MB of pixels in {len(data) / 1e3:,.1f} kB: "
                "it is damaged; save it again"
            )
        samples = sum(series.size for series in file.series)
        if samples > MOST_SAMPLES:
            raise DataError(
                f"{name}: holds {samples / 1e6:,.0f} million values in all its pages, more than "
                f"{MOST_SAMPLES / 1e6:,.0f} million: part it into several files"
            )
        yield file


def _require_an_end(file: tifffile.TiffFile, name: str) -> None:
    """DataError where a page names an earlier one as the next: tifffile would go round for ever."""
    seen: set[int] = set()
    for page in file.pages:
        if page.offset in seen:
            raise DataError(f"{name}: its pages go round in a circle: it is damaged; save it again")
        seen.add(page.offset)


def _bytes_of(series: tifffile.TiffPageSeries) -> int:
    """What pages of one kind take, unpacked; a byte a value where Pillow alone knows their type."""
    return series.size * (1 if series.dtype is None else series.dtype.itemsize)


@contextmanager
def opened_by_pillow(data: bytes, name: str) -> Iterator[Image.Image]:
    """An image file whose pixels are not decoded yet; DataError for more than are read."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        require_size(opened.height, opened.width, name)
        yield opened


def require_size(height: int, width: int, name: str) -> None:
    """DataError, naming the file, for an image without pixels or with more than MOST_PIXELS."""
    if height * width < 1:
        raise DataError(f"{name}: is {height} x {width} pixels (H x W), needs one or more")
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{name}: is {height} x {width} pixels (H x W), {height * width / 1e6:,.0f} million, "
            f"more than {MOST_PIXELS / 1e6:,.0f} million: cut it into tiles"
        )


def _decode_with_pillow(data: bytes, name: str, *, index_colours: bool) -> NDArray[np.generic]:
    with opened_by_pillow(data, name) as opened:
        if opened.mode in PLAIN_MODES or (opened.mode == "P" and index_colours):
            return np.asarray(opened)
        return np.asarray(opened.convert("L" if opened.mode == "1" else "RGB"))


def channels_last(pixels: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Pixels as (H, W, channels) with 1 to 4 channels, or DataError."""
    if pixels.ndim == 2:
        return pixels[..., np.newaxis]
    if pixels.ndim == 3 and pixels.shape[2] > 4 and pixels.shape[0] <= 4:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4:
        raise DataError(f"{name}: has shape {pixels.shape}, not (H, W) or (H, W, 1 to 4 channels)")
    return pixels


def _to_8_bits(pixels: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    values = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"{name}: has pixels that are not finite numbers")
    low, high = np.percentile(values, SCALED_PERCENTILES)
    if low == high:
        low, high = values.min(), values.max()
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny)
    eight_bits: NDArray[np.uint8] = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return eight_bits


def _require_shape(shape: tuple[int, ...], wanted: tuple[int, int], name: str) -> None:
    if shape != wanted:
        raise DataError(
            f"{name}: is {shape[0]} x {shape[1]} pixels (H x W), "
            f"its image is {wanted[0]} x {wanted[1]}"
        )
