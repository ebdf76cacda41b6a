"""What an Optuna study is made of: distributions, a sampler, and where it is kept."""

from __future__ import annotations

import heapq
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from nucseg_models.search_space import Distribution, Float, Int
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.storage import local_path

MOST, BEST = 500, 100  # ended trials that TPE models at most; so many of them the best


class BoundedTPE(optuna.samplers.TPESampler):
    """Optuna's TPE, whose suggestions do not take longer and longer.

    It models the density of good trials, which are 25 at most, and of all others. Of thousands of
    these an even share says as much. `space` is what every trial is drawn from, which Optuna would
    find out anew from all of them.
    """

    def __init__(self, space: Mapping[str, BaseDistribution], **settings: Any) -> None:
        super().__init__(**settings)
        self._space = {name: each for name, each in sorted(space.items()) if not each.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All that is drawn together; of two objectives each is drawn by itself."""
        return {} if len(study.directions) > 1 else self._space

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        fewer = cast(optuna.Study, _FewerTrials(study))
        return super()._sample(fewer, trial, search_space)


class _FewerTrials:
    """A study that shows `fewer` trials."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, **how: Any) -> list[FrozenTrial]:
        return fewer(self._study._get_trials(**how), objectives=len(self._study.directions))


def fewer(trials: list[FrozenTrial], *, objectives: int) -> list[FrozenTrial]:
    """At most so many trials: those that run, the best by one objective, a share of the rest."""
    if len(trials) <= MOST:
        return trials
    kept = _share(trials, MOST - BEST)
    kept += [trial for trial in trials if trial.state == TrialState.RUNNING]
    if objectives == 1:
        complete = (trial for trial in trials if trial.state == TrialState.COMPLETE)
        kept += heapq.nlargest(BEST, complete, key=lambda trial: trial.value or 0.0)
    return sorted({trial.number: trial for trial in kept}.values(), key=lambda t: t.number)


def _share(trials: list[FrozenTrial], most: int) -> list[FrozenTrial]:
    """So many at most, evenly spread."""
    return trials[:: max(1, math.ceil(len(trials) / most))]


def renewed(study: optuna.Study) -> optuna.Study:
    """The study; or, where it holds twice what TPE models, one of these trials alone, in memory.

    Optuna keeps and goes through all that it was ever told, so that each trial would take longer
    and more memory than the one before. Trials that run stay behind: they are told when they end.
    """
    trials = study.get_trials(deepcopy=False)
    learns_from_all = not isinstance(study.sampler, BoundedTPE | optuna.samplers.RandomSampler)
    if len(trials) < 2 * MOST or learns_from_all:
        return study
    if any(trial.state == TrialState.WAITING for trial in trials):
        return study
    ended = [trial for trial in trials if trial.state.is_finished()]
    front = _share(study.best_trials, BEST) if len(study.directions) > 1 else []
    kept = [*front, *fewer(ended, objectives=len(study.directions))]
    new = optuna.create_study(directions=study.directions, sampler=study.sampler)
    new.add_trials(sorted({t.number: t for t in kept}.values(), key=lambda trial: trial.number))
    return new


def distribution(declared: Distribution) -> BaseDistribution:
    """A declared range, in Optuna's terms."""
    if isinstance(declared, Float):
        return FloatDistribution(declared.low, declared.high, log=declared.log)
    if isinstance(declared, Int):
        return IntDistribution(declared.low, declared.high, log=declared.log)
    return CategoricalDistribution(declared.options)


def sampler(
    config: SweepConfig, seed: int, space: Mapping[str, BaseDistribution]
) -> optuna.samplers.BaseSampler:
    """The sampler that ``--sampler`` names; a third of the trials at random before it models."""
    random_trials = min(10, max(2, config.trials // 3))
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: BoundedTPE(space, seed=seed, n_startup_trials=random_trials),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed, n_startup_trials=random_trials),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(
            seed=seed, n_startup_trials=random_trials, warn_independent_sampling=False
        ),
        "nsgaii": lambda: optuna.samplers.NSGAIISampler(seed=seed),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return makers[config.sampler]()


def storage(config: SweepConfig) -> BaseStorage | None:
    """Where Optuna keeps the studies: in memory (None), or in a file too that others may read."""
    if config.optuna_journal is None:
        return None
    return JournalStorage(JournalFileBackend(str(_journal(config))))


def begin_journal(config: SweepConfig) -> None:
    """Make or empty that file: what is known of the sweep stands in its own record.

    ConfigError where it can't be written.
    """
    if config.optuna_journal is None:
        return
    try:
        _journal(config).parent.mkdir(parents=True, exist_ok=True)
        _journal(config).write_bytes(b"")
    except OSError as error:
        raise ConfigError(
            f"--optuna-journal {_journal(config)} can't be written: {error.strerror}"
        ) from error


def _journal(config: SweepConfig) -> Path:
    return local_path(str(config.optuna_journal))
