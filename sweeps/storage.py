"""Local folders and ``s3://`` prefixes behind one interface; each file whole or not at all."""

# ruff: noqa: D102 - what a method of LocalStore does is said once, in Store

import io
import os
import re
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from sweeps.s3_store import S3Store

_UNFINISHED = ".unfinished"  # how the temporary names of files that are being written end
# What stands before @ in an address, or signs it. A colon in a bucket's place is KEY:SECRET, whose
# @ may come after a slash; of buckets' own names only Amazon's long ones (arn:...) have any.
_CREDENTIALS = re.compile(
    r"(^|=)s3:/*(?!arn:)[^/]*[:@]|(^|=)(?!s3:)[a-z][a-z0-9+.-]+:/+.*@"
    r"|[?&](x-amz-\w+|awsaccesskeyid|signature)=",
    re.IGNORECASE,
)


class StorageError(OSError):
    """Storage can't be used as asked; the message is one sentence that says why."""


class Store(ABC):
    """A folder of files, named by relative paths with ``/`` between their parts.

    Missing files raise FileNotFoundError; whatever else goes wrong raises StorageError. A write
    is seen by readers whole or not at all, and is on disk, or stored by the service, when it
    returns. Stores hold no connection while pickled, so they can be sent to other processes.
    """

    @property
    @abstractmethod
    def uri(self) -> str:
        """Where the folder is: a local path, or ``s3://bucket/prefix``."""

    @abstractmethod
    def child(self, name: str) -> "Store":
        """The folder of that name within this one; it need not exist."""

    @abstractmethod
    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file, in place of an earlier one of that name."""

    @abstractmethod
    def create_bytes(self, name: str, data: bytes) -> None:
        """Write a file that is not there yet; of several writers at once one alone succeeds.

        Raises FileExistsError where it is there.
        """

    @abstractmethod
    def write_file(self, name: str, path: Path) -> None:
        """Write a copy of a local file, of any size, in place of an earlier one of that name."""

    @abstractmethod
    def read_bytes(self, name: str) -> bytes:
        """Content of a file."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""

    @abstractmethod
    def list(self, prefix: str = "") -> list[str]:
        """Names, sorted, of all files here and in folders below whose names begin with `prefix`."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    def tidy(self) -> None:  # noqa: B027 - most kinds of storage have nothing to do
        """Remove what a writer that was killed left half written; only where no other writes."""

    def check_writable(self) -> None:
        """Write, read and remove a small file; raise StorageError where that can't be done."""
        name = f".write-test-{uuid.uuid4().hex}"
        self.write_bytes(name, b"may be removed")
        try:
            self.read_bytes(name)
        finally:
            self.delete(name)


def open_store(uri: str | Path) -> Store:
    """The store at a local path (``~`` is the home folder) or an ``s3://bucket/prefix`` URI."""
    refuse_credentials([str(uri)])
    if "://" not in str(uri):
        return LocalStore(local_path(uri))
    if str(uri).startswith("s3://"):
        return _s3_store(str(uri))
    raise StorageError(f"storage must be a local path or s3://bucket/prefix, not {uri}")


def use_s3_endpoint(url: str) -> None:
    """Let ``s3://`` mean another service than Amazon's, in this process and those it starts."""
    refuse_credentials([url, f"http://{url}"])
    if not url.startswith(("http://", "https://")):
        raise StorageError(f"--s3-endpoint must be http://HOST:PORT or https://HOST, not {url}")
    os.environ["AWS_ENDPOINT_URL_S3"] = url


def fetch(uri: str | Path, cache: Path, beside: Sequence[str] = ()) -> Path:
    """Local path of the file or folder at a URI; what is on S3 is downloaded once into `cache`.

    An object becomes a file of the same name, a prefix a folder. A copy in the cache is used
    again as long as the remote names, sizes and ETags are the same; it appears there only when it
    is complete. With a single object come those `beside` it of these names, if they are there.
    Raises FileNotFoundError where there is nothing, StorageError where it can't be reached.
    """
    refuse_credentials([str(uri)])
    if str(uri).startswith("s3://"):
        return _s3_store(str(uri)).fetch(cache, beside)
    path = local_path(uri)
    if "://" in str(uri):
        raise StorageError(f"data must be at a local path or s3://bucket/key, not {uri}")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no file or folder {path}") from None
    except OSError as error:
        raise StorageError(f"{path} can't be read: {error.strerror}") from error
    return path


def refuse_credentials(words: Iterable[str]) -> None:
    """StorageError, which does not repeat them, where a word is an address with credentials."""
    if any(_CREDENTIALS.search(word) for word in words):
        raise StorageError(
            "an address must hold no credentials, as it is shown and stored: take them out, and "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )


def local_path(path: str | Path) -> Path:
    """The path, ``~`` and ``~USER`` being home folders; as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _s3_store(uri: str) -> "S3Store":
    """The S3 store at a URI."""
    from sweeps.s3_store import S3Store  # noqa: PLC0415 - boto3 is slow to load, and rarely needed

    return S3Store.at(uri)


def checked_name(name: str) -> str:
    """The name, if it is a relative path that stays within its folder."""
    if not name or name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise ValueError(f"a file's name must be a relative path without '..', not {name!r}")
    return name


@dataclass(frozen=True)
class LocalStore(Store):
    """A local folder, made when the first file is written."""

    folder: Path

    @property
    def uri(self) -> str:
        return str(self.folder)

    def child(self, name: str) -> Store:
        return LocalStore(self.folder / checked_name(name))

    def write_bytes(self, name: str, data: bytes) -> None:
        self._write(name, io.BytesIO(data))

    def create_bytes(self, name: str, data: bytes) -> None:
        try:
            self._write(name, io.BytesIO(data), _appear_first)
        except _ExistsError:
            raise FileExistsError(f"{self.folder / name} exists") from None

    def write_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source:
            self._write(name, source)

    def _write(
        self, name: str, source: BinaryIO, appear: Callable[[Path, Path], None] = os.replace
    ) -> None:
        path = self.folder / checked_name(name)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_UNFINISHED}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                shutil.copyfileobj(source, file)
                file.flush()
                os.fsync(file.fileno())
            appear(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            raise StorageError(f"{path} can't be written: {error.strerror}") from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def read_bytes(self, name: str) -> bytes:
        path = self.folder / checked_name(name)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"there is no file {path}") from None
        except OSError as error:
            raise StorageError(f"{path} can't be read: {error.strerror}") from error

    def exists(self, name: str) -> bool:
        path = self.folder / checked_name(name)
        try:
            return path.is_file()
        except OSError as error:
            raise StorageError(f"{path} can't be read: {error.strerror}") from error

    def list(self, prefix: str = "") -> list[str]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        names = (path.relative_to(self.folder).as_posix() for path in files)
        return sorted(n for n in names if n.startswith(prefix) and not n.endswith(_UNFINISHED))

    def check_writable(self) -> None:
        super().check_writable()
        with suppress(OSError):  # what is refused later shall leave no empty folder
            self.folder.rmdir()

    def tidy(self) -> None:
        for path in self.folder.rglob(f".*{_UNFINISHED}"):
            with suppress(OSError):  # no more than a nuisance
                path.unlink()

    def delete(self, name: str) -> None:
        path = self.folder / checked_name(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{path} can't be removed: {error.strerror}") from error


class _ExistsError(Exception):
    """Another was there first."""


def _appear_first(temporary: Path, path: Path) -> None:
    """Give a file its name; unlike a rename, a link spares what has the name already."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise _ExistsError from None
    except OSError:  # no links on this kind of disk: hold the name, then fill it
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            raise _ExistsError from None
        temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    """Make a rename within the folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
