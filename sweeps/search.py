"""The search itself: Tune told what to do, and its end brought to the record."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import optuna
from ray.tune.schedulers import FIFOScheduler

import nucseg_models
from sweeps import checkpoints, confirming, crowning, provenance
from sweeps.assignment import DEFAULT_EPOCHS, Assignment
from sweeps.checks import ConfigError
from sweeps.cluster import Bundle
from sweeps.confirming import GivenTrials
from sweeps.earlier import in_other_sweeps, in_this_sweep
from sweeps.limits import Limits
from sweeps.prices import Prices
from sweeps.record import canonical_json
from sweeps.recording import RUNNING_FILE, Recording
from sweeps.rows import SweepFacts
from sweeps.runner import Runner, absolute
from sweeps.scheduler import REDUCTION, SchedulerPerArchitecture
from sweeps.searcher import StudyPerArchitecture
from sweeps.storage import Store
from sweeps.sweep import Sweep


def search(sweep: Sweep, resources: Bundle) -> bool:
    """Run all trials, save the winners, confirm them; False if cut off before the end.

    resources: what one trial uses of the cluster that Ray runs on.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    waiting = _waiting(sweep)
    recording = Recording(
        facts(sweep, resources), sweep.recorder, sweep.progress, sweep.store, waiting
    )
    runner = Runner(sweep, resources, recording)
    whole = _search(runner, [each for each in waiting if not each.confirms])
    if whole:
        sweep.progress.message("saving the winners")
        whole = crowning.crown(sweep, resources)
    if whole and sweep.config.confirm:
        whole = _confirm(runner, [each for each in waiting if each.confirms])
    sweep.recorder.flush()
    # A repeat of what is no longer the best may have been cut off: nobody wants it any more.
    if whole and not [each for each in recording.unended() if not each.confirms]:
        checkpoints.remove(sweep.store)
        sweep.store.delete(RUNNING_FILE)
    return whole


def _search(runner: Runner, waiting: list[Assignment]) -> bool:
    """Run the trials that the studies choose; whether all ended, or the time is up."""
    sweep = runner.sweep
    searcher, config = _searcher(runner, waiting), sweep.config
    epochs = config.max_epochs or DEFAULT_EPOCHS
    if config.scheduler != "none" and epochs < REDUCTION:
        sweep.progress.message(
            f"with --max-epochs {epochs} --scheduler {config.scheduler} stops no trial early: it "
            f"needs {REDUCTION} epochs at least"
        )
    scheduler = SchedulerPerArchitecture(
        config.scheduler,
        config.arch,
        epochs,
        limits=Limits.of(config),
        all_is_spent=runner.recording.all_is_spent,
    )
    if not searcher.is_done():
        runner.run(searcher, scheduler, trials=searcher.to_begin(), deadline=sweep.deadline)
    time_is_up = sweep.deadline is not None and time.time() >= sweep.deadline
    if time_is_up:
        runner.recording.end_running()
    return time_is_up or searcher.is_done()


def _confirm(runner: Runner, waiting: list[Assignment]) -> bool:
    """Train the winners' settings again; whether all of these trials ended."""
    repeats = confirming.assignments(runner.sweep, waiting)
    given = GivenTrials(repeats, runner.recording.all_is_spent)
    if not given.is_done():
        runner.sweep.progress.message("training the best settings again with fresh seeds")
        runner.run(given, FIFOScheduler(), trials=given.to_begin())
    return given.is_done()


def facts(sweep: Sweep, resources: Bundle) -> SweepFacts:
    """What every row says of the sweep."""
    return SweepFacts(
        sweep=sweep.config.name,
        backend=sweep.config.backend,
        dataset=sweep.config.data,
        dataset_sha256=sweep.inputs.train.sha256,
        git_commit=provenance.git_commit(),
        versions=canonical_json(provenance.versions()),
        devices_per_trial=resources["GPU"] or resources["CPU"],
        prices=Prices.of(sweep.config),
        limits=Limits.of(sweep.config),
        max_usd=sweep.config.max_usd,
    )


def _searcher(runner: Runner, waiting: list[Assignment]) -> StudyPerArchitecture:
    """The studies, told of what ended and what was cut off in earlier runs of this sweep."""
    sweep = runner.sweep
    return StudyPerArchitecture(
        sweep.config,
        [nucseg_models.get(name) for name in sweep.config.arch],
        deadline=sweep.deadline,
        pretrained=sweep.pretrained,
        device_seconds=runner.recording.device_seconds,
        why_lost=runner.recording.why_lost,
        all_is_spent=runner.recording.all_is_spent,
        past=in_this_sweep(sweep.recorder, Limits.of(sweep.config)),
        elsewhere=in_other_sweeps(sweep),
        waiting=waiting,
    )


def _waiting(sweep: Sweep) -> list[Assignment]:
    """Trials that were cut off, each with its newest checkpoint if it had one."""
    try:
        configs = json.loads(sweep.store.read_bytes(RUNNING_FILE))
        cut_off = [Assignment.from_config(config) for config in configs]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{sweep.store.uri}/{RUNNING_FILE} can't be read ({error}): go on with the version of "
            "the project that wrote it, or remove the file, and the trials in it begin anew"
        ) from error
    ended = {record.trial_id for record in sweep.recorder.trials}
    return [
        replace(
            assignment,
            deadline=None if assignment.confirms else sweep.deadline,
            checkpoint=_checkpoint(sweep.store, assignment.trial),
        )
        for assignment in cut_off
        if assignment.trial not in ended  # the driver was killed as it wrote this down
    ]


def _checkpoint(store: Store, trial: str) -> str | None:
    """URI of a trial's newest checkpoint, if it has one."""
    folder = checkpoints.latest(store, trial)
    return folder and f"{absolute(store)}/{folder}"
