"""Which trials win: by their IoU alone, or as a front of IoU and cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sweeps.record import TrialRecord


def best_of(trials: Iterable[TrialRecord], objective: Sequence[str]) -> list[TrialRecord]:
    """The best one, the earlier of equals; of two objectives (as in ``--objective``) those that
    none beats in both, the costliest first. Empty where none may win.
    """
    rivals = [trial for trial in trials if _may_win(trial)]
    if len(objective) == 1:
        return [max(rivals, key=_score)] if rivals else []
    front: list[TrialRecord] = []
    for trial in sorted(rivals, key=_by_cost):
        if not front or _score(trial) > _score(front[-1]):
            front.append(trial)
    return front[::-1]


def unmarked(trial: TrialRecord) -> TrialRecord:
    """A row without what other rows decide."""
    return replace(trial, is_best=False, on_front=None)


def _may_win(trial: TrialRecord) -> bool:
    """Whether it competes: it has a score, broke no limit, and repeats none for confirmation."""
    beside = trial.status == "failed" or trial.over_limit or trial.confirms
    return trial.val_iou is not None and not beside


def _score(trial: TrialRecord) -> float:
    return trial.val_iou or 0.0


def _by_cost(trial: TrialRecord) -> tuple[float, float]:
    """Cheapest first, the better one of equals."""
    return trial.device_seconds, -_score(trial)
