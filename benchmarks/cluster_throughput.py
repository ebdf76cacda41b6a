"""Trials an hour on 1, 2 and 3 machines of equal size: how much of a machine more arrives.

    sudo .venv/bin/python benchmarks/cluster_throughput.py --trials 24 --epochs 12 --seconds 1

The machines are made up (tests/cluster/hosts.py) and share this one's processors, so trials do not
train: each epoch sleeps and reports made-up figures. All else is the project's: Ray started on
every machine, the searcher, the scheduler, the record. A machine has room for two trials, and
each run has so many trials a machine. The first trials, as processes start, are in the time.
Prints the efficiency: time on one machine over time on N for N times the trials.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
HEAD, PLACES = "10.77.0.2", 2


def main() -> None:
    """Measure on this machine, or, with --inside, run one sweep on the cluster that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=24, help="a machine")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="an epoch")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--inside", type=int, metavar="TRIALS")
    arguments = parser.parse_args()
    if arguments.inside:
        from sleeping import sweep

        taken_here, _ = sweep(arguments.inside, arguments.epochs, arguments.seconds)
        print(f"{arguments.inside} trials in seconds: {taken_here:.2f}")
        return
    ideal = arguments.trials / PLACES * arguments.epochs * arguments.seconds
    print(f"without any overhead a run takes {ideal:.0f} s")
    taken: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for _ in range(arguments.rounds):
        for machines, seconds in taken.items():
            seconds.append(measure(machines, arguments))
    for machines, seconds in taken.items():
        ratios = [one / many for one, many in zip(taken[1], seconds, strict=True)]
        print(
            f"{machines} machines: {statistics.median(seconds):.1f} s, efficiency "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def measure(machines: int, arguments: argparse.Namespace) -> float:
    """Seconds of a sweep on so many new machines beside the head."""
    from tests.cluster.hosts import Network

    folder = Path(tempfile.mkdtemp(prefix="nucseg-bench-", dir="/var/tmp"))
    network = Network(folder)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(PROJECT),
    }
    try:
        head = network.add(HEAD, environment)
        small = "--object-store-memory=200000000"
        head.shell(f"ray start --head --port=6379 --num-cpus=0 {small} --include-dashboard=false")
        for number in range(machines):
            worker = network.add(f"10.77.0.{3 + number}", environment)
            worker.shell(f"ray start --address={HEAD}:6379 --num-cpus={PLACES} {small}")
        options = f"--epochs {arguments.epochs} --seconds {arguments.seconds}"
        trials = machines * arguments.trials
        said = head.shell(f"cd {PROJECT}; python {__file__} --inside {trials} {options}")
        return float(said.split()[-1])
    finally:
        network.remove()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
