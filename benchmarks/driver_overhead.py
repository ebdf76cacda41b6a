"""What Ray and this project add to a thousand one-second trials at 16 slots.

    python benchmarks/driver_overhead.py --trials 1000 --slots 16 --seconds 1

The slots are processes of this machine that sleep, however few processors it has. Prints the time
over the shortest possible one, once with the start of the processes in it, and once from the end of
the first tenth of the trials on.
"""

from __future__ import annotations

import argparse
import math
import os

from sleeping import sweep


def main() -> None:
    """Run once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    least = math.ceil(arguments.trials / arguments.slots) * arguments.seconds
    share = (os.cpu_count() or 1) / arguments.slots
    taken, ends = sweep(arguments.trials, 1, arguments.seconds, cpus_per_trial=share)
    first = len(ends) // 10
    steady = (ends[-1] - ends[first]) / (len(ends) - 1 - first) * arguments.slots
    print(
        f"{arguments.trials} trials of {arguments.seconds:g} s at {arguments.slots} slots: "
        f"{taken:.1f} s, {taken / least:.2f} times the least possible ({least:.1f} s); "
        f"once all processes run, {steady / arguments.seconds:.2f} times"
    )


if __name__ == "__main__":
    main()
