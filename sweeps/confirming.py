"""Luck or merit: each architecture's best settings, trained again with fresh seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ray.tune.search import Searcher

import nucseg_models
from sweeps.assignment import Assignment, trial_seed
from sweeps.pinned import weights
from sweeps.record import TrialRecord
from sweeps.sweep import Sweep


def assignments(sweep: Sweep, waiting: Iterable[Assignment]) -> list[Assignment]:
    """The trials that ``--confirm`` asks for and that have not ended.

    Each trains for as many epochs as the best trial did, or had before it if it was stopped early,
    whatever the time budget: that is for the search. Those of `waiting`, cut off in an earlier run,
    go on where they were.
    """
    cut_off = {each.trial: each for each in waiting}
    ended = {record.trial_id for record in sweep.recorder.trials}
    wanted = [
        _again(sweep, best, number)
        for best in filter(None, map(sweep.recorder.best, sweep.config.arch))
        for number in range(1, sweep.config.confirm + 1)
    ]
    return [cut_off.get(each.trial, each) for each in wanted if each.trial not in ended]


def _again(sweep: Sweep, best: TrialRecord, number: int) -> Assignment:
    """The best trial with another seed."""
    name = f"{best.trial_id}-again-{number}"
    return Assignment(
        trial=name,
        architecture=best.architecture,
        hyperparameters=json.loads(best.hyperparameters),
        epochs=best.epochs_run if best.status == "completed" else best.epochs_planned,
        seed=trial_seed(sweep.config.seed, name),
        is_paper=best.is_paper,
        threads=max(1, int(sweep.config.cpus_per_trial)),
        precision=sweep.config.precision,
        pretrained=weights(nucseg_models.get(best.architecture), sweep.pretrained),
        confirms=best.trial_id,
    )


class GivenTrials(Searcher):
    """Hands out assignments in their order, while there is money; nothing is searched."""

    def __init__(
        self, assignments: Iterable[Assignment], all_is_spent: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(metric="val_iou", mode="max")
        self._left, self._all_is_spent = list(assignments), all_is_spent
        self._running: set[str] = set()

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Any, **_: Any
    ) -> bool:
        """Accept what Tune tells: nothing depends on it."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next assignment, or FINISHED."""
        if self._all_is_spent():
            self._left.clear()
        if not self._left:
            return Searcher.FINISHED
        self._running.add(trial_id)
        return self._left.pop(0).to_config()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """One less is running."""
        self._running.discard(trial_id)

    def to_begin(self) -> int:
        """How many trials are left to begin."""
        return len(self._left)

    def is_done(self) -> bool:
        """Whether every trial has ended, and none is left to begin."""
        return not self._left and not self._running

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep is resumed from its own record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see `save`."""
