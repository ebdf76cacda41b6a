"""The truth to Optuna: what a study is told of how a trial ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeps.failure import is_out_of_memory

OBJECTIVES: Mapping[str, StudyDirection] = {
    "iou": StudyDirection.MAXIMIZE,
    "device_seconds": StudyDirection.MINIMIZE,
}
"""What a search can go by, and which way."""

_STATES = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED}


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a trial ended, with the words of the record.

    scores: validation IoU by epoch. value: its best, None where it failed. excess: by limit, how
    far over it (`Limits.excess`).
    """

    status: str
    scores: Mapping[int, float]
    value: float | None
    device_seconds: float
    error: str | None = None
    excess: Mapping[str, float] = field(default_factory=dict)

    def constraints(self) -> dict[str, float]:
        """As Optuna takes them: what is above 0 is broken."""
        no_memory = {"memory": 1.0} if is_out_of_memory(self.error or "") else {}
        return {**self.excess, **no_memory}

    def state(self, objectives: int) -> TrialState:
        """A stopped trial is pruned: its score is not that of its last epoch.

        Of two objectives it is a whole answer: so much IoU was had for so much. Out of memory is
        pruned too, as Optuna learns constraints from no failed trial.
        """
        state = _STATES.get(self.status, TrialState.FAIL)
        if state == TrialState.PRUNED and objectives > 1:
            state = TrialState.COMPLETE
        if state == TrialState.COMPLETE and self.value is None:
            state = TrialState.FAIL
        return TrialState.PRUNED if is_out_of_memory(self.error or "") else state

    def values(self, objectives: int) -> list[float] | None:
        """What it reached, in the order of `OBJECTIVES`; None where that is not to be learnt."""
        if self.value is None or self.state(objectives) != TrialState.COMPLETE:
            return None
        return [self.value, self.device_seconds][:objectives]


def tell(study: optuna.Study, trial: optuna.Trial, ending: Ending) -> None:
    """Tell how a trial ended that the study asked for."""
    for name, value in ending.constraints().items():
        trial.set_constraint(name, value)
    objectives = len(study.directions)
    study.tell(trial, ending.values(objectives), ending.state(objectives))


def known(
    hyperparameters: Mapping[str, Any],
    space: Mapping[str, BaseDistribution],
    ending: Ending,
    objectives: int,
) -> FrozenTrial | None:
    """A trial that was not asked for by this study; None where its search space holds no such.

    So it is where memory ran out and half of the smallest batch was tried, or where another
    version of the project declared another space.
    """
    try:
        return optuna.trial.create_trial(
            state=ending.state(objectives),
            values=ending.values(objectives),
            params={name: hyperparameters[name] for name in space},
            distributions=dict(space),
            # Optuna keeps no scores by epoch where there are two objectives.
            intermediate_values=dict(ending.scores) if objectives == 1 else None,
            constraints=ending.constraints(),
        )
    except (KeyError, ValueError):
        return None
