"""Test sets of the Data Science Bowl: images without masks, and run lengths in a table."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nucseg_models.data.errors import DataError
from nucseg_models.data.kaggle import Folders, image_problem, unique_ids
from nucseg_models.data.listing import Entry, Listing
from nucseg_models.data.masks import Mask, cropped, paint

SOLUTION = "stage1_solution.csv"
COLUMNS = ("ImageId", "EncodedPixels")  # and Height, Width, Usage, which nothing here needs


def listing(folders: Folders, solution: bytes) -> Listing:
    """An entry for each folder of `by_folder` with one image and rows in the table.

    The table is comma-separated with COLUMNS and a row a nucleus. An image whose rows are
    all empty has no nucleus; one without a row counts as bad, and so does a row without
    its image. DataError if it is no such table.
    """
    rows = _rows(solution)
    ids = unique_ids(folders)
    entries, problems = [], []
    for folder, found in sorted(folders.items()):
        images = found.get("images", [])
        runs = rows.pop(ids[folder], None)
        problem = image_problem(folder, images)
        if problem is None and runs is None:
            problem = f"{images[0]}: has no row in {SOLUTION}"
        if problem is None and runs is not None:
            entries.append(Entry(ids[folder], images[0], partial(_labels, ids[folder], runs)))
        elif problem is not None:
            problems.append(problem)
    problems += [f"{SOLUTION}: {orphan}: has no image" for orphan in sorted(rows)]
    used = [name for found in folders.values() for name in found.get("images", [])]
    return Listing(tuple(entries), tuple(problems), tuple(used), solution)


def decode_runs(runs: str, shape: tuple[int, int]) -> Mask:
    """The nucleus of `shape` (H, W) that space-separated `start length` pairs describe.

    Positions count from 1, down the first column, then down the next (Kaggle's rule).
    ValueError if `runs` isn't that, or leaves the image.
    """
    try:
        numbers = np.array(runs.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"must be pairs of whole numbers of 64 bits ({error})") from error
    if numbers.size % 2:
        raise ValueError("holds an odd number of numbers")
    starts, lengths = numbers[::2], numbers[1::2]
    size = shape[0] * shape[1]
    outside = (starts < 1) | (starts > size) | (lengths < 1)
    if outside.any() or (lengths > size + 1 - starts).any():
        raise ValueError(f"leaves the image, which is {shape[0]} x {shape[1]} pixels (H x W)")
    if lengths.sum() > size:
        raise ValueError("claims more pixels than its image has: its runs overlap")
    covers = np.zeros(size, np.bool_)
    for start, length in zip(starts - 1, lengths, strict=True):
        covers[start : start + length] = True
    return cropped(covers.reshape(shape[::-1]).T)


def encode_runs(labels: NDArray[np.int32]) -> list[str]:
    """The nuclei 1..n of labels (H, W), each as `decode_runs` reads it."""
    flat = labels.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [flat.size]])
    runs: list[list[str]] = [[] for _ in range(int(labels.max(initial=0)) + 1)]
    for label, start, end in zip(
        flat[starts].tolist(), starts.tolist(), ends.tolist(), strict=True
    ):
        runs[label].append(f"{start + 1} {end - start}")
    return [" ".join(nucleus) for nucleus in runs[1:]]


def _rows(solution: bytes) -> dict[str, list[str]]:
    """The run lengths of each image; DataError if it is no such table."""
    try:
        return _read_rows(solution)
    except csv.Error as error:
        raise DataError(
            f"{SOLUTION}: is no table of values parted by commas ({error}); needs the columns "
            f"{', '.join(COLUMNS)} and a row a nucleus"
        ) from error


def _read_rows(solution: bytes) -> dict[str, list[str]]:
    reader = csv.DictReader(io.StringIO(solution.decode("utf-8-sig", "replace"), newline=""))
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise DataError(
            f"{SOLUTION}: needs the columns {', '.join(COLUMNS)}, "
            f"has {', '.join(reader.fieldnames or ['none'])}"
        )
    rows = defaultdict(list)
    for row in reader:
        rows[row["ImageId"] or ""].append(row["EncodedPixels"] or "")
    return dict(rows)


def _labels(image_id: str, runs: list[str], shape: tuple[int, int]) -> NDArray[np.int32]:
    try:
        return paint([decode_runs(row, shape) for row in runs], shape)
    except ValueError as error:
        raise DataError(f"{SOLUTION}: {image_id}: a mask {error}") from error
