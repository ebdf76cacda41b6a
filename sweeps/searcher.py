"""Optuna under Ray Tune: one study an architecture, told the truth about how trials ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
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
from sweeps.limits import Limits
from sweeps.pinned import pinned, weights
from sweeps.study import distribution, renewed, sampler, storage
from sweeps.telling import OBJECTIVES, Ending, known, tell

LAST_SHARE = 0.1  # no trial begins in the last tenth of the time budget: it could not learn much


@dataclass(frozen=True)
class PastTrial:
    """A trial that ended earlier: in this sweep, where it has its number, or in another."""

    trial: str
    hyperparameters: Mapping[str, Any]
    ending: Ending


@dataclass
class Running:
    """A trial that was suggested and has not ended.

    scores: validation IoU by epoch. error: why it failed, told before its worker ended.
    """

    branch: Branch
    trial: optuna.Trial
    name: str
    scores: dict[int, float] = field(default_factory=dict)
    error: str | None = None

    def is_in_its_study(self) -> bool:
        """False where the study was renewed since the trial was suggested."""
        return self.trial.study is self.branch.study


@dataclass
class Branch:
    """One architecture's search: its study, what it is to try, and how far it has come.

    begun: the trials' numbers. There may be gaps: with several at once a later one may begin first,
    and what was chosen but had not begun when the driver died is chosen anew.
    """

    architecture: Architecture
    study: optuna.Study
    space: dict[str, BaseDistribution]
    pinned: dict[str, Any]
    begun: set[int]
    waiting: list[Assignment]  # cut off in an earlier run: to be gone on with

    def learn(self, ended: Iterable[tuple[Mapping[str, Any], Ending]]) -> None:
        """Tell the study of trials, by their hyperparameters, that it did not ask for."""
        objectives = len(self.study.directions)
        told = (known(params, self.space, ending, objectives) for params, ending in ended)
        self.study.add_trials([trial for trial in told if trial])


class StudyPerArchitecture(Searcher):
    """Gives each architecture its turn, and each study's trials their true end.

    A completed trial is told to Optuna with its best validation IoU, one that the scheduler
    stopped as pruned at its last epoch, one that failed as failed, with the limits that it broke
    (`sweeps.telling`). Ray's own OptunaSearch tells stopped trials as complete, leaves a trial
    running for ever if its metric is NaN, and knows no limits.
    """

    def __init__(
        self,
        config: SweepConfig,
        architectures: Iterable[Architecture],
        *,
        deadline: float | None,
        pretrained: str | None,
        device_seconds: Callable[[str], float],
        why_lost: Callable[[str], str | None] = lambda trial: None,
        all_is_spent: Callable[[], bool] = lambda: False,
        past: Iterable[PastTrial] = (),
        elsewhere: Iterable[PastTrial] = (),
        waiting: Iterable[Assignment] = (),
    ) -> None:
        """`device_seconds` says what a running trial has cost so far, `why_lost` how its worker
        was lost before, `all_is_spent` whether no other may begin; `elsewhere` are trials of other
        sweeps, to be learnt from, `waiting` those of this one that were cut off.
        """
        super().__init__(metric="val_iou", mode="max")
        self._config, self._deadline, self._pretrained = config, deadline, pretrained
        self._device_seconds, self._why_lost = device_seconds, why_lost
        self._all_is_spent = all_is_spent
        self._limits = Limits.of(config)
        self._begun_at = time.time()
        makings = _Makings(config, pretrained, storage(config), [*past], [*elsewhere], [*waiting])
        self._branches = {a.name: makings.branch(a) for a in architectures}
        self._running: dict[str, Running] = {}

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
        branch = min(open_branches, key=lambda b: (not b.waiting, len(b.begun)))
        if self._config.optuna_journal is None:  # a journal keeps all, for those who look at it
            branch.study = renewed(branch.study)
        trial = branch.study.ask(fixed_distributions=branch.space)
        cut_off = branch.waiting
        assignment = cut_off.pop(0) if cut_off else self._assign(branch, trial.params)
        self._running[trial_id] = Running(branch, trial, assignment.trial)
        return assignment.to_config()

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the study an epoch's score."""
        running, score = self._running.get(trial_id), result.get("val_iou")
        if running is not None:
            running.error = result.get("error", running.error)
        if running is None or score is None or not math.isfinite(score):
            return
        if result["epoch"] in running.scores:  # run again after a loss
            return
        running.scores[result["epoch"]] = score
        # Of several objectives Optuna takes none before the end.
        if len(self._config.objective) == 1 and running.is_in_its_study():
            running.trial.report(score, result["epoch"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study how the trial ended."""
        if trial_id not in self._running:
            return
        figures = result or {}
        self.on_trial_result(trial_id, figures)  # Tune tells a stopped trial's last epoch here only
        running = self._running.pop(trial_id)
        ending = self._ending(running, figures, error)
        if running.is_in_its_study():
            tell(running.branch.study, running.trial, ending)
        else:
            running.branch.learn([(running.trial.params, ending)])

    def _ending(self, running: Running, figures: Mapping[str, Any], lost: bool) -> Ending:
        """How a trial ended, by its last figures and whether its worker was lost too often."""
        status, value = "failed", None
        if _is_number(figures.get("final_iou")):
            status, value = "completed", figures["final_iou"]
        elif running.scores and not (lost or running.error or "finished" in figures):
            status, value = "stopped", max(running.scores.values())
        return Ending(
            status=status,
            scores=running.scores,
            value=value,
            device_seconds=self._device_seconds(running.name),
            # Tune tells why a worker was lost for the last time only when the study has been told.
            error=running.error or (self._why_lost(running.name) if lost else None),
            excess=self._limits.excess(figures),
        )

    def to_begin(self) -> int:
        """How many trials are left to begin, if there is time for all."""
        branches = self._branches.values()
        return sum(self._config.trials - len(each.begun) + len(each.waiting) for each in branches)

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
        if not branch.waiting and len(branch.begun) >= self._config.trials:
            return False
        if self._all_is_spent():
            return False
        if self._deadline is None or not branch.begun:
            return True
        whole = self._deadline - self._begun_at
        return self._deadline - time.time() > LAST_SHARE * whole

    def _assign(self, branch: Branch, chosen: Mapping[str, Any]) -> Assignment:
        """The trial that a study's suggestion becomes."""
        number = next(n for n in count() if n not in branch.begun)
        branch.begun.add(number)
        name = trial_name(branch.architecture.name, number)
        return Assignment(
            trial=name,
            architecture=branch.architecture.name,
            hyperparameters={**chosen, **branch.pinned},
            epochs=epochs_of(branch.architecture, number, self._config.max_epochs),
            seed=trial_seed(self._config.seed, name),
            is_paper=number == 0,
            threads=max(1, int(self._config.cpus_per_trial)),
            precision=self._config.precision,
            pretrained=weights(branch.architecture, self._pretrained),
            deadline=self._deadline,
        )


def epochs_of(architecture: Architecture, number: int, most: int | None) -> int:
    """Epochs to plan of trial `number`: the paper's row, which is the first, never more than its
    own, others as many as allowed.
    """
    if number == 0:
        return min(architecture.paper_epochs, most or architecture.paper_epochs)
    return most or DEFAULT_EPOCHS


@dataclass(frozen=True)
class _Makings:
    """What the studies of a sweep are made from."""

    config: SweepConfig
    pretrained: str | None
    storage: BaseStorage | None
    past: list[PastTrial]
    elsewhere: list[PastTrial]
    waiting: list[Assignment]

    def branch(self, architecture: Architecture) -> Branch:
        """A study that knows what ended, and will try in turn: what was cut off, the paper's row,
        the known good starts. The last two only as far as they have not begun.
        """
        config = self.config
        settled = pinned(config, architecture, self.pretrained)
        space = {
            name: distribution(declared)
            for name, declared in architecture.search_space.items()
            if name not in settled
        }
        ended, elsewhere = (_of(architecture, each) for each in (self.past, self.elsewhere))
        cut_off = [trial for trial in self.waiting if trial.architecture == architecture.name]
        names = [trial.trial for trial in ended] + [trial.trial for trial in cut_off]
        begun = {trial_number(name) for name in names}
        # Seeded by how far it has come: a search that is resumed must not draw the same again.
        seed = trial_seed(config.seed, f"{architecture.name} from {len(begun)}")
        study = optuna.create_study(
            directions=[OBJECTIVES[objective] for objective in config.objective],
            sampler=sampler(config, seed, space),
            storage=self.storage,
            study_name=f"{config.name}-{architecture.name}",
        )
        branch = Branch(architecture, study, space, settled, begun, cut_off)
        branch.learn((trial.hyperparameters, trial.ending) for trial in ended + elsewhere)
        tried = [trial.hyperparameters for trial in elsewhere]
        untried = [start for start in architecture.starts if {**start, **settled} not in tried]
        starts = [s for n, s in enumerate([architecture.paper, *untried]) if n not in begun]
        for start in (*(trial.hyperparameters for trial in cut_off), *starts):
            study.enqueue_trial({name: start[name] for name in space})
        return branch


def _of(architecture: Architecture, trials: Iterable[PastTrial]) -> list[PastTrial]:
    """Those of one architecture."""
    return [trial for trial in trials if trial_architecture(trial.trial) == architecture.name]


def _is_number(score: Any) -> bool:
    return score is not None and math.isfinite(score)
