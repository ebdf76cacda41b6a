"""Makes the plan of a sweep: from a short probe of each architecture, or from earlier sweeps."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import ray

import nucseg_models
from nucseg_models.architecture import Architecture
from sweeps import checkpoints, cluster
from sweeps.cluster import Bundle
from sweeps.earlier import rows_of_other_sweeps
from sweeps.pinned import pinned
from sweeps.plan import Part, Plan, per_epoch
from sweeps.prices import Prices
from sweeps.probe import Probe, probe
from sweeps.record import TrialRecord
from sweeps.replay import Curve, Strategy, play
from sweeps.searcher import epochs_of
from sweeps.study import distribution
from sweeps.sweep import Sweep

DRAWS = 16  # settings, drawn at random, whose operations are counted
FINAL_PASSES = 2  # over as many images as there are to choose by, after a trial's last epoch
SHARE_SEEDS = 5


def plan(sweep: Sweep, resources: Bundle) -> Plan:
    """Reckon what the sweep takes; trains no more than the probes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = sweep.config
    earlier = rows_of_other_sweeps(sweep)
    parts = []
    for name in config.arch:
        mine = [trial for trial in earlier if trial.architecture == name]
        if not mine:
            sweep.progress.message(f"probing {name}: a short training")
        parts.append(_from_earlier(sweep, name, mine) if mine else _probed(sweep, name, resources))
    room = cluster.places(resources, cluster.may_have() or cluster.machines())
    return Plan(
        parts=parts,
        devices_per_trial=resources["GPU"] or resources["CPU"],
        at_once=min(room, config.concurrency or room, config.trials * len(parts)),
        time_budget=config.time_budget,
        max_usd=config.max_usd,
    )


def _from_earlier(sweep: Sweep, name: str, rows: Sequence[TrialRecord]) -> Part:
    """As trials of the same architecture cost on the same images, early ends included."""
    config = sweep.config
    epochs = _planned(sweep, name)
    device_seconds = sum(epochs) * per_epoch(rows)
    usd = Prices.of(config).usd(rows[0].device, device_seconds)
    completed = [trial for trial in rows if trial.status == "completed"]
    repeats = config.confirm * max(epochs) * per_epoch(completed or rows)
    basis = f"earlier trials: {len(rows)}"
    return Part(name, config.trials, device_seconds, usd, 0.0, basis, repeats)


def _probed(sweep: Sweep, name: str, resources: Bundle) -> Part:
    """As a short training says, and the operations of other settings beside its own."""
    config, architecture = sweep.config, nucseg_models.get(name)
    settled = pinned(config, architecture, sweep.pretrained)
    start = {**architecture.starts[0], **settled}
    known = [{**each, **settled} for each in (architecture.paper, *architecture.starts)]
    draws = _draws(architecture, settled) if config.trials > len(known) else []
    worker = ray.remote(num_cpus=resources["CPU"], num_gpus=resources["GPU"], max_calls=1)(probe)
    task = worker.remote(
        name,
        start,
        [*known, *draws],
        threads=max(1, int(config.cpus_per_trial)),
        precision=config.precision,
        train=sweep.inputs.train,
        validation=sweep.inputs.validation,
    )
    found: Probe = ray.get(task)
    devices = resources["GPU"] or resources["CPU"]
    device_seconds = sum(_trial_seconds(sweep, name, found, len(known))) * devices
    usd = Prices.of(config).usd(found.device, device_seconds)
    repeats = config.confirm * _whole_trial_seconds(sweep, name, found) * devices
    disk = checkpoints.KEPT * found.state_bytes
    return Part(name, config.trials, device_seconds, usd, disk, "a probe", repeats)


def _planned(sweep: Sweep, name: str) -> list[int]:
    """Epochs of each trial, if none is stopped."""
    architecture, config = nucseg_models.get(name), sweep.config
    return [epochs_of(architecture, n, config.max_epochs) for n in range(config.trials)]


def _draws(architecture: Architecture, settled: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Settings as the sampler draws them before it has learnt anything."""
    space = {name: distribution(each) for name, each in architecture.search_space.items()}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [{**study.ask(space).params, **settled} for _ in range(DRAWS)]


def _trial_seconds(sweep: Sweep, name: str, found: Probe, known: int) -> list[float]:
    """Of each trial: the known settings first, then what is drawn, at the mean of the draws."""
    epochs = _planned(sweep, name)
    share = _share(sweep.config.scheduler, len(epochs), max(epochs))
    seconds = []
    for number, planned in enumerate(epochs):
        crop, pixel = (
            work[number] if number < min(known, len(work)) else statistics.fmean(work)
            for work in (found.crop_work, found.pixel_work)
        )
        run = planned if number == 0 else share * planned  # the paper's row is never stopped
        seconds.append(_seconds(sweep, found, crop, pixel, run))
    return seconds


def _whole_trial_seconds(sweep: Sweep, name: str, found: Probe) -> float:
    """Of a trial that is not stopped, whatever its settings are: a mean over those reckoned."""
    crop, pixel = map(statistics.fmean, (found.crop_work, found.pixel_work))
    return _seconds(sweep, found, crop, pixel, max(_planned(sweep, name)))


def _seconds(sweep: Sweep, found: Probe, crop: float, pixel: float, epochs: float) -> float:
    """Of a trial, by the work of its settings beside that of the probe's."""
    train, validation = sweep.inputs.train, sweep.inputs.validation
    one_pass = found.pixel * pixel * sum(labels.size for labels in validation.labels)
    epoch = found.crop * crop * len(train) + one_pass
    return found.start + epochs * epoch + FINAL_PASSES * one_pass


def _share(scheduler: str, trials: int, epochs: int) -> float:
    """Of all planned epochs those that a scheduler lets train, on curves that are made up.

    They rise to where each ends, so that a scheduler that stops early is right to. Hyperband pauses
    trials instead, which no replay does: it is taken to save what ASHA does.
    """
    scheduler = "none" if scheduler == "none" else "asha"
    ends = np.random.default_rng(0).random(trials)
    rise = 1 - 0.5 ** np.arange(1, epochs + 1)
    curves = [
        Curve(f"t{n}", "any", False, list(end * rise), list(range(1, epochs + 1)))
        for n, end in enumerate(ends)
    ]
    strategy = Strategy("asked", scheduler=scheduler)
    outcomes = [play(curves, strategy, 2, seed) for seed in range(SHARE_SEEDS)]
    return statistics.fmean(outcome.seconds for outcome in outcomes) / (trials * epochs)
