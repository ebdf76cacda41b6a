"""A finished sweep, replayed: what another strategy would have found, and at what price.

    python sweeps/replay.py results/NAME --seeds 20 --slots 4

Nothing is trained: each trial's recorded curve is played to the scheduler, epoch by epoch, as if on
so many machines; each seed shuffles the trials. A trial goes no further than it was recorded, so a
sweep that ran with --scheduler none says most.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from sweeps.quiet import silence_ray
from sweeps.recorder import Recorder
from sweeps.storage import StorageError, open_store, refuse_credentials

ASKED_WRONG = 2  # exit status


@dataclass(frozen=True)
class Curve:
    """A recorded trial. scores: validation IoU after each epoch; seconds: device-seconds so far."""

    trial: str
    architecture: str
    is_paper: bool
    scores: Sequence[float]
    seconds: Sequence[float]


@dataclass(frozen=True)
class Strategy:
    """A scheduler, as in --scheduler, and the share of the trials or of the price that it gets."""

    name: str
    scheduler: str = "none"
    trials: float = 1.0
    price: float = 1.0


STRATEGIES = (
    Strategy("all trials to their end"),
    Strategy("half of the trials, at random", trials=0.5),
    Strategy("ASHA", scheduler="asha"),
    Strategy("ASHA, half of the price", scheduler="asha", price=0.5),
)


@dataclass(frozen=True)
class Outcome:
    """Best validation IoU that a strategy found, the device-seconds that it took, how many trials
    began, and its course: (device-seconds, best IoU until then) after each epoch.
    """

    best: float
    seconds: float
    trials: int = field(default=0, compare=False)
    course: Sequence[tuple[float, float]] = field(default=(), compare=False)


def play(curves: Sequence[Curve], strategy: Strategy, slots: int, seed: int) -> Outcome:
    """One architecture's trials in a random order, on so many slots at once."""
    order = [curves[n] for n in np.random.default_rng(seed).permutation(len(curves))]
    waiting = deque(order[: max(1, round(strategy.trials * len(order)))])
    price = strategy.price * sum(curve.seconds[-1] for curve in curves)
    judge = _Judge(strategy.scheduler, curves)
    running: list[tuple[float, int, Curve, int]] = []  # when the next epoch ends, of which trial
    best, spent, begun, now = 0.0, 0.0, 0, 0.0
    course: list[tuple[float, float]] = []
    while (waiting and spent < price) or running:
        while waiting and len(running) < slots and spent < price:
            curve = waiting.popleft()
            judge.begin(curve)
            heapq.heappush(running, (now + curve.seconds[0], begun, curve, 0))
            begun += 1
        now, number, curve, epoch = heapq.heappop(running)
        spent += curve.seconds[epoch] - (curve.seconds[epoch - 1] if epoch else 0.0)
        best = max(best, curve.scores[epoch])
        course.append((spent, best))
        if spent < price and judge.goes_on(curve, epoch):
            ends = now + curve.seconds[epoch + 1] - curve.seconds[epoch]
            heapq.heappush(running, (ends, number, curve, epoch + 1))
    return Outcome(best, spent, begun, course)


class _Judge:
    """The sweep's own scheduler, shown recorded trials."""

    def __init__(self, scheduler: str, curves: Sequence[Curve]) -> None:
        from sweeps.scheduler import SchedulerPerArchitecture  # noqa: PLC0415 - Ray loads slowly

        epochs = max(len(curve.scores) for curve in curves)
        names = sorted({curve.architecture for curve in curves})
        self._scheduler = SchedulerPerArchitecture(scheduler, names, epochs)
        self._shown: dict[str, Any] = {}

    def begin(self, curve: Curve) -> None:
        config = {"architecture": curve.architecture, "is_paper": curve.is_paper}
        self._shown[curve.trial] = SimpleNamespace(trial_id=curve.trial, config=config)
        self._scheduler.on_trial_add(None, self._shown[curve.trial])

    def goes_on(self, curve: Curve, epoch: int) -> bool:
        """Whether the trial, which has ended that epoch (from 0), is to train another."""
        result = {"epoch": epoch + 1, "val_iou": curve.scores[epoch]}
        shown = self._shown[curve.trial]
        if epoch + 1 == len(curve.scores):
            self._scheduler.on_trial_complete(None, shown, result)
            return False
        return self._scheduler.on_trial_result(None, shown, result) == "CONTINUE"


def recorded(uri: str) -> dict[str, list[Curve]]:
    """The curves of a sweep's folder by architecture; ValueError where there are none.

    Repeats with fresh seeds, and trials that ended before their first epoch, are left out.
    """
    recorder = Recorder.resumed(open_store(uri))
    epochs: dict[str, list[tuple[int, float, float]]] = {}
    for row in recorder.curves:
        if row.val_iou is not None:
            each = (row.epoch, row.val_iou, row.device_seconds)
            epochs.setdefault(row.trial_id, []).append(each)
    found: dict[str, list[Curve]] = {}
    for trial in recorder.trials:
        if trial.trial_id in epochs and not trial.confirms:
            _, scores, seconds = zip(*sorted(epochs[trial.trial_id]), strict=True)
            curve = Curve(trial.trial_id, trial.architecture, trial.is_paper, scores, seconds)
            found.setdefault(trial.architecture, []).append(curve)
    if not found:
        raise ValueError(f"{uri} holds no curves of trials that ended: name a sweep's folder")
    return found


Outcomes = Mapping[str, Mapping[str, list[Outcome]]]  # by architecture and strategy


def replayed(curves: Mapping[str, list[Curve]], seeds: Sequence[int], slots: int) -> Outcomes:
    """Every strategy with every seed, the same orders for all."""
    return {
        architecture: {
            strategy.name: [play(mine, strategy, slots, seed) for seed in seeds]
            for strategy in STRATEGIES
        }
        for architecture, mine in curves.items()
    }


def table(curves: Mapping[str, list[Curve]], outcomes: Outcomes) -> Table:
    """Regret (how far below the best trial of all) and price of each strategy."""
    shown = Table("architecture", "strategy", "IoU below the best", "share of the device-seconds")
    for architecture, mine in curves.items():
        best = max(max(curve.scores) for curve in mine)
        whole = sum(curve.seconds[-1] for curve in mine)
        for strategy, ends in outcomes[architecture].items():
            regret = _spread([best - each.best for each in ends])
            price = _spread([each.seconds / whole for each in ends])
            shown.add_row(architecture, strategy, regret, price)
    return shown


def _spread(values: Sequence[float]) -> str:
    """Median, and the middle nine tenths."""
    low, high = np.quantile(values, [0.05, 0.95])
    return f"{statistics.median(values):.3f} ({low:.3f} to {high:.3f})"


def main(arguments: Sequence[str]) -> int:
    """Print the table; errors are sentences."""
    parser = argparse.ArgumentParser(
        prog="sweeps/replay.py",
        description="What other strategies would have found with a finished sweep's trials. "
        "Figures are the median over seeds, and the middle nine tenths.",
    )
    parser.add_argument("results", metavar="RESULTS", help="a sweep's folder, such as results/NAME")
    parser.add_argument("--seeds", type=int, default=20, help="orders to try (default: 20)")
    parser.add_argument("--slots", type=int, default=2, help="trials at once (default: 2)")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the courses too: .png, .svg or .pdf"
    )
    silence_ray()
    try:
        refuse_credentials(arguments)  # before anything is said that repeats them
        asked = parser.parse_args(arguments)
        curves = recorded(asked.results)
    except (ValueError, StorageError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return ASKED_WRONG
    began = time.perf_counter()
    outcomes = replayed(curves, range(max(1, asked.seeds)), max(1, asked.slots))
    console = Console()
    console.print(table(curves, outcomes))
    console.print(_pace(outcomes, time.perf_counter() - began), highlight=False)
    return _drawn(asked.plot, outcomes, parser.prog) if asked.plot else 0


def _pace(outcomes: Outcomes, seconds: float) -> str:
    """How much was replayed, in how long."""
    every = [one for mine in outcomes.values() for ends in mine.values() for one in ends]
    trials, recorded_seconds = sum(e.trials for e in every), sum(e.seconds for e in every)
    return (
        f"{trials} trials replayed in {seconds:.1f} s: {trials / seconds:.0f} a second, "
        f"{recorded_seconds / seconds:,.0f} times faster than they ran"
    )


def _drawn(path: Path, outcomes: Outcomes, program: str) -> int:
    """Write the plot; the exit status."""
    from sweeps import replay_plot  # noqa: PLC0415 - matplotlib loads slowly

    courses = {
        architecture: {name: [end.course for end in ends] for name, ends in mine.items()}
        for architecture, mine in outcomes.items()
    }
    try:
        replay_plot.draw(path, courses)
    except (OSError, ValueError) as error:
        print(f"{program}: --plot {path} can't be written: {error}", file=sys.stderr)
        return ASKED_WRONG
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
