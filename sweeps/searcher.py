"""Optuna under Ray Tune: one study an architecture, told the truth about how trials ended."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from ray.tune.search import Searcher

from nucseg_models.architecture import Architecture
from sweeps.assignment import (
    DEFAULT_EPOCHS,
    Assignment,
    trial_architecture,
    trial_name,
    trial_number,
    trial_seed,
)
from sweeps.config import SweepConfig
from sweeps.study import distribution, sampler, storage

LAST_SHARE = 0.1  # no trial begins in the last tenth of the time budget: it could not learn much


@dataclass(frozen=True)
class PastTrial:
    """A trial that ended in an earlier run of this sweep.

    scores: validation IoU by epoch; value: its best, None where it failed.
    """

    trial: str
    hyperparameters: Mapping[str, Any]
    status: str
    scores: Mapping[int, float]
    value: float | None


@dataclass
class Branch:
    """One architecture's search: its study, what it is to try, and how far it has come."""

    architecture: Architecture
    study: optuna.Study
    space: dict[str, BaseDistribution]
    pinned: dict[str, Any]
    begun: int
    waiting: list[Assignment]  # cut off in an earlier run: to be gone on with


class StudyPerArchitecture(Searcher):
    """Gives each architecture its turn, and each study's trials their true end.

    A completed trial is told to Optuna with its best validation IoU, one that the scheduler
    stopped as pruned at its last epoch, one that failed as failed. Ray's own OptunaSearch tells
    stopped trials as complete, and leaves a trial running for ever if its metric is NaN.
    """

    def __init__(
        self,
        config: SweepConfig,
        architectures: Iterable[Architecture],
        *,
        deadline: float | None,
        pretrained: str | None,
        past: Iterable[PastTrial] = (),
        waiting: Iterable[Assignment] = (),
    ) -> None:
        super().__init__(metric="val_iou", mode="max")
        self._config, self._deadline, self._pretrained = config, deadline, pretrained
        self._begun_at = time.time()
        past, waiting = list(past), list(waiting)
        kept = storage(config)
        self._branches = {a.name: _branch(a, config, past, waiting, kept) for a in architectures}
        self._running: dict[str, tuple[Branch, optuna.Trial]] = {}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Any, **_: Any
    ) -> bool:
        """Accept what Tune tells: metric and mode are fixed."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next trial: one that was cut off, else of the architecture that has begun fewest.

        FINISHED where none is left to begin.
        """
        open_branches = [b for b in self._branches.values() if self._has_more(b)]
        if not open_branches:
            return Searcher.FINISHED
        branch = min(open_branches, key=lambda b: (not b.waiting, b.begun))
        trial = branch.study.ask(fixed_distributions=branch.space)
        self._running[trial_id] = branch, trial
        if branch.waiting:
            return branch.waiting.pop(0).to_config()
        assignment = self._assign(branch, trial.params)
        branch.begun += 1
        return assignment.to_config()

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the study an epoch's score."""
        if trial_id not in self._running:
            return
        branch, trial = self._running[trial_id]
        # An epoch that is run again after a loss keeps its first score.
        if _is_number(result.get("val_iou")) and result["epoch"] not in _scores(branch, trial):
            trial.report(result["val_iou"], result["epoch"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study how the trial ended."""
        if trial_id not in self._running:
            return
        figures = result or {}
        self.on_trial_result(trial_id, figures)  # Tune tells a stopped trial's last epoch here only
        branch, trial = self._running.pop(trial_id)
        if _is_number(figures.get("final_iou")):
            branch.study.tell(trial, figures["final_iou"])
        elif error or "error" in figures or "finished" in figures or not _scores(branch, trial):
            branch.study.tell(trial, state=TrialState.FAIL)
        else:
            branch.study.tell(trial, state=TrialState.PRUNED)

    def to_begin(self) -> int:
        """How many trials are left to begin, if there is time for all."""
        branches = self._branches.values()
        return sum(self._config.trials - each.begun + len(each.waiting) for each in branches)

    def is_done(self) -> bool:
        """Whether every trial has ended, and none is left to begin."""
        return not self._running and not any(map(self._has_more, self._branches.values()))

    def study(self, architecture: str) -> optuna.Study:
        """What is known of an architecture's trials."""
        return self._branches[architecture].study

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep is resumed from its own record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see `save`."""

    def _has_more(self, branch: Branch) -> bool:
        if not branch.waiting and branch.begun >= self._config.trials:
            return False
        if self._deadline is None or branch.begun == 0:
            return True
        whole = self._deadline - self._begun_at
        return self._deadline - time.time() > LAST_SHARE * whole

    def _assign(self, branch: Branch, chosen: Mapping[str, Any]) -> Assignment:
        """The trial that a study's suggestion becomes."""
        name = trial_name(branch.architecture.name, branch.begun)
        is_paper = branch.begun == 0
        epochs = branch.architecture.paper_epochs if is_paper else DEFAULT_EPOCHS
        accepts = branch.architecture.accepts_pretrained()
        return Assignment(
            trial=name,
            architecture=branch.architecture.name,
            hyperparameters={**chosen, **branch.pinned},
            epochs=_epochs(epochs, self._config.max_epochs, is_paper),
            seed=trial_seed(self._config.seed, name),
            is_paper=is_paper,
            threads=max(1, int(self._config.cpus_per_trial)),
            pretrained=self._pretrained if accepts else None,
            deadline=self._deadline,
        )


def _epochs(own: int, most: int | None, is_paper: bool) -> int:
    """Epochs to plan: the paper's row never more than its own, others as many as allowed."""
    if most is None:
        return own
    return min(own, most) if is_paper else most


def _branch(
    architecture: Architecture,
    config: SweepConfig,
    past: Iterable[PastTrial],
    waiting: Iterable[Assignment],
    kept: BaseStorage,
) -> Branch:
    """A study that knows what ended, and will try in turn: what was cut off, the paper's row,
    the known good starts. The last two only as far as they have not begun.
    """
    pinned = {"image_size": config.image_size} if config.image_size else {}
    space = {
        name: distribution(declared)
        for name, declared in architecture.search_space.items()
        if name not in pinned
    }
    ended = [trial for trial in past if trial_architecture(trial.trial) == architecture.name]
    cut_off = [trial for trial in waiting if trial.architecture == architecture.name]
    names = [trial.trial for trial in ended] + [trial.trial for trial in cut_off]
    begun = 1 + max(map(trial_number, names), default=-1)
    # Seeded by how far it has come: a search that is resumed must not draw the same again.
    seed = trial_seed(config.seed, f"{architecture.name} from {begun}")
    study = optuna.create_study(
        direction="maximize",
        sampler=sampler(config, seed),
        storage=kept,
        study_name=f"{config.name}-{architecture.name}",
    )
    study.add_trials([_as_told(trial, space) for trial in ended])
    starts = (architecture.paper, *architecture.starts)[begun:]
    for start in (*(trial.hyperparameters for trial in cut_off), *starts):
        study.enqueue_trial({name: start[name] for name in space})
    return Branch(architecture, study, space, pinned, begun, cut_off)


def _as_told(past: PastTrial, space: dict[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    """A trial that ended in an earlier run, as a study keeps it."""
    states = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
    state = states.get(past.status, TrialState.FAIL)
    return optuna.trial.create_trial(
        state=state,
        value=past.value if state == TrialState.COMPLETE else None,
        params={name: past.hyperparameters[name] for name in space},
        distributions=space,
        intermediate_values=dict(past.scores),
    )


def _scores(branch: Branch, trial: optuna.Trial) -> Mapping[int, float]:
    """The scores by epoch that a study was told of a trial."""
    return branch.study.get_trials(deepcopy=False)[trial.number].intermediate_values


def _is_number(score: Any) -> bool:
    return score is not None and math.isfinite(score)
