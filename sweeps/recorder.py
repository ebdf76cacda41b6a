"""The driver's pen: an ended trial becomes a stored row at once."""

import io
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sweeps.best import best_of, unmarked
from sweeps.columns import Checked, as_written, from_table, to_table
from sweeps.growing_table import GrowingTable
from sweeps.record import (
    CURVES_FILE,
    PENDING,
    SUMMARY_FILE,
    SWEEP_FILE,
    EpochRecord,
    TrialRecord,
)
from sweeps.storage import StorageError, Store
from sweeps.winner_record import GALLERY_FILE, IMAGES_FILE, GalleryRecord, ImageRecord

FEW = 100  # trials: up to so many are written anew whenever one ends
PATIENCE = 10  # of more, the share of the time that is not spent with writing all: 10 to 1
UNTESTED: dict[str, Any] = {
    field.name: None for field in fields(TrialRecord) if field.name.startswith("test_")
}
_Key = tuple[str, str]
_Winner = TypeVar("_Winner", ImageRecord, GalleryRecord)


def _json(description: Mapping[str, Any]) -> bytes:
    text = json.dumps(description, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode()


def _key(record: TrialRecord | EpochRecord) -> _Key:
    return record.architecture, record.trial_id


class Recorder:
    """Writes a sweep's rows into its own folder, each file whole or not at all.

    A row is stored when `ended` returns. As Parquet files can't grow, all rows are written anew; of
    thousands of trials that takes so long that the newest rows are first kept in two small files,
    and put with the others a little later.

    `store` is the sweep's folder (``<results>/<name>``). `curve_seconds` is how long rows of curves
    may wait for their file while no trial ends. All methods may be called from several threads.
    Where storage fails, StorageError is raised and the rows are kept: the next write has them.
    `objective`: what trials compete by, as in ``--objective``. `check` comes before each write, and
    raises StorageError where this driver must write no more.
    """

    def __init__(
        self,
        store: Store,
        *,
        objective: Sequence[str] = ("iou",),
        curve_seconds: float = 30.0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        # Arrow's own pool keeps the pages of each whole table that was written.
        pa.set_memory_pool(pa.system_memory_pool())
        self._store = store
        self.check = check
        self._objective = objective
        self._curve_seconds = curve_seconds
        self._lock = threading.RLock()
        self._summary = GrowingTable(TrialRecord)  # the trials, in the order in which they ended
        self._places: dict[_Key, int] = {}  # where in it each has its row
        self._winners: dict[str, list[TrialRecord]] = {}  # by architecture, as `winners` gives them
        self._curves = GrowingTable(EpochRecord)
        # Since all rows were written.
        self._new = GrowingTable(TrialRecord), GrowingTable(EpochRecord)
        self._written, self._took = -math.inf, 0.0  # when that was (monotonic), and how long
        self._has_pending = False
        self._curves_written = time.monotonic()

    @classmethod
    def resumed(
        cls, store: Store, *, objective: Sequence[str] = ("iou",), **settings: Any
    ) -> "Recorder":
        """A recorder that goes on with the rows that the store holds, if any.

        Raises ValueError, naming the file, where one is no table of this version.
        """
        recorder = cls(store, objective=objective, **settings)
        recorder._summary = GrowingTable(TrialRecord, _read(TrialRecord, store, SUMMARY_FILE))
        recorder._curves = GrowingTable(EpochRecord, _read(EpochRecord, store, CURVES_FILE))
        ended = recorder.trials
        recorder._places = {_key(trial): place for place, trial in enumerate(ended)}
        for architecture in {trial.architecture for trial in ended}:
            mine = (trial for trial in ended if trial.architecture == architecture)
            recorder._winners[architecture] = best_of(mine, objective)
        recorder._take_in_pending(ended)
        return recorder

    @property
    def trials(self) -> list[TrialRecord]:
        """The trials that ended, in that order."""
        with self._lock:
            return from_table(TrialRecord, self._summary.table())

    @property
    def usd(self) -> float:
        """What the trials that ended have cost, as far as prices of their devices are known."""
        with self._lock:
            return pc.sum(self._summary.table()["usd"]).as_py() or 0.0

    def has_ended(self, architecture: str, trial: str) -> bool:
        """Whether a trial has its row."""
        return (architecture, trial) in self._places

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
            self._new[1].append(record)
            if time.monotonic() - self._curves_written >= self._curve_seconds:
                self._write_curves()

    def ended(self, record: TrialRecord) -> None:
        """Store the row of a trial that ended, and its curve; both are stored on return.

        `is_best` is found anew for the record's architecture. Raises ValueError where the trial
        has a row already (see `replace`).
        """
        with self._lock:
            if _key(record) in self._places:
                raise ValueError(
                    f"trial {record.trial_id} of {record.architecture} has its row already"
                )
            self._keep(record)

    def replace(self, record: TrialRecord) -> None:
        """Store a new row in place of the same trial's (a winner's, with its test figures)."""
        with self._lock:
            if _key(record) not in self._places:
                raise ValueError(f"trial {record.trial_id} of {record.architecture} has no row yet")
            self._keep(record)

    def best(self, architecture: str) -> TrialRecord | None:
        """The trial of highest `val_iou`, the earlier one of equals; None where all failed."""
        return next(iter(self.winners(architecture)), None)

    def winners(self, architecture: str) -> list[TrialRecord]:
        """The best, and of two objectives those that nothing beats in both, the costliest first."""
        with self._lock:
            return list(self._winners.get(architecture, []))

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
        self._write(name, to_table(row_type, [*kept, *rows]))

    def flush(self) -> None:
        """Store all that is known, as after a StorageError, or at the end of a sweep."""
        with self._lock:
            begun = time.monotonic()
            self._write_curves()
            self._write(SUMMARY_FILE, self._summary.table())
            if self._has_pending:
                for name in (SUMMARY_FILE, CURVES_FILE):
                    self._store.delete(_pending(name))
            self._new = GrowingTable(TrialRecord), GrowingTable(EpochRecord)
            self._has_pending = False
            self._written = time.monotonic()
            self._took = self._written - begun

    def _keep(self, record: TrialRecord) -> None:
        """Take a row in and store it, with the others if that does not take long."""
        self._new[0].append(self._put_with_winners(record))
        waited = time.monotonic() - self._written
        if len(self._places) <= FEW or waited >= PATIENCE * self._took:
            self.flush()
            return
        self._has_pending = True
        # Curves first: a row in the summary then always has its curve, whenever the power fails.
        self._write(_pending(CURVES_FILE), self._new[1].table())
        self._write(_pending(SUMMARY_FILE), self._new[0].table())

    def _put_with_winners(self, record: TrialRecord) -> TrialRecord:
        """Take a row in, and mark its architecture's winners; the row as it then is."""
        earlier = self.winners(record.architecture)
        is_new = _key(record) not in self._places
        record = replace(record, is_best=False, on_front=self._on_front(False))
        self._put(record)
        # A new one can only be better than those that won: the others are not looked at again.
        rivals = [*earlier, record] if is_new else self.trials
        mine = (trial for trial in rivals if trial.architecture == record.architecture)
        now = [
            replace(trial, is_best=place == 0, on_front=self._on_front(True))
            for place, trial in enumerate(best_of(mine, self._objective))
        ]
        self._winners[record.architecture] = now
        won = set(map(_key, now))
        # The test images are for the winners alone.
        beaten = {"is_best": False, "on_front": self._on_front(False), **UNTESTED}
        newest = {**{_key(trial): trial for trial in earlier}, _key(record): record}
        lost = [replace(newest[key], **beaten) for key in map(_key, earlier) if key not in won]
        for trial in (*now, *lost):
            if trial not in earlier or not is_new:
                self._put(trial)
        marked = {_key(trial): trial for trial in (*now, *lost)}
        return marked.get(_key(record), record)

    def _on_front(self, is_on: bool) -> bool | None:
        """What a row says of it: nothing where there is one objective."""
        return is_on if len(self._objective) > 1 else None

    def _take_in_pending(self, ended: Iterable[TrialRecord]) -> None:
        """Rows that were stored since all were written, as the sweep was cut off.

        Those of `ended`, of the summary, are there already where it was just written.
        """
        there = {_key(trial): unmarked(trial) for trial in ended}
        known = {(row.trial_id, row.epoch) for row in self.curves}
        for row in from_table(EpochRecord, _read(EpochRecord, self._store, _pending(CURVES_FILE))):
            if (row.trial_id, row.epoch) not in known:
                self._curves.append(row)
        pending = _read(TrialRecord, self._store, _pending(SUMMARY_FILE))
        for trial in from_table(TrialRecord, pending):
            self._has_pending = True
            if there.get(_key(trial)) != unmarked(trial):
                self._put_with_winners(trial)

    def _put(self, record: TrialRecord) -> None:
        """A new row at the end, or another in place of the trial's own."""
        place = self._places.setdefault(_key(record), len(self._places))
        if place == len(self._summary):
            self._summary.append(record)
        else:
            self._summary.put(place, record)

    def _write_curves(self) -> None:
        self._write(CURVES_FILE, self._curves.table())
        self._curves_written = time.monotonic()

    def _write(self, name: str, table: pa.Table) -> None:
        """Write a table as a Parquet file."""
        file = io.BytesIO()
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        self.check()
        self._store.write_bytes(name, file.getvalue())


def _pending(name: str) -> str:
    """The file of rows that came since all were written."""
    return f"{PENDING}{name}"


def _read(row_type: type[Checked], store: Store, name: str) -> pa.Table:
    """A Parquet file's table, or one without rows where there is no such file."""
    try:
        file = io.BytesIO(store.read_bytes(name))
        return as_written(row_type, pq.read_table(file, page_checksum_verification=True))
    except FileNotFoundError:
        return to_table(row_type, [])
    except StorageError:
        raise  # nothing is wrong with the file
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{store.uri}/{name} can't be read ({error}): put a whole copy in its place, or begin "
            "a sweep of another name"
        ) from error
