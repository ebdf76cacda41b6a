"""Faults by name: each is done to a running sweep, and over when its function returns."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from s3_proxy import Proxy
from sweep_process import Sweep, Watch, until

DISK = "12m"


@dataclass
class Scene:
    """What a fault is done to; draws are repeatable by the run's seed. proxy: of sweeps on S3."""

    sweep: Sweep
    watch: Watch
    random: random.Random
    proxy: Proxy | None
    notes: list[str]

    def kill(self, part: str) -> None:
        """SIGKILL to the driver, or to one process of a part."""
        driver = self.sweep.process
        found = [driver.pid] if part == "driver" else self.sweep.processes(part)
        with suppress(ProcessLookupError):
            os.kill(self.random.choice(found), signal.SIGKILL)
        if part == "driver":
            driver.wait()

    def stop(self, part: str, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """SIGSTOP for some seconds."""
        driver = self.sweep.process.pid
        process = driver if part == "driver" else self.random.choice(self.sweep.processes(part))
        os.kill(process, signal.SIGSTOP)
        time.sleep(seconds)
        meanwhile()
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)

    def second_is_refused(self) -> None:
        """Nobody may go on with a sweep whose driver only sleeps."""
        if self.sweep.start("--resume").wait(timeout=120) != 2:
            self.notes.append("BROKEN a second driver was not refused")

    def second_takes_over(self) -> None:
        """To a driver of another machine, one that only sleeps is dead after half a minute."""
        second = self.sweep.start("--resume", machine="another")
        if second.wait(timeout=180) != 0:
            self.notes.append(f"BROKEN the second driver ended with {second.returncode}")

    def s3(self, mode: str, seconds: float) -> None:
        """The service misbehaves for some seconds."""
        self.proxy.mode = mode
        time.sleep(seconds)
        self.proxy.mode = "well"

    def fill_disk(self, seconds: float) -> None:
        """No room is left for some seconds."""
        filler = Path(self.sweep.results) / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        time.sleep(seconds)
        filler.unlink()

    def corrupt_checkpoint(self) -> None:
        """The newest checkpoint of a trial that was cut off is cut short, or a byte of it turns."""
        night = Path(self.sweep.results) / "night"
        running = [config["trial"] for config in json.loads((night / "running.json").read_text())]
        until(lambda: not self.sweep.processes("worker"), 30)  # each ends the epoch that it is in
        states = sorted(night.glob("checkpoints/*/*/*/state.npz"))
        newest = {state.parents[1].name: state for state in states}
        cut_off = [newest[trial] for trial in running if trial in newest]
        if not cut_off:
            self.notes.append("no trial that was cut off had a checkpoint")
            return
        path = self.random.choice(cut_off)
        content, place = bytearray(path.read_bytes()), self.random.randrange(200, 100_000)
        if self.random.random() < 0.5:
            path.write_bytes(content[:place])
        else:
            content[place] ^= 255
            path.write_bytes(content)

    def cut_summary(self) -> None:
        """What another program damages is refused, and whole again it is gone on with."""
        path = Path(self.sweep.results) / "night" / "summary.parquet"
        if not path.exists():
            self.notes.append("no trial had ended")
            return
        whole = path.read_bytes()
        cut = whole[: self.random.randrange(len(whole))]
        with self.watch.resting():
            path.write_bytes(cut)
            refused = self.sweep.start("--resume").wait(timeout=120) == 2
            untouched = path.read_bytes() == cut
            path.write_bytes(whole)
        if not (refused and untouched and "can't be read" in self.sweep.printed()):
            self.notes.append("BROKEN a summary that was cut short was not refused")

    def leave_half_a_file(self) -> None:
        """What a driver leaves that is killed while it writes."""
        folder = Path(self.sweep.results) / "night"
        for name in ("summary.parquet", "running.json"):
            half = (folder / name).read_bytes()[:99] if (folder / name).exists() else b"PAR1"
            (folder / f".{name}.{'0' * 32}.unfinished").write_bytes(half)

    def step_clock(self) -> None:
        """The driver's time of day jumps by FAULTS_JUMP."""
        self.sweep.process.send_signal(signal.SIGUSR2)


def _kill_and(scene: Scene, then: Callable[[], None]) -> None:
    scene.kill("driver")
    then()


FAULTS: dict[str, Callable[[Scene], None]] = {
    "driver killed": lambda s: s.kill("driver"),
    "worker killed": lambda s: s.kill("worker"),
    "raylet killed": lambda s: s.kill("raylet"),
    "head (GCS) killed": lambda s: s.kill("head"),
    "driver stopped for 3-10 s": lambda s: s.stop(
        "driver", s.random.uniform(3, 10), s.second_is_refused
    ),
    "driver stopped for 40 s, another machine's goes on": lambda s: s.stop(
        "driver", 0, s.second_takes_over
    ),
    "worker stopped for 3-10 s": lambda s: s.stop("worker", s.random.uniform(3, 10)),
    "raylet stopped beyond the heartbeat": lambda s: s.stop("raylet", 15),
    "disk full for 2-6 s": lambda s: s.fill_disk(s.random.uniform(2, 6)),
    "S3 gone for 5-20 s": lambda s: s.s3("gone", s.random.uniform(5, 20)),
    "S3 slow for 10 s": lambda s: s.s3("slow", 10),
    "S3: a third fails for 10 s": lambda s: s.s3("errors", 10),
    "driver killed, checkpoint corrupt": lambda s: _kill_and(s, s.corrupt_checkpoint),
    "driver killed, summary cut short": lambda s: _kill_and(s, s.cut_summary),
    "driver killed, half a file left": lambda s: _kill_and(s, s.leave_half_a_file),
    "clock steps by an hour": lambda s: s.step_clock(),
}


def mounted(folder: Path) -> bool:
    """Make the folder a small disk of its own; whether that could be done (it needs root)."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Give the small disk back."""
    command = ["umount", str(folder)]
    until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0, 20)
