"""The driver's pen: an ended trial becomes a stored row at once."""

import io
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.columns import Checked, as_written, from_table, to_table
from sweeps.record import (
    CURVES_FILE,
    SUMMARY_FILE,
    SWEEP_FILE,
    EpochRecord,
    TrialRecord,
)
from sweeps.storage import StorageError, Store
from sweeps.winner_record import GALLERY_FILE, IMAGES_FILE, GalleryRecord, ImageRecord

_Key = tuple[str, str]
_Row = TypeVar("_Row", bound=Checked)
_Winner = TypeVar("_Winner", ImageRecord, GalleryRecord)


def _json(description: Mapping[str, Any]) -> bytes:
    text = json.dumps(description, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode()


def _key(record: TrialRecord | EpochRecord) -> _Key:
    return record.architecture, record.trial_id


class _Rows(Generic[_Row]):
    """Rows as an Arrow table that grows; each is converted once, which is what costs time."""

    def __init__(self, row_type: type[_Row], table: pa.Table | None = None) -> None:
        self._row_type = row_type
        self._table = to_table(row_type, []) if table is None else table
        self._new: list[_Row] = []

    def append(self, row: _Row) -> None:
        """Take in one row more."""
        self._new.append(row)

    def put(self, index: int, row: _Row) -> None:
        """Replace one row."""
        table = self.table()
        one = to_table(self._row_type, [row])
        self._table = pa.concat_tables([table[:index], one, table[index + 1 :]])

    def table(self) -> pa.Table:
        """All rows."""
        if self._new:
            new = to_table(self._row_type, self._new)
            self._table = pa.concat_tables([self._table, new]).combine_chunks()
            self._new = []
        return self._table


class Recorder:
    """Writes a sweep's rows into its own folder, each file whole or not at all.

    `store` is the sweep's folder (``<results>/<name>``). `curve_seconds` is how long rows of curves
    may wait for their file while no trial ends. All methods may be called from several threads.
    Where storage fails, StorageError is raised and the rows are kept: the next write has them.
    """

    def __init__(self, store: Store, *, curve_seconds: float = 30.0) -> None:
        self._store = store
        self._curve_seconds = curve_seconds
        self._lock = threading.RLock()
        self._trials: dict[_Key, TrialRecord] = {}  # in the order in which they ended
        self._summary = _Rows(TrialRecord)  # the same trials
        self._curves = _Rows(EpochRecord)
        self._curves_written = time.monotonic()

    @classmethod
    def resumed(cls, store: Store, *, curve_seconds: float = 30.0) -> "Recorder":
        """A recorder that goes on with the rows that the store holds, if any.

        Raises ValueError, naming the file, where one is no table of this version.
        """
        recorder = cls(store, curve_seconds=curve_seconds)
        summary = _read(TrialRecord, store, SUMMARY_FILE)
        recorder._trials = {_key(trial): trial for trial in from_table(TrialRecord, summary)}
        recorder._summary = _Rows(TrialRecord, summary)
        recorder._curves = _Rows(EpochRecord, _read(EpochRecord, store, CURVES_FILE))
        return recorder

    @property
    def trials(self) -> list[TrialRecord]:
        """The trials that ended, in that order."""
        with self._lock:
            return list(self._trials.values())

    @property
    def curves(self) -> list[EpochRecord]:
        """The epochs of all trials, ended or not, in the order in which they were told."""
        with self._lock:
            return from_table(EpochRecord, self._curves.table())

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write sweep.json: what was asked (``config``), of what version, on what data."""
        self._store.write_bytes(SWEEP_FILE, _json(description))

    def describe_first(self, description: Mapping[str, Any]) -> None:
        """Write sweep.json of a new sweep; FileExistsError where there is one, of another."""
        self._store.create_bytes(SWEEP_FILE, _json(description))

    def epoch(self, record: EpochRecord) -> None:
        """Keep one row of a curve; it is stored when a trial ends, or `curve_seconds` later."""
        with self._lock:
            self._curves.append(record)
            if time.monotonic() - self._curves_written >= self._curve_seconds:
                self._write_curves()

    def ended(self, record: TrialRecord) -> None:
        """Store the row of a trial that ended, and its curve; both are stored on return.

        `is_best` is found anew for the record's architecture. Raises ValueError where the trial
        has a row already (see `replace`).
        """
        with self._lock:
            if _key(record) in self._trials:
                raise ValueError(
                    f"trial {record.trial_id} of {record.architecture} has its row already"
                )
            self._keep(record)

    def replace(self, record: TrialRecord) -> None:
        """Store a new row in place of the same trial's (a winner's, with its test figures)."""
        with self._lock:
            if _key(record) not in self._trials:
                raise ValueError(f"trial {record.trial_id} of {record.architecture} has no row yet")
            self._keep(record)

    def best(self, architecture: str) -> TrialRecord | None:
        """The trial of highest `val_iou`, the earlier one of equals; None where all failed."""
        with self._lock:
            scored = [
                trial
                for trial in self._trials.values()
                if trial.architecture == architecture and _score(trial) is not None
            ]
            return max(scored, key=lambda trial: _score(trial) or 0.0, default=None)

    def segmented(
        self,
        architecture: str,
        images: Iterable[ImageRecord],
        gallery: Iterable[GalleryRecord],
    ) -> None:
        """Store how an architecture's winner did on each image, in place of an earlier winner's."""
        with self._lock:
            self._replace_winners(ImageRecord, IMAGES_FILE, architecture, images)
            self._replace_winners(GalleryRecord, GALLERY_FILE, architecture, gallery)

    def _replace_winners(
        self, row_type: type[_Winner], name: str, architecture: str, rows: Iterable[_Winner]
    ) -> None:
        earlier = from_table(row_type, _read(row_type, self._store, name))
        kept: list[_Winner] = [row for row in earlier if row.architecture != architecture]
        _write(self._store, name, to_table(row_type, [*kept, *rows]))

    def flush(self) -> None:
        """Store all that is known, as after a StorageError, or at the end of a sweep."""
        with self._lock:
            self._write_curves()
            _write(self._store, SUMMARY_FILE, self._summary.table())

    def _keep(self, record: TrialRecord) -> None:
        """Take a row in, mark its architecture's best, and store everything."""
        earlier = self.best(record.architecture)
        self._put(replace(record, is_best=False))
        best = self.best(record.architecture)
        for key in {_key(trial) for trial in (earlier, best) if trial}:
            is_best = best is not None and key == _key(best)
            self._put(replace(self._trials[key], is_best=is_best))
        # Curves first: a row in the summary then always has its curve, whenever the power fails.
        self.flush()

    def _put(self, record: TrialRecord) -> None:
        """A new row at the end, or another in place of the trial's own."""
        key = _key(record)
        if key not in self._trials:
            self._summary.append(record)
        elif record != self._trials[key]:
            self._summary.put(list(self._trials).index(key), record)
        self._trials[key] = record

    def _write_curves(self) -> None:
        _write(self._store, CURVES_FILE, self._curves.table())
        self._curves_written = time.monotonic()


def _score(trial: TrialRecord) -> float | None:
    """What trials compete by: `val_iou`, unless they failed, or repeat another for confirmation."""
    return None if trial.status == "failed" or trial.confirms else trial.val_iou


def _write(store: Store, name: str, table: pa.Table) -> None:
    """Write a table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    store.write_bytes(name, file.getvalue())


def _read(row_type: type[Checked], store: Store, name: str) -> pa.Table:
    """A Parquet file's table, or one without rows where there is no such file."""
    try:
        return as_written(row_type, pq.read_table(io.BytesIO(store.read_bytes(name))))
    except FileNotFoundError:
        return to_table(row_type, [])
    except StorageError:
        raise  # nothing is wrong with the file
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f"{store.uri}/{name} can't be read: {error}") from error
