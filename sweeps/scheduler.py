"""Stops poor trials early: one Ray Tune scheduler an architecture, the paper's row spared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    TrialScheduler,
)

from sweeps.limits import Limits

REDUCTION = 3  # of the trials that reach a rung, one in three goes on
NONE = Limits({})
RUNGS = 3  # how often a trial can be stopped before its last epoch, at most


class SchedulerPerArchitecture(TrialScheduler):
    """Compares a trial with those of its own architecture only.

    The paper's row is the yardstick that all else is held against, so it trains to its planned
    end, while there is money. Trials that failed or finished are not judged.
    """

    def __init__(
        self,
        kind: str,
        architectures: Sequence[str],
        epochs: int,
        limits: Limits = NONE,
        all_is_spent: Callable[[], bool] = lambda: False,
    ) -> None:
        """`limits`: a trial that breaks one is stopped; `all_is_spent`: whether to stop all."""
        super().__init__()
        self._limits, self._all_is_spent = limits, all_is_spent
        self._schedulers = {name: _scheduler(kind, epochs) for name in architectures}
        self._spared = FIFOScheduler()

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Pass on what to compare by."""
        for scheduler in self._schedulers.values():
            scheduler.set_search_properties(metric, mode, **spec)
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Hand a new trial to its architecture's scheduler."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A worker was lost with its trial."""
        self._of(trial).on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Whether the trial goes on."""
        if result.get("finished") or "error" in result:
            return str(TrialScheduler.CONTINUE)
        over = not trial.config["is_paper"] and self._limits.broken(result)
        if over or self._all_is_spent():
            return str(TrialScheduler.STOP)
        return str(self._of(trial).on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Let the scheduler know that a trial has ended."""
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Let the scheduler know that a waiting trial was given up."""
        self._of(trial).on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """A trial that waits, else one that its scheduler lets go on after a pause.

        A worker that is free takes one that lost its worker first, else the newest: the others
        have workers that are starting already.
        """
        trials = tune_controller.get_trials()
        waiting = [trial for trial in reversed(trials) if trial.status == Trial.PENDING]
        if waiting:  # of equals, max takes the first
            return max(waiting, key=lambda trial: bool(trial.has_reported_at_least_once))
        for scheduler in self._schedulers.values():
            paused: Trial | None = scheduler.choose_trial_to_run(tune_controller)
            if paused is not None:
                return paused
        return None

    def debug_string(self) -> str:
        """What Tune would print of it."""
        return f"one scheduler for each of {', '.join(self._schedulers)}"

    def _of(self, trial: Trial) -> TrialScheduler:
        if trial.config["is_paper"]:
            return self._spared
        return self._schedulers[trial.config["architecture"]]


def _scheduler(kind: str, epochs: int) -> TrialScheduler:
    """A scheduler for trials of at most `epochs` epochs."""
    if kind == "none" or epochs < REDUCTION:
        return FIFOScheduler()
    settings: dict[str, Any] = {
        "time_attr": "epoch",
        "metric": "val_iou",
        "mode": "max",
        "max_t": epochs,
    }
    if kind == "hyperband":
        return HyperBandScheduler(**settings, reduction_factor=REDUCTION)
    grace = math.ceil(epochs / REDUCTION**RUNGS)  # the first rung; each next is thrice as far
    return ASHAScheduler(
        **settings, grace_period=grace, reduction_factor=REDUCTION, stop_last_trials=False
    )
