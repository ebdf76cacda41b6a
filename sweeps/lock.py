"""Who runs a sweep: one driver at a time, and a dead one's mark is seen as dead."""

from __future__ import annotations

import _thread
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeps.checks import ConfigError
from sweeps.storage import StorageError, Store

FILE = "driver.json"
BEAT = 5.0  # seconds between two signs of life
PATIENCE = 30.0  # without any, a driver of another machine is taken for dead
TAKEN_OVER = "another driver has taken this sweep over: this one stops"
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # it goes on while a laptop sleeps


class Lock:
    """Held while a sweep runs; entering it raises ConfigError where another driver lives.

    A driver of this machine is looked up among its processes, one of another machine is watched for
    signs of life, so that no clock need be right. `say` tells a person what is waited for.
    """

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store, self._say = store, say
        self._mine = {
            "token": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "machine": _machine(),
            "process": os.getpid(),
            "began": _began(os.getpid()),
        }
        self._beats = 0
        self._held_at = 0.0  # when the mark was last seen to be this driver's
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Lock:
        while True:
            try:
                self._store.create_bytes(FILE, self._content())
                break
            except FileExistsError:
                self._bury()
        self._held_at = _now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._is_mine():
            self._store.delete(FILE)

    def check(self) -> None:
        """StorageError where another driver has taken over.

        To be asked before each write: this process may have been stopped, or cut off, for so long
        that it was taken for dead. Storage is asked only where that can be.
        """
        if _now() - self._held_at > PATIENCE / 2 and not self._is_mine():
            raise StorageError(TAKEN_OVER)

    def _is_mine(self) -> bool:
        now = _now()
        mine = bool(self._holder().get("token") == self._mine["token"])
        if mine:
            self._held_at = now
        return mine

    def _bury(self) -> None:
        """Remove a dead driver's mark; ConfigError where it lives."""
        holder = self._holder()
        if holder and self._lives(holder):
            who = f"process {holder.get('process')} of {holder.get('host')}"
            raise ConfigError(
                f"the sweep in {self._store.uri} is being run by {who}: stop that first (Ctrl-C), "
                "or give this one another --name"
            )
        if self._holder() == holder:
            self._store.delete(FILE)

    def _lives(self, holder: dict[str, Any]) -> bool:
        if holder.get("machine") == self._mine["machine"]:
            return bool(_began(holder["process"]) == holder["began"])
        host = holder.get("host")
        self._say(f"waiting for a sign of life of {host}, which last ran this sweep")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            time.sleep(1.0)
            if self._holder() != holder:
                return True
        return False

    def _holder(self) -> dict[str, Any]:
        """What the mark says; {} where there is none, or none that can be read."""
        try:
            found = json.loads(self._store.read_bytes(FILE))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _content(self) -> bytes:
        return json.dumps({**self._mine, "beats": self._beats}).encode()

    def _beat(self) -> None:
        """Give signs of life; where another has taken over, stop this driver."""
        while not self._over.wait(BEAT):
            self._beats += 1
            try:
                if not self._is_mine():
                    self._say(TAKEN_OVER)
                    _thread.interrupt_main()
                    return
                self._store.write_bytes(FILE, self._content())
            except StorageError:
                continue  # storage may be away for a while


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _machine() -> str:
    """This machine as long as it is not started anew, and its table of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    table = Path("/proc/self/ns/pid")
    booted = boot.read_text().strip() if boot.exists() else socket.gethostname()
    return f"{booted} {table.readlink() if table.exists() else ''}"


def _began(process: int) -> str | None:
    """When a process of this machine began, in the system's own count; None where there is none."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
