"""The search itself: Ray started, Tune told what to do, and its end brought to the record."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

import nucseg_models
from sweeps import checkpoints, confirming, crowning, provenance
from sweeps.assignment import DEFAULT_EPOCHS, Assignment
from sweeps.config import SweepConfig
from sweeps.confirming import GivenTrials
from sweeps.record import canonical_json
from sweeps.recorder import Recorder
from sweeps.recording import RUNNING_FILE, Recording, SweepFacts
from sweeps.scheduler import SchedulerPerArchitecture
from sweeps.searcher import PastTrial, StudyPerArchitecture
from sweeps.storage import Store
from sweeps.sweep import Sweep


@contextmanager
def ray_running(config: SweepConfig) -> Iterator[Mapping[str, float]]:
    """Ray, started for this sweep and ended after it; yields what one trial may use."""
    environment = {
        "KERAS_BACKEND": config.backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Convolutions by oneDNN, on all processors: TensorFlow takes it by itself on the newest
        # only, and a U-Net's step took 1.6 times as long without.
        "TF_ENABLE_ONEDNN_OPTS": "1",
        # See nucseg_models.device: memory of large tensors is kept, in all threads.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a slow end of one trial would lose the next
    }
    ray.init(
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": environment},
    )
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        gpus = config.gpus_per_trial
        if gpus is None:
            gpus = 1.0 if ray.cluster_resources().get("GPU") else 0.0
        yield {"CPU": config.cpus_per_trial, "GPU": gpus}
    finally:
        ray.shutdown()


def search(sweep: Sweep) -> bool:
    """Run all trials, save the winners, confirm them; False if cut off before the end."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    waiting = _waiting(sweep)
    with ray_running(sweep.config) as resources:
        recording = Recording(
            _facts(sweep, resources), sweep.recorder, sweep.progress, sweep.store, waiting
        )
        whole = _search(sweep, resources, recording, [a for a in waiting if not a.confirms])
        if whole:
            sweep.progress.message("saving the winners")
            whole = crowning.crown(sweep, resources)
        if whole and sweep.config.confirm:
            whole = _confirm(sweep, resources, recording, [a for a in waiting if a.confirms])
    sweep.recorder.flush()
    # A repeat of what is no longer the best may have been cut off: nobody wants it any more.
    if whole and not [each for each in recording.unended() if not each.confirms]:
        checkpoints.remove(sweep.store)
        sweep.store.delete(RUNNING_FILE)
    return whole


def _search(
    sweep: Sweep, resources: Mapping[str, float], recording: Recording, waiting: list[Assignment]
) -> bool:
    """Run the trials that the studies choose; whether all ended, or the time is up."""
    searcher, config = _searcher(sweep, waiting), sweep.config
    epochs = config.max_epochs or DEFAULT_EPOCHS
    scheduler = SchedulerPerArchitecture(config.scheduler, config.arch, epochs)
    if not searcher.is_done():
        _tuner(
            sweep,
            resources,
            recording,
            searcher=searcher,
            scheduler=scheduler,
            deadline=sweep.deadline,
        ).fit()
    time_is_up = sweep.deadline is not None and time.time() >= sweep.deadline
    if time_is_up:
        recording.end_running()
    return time_is_up or searcher.is_done()


def _confirm(
    sweep: Sweep, resources: Mapping[str, float], recording: Recording, waiting: list[Assignment]
) -> bool:
    """Train the winners' settings again; whether all of these trials ended."""
    given = GivenTrials(confirming.assignments(sweep, waiting))
    if not given.is_done():
        sweep.progress.message("training the best settings again with fresh seeds")
        _tuner(
            sweep,
            resources,
            recording,
            searcher=given,
            scheduler=FIFOScheduler(),
            deadline=None,
        ).fit()
    return given.is_done()


def _facts(sweep: Sweep, resources: Mapping[str, float]) -> SweepFacts:
    """What every row says of the sweep."""
    return SweepFacts(
        sweep=sweep.config.name,
        backend=sweep.config.backend,
        dataset=sweep.config.data,
        dataset_sha256=sweep.inputs.train.sha256,
        git_commit=provenance.git_commit(),
        versions=canonical_json(provenance.versions()),
        devices_per_trial=resources["GPU"] or resources["CPU"],
        usd_per_hour=sweep.config.usd_per_hour,
    )


def _searcher(sweep: Sweep, waiting: list[Assignment]) -> StudyPerArchitecture:
    """The studies, told of what ended and what was cut off in earlier runs of this sweep."""
    return StudyPerArchitecture(
        sweep.config,
        [nucseg_models.get(name) for name in sweep.config.arch],
        deadline=sweep.deadline,
        pretrained=sweep.pretrained,
        past=_past_trials(sweep.recorder),
        waiting=waiting,
    )


def _tuner(
    sweep: Sweep,
    resources: Mapping[str, float],
    recording: Recording,
    *,
    searcher: Searcher,
    scheduler: TrialScheduler,
    deadline: float | None,
) -> tune.Tuner:
    """Ray Tune, told to keep workers warm and to write nothing but checkpoints."""
    trainable = tune.with_parameters(
        _run_trial, train=sweep.inputs.train, validation=sweep.inputs.validation
    )
    return tune.Tuner(
        tune.with_resources(trainable, dict(resources)),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,
            max_concurrent_trials=sweep.config.concurrency,
            reuse_actors=True,
            time_budget_s=None if deadline is None else max(1.0, deadline - time.time()),
            trial_dirname_creator=lambda trial: str(trial.config["trial"]),
        ),
        run_config=tune.RunConfig(
            name=checkpoints.next_run(sweep.store),
            storage_path=f"{_absolute(sweep.store)}/{checkpoints.FOLDER}",
            callbacks=[recording],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=3),
        ),
    )


def _run_trial(config: dict[str, Any], **data: Any) -> None:
    """Runs on a worker, which alone imports a backend."""
    from sweeps.trial import run_trial  # noqa: PLC0415

    run_trial(config, **data)


def _past_trials(recorder: Recorder) -> list[PastTrial]:
    """Trials that ended in earlier runs of this sweep, as a study is told of them."""
    curves: dict[str, dict[int, float]] = {}
    for row in recorder.curves:
        if row.val_iou is not None:
            curves.setdefault(row.trial_id, {})[row.epoch] = row.val_iou
    return [
        PastTrial(
            trial=record.trial_id,
            hyperparameters=json.loads(record.hyperparameters),
            status=record.status,
            scores=curves.get(record.trial_id, {}),
            value=record.val_iou,
        )
        for record in recorder.trials
        if not record.confirms
    ]


def _waiting(sweep: Sweep) -> list[Assignment]:
    """Trials that were cut off, each with its newest checkpoint if it had one."""
    try:
        configs = json.loads(sweep.store.read_bytes(RUNNING_FILE))
    except FileNotFoundError:
        return []
    ended = {record.trial_id for record in sweep.recorder.trials}
    return [
        replace(
            assignment,
            deadline=None if assignment.confirms else sweep.deadline,
            checkpoint=_checkpoint(sweep.store, assignment.trial),
        )
        for assignment in map(Assignment.from_config, configs)
        if assignment.trial not in ended  # the driver was killed as it wrote this down
    ]


def _checkpoint(store: Store, trial: str) -> str | None:
    """URI of a trial's newest checkpoint, if it has one."""
    folder = checkpoints.latest(store, trial)
    return folder and f"{_absolute(store)}/{folder}"


def _absolute(store: Store) -> str:
    """The store's URI as workers understand it, whose working folders are their own."""
    return store.uri if "://" in store.uri else str(Path(store.uri).absolute())
