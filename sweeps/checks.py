"""What can't be done as a person asked for it: found out before anything begins."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sweeps.options import flag
from sweeps.record import SWEEP_FILE
from sweeps.storage import Store

if TYPE_CHECKING:
    from sweeps.config import SweepConfig

# (option, value) -> (module to import, extra of this project that installs it)
_NEEDS = {
    ("sampler", "gp"): ("torch", "torch"),
    ("backend", "torch"): ("torch", "torch"),
    ("backend", "jax"): ("jax", "jax"),
}


class ConfigError(ValueError):
    """What a person asked for can't be done; the message says what would work."""


def contradictions(config: SweepConfig) -> list[str]:
    """Options that each are right, but not together."""
    found = []
    limited = config.max_memory is not None or config.max_seconds_per_image is not None
    if config.sampler == "cmaes" and (limited or len(config.objective) > 1):
        found.append(
            "--sampler cmaes can learn neither limits (--max-memory, --max-seconds-per-image) nor "
            "two objectives: use tpe, nsgaii, gp or random"
        )
    if config.sampler in ("gp", "nsgaii") and limited and len(config.objective) == 1:
        found.append(
            f"--sampler {config.sampler} learns from completed trials alone, and one over a limit "
            "(--max-memory, --max-seconds-per-image) is stopped: use tpe or random, or two "
            "objectives"
        )
    if config.max_usd is not None and config.usd_per_hour is None:
        found.append("--max-usd needs --usd-per-hour: without a price nothing is known to cost")
    if config.spot and not isinstance(config.usd_per_hour, str):
        found.append("--spot needs --usd-per-hour FILE.toml, a table with prices of both kinds")
    return found


def check_installed(config: SweepConfig) -> None:
    """Raise ConfigError where an option needs a package that is not installed."""
    refuse(
        f"{flag(option)} {value} needs the package {module}: pip install '.[{extra}]'"
        for (option, value), (module, extra) in _NEEDS.items()
        if getattr(config, option) == value and importlib.util.find_spec(module) is None
    )


def check_name_is_free(config: SweepConfig, results: Store) -> None:
    """Raise ConfigError where a new sweep would write over another; `results` is --results."""
    if not config.resume and results.child(config.name).exists(SWEEP_FILE):
        raise name_is_taken(config)


def name_is_taken(config: SweepConfig) -> ConfigError:
    """What is wrong where another sweep has the name, and what would work."""
    return ConfigError(
        f"--name {config.name} is taken by an earlier sweep in {config.results}: choose another "
        f"name, or go on with it by --resume --name {config.name}"
    )


def refuse(problems: Iterable[str]) -> None:
    """Raise ConfigError where there is a problem: one as a sentence, several as a list."""
    if lines := list(problems):
        raise ConfigError(lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines))
