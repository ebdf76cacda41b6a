"""What analysis/ takes on a very large sweep: seconds and memory of each command.

    python benchmarks/analysis_scale.py --trials 100000 --epochs 30

Makes a summary of so many trials and their curves up (seeded), then runs each command on it as a
process of its own, some rounds, and prints the median, lowest and highest wall time, the largest
memory and the size of the report.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.record import CURVES_FILE, SUMMARY_FILE, EpochRecord, TrialRecord, columns, schema

PROJECT = Path(__file__).resolve().parents[1]
ARCHITECTURES = ("cnn", "resnet", "unet", "mask_rcnn")
COMMANDS = {
    "tradeoff.py": ("-o", "{out}/tradeoff"),
    "table1.py": (),
    "table2.py": (),
    "importance.py": ("-o", "{out}/importance"),
    "report.py": ("-o", "{out}/report.html"),
    "tradeoff.py --help": ("--help",),
}


def main() -> None:
    """Make the sweep, run the commands, print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "large"
        sweep.mkdir()
        make_up(sweep, arguments.trials, arguments.epochs)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for _ in range(arguments.rounds):
            for name, options in COMMANDS.items():
                filled = [option.format(out=folder) for option in options]
                taken[name].append(run(name.split()[0], str(sweep), *filled))
        for name, measured in taken.items():
            seconds, memory = zip(*measured, strict=True)
            middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
            print(f"{name:20} {middle:.2f} s ({low:.2f} to {high:.2f}), {max(memory):.2f} GB")
        print(f"report: {(Path(folder) / 'report.html').stat().st_size / 1e6:.1f} MB")


def run(command: str, *arguments: str) -> tuple[float, float]:
    """Wall seconds and largest memory (GB) of one command; its output is thrown away."""
    started = time.perf_counter()
    program = [sys.executable, str(PROJECT / "analysis" / command), *arguments]
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    child = os.posix_spawn(sys.executable, program, os.environ, file_actions=[nowhere])
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{command} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, used.ru_maxrss / 1e6


def make_up(folder: Path, trials: int, epochs: int) -> None:
    """A sweep's files: scores that rise with the epochs, more so at a good learning rate."""
    rng = np.random.default_rng(0)
    rate = 10 ** rng.uniform(-4, -1, trials)
    width = rng.choice([8, 16, 32, 64], trials)
    iou = 0.85 * np.exp(-0.3 * (np.log10(rate) + 2.5) ** 2) * rng.uniform(0.8, 1, trials)
    cost = width * rng.uniform(5, 20, trials)
    names = [f"{ARCHITECTURES[n % 4]}-{n // 4:05d}" for n in range(trials)]
    started = 1_780_000_000 + 20.0 * np.arange(trials)
    own = {
        "trial_id": names,
        "architecture": [ARCHITECTURES[n % 4] for n in range(trials)],
        "is_paper": np.arange(trials) < 4,
        "is_best": np.isin(np.arange(trials), [n + 4 * iou[n::4].argmax() for n in range(4)]),
        "worker": [f"node{n % 16}:100" for n in range(trials)],
        "hyperparameters": [
            f'{{"batch_size": 8, "learning_rate": {r}, "loss": "{loss}", "width": {w}}}'
            for r, w, loss in zip(rate, width, rng.choice(["bce", "dice"], trials), strict=True)
        ],
        "learning_rate": rate,
        "device_seconds": cost,
        "val_iou": iou,
        "started_at": [datetime.fromtimestamp(t, UTC) for t in started],
        "ended_at": [datetime.fromtimestamp(t + 300, UTC) for t in started],
    }
    pq.write_table(_table(TrialRecord, trials, own), folder / SUMMARY_FILE)
    epoch = np.tile(np.arange(1, epochs + 1), trials)
    curves = {
        "trial_id": np.repeat(names, epochs),
        "architecture": np.repeat(own["architecture"], epochs),
        "epoch": epoch,
        "device_seconds": np.repeat(cost, epochs) * epoch / epochs,
        "val_iou": np.repeat(iou, epochs) * (1 - np.exp(-epoch / 5)),
    }
    pq.write_table(_table(EpochRecord, trials * epochs, curves), folder / CURVES_FILE)


FILLING = {str: "large", bool: False, int: 1, float: 0.5}


def _table(row_type: type, rows: int, own: dict[str, object]) -> pa.Table:
    """A table of a row type with some columns given, and one value in all others."""
    special: dict[str, str | None] = {"status": "completed", "backend": "tensorflow"}
    special |= dict.fromkeys(("error", "confirms", "over_limit", "losses"))
    arrays = []
    for field in schema(row_type):
        kind = columns(row_type)[field.name][0]
        value = special.get(field.name, FILLING.get(kind))
        values = own.get(field.name, [value] * rows)
        arrays.append(pa.array(values).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema(row_type))


if __name__ == "__main__":
    main()
