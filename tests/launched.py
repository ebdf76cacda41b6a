"""A run of the command line as a process, as a person sees it and as a crash leaves it."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def _take_terminal() -> None:
    """Make standard input the terminal whose keys reach this process and its children."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


WORKER = "ray::ImplicitFunc"
"""How the command line begins of a process that trains."""


class Launched:
    """A run of ``sweeps/run.py`` as a process of its own, from a folder that is not the project's.

    On a terminal, what it prints is what a person would see, and Ctrl-C is a key.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], *, terminal: bool = False) -> None:
        self._mark = uuid.uuid4().hex  # in the environment of all processes that it starts
        self.out, self.err = folder / f"{self._mark}.out", folder / f"{self._mark}.err"
        self._master, slave = pty.openpty() if terminal else (None, None)
        environment = os.environ | {"SWEEP_TEST": self._mark, "NUCSEG_CACHE": str(folder / "cache")}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(PROJECT / "sweeps" / "run.py"), *arguments],
                cwd=folder,
                env=environment | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
                stdin=slave or subprocess.DEVNULL,
                stdout=slave or out,
                stderr=slave or err,
                start_new_session=True,
                preexec_fn=_take_terminal if terminal else None,  # noqa: PLW1509 - it locks nothing
            )
        if slave:
            os.close(slave)
            threading.Thread(target=self._copy_terminal, daemon=True).start()

    def _copy_terminal(self) -> None:
        with self.out.open("wb", buffering=0) as out, suppress(OSError):  # the end of a terminal
            while data := os.read(self._master, 65536):
                out.write(data)

    def press_ctrl_c(self) -> None:
        """As a person does: every process that belongs to the terminal gets a SIGINT."""
        os.write(self._master, b"\x03")

    def printed(self) -> str:
        return self.out.read_text()

    def wait_until(self, happened: Callable[[], Any], seconds: float = 180) -> None:
        """Wait until something has happened; fail where the run ends before it."""
        deadline = time.monotonic() + seconds
        while not happened():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"it did not happen:\n{self.printed()}\n{self.err.read_text()}")
            time.sleep(0.05)

    def wait_for(self, pattern: str) -> None:
        """Wait until it has printed what the regular expression matches."""
        self.wait_until(lambda: re.search(pattern, self.printed()))

    def status(self, seconds: float = 240) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(timeout=seconds)

    def processes(self) -> dict[int, str]:
        """Process id -> command line of all processes that it started and that still live."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it may end while it is looked at
                if f"SWEEP_TEST={self._mark}".encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = command.strip()
        return found

    def left(self, command: str = "", seconds: float = 30) -> list[str]:
        """Processes, whose command line begins so, that still live after some seconds."""
        deadline = time.monotonic() + seconds
        while True:
            left = [line for line in self.processes().values() if line.startswith(command)]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.2)

    def kill_workers(self) -> None:
        """Kill each process that trains, without warning."""
        for process, command in self.processes().items():
            if command.startswith(WORKER):
                os.kill(process, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the run itself, without warning."""
        self.process.kill()
        self.process.wait()
