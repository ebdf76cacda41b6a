"""Short sweeps, each with a fault drawn at random; what was promised is checked after each.

    python tests/faults/chaos.py --runs 50 --seed 0

Run N of --seed S is repeated by --seed S+N --runs 1. Trials sleep instead of training; Ray, the
record, checkpoints, S3 and its service are real. Exits with 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT))

import optuna
import promises
from injuries import FAULTS, Scene, mounted, unmount
from s3_proxy import Proxy
from sweep_process import EPOCHS, TRIALS, Sweep, Watch, until

from sweeps.storage import Store, open_store
from tests.conftest import S3Server, seaweedfs

AT_ONCE = 2  # sweeps
# Ray takes a machine for dead after these, not after a minute.
HEARTBEAT = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
PATIENCE = 120.0  # seconds, after a fault, for a driver to end or be taken for hung


@dataclass
class Outcome:
    """What one fault did. ended: trials that had when it came; again: seconds to training again."""

    seed: int
    fault: str
    ended: int = 0
    resumed: bool = False
    again: float | None = None
    repeated: int = 0
    failed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def told(self) -> str:
        again = "-" if self.again is None else f"{self.again:.1f} s"
        failures = f", failed: {self.failed}" if self.failed else ""
        return (
            f"seed {self.seed}: {self.fault}: {self.ended} ended before, "
            f"{'resumed, ' if self.resumed else ''}training again after {again}, "
            f"{self.repeated} epochs repeated{failures}{' ' if self.notes else ''}"
            f"{'; '.join(self.notes)}: {'; '.join(self.broken) or 'kept'}"
        )


def drawn(seed: int) -> str:
    """The fault of a seed."""
    return random.Random(seed).choice(list(FAULTS))


def run(seed: int, server: S3Server | None) -> Outcome:
    """A sweep, a fault, a --resume where it is needed, and a look at what is left."""
    chance, outcome = random.Random(f"run {seed}"), Outcome(seed, drawn(seed))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        proxy = Proxy(server.endpoint, seed) if "S3" in outcome.fault else None
        results = f"s3://sweeps/{folder.name}" if proxy else str(folder / "results")
        where = {"AWS_ENDPOINT_URL": proxy.endpoint} if proxy else {}
        jump = {"FAULTS_JUMP": str(chance.choice([-3600, 3600]))}
        beats = HEARTBEAT if "heartbeat" in outcome.fault else {}
        disk = small_disk(folder, outcome) if "disk" in outcome.fault else nullcontext()
        with disk:
            sweep = Sweep(folder, results, {**where, **jump, **beats})
            watch = Watch(open_store(f"{results}/night"))
            try:
                _disturb(Scene(sweep, watch, chance, proxy, outcome.notes), outcome)
            finally:
                sweep.end()
    return outcome


@contextmanager
def small_disk(folder: Path, outcome: Outcome) -> Iterator[None]:
    """Results on a disk of their own."""
    if not mounted(folder / "results"):
        raise SystemExit("chaos.py must be root, to mount a small disk that can be filled")
    try:
        yield
    finally:
        unmount(folder / "results")


def _disturb(scene: Scene, outcome: Outcome) -> None:
    sweep, watch, store = scene.sweep, scene.watch, open_store(f"{scene.sweep.results}/night")
    moment = scene.random.randrange(2, TRIALS * EPOCHS - 4)
    sweep.process = sweep.start()
    if not until(lambda: len(sweep.begun()) >= moment or sweep.process.poll() is not None, 180):
        outcome.broken.append("it did not begin")
    time.sleep(scene.random.uniform(0, 0.3))
    watch.look()
    outcome.ended, at = len(sweep.told_of_ends()), time.time()
    FAULTS[outcome.fault](scene)
    resumed_at = _go_on(sweep, outcome)
    watch.end()
    later = [when for _, _, when in sweep.begun() if when > (resumed_at or at)]
    outcome.again = later[0] - at if later else None
    outcome.repeated = max(promises.repeated(sweep).values(), default=0)
    outcome.failed = promises.failed(store)
    _judge(sweep, store, watch, outcome)


def _go_on(sweep: Sweep, outcome: Outcome) -> float | None:
    """Wait for the driver's end; --resume where it did not come to the sweep's, and when."""
    if not until(lambda: sweep.process.poll() is not None, PATIENCE):
        outcome.notes.append("the driver hung, and was killed")
        sweep.process.kill()
    if sweep.process.wait() == 0:
        return None
    outcome.resumed, resumed_at = True, time.time()
    sweep.process = sweep.start("--resume")
    if not until(lambda: sweep.process.poll() is not None, PATIENCE):
        outcome.broken.append("--resume hung")
    elif sweep.process.returncode != 0:
        outcome.broken.append(f"--resume ended with {sweep.process.returncode}")
    return resumed_at


def _judge(sweep: Sweep, store: Store, watch: Watch, outcome: Outcome) -> None:
    no_place = "disk" in outcome.fault or "S3" in outcome.fault
    # Of a driver that slept, the workers train on, beside those of the one that took over.
    losses = EPOCHS if "corrupt" in outcome.fault or "another" in outcome.fault else 1
    outcome.broken += [note for note in outcome.notes if note.startswith("BROKEN")]
    outcome.broken += promises.broken(sweep, store, watch, may_fail=no_place, losses=losses)
    if outcome.broken:
        kept = Path(tempfile.gettempdir()) / f"chaos-{outcome.seed}.out"
        kept.write_text(sweep.printed() + "\n" + sweep.log.read_text())
        outcome.notes.append(f"what it printed is in {kept}")


def text(outcomes: list[Outcome]) -> str:
    """The outcomes by fault, as a Markdown table."""
    lines = [
        "| fault | runs | ended trials before | lost or changed | twice | epochs repeated, most a "
        "trial | trials failed | needed `--resume` | seconds to training again, median (most) | "
        "promises broken |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        if mine := [each for each in outcomes if each.fault == fault]:
            lines.append(f"| {fault} | {' | '.join(_row(mine))} |")
    return "\n".join([*lines, f"| all | {' | '.join(_row(outcomes))} |"])


def _row(mine: list[Outcome]) -> list[str]:
    again = [each.again for each in mine if each.again is not None]
    seconds = f"{statistics.median(again):.1f} ({max(again):.1f})" if again else "-"
    said = [line for each in mine for line in each.broken]
    numbers = [
        *(len(mine), sum(each.ended for each in mine)),
        *(sum("had ended" in line for line in said), sum("twice" in line for line in said)),
        *(max(each.repeated for each in mine), sum(len(each.failed) for each in mine)),
        sum(each.resumed for each in mine),
    ]
    return [*map(str, numbers), seconds, str(sum(bool(each.broken) for each in mine))]


def main() -> int:
    """Run them all, tell of each, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    outcomes = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("NUCSEG_CACHE", f"{folder}/cache")
        on_s3 = any("S3" in drawn(seed) for seed in seeds)
        service = s3_service(Path(folder)) if on_s3 else nullcontext()
        with service as server, ThreadPoolExecutor(AT_ONCE) as pool:
            for outcome in pool.map(lambda seed: run(seed, server), seeds):
                print(outcome.told(), flush=True)
                outcomes.append(outcome)
    print(text(outcomes))
    return 1 if any(each.broken for each in outcomes) else 0


@contextmanager
def s3_service(folder: Path) -> Iterator[S3Server]:
    """A service that works, which this process speaks with directly."""
    with seaweedfs(folder) as server:
        key, secret = server.admin
        os.environ |= {"AWS_ENDPOINT_URL": server.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        os.environ |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        yield server


if __name__ == "__main__":
    sys.exit(main())
