"""What is known before a search begins: trials that ended in this sweep or in others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from sweeps.checks import ConfigError
from sweeps.limits import Limits
from sweeps.record import SWEEP_FILE, TrialRecord
from sweeps.recorder import Recorder
from sweeps.searcher import PastTrial
from sweeps.storage import open_store
from sweeps.sweep import Sweep
from sweeps.telling import Ending


def in_this_sweep(recorder: Recorder, limits: Limits) -> list[PastTrial]:
    """Trials that ended in earlier runs of this sweep."""
    return _past(recorder, (trial for trial in recorder.trials if not trial.confirms), limits)


def in_other_sweeps(sweep: Sweep) -> list[PastTrial]:
    """The trials of the sweeps that ``--warm-start`` names; repeats with fresh seeds say no more.

    ConfigError where one has none of these architectures, or other images or another split, on
    which scores can't be compared.
    """
    found: list[PastTrial] = []
    for uri in sweep.config.warm_start:
        recorder = _opened(uri, sweep)
        fitting = _fitting(recorder, sweep)
        if not fitting:
            raise ConfigError(
                f"--warm-start {uri} holds no trial of {', '.join(sweep.config.arch)}"
            )
        sweep.progress.message(f"starting from {len(fitting)} trials of {uri}")
        found += _past(recorder, fitting, Limits.of(sweep.config))
    return found


def rows_of_other_sweeps(sweep: Sweep) -> list[TrialRecord]:
    """The rows of the same trials, for a plan to go by."""
    return [
        trial for uri in sweep.config.warm_start for trial in _fitting(_opened(uri, sweep), sweep)
    ]


def _fitting(recorder: Recorder, sweep: Sweep) -> list[TrialRecord]:
    """Trials of the architectures that are searched."""
    mine = [trial for trial in recorder.trials if trial.architecture in sweep.config.arch]
    return [trial for trial in mine if not trial.confirms]


def _opened(uri: str, sweep: Sweep) -> Recorder:
    """The record of a sweep's folder, on the same images and the same split."""
    store = open_store(uri)
    try:
        data = json.loads(store.read_bytes(SWEEP_FILE))["data"]
        comparable = sweep.inputs.are_those_of(data)
        recorder = Recorder.resumed(store)
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise ConfigError(
            f"--warm-start {uri} can't be read as a sweep's folder: {error}"
        ) from error
    if not comparable:
        raise ConfigError(
            f"--warm-start {uri} is a sweep of other images, or of another split into those to "
            "train on and to choose by: scores can't be compared; it needs the same --data and "
            "the same --seed"
        )
    return recorder


def _past(recorder: Recorder, trials: Iterable[TrialRecord], limits: Limits) -> list[PastTrial]:
    """As a study is told of them."""
    curves: dict[str, dict[int, float]] = {}
    for row in recorder.curves:
        if row.val_iou is not None:
            curves.setdefault(row.trial_id, {})[row.epoch] = row.val_iou
    return [
        PastTrial(
            trial=record.trial_id,
            hyperparameters=json.loads(record.hyperparameters),
            ending=Ending(
                status=record.status,
                scores=curves.get(record.trial_id, {}),
                value=record.val_iou,
                device_seconds=record.device_seconds,
                error=record.error,
                excess=limits.excess(asdict(record)),
            ),
        )
        for record in trials
    ]
