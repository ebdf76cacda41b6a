"""Trials an hour: this project beside Ray with OptunaSearch, KerasTuner and a plain Optuna loop.

    pip install -c constraints.txt -e '.[peers]'
    python benchmarks/peers.py --trials 12 --epochs 3 --rounds 3

All search the same U-Net's learning rate, weight decay and loss, at random, on the same made-up
images, with the same training code, for as many trials of as many epochs; none stops a trial
early. Each run is a process of its own on two cores, timed from its start to its end: this project
and Ray run two trials at once of one thread, the others one after another of two threads, as is
usual with each. Prints each one's trials an hour, and how many times theirs this project's are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nucseg_models
from nucseg_models.data.synthetic import synthetic
from nucseg_models.search_space import Choice

SEARCHED = ("learning_rate", "weight_decay", "loss")
TOOLS = ("ours", "ray", "keras_tuner", "optuna")
UNET = nucseg_models.get("unet")
FIXED = {**UNET.starts[0], "image_size": 64, "batch_size": 4}
IMAGES = synthetic(48, seed=0, sides=(64, 96))
TRAIN, VALIDATION = IMAGES.subset(range(40)), IMAGES.subset(range(40, 48))


@dataclass(frozen=True)
class Asked:
    """How much each tool is to do."""

    trials: int
    epochs: int
    seed: int


def trained(hyperparameters: Mapping[str, Any], epochs: int, workshop: Any = None) -> float:
    """Train one configuration from nothing and score it: the same for every peer."""
    from nucseg_models.training import TrainingRun

    run = TrainingRun(
        UNET,
        hyperparameters,
        train=TRAIN,
        validation=VALIDATION,
        epochs=epochs,
        seed=0,
        workshop=workshop,
    )
    while not run.done():
        run.epoch()
    return run.finish().scores.iou


def ours(asked: Asked) -> int:
    """This project: its search, its warm workers, its record on disk."""
    from sweeps.quiet import silence_ray

    silence_ray()
    import optuna

    from sweeps.cluster import ray_running
    from sweeps.config import SweepConfig
    from sweeps.inputs import Inputs
    from sweeps.progress import Progress
    from sweeps.recorder import Recorder
    from sweeps.search import search
    from sweeps.storage import open_store
    from sweeps.sweep import Sweep

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = SweepConfig(
        arch="unet",
        name="peers",
        address="local",
        trials=asked.trials,
        max_epochs=asked.epochs,
        sampler="random",
        scheduler="none",
        concurrency=2,
        seed=asked.seed,
    )
    nucseg_models.get("unet").__dict__.update(_narrowed())
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        progress = Progress(["unet"], asked.trials, quiet=True)
        inputs = Inputs(TRAIN, VALIDATION, None)
        sweep = Sweep(config, inputs, store, Recorder(store), progress, None, time.time())
        with ray_running(config) as resources:
            search(sweep, resources)
        return sum(trial.epochs_run == asked.epochs for trial in sweep.recorder.trials)


def _narrowed() -> dict[str, Any]:
    """Only the searched hyperparameters are free, in the driver; the paper's row is as the rest."""
    space = {
        name: declared if name in SEARCHED else Choice(FIXED[name])
        for name, declared in UNET.search_space.items()
    }
    return {"search_space": space, "paper": FIXED, "starts": (), "paper_epochs": 10**6}


def ray(asked: Asked) -> int:
    """Ray Tune with OptunaSearch, as its documentation shows it."""
    import ray as runtime
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, Any], epochs: int) -> None:
        from nucseg_models import device

        device.prepare(1)
        tune.report({"val_iou": trained({**FIXED, **config}, epochs)})

    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where workers find this file
    environment = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    runtime.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": environment})
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, epochs=asked.epochs), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                _distributions(), metric="val_iou", mode="max", sampler=_random(asked)
            ),
            num_samples=asked.trials,
            max_concurrent_trials=2,
        ),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(), verbose=0),
    )
    return sum(result.error is None for result in tuner.fit())


def keras_tuner(asked: Asked) -> int:
    """KerasTuner's random search with a training loop of one's own."""
    import keras_tuner as tuners

    from nucseg_models import device

    device.prepare(2)

    class Tuner(tuners.RandomSearch):
        def run_trial(self, trial: Any, *_: Any, **__: Any) -> float:
            asks = trial.hyperparameters
            rate, decay, loss = (UNET.search_space[name] for name in SEARCHED)
            values = {
                "learning_rate": asks.Float("learning_rate", rate.low, rate.high, sampling="log"),
                "weight_decay": asks.Choice("weight_decay", list(decay.options)),
                "loss": asks.Choice("loss", list(loss.options)),
            }
            return trained({**FIXED, **values}, asked.epochs)

    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            hypermodel=None,
            objective=tuners.Objective("default_objective", "max"),
            max_trials=asked.trials,
            seed=asked.seed,
            directory=folder,
        )
        tuner.search()
        return len(tuner.oracle.get_best_trials(asked.trials))


def optuna(asked: Asked) -> int:
    """A plain loop in one process."""
    import optuna as library

    from nucseg_models import device

    device.prepare(2)
    study = library.create_study(direction="maximize", sampler=_random(asked))
    for _ in range(asked.trials):
        trial = study.ask(_distributions())
        study.tell(trial, trained({**FIXED, **trial.params}, asked.epochs))
    return len(study.trials)


def _distributions() -> dict[str, Any]:
    from sweeps.study import distribution

    return {name: distribution(UNET.search_space[name]) for name in SEARCHED}


def _random(asked: Asked) -> Any:
    import optuna as library

    return library.samplers.RandomSampler(seed=asked.seed)


def measure(tool: str, asked: Asked) -> float:
    """Trials an hour of one tool, in a process of its own."""
    options = ["--trials", asked.trials, "--epochs", asked.epochs, "--seed", asked.seed]
    environment = os.environ | {
        "RAY_USAGE_STATS_ENABLED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "OMP_NUM_THREADS": "1" if tool in ("ours", "ray") else "2",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    begun = time.perf_counter()
    said = subprocess.run(
        [sys.executable, __file__, "--tool", tool, *map(str, options)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begun
    if said.returncode or int(said.stdout.split()[-1]) != asked.trials:
        raise RuntimeError(f"{tool} did not run {asked.trials} trials:\n{said.stderr[-2000:]}")
    return 3600 * asked.trials / seconds


def main() -> None:
    """Measure all in turn, some rounds, and compare; or, with --tool, be one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS, help="ours is one")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    asked = Asked(arguments.trials, arguments.epochs, arguments.seed)
    if arguments.tool:
        print(globals()[arguments.tool](asked))
        return
    pace: dict[str, list[float]] = {tool: [] for tool in arguments.tools}
    for number in range(arguments.rounds):
        for tool in arguments.tools:
            pace[tool].append(measure(tool, asked))
        print(f"round {number + 1} of {arguments.rounds} done", flush=True)
    for tool, found in pace.items():
        ratios = np.array(pace["ours"]) / found
        print(
            f"{tool}: {statistics.median(found):.0f} trials an hour; ours are "
            f"{np.median(ratios):.2f} times that ({ratios.min():.2f} to {ratios.max():.2f})"
        )
    if arguments.out:
        figures = {"trials": asked.trials, "epochs": asked.epochs, "trials_an_hour": pace}
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
