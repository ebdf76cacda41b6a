"""The driver's pen: an ended trial becomes a stored row at once."""

import io
import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
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
    `objective`: what trials compete by, as in ``--objective``.
    """

    def __init__(
        self, store: Store, *, objective: Sequence[str] = ("iou",), curve_seconds: float = 30.0
    ) -> None:
        self._store = store
        self._with_front = len(objective) > 1
        self._curve_seconds = curve_seconds
        self._lock = threading.RLock()
        self._trials: dict[_Key, TrialRecord] = {}  # in the order in which they ended
        self._summary = _Rows(TrialRecord)  # the same trials
        self._curves = _Rows(EpochRecord)
        self._curves_written = time.monotonic()

    @classmethod
    def resumed(
        cls, store: Store, *, objective: Sequence[str] = ("iou",), curve_seconds: float = 30.0
    ) -> "Recorder":
        """A recorder that goes on with the rows that the store holds, if any.

        Raises ValueError, naming the file, where one is no table of this version.
        """
        recorder = cls(store, objective=objective, curve_seconds=curve_seconds)
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
        return next(iter(self.winners(architecture)), None)

    def winners(self, architecture: str) -> list[TrialRecord]:
        """The best, and of two objectives those that nothing beats in both, the costliest first."""
        if not self._with_front:
            return sorted(self._scored(architecture), key=_score, reverse=True)[:1]
        front: list[TrialRecord] = []
        for trial in sorted(self._scored(architecture), key=_by_cost):
            if not front or _score(trial) > _score(front[-1]):
                front.append(trial)
        return front[::-1]

    def _scored(self, architecture: str) -> list[TrialRecord]:
        """Trials that may win, in the order in which they ended."""
        with self._lock:
            mine = (each for each in self._trials.values() if each.architecture == architecture)
            return [trial for trial in mine if _may_win(trial)]

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
        """Take a row in, mark its architecture's winners, and store everything."""
        earlier = self.winners(record.architecture)
        none = False if self._with_front else None
        self._put(replace(record, is_best=False, on_front=none))
        now = {_key(trial): trial for trial in self.winners(record.architecture)}
        best = self.best(record.architecture)
        for key in {*map(_key, earlier), *now}:
            is_best = best is not None and key == _key(best)
            on_front = key in now if self._with_front else None
            self._put(replace(self._trials[key], is_best=is_best, on_front=on_front))
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


def _may_win(trial: TrialRecord) -> bool:
    """Whether it competes: it has a score, broke no limit, and repeats none for confirmation."""
    beside = trial.status == "failed" or trial.over_limit or trial.confirms
    return trial.val_iou is not None and not beside


def _score(trial: TrialRecord) -> float:
    return trial.val_iou or 0.0


def _by_cost(trial: TrialRecord) -> tuple[float, float]:
    """Cheapest first, the better one of equals."""
    return trial.device_seconds, -_score(trial)


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
