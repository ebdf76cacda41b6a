"""Device-seconds until a search has found 95 and 99 % of the best IoU there is, replayed.

    python benchmarks/time_to_quality.py benchmarks/results/grid-2026-11-26.json --seeds 20

The table of record_grid.py holds every setting's curve, so that searches can be played through it
in moments: this project's, random search without early stopping, and Ray's OptunaSearch with its
ASHAScheduler, as documented. All choose from the same ranges (a learning rate is taken to the
nearest recorded one). Two lines are this project's: "as shipped", where, as for its users, the
U-Net's own row of the paper comes first and then its known good start (as far as the table's six
settings go, Adam standing for AdamW), which was found earlier, on more of these images; and
"without its start", where it knows as little as the others, and a random setting stands for the
paper's row, which is never stopped early. Of seeds that do not get there within the trials given,
all that they spent is counted.
"""

from __future__ import annotations

import argparse
import heapq
import json
import logging
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from record_grid import FIXED, GRID, UNET

from nucseg_models.search_space import Choice, Float
from sweeps.assignment import Assignment
from sweeps.config import SweepConfig
from sweeps.scheduler import SchedulerPerArchitecture
from sweeps.searcher import StudyPerArchitecture

SHARES = (0.95, 0.99)
RATES = GRID["learning_rate"]
CHOICES = {name: values for name, values in GRID.items() if name != "learning_rate"}
SHIPPED, BARE = "this project, as shipped", "this project, without its start"
OURS = (SHIPPED, BARE)
SEARCHES = (*OURS, "random search", "Ray with OptunaSearch and ASHA")


def made(name: str, epochs: int, trials: int, seed: int) -> tuple[Any, Any]:
    """A search and its scheduler, as they are used."""
    if name in (SHIPPED, BARE):
        config = SweepConfig(arch="unet", name="grid", trials=trials, max_epochs=epochs, seed=seed)
        search = StudyPerArchitecture(
            config,
            [_narrowed(_shipped() if name == SHIPPED else _any(seed))],
            deadline=None,
            pretrained=None,
            device_seconds=lambda trial: 1.0,
        )
        return search, SchedulerPerArchitecture("asha", ["unet"], epochs)
    space = {
        "learning_rate": FloatDistribution(min(RATES), max(RATES), log=True),
        **{name: CategoricalDistribution(values) for name, values in CHOICES.items()},
    }
    settings: dict[str, Any] = {"metric": "val_iou", "mode": "max"}
    if name == "random search":
        sampler = optuna.samplers.RandomSampler(seed=seed)
        return OptunaSearch(space, sampler=sampler, **settings), FIFOScheduler()
    return OptunaSearch(space, seed=seed, **settings), ASHAScheduler(max_t=epochs, **settings)


def _narrowed(first: Sequence[Mapping[str, Any]]) -> Any:
    """The U-Net with the grid's ranges only, that begins with the settings given."""
    space = {name: Choice(value) for name, value in FIXED.items()}
    space |= {name: Choice(*values) for name, values in CHOICES.items()}
    space["learning_rate"] = Float(min(RATES), max(RATES), log=True)
    narrowed = type(UNET)()
    paper, *starts = [{**FIXED, **{setting: row[setting] for setting in GRID}} for row in first]
    narrowed.__dict__.update(
        search_space=space, paper=paper, starts=tuple(starts), paper_epochs=10**6
    )
    return narrowed


def _shipped() -> list[dict[str, Any]]:
    """The paper's row, and the known good start."""
    rows = [dict(UNET.paper), *map(dict, UNET.starts)]
    return [{**row, "optimizer": str(row["optimizer"]).replace("adamw", "adam")} for row in rows]


def _any(seed: int) -> list[dict[str, Any]]:
    """A setting drawn at random."""
    rng = np.random.default_rng(seed)
    return [{name: values[rng.integers(len(values))] for name, values in GRID.items()}]


class Replay:
    """Searches played through a table of recorded curves, on so many slots at once."""

    def __init__(self, file: Path, slots: int) -> None:
        table = json.loads(file.read_text())
        self.epochs, self.slots = table["epochs"], slots
        self.rows = {self._key(row["settings"]): row for row in table["rows"]}
        self.best = max(max(row["scores"]) for row in table["rows"])

    def _key(self, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        near = min(RATES, key=lambda rate: abs(math.log(rate / settings["learning_rate"])))
        return (near, *(settings[name] for name in CHOICES))

    def spent(self, name: str, trials: int, seed: int) -> list[float]:
        """Device-seconds until each of SHARES of the best IoU is found."""
        search, scheduler = made(name, self.epochs, trials, seed)
        running: list[tuple[float, int, int]] = []
        rows: list[dict[str, Any]] = []
        spent, best, found = 0.0, 0.0, {}
        while len(found) < len(SHARES):
            while len(running) < self.slots and len(rows) < trials:
                rows.append(self._begin(search, scheduler, len(rows)))
                now = running[0][0] if running else spent / self.slots
                heapq.heappush(running, (now + rows[-1]["seconds"][0], len(rows) - 1, 0))
            if not running:
                break
            now, number, epoch = heapq.heappop(running)
            seconds, scores = rows[number]["seconds"], rows[number]["scores"]
            spent += seconds[epoch] - (seconds[epoch - 1] if epoch else 0.0)
            best = max(best, scores[epoch])
            found |= {s: spent for s in SHARES if best >= s * self.best and s not in found}
            if self._goes_on(search, scheduler, rows[number], number, epoch):
                ends = now + seconds[epoch + 1] - seconds[epoch]
                heapq.heappush(running, (ends, number, epoch + 1))
        return [found.get(share, spent) for share in SHARES]

    def _begin(self, search: Searcher, scheduler: Any, number: int) -> dict[str, Any]:
        """The row that the next suggestion stands for."""
        config = search.suggest(str(number))
        shown = SimpleNamespace(trial_id=str(number), config=config)
        ours = isinstance(search, StudyPerArchitecture)
        settings = Assignment.from_config(config).hyperparameters if ours else config
        scheduler.on_trial_add(None, shown)
        return {**self.rows[self._key(settings)], "shown": shown}

    def _goes_on(
        self, search: Searcher, scheduler: Any, row: Mapping[str, Any], number: int, epoch: int
    ) -> bool:
        """Tell of an epoch; whether another follows."""
        scores: Sequence[float] = row["scores"]
        result = {"epoch": epoch + 1, "training_iteration": epoch + 1, "val_iou": scores[epoch]}
        if epoch + 1 == len(scores):
            result |= {"final_iou": max(scores), "finished": True}
            scheduler.on_trial_complete(None, row["shown"], result)
            search.on_trial_complete(str(number), result)
            return False
        search.on_trial_result(str(number), result)
        goes_on = scheduler.on_trial_result(None, row["shown"], result) == "CONTINUE"
        if not goes_on:
            search.on_trial_complete(str(number), result)
        return goes_on


def main() -> None:
    """Play all searches with all seeds, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--slots", type=int, default=2)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    replay = Replay(arguments.table, arguments.slots)
    reached = [max(row["scores"]) / replay.best for row in replay.rows.values()]
    near = ", ".join(f"{sum(r >= s for r in reached)} within {1 - s:.0%}" for s in SHARES)
    print(f"best of {len(replay.rows)} settings: IoU {replay.best:.3f}; {near}")
    seeds = range(arguments.seeds)
    every = {n: [replay.spent(n, arguments.trials, seed) for seed in seeds] for n in SEARCHES}
    for place, share in enumerate(SHARES):
        for name, runs in every.items():
            spent = _nth(runs, place)
            low, high = np.quantile(spent, [0.05, 0.95])
            print(
                f"{share:.0%} by {name}: {statistics.median(spent):.0f} device-seconds "
                f"({low:.0f} to {high:.0f}), mean {statistics.mean(spent):.0f}; over it, "
                + ", ".join(_ratio(mine, _nth(every[mine], place), spent) for mine in OURS)
            )


def _ratio(name: str, ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How much this project spends of what another does."""
    medians, means = (
        measure(ours) / measure(theirs) for measure in (statistics.median, statistics.mean)
    )
    return f"{name} {medians:.2f} (means: {means:.2f})"


def _nth(runs: Iterable[Sequence[float]], place: int) -> list[float]:
    return [run[place] for run in runs]


if __name__ == "__main__":
    main()
