"""Fetches the public files of image set BBBC038 (the Data Science Bowl), each once."""

from __future__ import annotations

import fcntl
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from nucseg_models.data.errors import DataError
from nucseg_models.data.files import DAMAGED

BASE_URL = "https://data.broadinstitute.org/bbbc/BBBC038/"
ATTEMPTS = 4  # connections to try while each brings something
TIMEOUT_SECONDS = 30.0
BLOCK = 1 << 20

Progress = Callable[[int, int], None]


def fetch(
    name: str, folder: Path, *, base_url: str = BASE_URL, progress: Progress | None = None
) -> Path:
    """The file `base_url` + `name`, in `folder`; nothing is fetched if it is there already.

    What a cut connection brought stays in `name`.part, and the next attempt or call goes
    on from there. The file gets its own name only when it is whole: of the length that
    the server told and, being a zip, with the right CRC-32 of each member. Processes that
    want the same file wait for one another. `progress` takes (bytes done, bytes in all).

    DataError if the server can't be reached, or what it gives isn't the file.
    """
    path = folder / name
    if path.exists():
        return path
    part = folder / f"{name}.part"
    with _opened(part) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not path.exists():  # else another process has just finished it
            _download(base_url + name, stream, progress)
            _check(part, base_url + name, stream)
            part.replace(path)
    return path


def _opened(part: Path) -> BinaryIO:
    """The file to add to; DataError where it can't be made."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        return part.open("ab")
    except OSError as error:
        raise DataError(
            f"{part}: downloads can't be kept there ({error.strerror}): set NUCSEG_CACHE to a "
            "folder that can be written"
        ) from error


def _download(url: str, stream: BinaryIO, progress: Progress | None) -> None:
    """Append to `stream` what it lacks of the file at `url`."""
    reason = ""
    for _ in range(ATTEMPTS):
        before = stream.seek(0, 2)
        try:
            if _append(url, stream, progress):
                return
            reason = f"the connection was cut after {stream.tell()} bytes"
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            reason = str(getattr(error, "reason", error) or type(error).__name__)
            if isinstance(error, HTTPError):
                reason = f"the server answered {error.code} {error.reason}"
        if stream.tell() <= before:
            break
    raise DataError(
        f"{url}: can't be downloaded: {reason}. What came is kept: the same command goes on "
        "from there. Or download the file by other means and give its path, or use the data "
        "'synthetic', which needs no network."
    )


def _append(url: str, stream: BinaryIO, progress: Progress | None) -> bool:
    """Ask once for the rest of the file; whether it is whole now."""
    start = stream.seek(0, 2)
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code != 416 or not start:  # 416: there is nothing from `start` on
            raise
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return True
        stream.truncate(0)
        return _append(url, stream, progress)
    with response:
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            stream.truncate(0)  # the server sends all of it again
        start = stream.seek(0, 2)
        total = start + int(response.headers.get("Content-Length", 0))
        while block := response.read(BLOCK):
            stream.write(block)
            if progress is not None:
                progress(stream.tell(), total)
        stream.flush()
        return stream.tell() >= total


def _check(part: Path, url: str, stream: BinaryIO) -> None:
    """DataError, and a fresh start the next time, if what came is damaged or something else."""
    damage = _zip_damage(part) if url.endswith(".zip") else _table_damage(part)
    if damage is not None:
        stream.truncate(0)
        raise DataError(
            f"{url}: what was downloaded is damaged ({damage}) and was thrown away. Try again, "
            "or download the file by other means and give its path."
        )


def _zip_damage(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip()
    except DAMAGED as error:
        return str(error)


def _table_damage(path: Path) -> str | None:
    with path.open("rb") as stream:
        return None if stream.readline().startswith(b"ImageId,") else "no table of images"
