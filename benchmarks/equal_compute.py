"""Do masks learnt in parallel with boxes separate nuclei better? Two architectures, equal compute.

    python benchmarks/equal_compute.py --data ../shared/data/dsb2018 --minutes 10 --seeds 3

For each seed, which draws the split too, a U-Net and a Mask R-CNN train side by side, each in a
process of one thread and for the same seconds, in passes over a quarter of the images, so that
little of the time is left over; the rate comes down to nothing by the last, whose weights count.
Then both have their post-processing tuned in the
same way, by so many trials of Optuna on training images, and are scored once on the validation
images: the U-Net split by its watershed, Mask R-CNN by its detections alone and together with its
side head. Differences are means over all seeds' images (each a mean over its seeds) with a
bootstrap interval over images.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import bootstrap

import nucseg_models
from nucseg_models import data, metrics
from nucseg_models.data import Dataset

BASELINE = "unet, watershed"
WAYS: dict[str, dict[str, dict[str, Any]]] = {
    "unet": {BASELINE: {"splitting": "watershed"}},
    "mask_rcnn": {
        "mask_rcnn, detections alone": {"fill": False},
        "mask_rcnn, with side head": {"fill": True},
    },
}
TUNING_IMAGES, TUNING_TRIALS = 60, 60


@dataclass(frozen=True)
class Task:
    """One training: of what, with which seed, for how many seconds."""

    architecture: str
    hyperparameters: dict[str, Any]
    data: str
    seed: int
    seconds: float


def main() -> None:
    """Train, score, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--winners", type=Path, nargs="*", default=[], help="folders of sweeps")
    parser.add_argument("--out", type=Path, default=Path("equal_compute.parquet"))
    arguments = parser.parse_args()
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="1")  # workers inherit
    chosen = {name: _chosen(name, arguments.winners) for name in WAYS}
    data.load(arguments.data)  # read and cached once, before the clocks run
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        tasks = [
            Task(name, chosen[name], arguments.data, seed, 60 * arguments.minutes) for name in WAYS
        ]
        with ProcessPoolExecutor(len(tasks), multiprocessing.get_context("spawn")) as pool:
            for found in pool.map(train_and_score, tasks):
                rows += found
        pq.write_table(pa.Table.from_pylist(rows), arguments.out)
        print(f"seed {seed} done", flush=True)
    report(rows)


def _chosen(name: str, folders: list[Path]) -> dict[str, Any]:
    """Hyperparameters of the winner in one of the sweeps, or else of the best known start."""
    for folder in folders:
        config = folder / "best" / name / "config.json"
        if config.exists():
            found: dict[str, Any] = json.loads(config.read_text())["hyperparameters"]
            return found
    return dict(nucseg_models.get(name).starts[0])


def train_and_score(task: Task) -> list[dict[str, Any]]:
    """A row for each validation image and way of making nuclei."""
    from nucseg_models import device
    from nucseg_models.batches import Batches
    from nucseg_models.training import TrainingRun

    class Quarters(Batches):
        """The same crops in the same order, of which an epoch has a quarter."""

        def __len__(self) -> int:
            return max(1, super().__len__() // 4)

    device.prepare(1)
    train, validation = (
        replace(part, images=[data.normalise(image) for image in part.images])
        for part in data.split(data.load(task.data), seed=task.seed)
    )
    architecture = nucseg_models.get(task.architecture)
    run = TrainingRun(
        architecture,
        task.hyperparameters,
        train=train,
        validation=validation.subset([0]),  # nothing is chosen by it, and it costs little time
        epochs=1000,
        seed=task.seed,
        deadline=time.time() + task.seconds,
    )
    run.batches = Quarters(train, architecture, task.hyperparameters, task.seed)
    while not run.done():
        run.epoch()
    some = np.random.default_rng(0).permutation(len(train))[:TUNING_IMAGES]
    tuning = _Predictions(run, train.subset(sorted(some)))
    scored = _Predictions(run, validation)
    facts = {"seed": task.seed, "seconds": run.clock.total, "epochs": run.epochs_run}
    rows = []
    for way, fixed in WAYS[task.architecture].items():
        best = {**task.hyperparameters, **tuned(architecture, tuning, task, fixed)}
        for image, scores in zip(validation.ids, scored.scores(best), strict=True):
            rows.append({"way": way, "image": image, **facts, **asdict(scores)})
    return rows


class _Predictions:
    """What a trained network says of each image, kept to be turned into nuclei in many ways."""

    def __init__(self, run: Any, dataset: Dataset) -> None:
        self.architecture, self.dataset = run.architecture, dataset
        self.outputs = dict(
            run.architecture.outputs(run.model, dataset.images, run.hyperparameters)
        )

    def scores(self, hyperparameters: dict[str, Any]) -> list[metrics.Scores]:
        """Of each image, in order."""
        return [
            metrics.score_image(
                self.dataset.labels[n],
                self.architecture.postprocess(self.outputs[n], hyperparameters),
            )
            for n in range(len(self.dataset))
        ]


def tuned(
    architecture: nucseg_models.Architecture,
    tuning: _Predictions,
    task: Task,
    fixed: dict[str, Any],
) -> dict[str, Any]:
    """The post-processing that gives the best Data Science Bowl score on training images."""
    import optuna

    from sweeps.study import distribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {
        name: distribution(architecture.search_space[name])
        for name in architecture.postprocessing()
        if name not in fixed
    }
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial({name: task.hyperparameters[name] for name in space})

    for _ in range(TUNING_TRIALS):
        trial = study.ask(space)
        settings = {**task.hyperparameters, **trial.params, **fixed}
        study.tell(trial, metrics.mean_scores(tuning.scores(settings)).map)
    return {**study.best_params, **fixed}


def report(rows: list[dict[str, Any]]) -> None:
    """Print each way's means, and how far Mask R-CNN is from the U-Net."""
    means = {way: _by_image(rows, way) for ways in WAYS.values() for way in ways}
    for way, figures in means.items():
        print(way, "; ".join(f"{key} {values.mean():.3f}" for key, values in figures.items()))
        seeds = {row["seed"]: (row["epochs"], row["seconds"]) for row in rows if row["way"] == way}
        print("  epochs, seconds by seed:", seeds)
    for way in WAYS["mask_rcnn"]:
        for key, values in means[way].items():
            print(f"{way} - {BASELINE}: {key} {_interval(values - means[BASELINE][key])}")


def _by_image(rows: list[dict[str, Any]], way: str) -> dict[str, np.ndarray[Any, Any]]:
    """Each figure of a way, a mean over seeds for every image."""
    mine = [row for row in rows if row["way"] == way]
    images = sorted({row["image"] for row in mine})
    figures = {
        "score": lambda row: row["map"],
        "IoU": lambda row: row["iou"],
        "splits + merges": lambda row: row["splits"] + row["merges"],
    }
    return {
        key: np.array([np.mean([f(row) for row in mine if row["image"] == i]) for i in images])
        for key, f in figures.items()
    }


def _interval(differences: np.ndarray[Any, Any]) -> str:
    """Mean and 95 % bootstrap interval over images."""
    found = bootstrap((differences,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    return f"{differences.mean():+.3f} ({found.low:+.3f} to {found.high:+.3f})"


if __name__ == "__main__":
    main()
