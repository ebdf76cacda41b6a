"""What an hour of a device costs: one price for all, or a table by the devices' names."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.storage import local_path

MOST_USD = 1e6  # an hour of one device; an infinite price fits no record
KINDS = ("on_demand", "spot")


@dataclass(frozen=True)
class Prices:
    """US dollars an hour of one device, by a part of the name that its backend gives it."""

    by_name: Mapping[str, float]

    @classmethod
    def of(cls, config: SweepConfig) -> Prices:
        """What ``--usd-per-hour`` says; ConfigError where it names no table of prices."""
        asked = config.usd_per_hour
        if asked is None or isinstance(asked, float):
            return cls({} if asked is None else {"": asked})
        try:
            table = tomllib.loads(local_path(asked).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"--usd-per-hour {asked} can't be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:  # not TOML, or not UTF-8
            raise ConfigError(f"--usd-per-hour {asked} is not a TOML file: {error}") from None
        kind = "spot" if config.spot else "on_demand"
        return cls({name: _price(asked, name, row, kind) for name, row in table.items()})

    def usd(self, device: str | None, device_seconds: float) -> float | None:
        """The price of so long on a device, by the longest name that fits; None if it has none."""
        fitting = [name for name in self.by_name if name.lower() in (device or "").lower()]
        if not fitting:
            return None
        return self.by_name[max(fitting, key=len)] * device_seconds / 3600


def _price(file: str, name: str, row: Any, kind: str) -> float:
    """A row's price of that kind; ConfigError says what a row must be."""
    price: Any = row.get(kind) if isinstance(row, dict) else None
    is_number = isinstance(price, int | float) and not isinstance(price, bool)
    if is_number and 0 <= price < MOST_USD:
        return float(price)
    raise ConfigError(
        f'--usd-per-hour {file}: ["{name}"] must have {kind} = PRICE, in US dollars an hour; '
        f"a table of prices has rows such as [T4] with {' and '.join(KINDS)}"
    )
