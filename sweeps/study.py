"""What an Optuna study is made of: distributions, a sampler, and where it is kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from nucseg_models.search_space import Distribution, Float, Int
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig


def distribution(declared: Distribution) -> BaseDistribution:
    """A declared range, in Optuna's terms."""
    if isinstance(declared, Float):
        return FloatDistribution(declared.low, declared.high, log=declared.log)
    if isinstance(declared, Int):
        return IntDistribution(declared.low, declared.high, log=declared.log)
    return CategoricalDistribution(declared.options)


def sampler(config: SweepConfig, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler that ``--sampler`` names; a third of the trials at random before it models."""
    random_trials = min(10, max(2, config.trials // 3))
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=random_trials),
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


def storage(config: SweepConfig) -> BaseStorage:
    """Where Optuna keeps the studies: in memory, or in a file too that others may read."""
    if config.optuna_journal is None:
        return InMemoryStorage()
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
    return Path(str(config.optuna_journal)).expanduser()
