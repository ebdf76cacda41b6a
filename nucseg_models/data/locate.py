"""From what a user gives as data to the files that are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nucseg_models.data.errors import DataError
from nucseg_models.data.files import Files, FolderFiles, ZipFiles
from nucseg_models.data.listing import LAYOUTS
from nucseg_models.data.run_length import SOLUTION


@dataclass(frozen=True)
class Located:
    """The files of one data set, and the run-length table found with them."""

    path: Path
    files: Files
    solution: bytes | None


def locate(source: str | Path, *, test: bool) -> Located:
    """The data set at `source`, a folder or a zip.

    In a folder that holds stage1_train, or stage1_train.zip, these are meant (with `test`:
    stage1_test); where there are both the folder and the zip, the folder. DataError if
    there is nothing to be read.
    """
    if scheme := re.match(r"[A-Za-z0-9]{2,}:/", str(source)):
        raise DataError(
            f"only local files are read here, not {scheme[0]}/ addresses; copy it to a folder first"
        )
    try:
        return _located(Path(source).expanduser(), test)
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, no such home folder
        if isinstance(error, DataError):
            raise
        raise DataError(f"{source}: can't be read ({error}). {LAYOUTS}") from error


def _located(path: Path, test: bool) -> Located:
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder. {LAYOUTS}")
    path = _stage(path, test) if path.is_dir() else path
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: is neither a file nor a folder. {LAYOUTS}")
    table = next((t for t in (path / SOLUTION, path.parent / SOLUTION) if t.is_file()), None)
    return Located(
        path=path,
        files=FolderFiles(path) if path.is_dir() else ZipFiles(path),
        solution=table.read_bytes() if table else None,
    )


def _stage(folder: Path, test: bool) -> Path:
    """The part of `folder` to read where it holds the competition's files, else `folder`."""
    train, held_out = (
        next((p for p in (folder / name, folder / f"{name}.zip") if p.exists()), None)
        for name in ("stage1_train", "stage1_test")
    )
    if test and train and not held_out:
        raise DataError(
            f"{folder}: holds {train.name} but no test images. Give stage1_test.zip with "
            f"{SOLUTION} beside it, or another annotated folder or zip."
        )
    return (held_out if test else train or held_out) or folder
