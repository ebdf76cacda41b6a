"""What the driver itself costs: thousands of instant trials through search, scheduler and record.

    python benchmarks/driver_scale.py --trials 10000 --slots 16

Nothing is trained, and Ray is left out: made-up curves go through the parts that are this
project's own, in the order in which Tune calls them. Says what a trial costs at the start and at
the end, where that goes, and the memory and files that the process holds. Linux only.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

import nucseg_models
from sweeps.assignment import Assignment
from sweeps.config import SweepConfig
from sweeps.limits import Limits
from sweeps.prices import Prices
from sweeps.progress import Progress
from sweeps.recorder import Recorder
from sweeps.recording import Recording
from sweeps.rows import SweepFacts
from sweeps.scheduler import SchedulerPerArchitecture
from sweeps.searcher import StudyPerArchitecture
from sweeps.storage import open_store

EPOCHS = 9


class Simulation:
    """A sweep without Ray and without training."""

    def __init__(self, folder: str, trials: int, sampler: str) -> None:
        self.spent: Counter[str] = Counter()
        store = open_store(folder)
        config = SweepConfig(arch="unet", name="scale", trials=trials, sampler=sampler)
        facts = SweepFacts(
            sweep="scale",
            backend="tensorflow",
            dataset="none",
            dataset_sha256="0" * 64,
            git_commit=None,
            versions="{}",
            devices_per_trial=1.0,
            prices=Prices({}),
            limits=Limits({}),
            max_usd=None,
        )
        progress = Progress(["unet"], trials, quiet=True)
        self.recording = Recording(facts, Recorder(store), progress, store)
        self.scheduler = SchedulerPerArchitecture("asha", ["unet"], EPOCHS)
        self.search = StudyPerArchitecture(
            config,
            [nucseg_models.get("unet")],
            deadline=None,
            pretrained=None,
            device_seconds=self.recording.device_seconds,
        )

    @contextmanager
    def counted(self, part: str) -> Iterator[None]:
        """Add the seconds of a block to a part's."""
        begun = time.perf_counter()
        yield
        self.spent[part] += time.perf_counter() - begun  # type: ignore[assignment]  # seconds

    def begin(self, number: int) -> Any:
        """Ask for a trial; None where there is none."""
        name = str(number)
        with self.counted("suggest"):
            config = self.search.suggest(name)
        if config == Searcher.FINISHED:
            return None
        trial = SimpleNamespace(
            trial_id=name, config=config, status=Trial.RUNNING, epoch=0, figures={}
        )
        with self.counted("scheduler"):
            self.scheduler.on_trial_add(None, trial)
        with self.counted("record"):
            self.recording.on_trial_start(0, [], trial)
        return trial

    def step(self, trial: Any) -> bool:
        """An epoch; whether the trial goes on."""
        trial.epoch += 1
        result = figures(trial)
        with self.counted("scheduler"):
            decision = self.scheduler.on_trial_result(None, trial, result)
        done = trial.epoch == EPOCHS or decision == "STOP"
        with self.counted("tell"):
            if done:
                self.search.on_trial_complete(trial.trial_id, result)
            else:
                self.search.on_trial_result(trial.trial_id, result)
        with self.counted("record"):
            self.recording.on_trial_result(0, [], trial, result)
            if done:
                self.recording.on_trial_complete(0, [], trial)
        return not done


def figures(trial: Any) -> dict[str, Any]:
    """What a worker would send: a curve that rises to where the learning rate lets it."""
    rate = Assignment.from_config(trial.config).hyperparameters["learning_rate"]
    end = float(np.exp(-((np.log10(rate) + 3) ** 2) / 4))
    iou = end * (1 - 0.6**trial.epoch)
    shown = {"val_iou": iou, "val_accuracy": iou, "loss": 1 - iou, "learning_rate": rate}
    best = {"best_iou": iou, "best_dice": iou, "best_accuracy": iou}
    last = {"finished": True, "final_iou": iou} if trial.epoch == EPOCHS else {}
    return {"epoch": trial.epoch, **shown, **best, **last}


def main() -> None:
    """Run, and say each tenth's cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--sampler", default="tpe")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(folder, arguments.trials, arguments.sampler)
        running = [simulation.begin(n) for n in range(arguments.slots)]
        begun, ended, tenth = arguments.slots, 0, max(1, arguments.trials // 10)
        while running:
            trial = running.pop(0)
            if simulation.step(trial):
                running.append(trial)
                continue
            ended += 1
            if (following := simulation.begin(begun)) is not None:
                running.append(following)
                begun += 1
            if ended % tenth == 0:
                say(simulation, ended, tenth)


def say(simulation: Simulation, ended: int, trials: int) -> None:
    """One line: milliseconds a trial since the last, by part; memory, now and at most; files."""
    parts = {part: 1000 * seconds / trials for part, seconds in simulation.spent.items()}
    simulation.spent.clear()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    files = len(list(Path("/proc/self/fd").iterdir())) - 1  # without that of the look itself
    shown = ", ".join(f"{part} {value:.2f}" for part, value in parts.items())
    print(
        f"{ended} trials: {sum(parts.values()):.1f} ms a trial ({shown}); {now:.0f} MB, at most "
        f"{most:.0f}; {files} files open",
        flush=True,
    )


if __name__ == "__main__":
    main()
