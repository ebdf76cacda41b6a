"""What a sweep will take, before it is paid for: trials, device-hours, dollars, time and disk."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from rich.table import Table

from sweeps.plain_table import as_text
from sweeps.record import TrialRecord
from sweeps.storage import Store

FILE = "plan.json"


@dataclass(frozen=True)
class Part:
    """One architecture's share. basis: what it was reckoned from."""

    architecture: str
    trials: int
    device_seconds: float
    usd: float | None
    checkpoint_bytes: float
    basis: str


@dataclass(frozen=True)
class Plan:
    """A sweep's cost. at_once: trials that run at the same time; time_budget: seconds, or None."""

    parts: Sequence[Part]
    devices_per_trial: float
    at_once: int
    time_budget: float | None

    @property
    def wall_seconds(self) -> float:
        """Until the last trial has ended, the budget included."""
        slots = max(1, self.at_once)
        whole = sum(part.device_seconds for part in self.parts) / self.devices_per_trial / slots
        return min(whole, self.time_budget or whole)

    @property
    def device_seconds(self) -> float:
        """Of all trials, as far as the time budget lets them run."""
        return self.wall_seconds * self.devices_per_trial * max(1, self.at_once)

    @property
    def usd(self) -> float | None:
        """The price of that; None where no price is known."""
        if any(part.usd is None for part in self.parts):
            return None
        whole = sum(part.device_seconds for part in self.parts)
        return sum(part.usd or 0.0 for part in self.parts) * self.device_seconds / whole

    def write(self, store: Store) -> None:
        """Keep it in the sweep's folder, to be held against what it took."""
        figures = {"device_seconds": self.device_seconds, "wall_seconds": self.wall_seconds}
        plan = {**figures, "usd": self.usd, "parts": [asdict(part) for part in self.parts]}
        store.write_bytes(FILE, json.dumps(plan, indent=2).encode())

    def told(self) -> str:
        """As a person reads it, in at most 80 columns."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("architecture")
        for heading in ("trials", "device-hours", "USD"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("reckoned from")
        for part in self.parts:
            table.add_row(
                part.architecture,
                str(part.trials),
                _short(part.device_seconds / 3600),
                _dollars(part.usd),
                part.basis,
            )
        lines = [as_text(table), "", f"together  {self._together()}", f"disk      {self._disk()}"]
        if self.time_budget and self.wall_seconds >= self.time_budget:
            lines.append("The time budget ends it before all trials have run.")
        return "\n".join(lines)

    def _together(self) -> str:
        trials = f"{self.at_once} trials" if self.at_once != 1 else "1 trial"
        wall = timedelta(seconds=round(self.wall_seconds))
        return (
            f"{_short(self.device_seconds / 3600)} device-hours, {_dollars(self.usd)} USD, "
            f"{wall} with {trials} at once"
        )

    def _disk(self) -> str:
        most = sum(part.trials * part.checkpoint_bytes for part in self.parts)
        if not most:
            return "not known from earlier trials"
        return f"some {most / 1e6:.0f} MB of checkpoints, which end with the sweep"


def held_against(store: Store, trials: Iterable[TrialRecord]) -> str | None:
    """How far off the plan of this sweep was, in a sentence; None where there was none."""
    try:
        planned = json.loads(store.read_bytes(FILE))["device_seconds"]
    except FileNotFoundError:
        return None
    took = sum(trial.device_seconds for trial in trials if not trial.confirms)
    return (
        f"planned {_short(planned / 3600)} device-hours, took {_short(took / 3600)}: "
        f"{abs(took / planned - 1):.0%} {'more' if took > planned else 'less'}"
    )


def per_epoch(trials: Iterable[TrialRecord]) -> float:
    """Device-seconds for each epoch that was planned, early ends included: a mean over trials."""
    costs = [t.device_seconds / t.epochs_planned for t in trials if t.epochs_planned]
    return statistics.fmean(costs)


def _dollars(usd: float | None) -> str:
    return "-" if usd is None else _short(usd)


def _short(value: float) -> str:
    """Two decimals, or two digits where it is less than one."""
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"
