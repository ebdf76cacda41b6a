"""Decoded images kept in one file a dataset, memory-mapped so that processes share them.

The file: a fixed head, a JSON header, all labels (int32), all images (uint8). Sizes and
CRC-32 sums of every part are checked at each opening, so that a file that was damaged,
cut short or half written counts as none.
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nucseg_models.data.dataset import Dataset

FORMAT = 1  # to be raised when the file's form, or what decoding makes of an image, changes
HEAD = struct.Struct("<8sQI")  # magic, bytes of the header, CRC-32 of the header
MAGIC = b"nucseg\0" + bytes([FORMAT])
ALIGNMENT = 64
STALE_SECONDS = 24 * 3600.0


def cache_root(chosen: Path | None = None) -> Path:
    """`chosen`, or $NUCSEG_CACHE, $XDG_CACHE_HOME/nucseg, ~/.cache/nucseg: the first that is."""
    if chosen is not None:
        return chosen
    if own := os.environ.get("NUCSEG_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nucseg"


def cache_path(root: Path, sha256: str) -> Path:
    """Where in the cache folder the images whose content has this digest belong."""
    return root / f"{sha256}-{FORMAT}.nucseg"


def read(path: Path) -> Dataset | None:
    """The dataset stored at `path` as read-only views of it; None if there is no sound one."""
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except OSError:
        return None


def _read(stream: BinaryIO) -> Dataset | None:
    size = os.fstat(stream.fileno()).st_size
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    magic, length, checksum = HEAD.unpack(head)
    if magic != MAGIC or length > size:
        return None
    encoded = stream.read(length)
    if zlib.crc32(encoded) != checksum:
        return None
    header = json.loads(encoded)
    pixels = sum(height * width for height, width in header["shapes"])
    start = _aligned(HEAD.size + length)
    if size != start + 7 * pixels:
        return None
    flat = np.asarray(np.memmap(stream, np.uint8, mode="r", offset=start, shape=(7 * pixels,)))
    labels, images = flat[: 4 * pixels], flat[4 * pixels :]
    with ThreadPoolExecutor(2) as pool:
        if list(pool.map(zlib.crc32, (labels, images))) != header["checksums"]:
            return None
    return _dataset(header, labels.view(np.int32), images)


def write(path: Path, dataset: Dataset) -> None:
    """Store `dataset` at `path`, whole or not at all; OSError if the folder can't be written.

    Processes that do so at once write a file each; the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path.parent)
    encoded = json.dumps(
        {
            "sha256": dataset.sha256,
            "ids": dataset.ids,
            "kinds": dataset.kinds,
            "skipped": dataset.skipped,
            "shapes": [image.shape[:2] for image in dataset.images],
            "checksums": [_checksum(dataset.labels), _checksum(dataset.images)],
        }
    ).encode()
    padding = bytes(_aligned(HEAD.size + len(encoded)) - HEAD.size - len(encoded))
    part = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as stream:
            stream.write(HEAD.pack(MAGIC, len(encoded), zlib.crc32(encoded)) + encoded + padding)
            for array in (*dataset.labels, *dataset.images):
                stream.write(np.ascontiguousarray(array).data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _checksum(arrays: Iterable[NDArray[Any]]) -> int:
    """CRC-32 of the arrays' bytes one after another."""
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return checksum


def _remove_stale(folder: Path) -> None:
    """What a process that was killed while writing left behind."""
    for part in folder.glob("*.part"):
        with suppress(FileNotFoundError):  # its writer has just ended
            if part.stat().st_mtime < time.time() - STALE_SECONDS:
                part.unlink()


def _dataset(
    header: dict[str, Any], labels: NDArray[np.int32], images: NDArray[np.uint8]
) -> Dataset:
    shapes = header["shapes"]
    ends = np.cumsum([height * width for height, width in shapes])[:-1]
    flat_labels, flat_images = np.split(labels, ends), np.split(images, 3 * ends)
    return Dataset(
        name=header["sha256"],
        images=[a.reshape(h, w, 3) for a, (h, w) in zip(flat_images, shapes, strict=True)],
        labels=[a.reshape(h, w) for a, (h, w) in zip(flat_labels, shapes, strict=True)],
        ids=tuple(header["ids"]),
        kinds=tuple(header["kinds"]),
        sha256=header["sha256"],
        skipped=tuple(header["skipped"]),
    )
