"""What it costs a finished sweep that nothing is lost: its checkpoints and its record.

    python benchmarks/safety_cost.py results/NAME [results/NAME ...]

For each architecture's best trial, its network is made once more, and what happens after each epoch
(the checkpoint is written, and copied into storage) is timed, beside the median seconds of that
trial's recorded epochs; so is the writing of a row. Prints the share of an epoch that safety takes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nucseg_models
from nucseg_models.data.synthetic import synthetic
from sweeps.record import TrialRecord
from sweeps.recorder import Recorder
from sweeps.storage import open_store

TIMES = 5


def main() -> None:
    """Measure the sweeps that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+")
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for uri in arguments.results:
        recorder = Recorder.resumed(open_store(uri))
        for trial in (trial for trial in recorder.trials if trial.is_best):
            measure(recorder, trial)


def measure(recorder: Recorder, trial: TrialRecord) -> None:
    """Print the shares of one trial's epochs."""
    ends = sorted(row.seconds for row in recorder.curves if row.trial_id == trial.trial_id)
    epoch = statistics.median(end - begin for begin, end in pairwise([0.0, *ends]))
    saving, row = _saving_seconds(trial), _row_seconds(trial)
    share = (saving + row / max(1, trial.epochs_run)) / epoch
    print(
        f"{trial.architecture}: an epoch {epoch:.1f} s, its checkpoint {saving:.3f} s, "
        f"the trial's row {row:.3f} s: {share:.1%}",
        flush=True,
    )


def _saving_seconds(trial: TrialRecord) -> float:
    """Seconds to save all that going on needs, and to copy it to where results are."""
    from nucseg_models.training import TrainingRun

    images = synthetic(2, seed=0)
    run = TrainingRun(
        nucseg_models.get(trial.architecture),
        json.loads(trial.hyperparameters),
        train=images,
        validation=images,
        epochs=1,
        seed=0,
    )
    run.best_weights = run.model.get_weights()

    def save() -> None:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as results:
            run.save(Path(folder))
            shutil.copytree(folder, f"{results}/checkpoint")

    return _median_seconds(save)


def _row_seconds(trial: TrialRecord) -> float:
    """Seconds to write a row on disk among five hundred, the most that are written anew."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(open_store(folder))
        numbers = iter(range(10_000))

        def write() -> None:
            values = {"trial_id": f"{trial.architecture}-{next(numbers):04d}", "is_best": False}
            recorder.ended(replace(trial, **values))

        for _ in range(500 - TIMES):
            write()
        return _median_seconds(write)


def _median_seconds(work: Callable[[], None]) -> float:
    seconds = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
