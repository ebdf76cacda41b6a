"""A folder and a zip seen alike: relative names, and the bytes behind each."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from nucseg_models.data.errors import DataError, bad_input

JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")
# Far above real archives (the Data Science Bowl's training images: 30,131 members, 80 MB), and
# below what exhausts a machine: a member is unpacked into memory. Uncompressed black masks are
# packed a thousand to one, so that a ratio says something of large archives as a whole alone.
MOST_MEMBERS = 2_000_000
MOST_MEMBER_BYTES = 2 << 30
MOST_BYTES = 256 << 30
MOST_RATIO, LARGE_BYTES = 200, 1 << 30
# Of the methods that zipfile knows, these alone can be unpacked up to a given size and no further.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(RuntimeError, ValueError, OverflowError),
)


class Files(Protocol):
    """Named byte strings; `names` are sorted, relative, with `/` between their parts.

    What file managers leave behind (`JUNK`, and all that begins with a dot) isn't in it.
    """

    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """The bytes of one of `names`; may be called from many threads at once."""

    def sha256(self, names: Iterable[str]) -> str:
        """Hexadecimal digest of the content of at least `names`."""


class FolderFiles:
    """The files below a folder, links to folders followed. DataError for names not in UTF-8."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = tuple(sorted(name for name in _walk(root) if not _is_junk(name)))
        if unreadable := [name for name in self.names if not _is_unicode(name)]:
            raise bad_input(
                f"{root}: has files whose names are not UTF-8",
                [ascii(name) for name in unreadable],
                "Rename them.",
            )

    def read(self, name: str) -> bytes:
        """See `Files`."""
        return (self.root / name).read_bytes()

    def sha256(self, names: Iterable[str]) -> str:
        """Digest of the sorted `names` with their bytes, wherever the folder is.

        A file that can't be opened counts as an empty one; reading it tells what is wrong.
        """
        digest = hashlib.sha256()
        for name in sorted(names):
            try:
                content = self.read(name)
            except OSError:
                content = b""
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()


class ZipFiles:
    """The members of a zip, read in place.

    DataError if it is none, cut short, encrypted, hostile or beyond the limits above.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise DataError(
                f"{path}: is not a zip file, or one that was cut short ({error}). "
                "Fetch it again, or give the folder that it was unpacked to."
            ) from error
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror})") from error
        members = [info for info in self._zip.infolist() if not info.filename.endswith("/")]
        _refuse_kinds(path, members)
        _refuse_sizes(path, members)
        # Some archivers of Windows write backslashes.
        self._members = {info.filename.replace("\\", "/"): info for info in members}
        self.names = tuple(sorted(name for name in self._members if not _is_junk(name)))

    def read(self, name: str) -> bytes:
        """See `Files`; DataError if the member is damaged."""
        info = self._members[name]
        try:
            with self._zip.open(info) as stream:
                return stream.read(info.file_size)  # no more, whatever the member really holds
        except (*DAMAGED, OSError) as error:
            raise DataError(f"{name}: can't be read from the zip ({error})") from error

    def sha256(self, names: Iterable[str]) -> str:
        """Digest of the whole zip, as `sha256sum` gives it."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def _walk(root: Path) -> Iterator[str]:
    """Relative names of all files below `root`; a folder linked into itself is entered once."""
    seen = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        relative = Path(folder).relative_to(root).as_posix()
        yield from (name if relative == "." else f"{relative}/{name}" for name in names)


def _is_junk(name: str) -> bool:
    return any(part.startswith(".") or part in JUNK for part in name.split("/"))


def _is_unicode(name: str) -> bool:
    """Whether a name that the system gave was UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _refuse_kinds(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """DataError for members that would do harm if unpacked, or that can't be read in place."""
    refused = (
        ("that would leave the folder it is unpacked to", _escapes, "an archive that you trust"),
        ("that are links", _is_link, "an archive of the files themselves, or a folder"),
        ("that are encrypted", _is_encrypted, "an archive without a password, or a folder"),
        ("packed by an unusual method", _is_unusual, "one packed by Deflate, or a folder"),
    )
    for what, is_refused, remedy in refused:
        if found := [info.filename for info in members if is_refused(info)]:
            raise bad_input(
                f"{path}: has members {what}", found, f"Nothing was read. Use {remedy}."
            )


def _escapes(info: zipfile.ZipInfo) -> bool:
    parts = re.split(r"[/\\]", info.filename)
    return ".." in parts or re.match(r"[/\\]|\w:", info.filename) is not None


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)  # where Unix keeps a file's kind


def _is_encrypted(info: zipfile.ZipInfo) -> bool:
    return bool(info.flag_bits & 1)


def _is_unusual(info: zipfile.ZipInfo) -> bool:
    return info.compress_type not in METHODS


def _refuse_sizes(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """DataError for what would fill memory or disk, as its directory tells before any unpacking."""
    total = sum(info.file_size for info in members)
    largest = max(members, key=lambda info: info.file_size, default=None)
    problem = None
    if len(members) > MOST_MEMBERS:
        problem = f"{len(members)} members, more than {MOST_MEMBERS}"
    elif largest is not None and largest.file_size > MOST_MEMBER_BYTES:
        problem = f"{largest.filename}, of {_gigabytes(largest.file_size, MOST_MEMBER_BYTES)}"
    elif total > MOST_BYTES:
        problem = _gigabytes(total, MOST_BYTES)
    elif total > max(LARGE_BYTES, MOST_RATIO * path.stat().st_size):
        problem = f"{total / 1e9:.1f} GB packed more than {MOST_RATIO} to 1, as zip bombs are"
    if problem is not None:
        raise DataError(
            f"{path}: holds {problem}. Nothing was unpacked. If you trust it, unpack it and give "
            "the folder."
        )


def _gigabytes(size: int, most: int) -> str:
    return f"{size / 1e9:.1f} GB unpacked, more than {most / 1e9:.1f} GB"
