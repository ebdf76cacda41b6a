"""A folder and a zip seen alike: relative names, and the bytes behind each."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from nucseg_models.data.errors import DataError, bad_input

JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")


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
    """The files below a folder, links to folders followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = tuple(sorted(name for name in _walk(root) if not _is_junk(name)))

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
    """The members of a zip, read in place. DataError if it is none, cut short, or hostile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, EOFError) as error:
            raise DataError(
                f"{path}: is not a zip file, or one that was cut short ({error}). "
                "Fetch it again, or give the folder that it was unpacked to."
            ) from error
        members = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        _refuse_escapes(path, members)
        # Some archivers of Windows write backslashes.
        self._members = {m.replace("\\", "/"): m for m in members}
        self.names = tuple(sorted(name for name in self._members if not _is_junk(name)))

    def read(self, name: str) -> bytes:
        """See `Files`; DataError if the member is damaged or encrypted."""
        try:
            return self._zip.read(self._members[name])
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
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


def _refuse_escapes(path: Path, members: Iterable[str]) -> None:
    """DataError if unpacking would write outside the folder: such an archive is an attack."""
    escaping = [m for m in members if ".." in re.split(r"[/\\]", m) or re.match(r"[/\\]|\w:", m)]
    if escaping:
        raise bad_input(
            f"{path}: has members that would leave the folder it is unpacked to",
            escaping,
            "Nothing was read. Use an archive from a source that you trust.",
        )
