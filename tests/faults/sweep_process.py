"""A short sweep as a process of its own, what it has begun and ended, and a watch on its files."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.parquet as pq

from sweeps.storage import StorageError, Store

PROJECT = Path(__file__).parents[2]
TRIALS, EPOCHS = 5, 5
ASKED = (
    *("--arch", "cnn", "--trials", str(TRIALS), "--max-epochs", str(EPOCHS)),
    *("--image-size", "64", "--scheduler", "none", "--sampler", "random", "--concurrency", "2"),
)
PARTS = {"worker": "ray::ImplicitFunc", "raylet": "raylet/raylet", "head": "gcs/gcs_server"}
CHANGES = ("is_best", "on_front")  # columns that a later trial may change


class Sweep:
    """Runs in `folder`, with results at `results`; may be started again to be gone on with."""

    def __init__(self, folder: Path, results: str, environment: dict[str, str]) -> None:
        self.folder, self.results = folder, results
        self.log, self.journal = folder / "epochs.log", folder / "journal"
        self._mark = f"{os.getpid()}-{folder.name}"
        self._environment = {
            **os.environ,
            **{"PYTHONPATH": str(PROJECT), "RAY_USAGE_STATS_ENABLED": "0"},
            **{"FAULTS_LOG": str(self.log), "FAULTS_SECONDS": "0.2", "CHAOS": self._mark},
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, machine: str = "") -> subprocess.Popen[bytes]:
        """Begin it, or go on with it by ``--resume``; `machine`: another than ours, in name."""
        what = ("--name", "night", "--results", self.results, *(arguments or ASKED))
        command = [sys.executable, str(PROJECT / "tests" / "faults" / "pretended.py"), *what]
        where = ("--address", "local", "--optuna-journal", str(self.journal))
        with (self.folder / "out").open("ab") as out:
            return subprocess.Popen(
                [*command, *where],
                cwd=self.folder,
                env={**self._environment, "FAULTS_MACHINE": machine},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def printed(self) -> str:
        return (self.folder / "out").read_text(errors="replace")

    def begun(self) -> list[tuple[str, int, float]]:
        """Trial, epoch and time of each epoch that began."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(trial, int(epoch), float(at)) for trial, epoch, at in map(str.split, lines)]

    def told_of_ends(self) -> set[str]:
        """Trials that a person was told to have ended."""
        return set(re.findall(r"(cnn-\d{4}): (?:completed|stopped|failed)", self.printed()))

    def processes(self, part: str = "") -> list[int]:
        """Ids of the processes that it started, of one part or all, but for the driver."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it may end while it is looked at
                ours = f"CHAOS={self._mark}\0".encode() in (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
                if ours and PARTS.get(part, "") in command:
                    found.append(int(folder.name))
        return sorted(set(found) - {self.process.pid if part else 0})

    def end(self) -> None:
        """Kill what is left of it."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


class Watch:
    """Reads the summary all the time: it must be whole, and what it said must stay."""

    def __init__(self, store: Store) -> None:
        self._store, self._over, self._lock = store, threading.Event(), threading.Lock()
        self.seen: dict[str, dict] = {}
        self.broken: list[str] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look for the last time."""
        self._over.set()
        self._thread.join()
        self.look()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nobody reads meanwhile."""
        with self._lock:
            yield

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.look()

    def look(self) -> None:
        """Compare with what was seen before."""
        with self._lock:
            self._look_alone()

    def _look_alone(self) -> None:
        for file in ("curves.parquet", "summary.parquet"):
            try:
                rows = table(self._store, file)
            except StorageError:
                return  # it is away
            except (ValueError, OSError) as error:
                self.broken.append(f"{file} was half-written to a reader: {error}")
                return
        self._compare(rows)

    def _compare(self, rows: list[dict]) -> None:
        names = [row["trial_id"] for row in rows]
        self.broken += [f"{name} is there twice" for name in set(names) if names.count(name) > 1]
        now = {row["trial_id"]: {k: row[k] for k in row if k not in CHANGES} for row in rows}
        for name, row in self.seen.items():
            if now.get(name) != row:
                self.broken.append(
                    f"{name} had ended and was {'changed' if name in now else 'lost'}"
                )
        self.seen = now


def table(store: Store, file: str) -> list[dict]:
    """A Parquet file's rows; none where there is no file."""
    try:
        return pq.read_table(io.BytesIO(store.read_bytes(file))).to_pylist()
    except FileNotFoundError:
        return []


def until(happened, seconds: float) -> bool:
    """Wait for something; whether it happened in time."""
    deadline = time.monotonic() + seconds
    while not (done := happened()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(done)
