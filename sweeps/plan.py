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
    """One architecture's share. basis: what it was reckoned from. device_seconds, usd: of all
    trials of the search; repeat_seconds: device-seconds of what ``--confirm`` trains after it.
    """

    architecture: str
    trials: int
    device_seconds: float
    usd: float | None
    checkpoint_bytes: float
    basis: str
    repeat_seconds: float = 0.0

    @property
    def repeat_usd(self) -> float:
        """The price of the repeats, 0 where none is known."""
        return (self.usd or 0.0) * self.repeat_seconds / self.device_seconds


@dataclass(frozen=True)
class Plan:
    """A sweep's cost. at_once: trials that run at the same time; time_budget: seconds, or None;
    max_usd: US dollars, or None.
    """

    parts: Sequence[Part]
    devices_per_trial: float
    at_once: int
    time_budget: float | None
    max_usd: float | None = None

    @property
    def wall_seconds(self) -> float:
        """Until the last trial has ended, repeats included."""
        return self.device_seconds / self._devices

    @property
    def device_seconds(self) -> float:
        """Of all trials and repeats, as far as time and money let them run."""
        return self.search_seconds + sum(p.repeat_seconds for p in self.parts) * self._repeats_share

    @property
    def search_seconds(self) -> float:
        """Device-seconds of the search alone."""
        return sum(part.device_seconds for part in self.parts) * self._search_share

    @property
    def usd(self) -> float | None:
        """The price of all; None where no price is known."""
        if not self._is_priced:
            return None
        repeats = sum(part.repeat_usd for part in self.parts) * self._repeats_share
        return self._whole_usd * self._search_share + repeats

    @property
    def _devices(self) -> float:
        return self.devices_per_trial * max(1, self.at_once)

    @property
    def _is_priced(self) -> bool:
        return all(part.usd is not None for part in self.parts)

    @property
    def _whole_usd(self) -> float:
        return sum(part.usd or 0.0 for part in self.parts)

    @property
    def _share_by_time(self) -> float:
        """Of the search what the time budget lets run."""
        whole = sum(part.device_seconds for part in self.parts) / self._devices
        return min(1.0, self.time_budget / whole) if self.time_budget else 1.0

    @property
    def _share_by_money(self) -> float:
        """Of the search what ``--max-usd`` lets run, if prices are known."""
        if not (self.max_usd and self._is_priced and self._whole_usd):
            return 1.0
        return min(1.0, self.max_usd / self._whole_usd)

    @property
    def _search_share(self) -> float:
        return min(self._share_by_time, self._share_by_money)

    @property
    def _repeats_share(self) -> float:
        """Of the repeats what the money that the search leaves lets run."""
        whole = sum(part.repeat_usd for part in self.parts)
        if not (self.max_usd and self._is_priced and whole):
            return 1.0
        return min(1.0, (self.max_usd - self._whole_usd * self._search_share) / whole)

    def write(self, store: Store) -> None:
        """Keep it in the sweep's folder, to be held against what it took."""
        names = ("search_seconds", "device_seconds", "wall_seconds", "usd")
        figures = {name: getattr(self, name) for name in names}
        plan = {**figures, "parts": [asdict(part) for part in self.parts]}
        store.write_bytes(FILE, json.dumps(plan, indent=2).encode())

    def told(self) -> str:
        """As a person reads it, in at most 80 columns."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("architecture")
        for heading in ("trials", "device-hours", "USD"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("reckoned from")
        for part in self.parts:
            hours, usd = _short(part.device_seconds / 3600), _dollars(part.usd)
            table.add_row(part.architecture, str(part.trials), hours, usd, part.basis)
            if part.repeat_seconds:
                usd = _dollars(None if part.usd is None else part.repeat_usd)
                table.add_row(
                    "", "", _short(part.repeat_seconds / 3600), usd, "--confirm, after it"
                )
        lines = [as_text(table), "", f"together  {self._together()}", f"disk      {self._disk()}"]
        if self._share_by_time < 1:
            lines.append("The time budget ends it before all trials have run.")
        if self._share_by_money < 1 or self._repeats_share < 1:
            lines.append("--max-usd ends it before all trials have run.")
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
        plan = json.loads(store.read_bytes(FILE))
    except FileNotFoundError:
        return None
    planned = plan.get("search_seconds", plan["device_seconds"])  # once, without repeats, the same
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
