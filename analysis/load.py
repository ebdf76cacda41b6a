"""A sweep's Parquet files as data frames: local or on S3, one sweep or many, ended or running."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.columns import Checked, as_written, schema
from sweeps.record import (
    CURVES_FILE,
    PENDING,
    SUMMARY_FILE,
    SWEEP_FILE,
    EpochRecord,
    TrialRecord,
)
from sweeps.storage import StorageError, Store, open_store
from sweeps.winner_record import GALLERY_FILE, IMAGES_FILE, GalleryRecord, ImageRecord

# What tells rows of a sweep apart, in the files that have more rows in a pending one.
KEYS = {
    SUMMARY_FILE: ("architecture", "trial_id"),
    CURVES_FILE: ("architecture", "trial_id", "epoch"),
}
TRIAL = ("sweep", "trial_id", "architecture")  # what names a trial in every file
MARKS = (SUMMARY_FILE, CURVES_FILE, SWEEP_FILE)  # one of these makes a folder a sweep's


class AnalysisError(Exception):
    """What was asked can't be drawn from these results; the message is a sentence that says why."""


def trials(uris: Iterable[str]) -> pl.DataFrame:
    """A row an ended trial of all sweeps at `uris`, in the columns of `TrialRecord`.

    A URI is a sweep's folder, or a folder that holds such folders; ``s3://`` is read too. Where two
    sweeps bear one name, the column `sweep` holds their folders instead. Raises AnalysisError where
    there is no sweep, a file is not whole or of another schema, or no trial has ended yet.
    """
    frame = trials_if_any(uris)
    if frame.is_empty():
        raise AnalysisError(f"no trial has ended yet in {', '.join(uris)}: look again later")
    return frame


def trials_if_any(uris: Iterable[str]) -> pl.DataFrame:
    """The same, without rows where no trial has ended yet."""
    return _read_all(TrialRecord, _sweeps(uris), SUMMARY_FILE)


def curves(uris: Iterable[str]) -> pl.DataFrame:
    """A row an epoch of every trial, ended or not, in the columns of `EpochRecord`."""
    return _read_all(EpochRecord, _sweeps(uris), CURVES_FILE)


def images(uris: Iterable[str]) -> pl.DataFrame:
    """A row an image that a winner segmented, in the columns of `ImageRecord`."""
    return _read_all(ImageRecord, _sweeps(uris), IMAGES_FILE)


def gallery(uris: Iterable[str]) -> pl.DataFrame:
    """A row a crowded place and winner, in the columns of `GalleryRecord`."""
    return _read_all(GalleryRecord, _sweeps(uris), GALLERY_FILE)


def _sweeps(uris: Iterable[str]) -> list[Store]:
    """The folders of sweeps at or below the URIs, each once, in order."""
    found: dict[str, Store] = {}
    for uri in uris:
        try:
            stores = _sweeps_at(open_store(uri if "://" in uri else Path(uri).resolve()))
        except (StorageError, RuntimeError) as error:  # the latter for links in a circle
            raise AnalysisError(str(error)) from error
        if not stores:
            raise AnalysisError(
                f"there is no sweep at {uri}: give a folder that holds {SUMMARY_FILE}, as "
                "sweeps/run.py writes into results/NAME, or a folder of such folders"
            )
        found |= {store.uri: store for store in stores}
    return list(found.values())


def _sweeps_at(store: Store) -> list[Store]:
    """The store itself if it is a sweep's folder, else those of the folders below that are."""
    if any(store.exists(mark) for mark in MARKS):
        return [store]
    names = (name.rpartition("/") for name in store.list())
    return [store.child(folder) for folder in dict.fromkeys(f for f, _, n in names if n in MARKS)]


def mixtures(trials: pl.DataFrame) -> list[str]:
    """What should not be compared, and is, a sentence each."""
    warnings = {
        "dataset_sha256": "These sweeps used different images: their scores can't be compared.",
        "device": "These trials ran on different devices: their seconds can't be compared.",
    }
    return [said for column, said in warnings.items() if trials[column].drop_nulls().n_unique() > 1]


def competing(trials: pl.DataFrame) -> pl.DataFrame:
    """The trials that a search may win by: not failed, within its limits, and no repeats with
    fresh seeds.
    """
    return trials.filter(
        pl.col("status") != "failed", pl.col("over_limit").is_null(), pl.col("confirms").is_null()
    )


def _read_all(row_type: type[Checked], stores: list[Store], name: str) -> pl.DataFrame:
    """One file of all sweeps, one below the other."""
    names = _names(stores)
    bearers = Counter(sweep for own in names.values() for sweep in own)
    frames = []
    for store in stores:
        shared = [sweep for sweep in names[store.uri] if bearers[sweep] > 1]
        own = pl.when(pl.col("sweep").is_in(shared)).then(pl.lit(store.uri)).otherwise("sweep")
        frames.append(_rows(row_type, store, name).with_columns(own.alias("sweep")))
    return pl.concat(frames)


def _names(stores: list[Store]) -> dict[str, set[str]]:
    """What the sweeps are called in their own rows, of whatever file, by their folders."""
    if len(stores) == 1:
        return {stores[0].uri: set()}
    return {
        store.uri: set(_rows(TrialRecord, store, SUMMARY_FILE)["sweep"])
        | set(_rows(EpochRecord, store, CURVES_FILE)["sweep"])
        for store in stores
    }


def _rows(row_type: type[Checked], store: Store, name: str) -> pl.DataFrame:
    """A file's rows, with those that a running sweep, or a killed one, has yet to put into it.

    These are read first: whatever is moved on meanwhile is then found in the file itself. Of a row
    that was replaced, as a winner's is when it has been tested, the newest counts.
    """
    if name not in KEYS:
        return _read(row_type, store, name)
    pending = _read(row_type, store, f"{PENDING}{name}")
    frame = _read(row_type, store, name)
    if pending.is_empty():
        return frame
    newest = pending.unique(KEYS[name], keep="last", maintain_order=True)
    frame = pl.concat([frame.join(newest, on=KEYS[name], how="anti"), newest])
    if name != SUMMARY_FILE:
        return frame
    highest = pl.col("val_iou").filter("is_best").max().over("architecture")
    return frame.with_columns(pl.col("is_best") & (pl.col("val_iou") == highest))


def _read(row_type: type[Checked], store: Store, name: str) -> pl.DataFrame:
    """A Parquet file as a frame; without rows where the file is not there yet."""
    try:
        file = io.BytesIO(store.read_bytes(name))
        table = as_written(row_type, pq.read_table(file, page_checksum_verification=True))
    except FileNotFoundError:
        table = schema(row_type).empty_table()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise AnalysisError(f"{store.uri}/{name} can't be read: {error}") from error
    frame = pl.from_arrow(table)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"a table must become a frame, not {type(frame).__name__}")
    if wrong := _wrong_values(frame):
        raise AnalysisError(f"{store.uri}/{name} can't be read: {wrong}, which no sweep writes")
    return frame


def _wrong_values(frame: pl.DataFrame) -> str | None:
    """What a column of the right type holds that its rows may not; None if all is well."""
    for column in frame.select(pl.selectors.float()):
        if not column.drop_nulls().is_finite().all():
            return f"{column.name} holds a number that is not finite"
    for name in {"hyperparameters", "losses"} & set(frame.columns):
        for text in frame[name].drop_nulls().unique():
            if not _is_object(text):
                return f"{name} holds {text[:40]!r}, not a JSON object"
    return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
