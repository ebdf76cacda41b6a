"""What a warm worker saves: seconds from a chosen trial to its first step, and the memory it holds.

    python benchmarks/warm_workers.py --trials 50

For each architecture, in a process of its own: a first trial, then others whose settings differ in
nothing that shapes the training graph, each of an epoch of two steps on made-up images. Prints the
seconds to the first step of the first and of the later ones (to that step's end, less what the
second step took; median, lowest to highest), and how much more memory is held after all trials than
after the fifth.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import statistics
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nucseg_models
from nucseg_models.data.synthetic import synthetic

FIFTH = 5


def main() -> None:
    """Measure the architectures asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="+", default=nucseg_models.names())
    parser.add_argument("--trials", type=int, default=50)
    arguments = parser.parse_args()
    os.environ.update(  # as sweeps.cluster sets up workers
        TF_CPP_MIN_LOG_LEVEL="3",
        TF_ENABLE_ONEDNN_OPTS="1",
        MALLOC_ARENA_MAX="1",
        MALLOC_MMAP_THRESHOLD_=str(1 << 30),
        MALLOC_TRIM_THRESHOLD_=str(1 << 34),
    )
    for name in arguments.arch:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            starts, memory = pool.submit(measure, name, arguments.trials).result()
        later = starts[1:]
        print(
            f"{name}: first {starts[0]:.2f} s, later {statistics.median(later):.2f} s "
            f"({min(later):.2f} to {max(later):.2f}); memory after {len(starts)} trials "
            f"{memory[-1] / memory[FIFTH - 1] - 1:+.1%} over that after {FIFTH} "
            f"({memory[-1] / 1e6:.0f} MB)",
            flush=True,
        )


def measure(name: str, trials: int) -> tuple[list[float], list[int]]:
    """Of each trial the seconds to its first step, and the memory held after it."""
    from nucseg_models import device
    from nucseg_models.training import TrainingRun
    from nucseg_models.workshop import Workshop

    device.prepare(1)
    architecture = nucseg_models.get(name)
    workshop, starts, memory = Workshop(), [], []
    images = synthetic(8, seed=0, sides=(96, 96))
    for number in range(trials):
        settings = {"image_size": 64, "batch_size": 4, "learning_rate": 1e-4 * (1 + number)}
        run = TrainingRun(
            architecture,
            {**architecture.starts[0], **settings},
            train=images,
            validation=images.subset([0, 1]),
            epochs=1,
            seed=number,
            workshop=workshop,
        )
        run.epoch()
        run.finish()
        starts.append(run.clock.start - run.clock.train)
        memory.append(_resident())
    return starts, memory


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    found = re.search(r"VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) * 1024 if found else 0


if __name__ == "__main__":
    main()
