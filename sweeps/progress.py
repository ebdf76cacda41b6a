"""What a person sees of a sweep: a live display on a terminal, a line an event in a pipe."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweeps.record import TrialRecord

_COUNTS = ("completed", "running", "stopped", "failed")


class Progress:
    """Tells of trials as they start, train and end; a context manager, safe between threads.

    `trials` is how many each architecture will have, `time_budget` the seconds that the search may
    take, `earlier` the trials that a resumed sweep had before. `quiet` shows nothing at all.
    `console` is where to show it (standard output): live if that is a terminal, else in lines.
    """

    def __init__(
        self,
        architectures: Sequence[str],
        trials: int,
        *,
        time_budget: float | None = None,
        quiet: bool = False,
        earlier: Iterable[TrialRecord] = (),
        console: Console | None = None,
    ) -> None:
        self._console = console or Console()
        self._quiet = quiet
        self._trials = trials
        self._time_budget = time_budget
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in architectures}
        self._best: dict[str, float] = {}
        self._running: set[tuple[str, str]] = set()
        self._ended = 0  # since this program began, unlike the counts
        self._epochs = 0
        self._started = time.monotonic()
        self._lock = threading.RLock()
        for record in earlier:
            if record.architecture in self._counts:
                self._count(record)
        self._live = Live(get_renderable=self.render, console=self._console, refresh_per_second=2)

    def __enter__(self) -> "Progress":
        self._started = time.monotonic()
        if self._is_live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def trial_started(self, architecture: str, trial_id: str) -> None:
        """A trial has begun."""
        with self._lock:
            self._running.add((architecture, trial_id))
        self._line(f"{trial_id}: started")

    def epoch(
        self,
        architecture: str,
        trial_id: str,
        epoch: int,
        epochs_planned: int,
        *,
        val_iou: float | None,
        loss: float | None,
    ) -> None:
        """A trial has finished an epoch (1-based); None where a figure is not finite."""
        with self._lock:
            self._epochs += 1
            self._see(architecture, val_iou)
        self._line(
            f"{trial_id}: epoch {epoch}/{epochs_planned}, "
            f"IoU {figure(val_iou)}, loss {figure(loss)}"
        )

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial has ended, however it did; a failure is told on a terminal as well."""
        with self._lock:
            self._running.discard((record.architecture, record.trial_id))
            self._ended += 1
            self._count(record)
        told = f"{record.trial_id}: {record.status}"
        if record.error is not None:
            self.message(f"{told}: {' '.join(record.error.split())}")
        else:
            self._line(
                f"{told} after {record.epochs_run} epochs, IoU {figure(record.val_iou)}, "
                f"{record.device_seconds:.1f} device-seconds"
            )

    def message(self, text: str) -> None:
        """Something else to know: above the live display, or as a line."""
        if self._is_live:
            self._console.print(Text(text))
        else:
            self._line(text)

    def render(self) -> Group:
        """The live display as it stands: a row an architecture, and the pace below."""
        with self._lock:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
            for heading in ("architecture", "done", *_COUNTS[1:], "of", "best IoU"):
                table.add_column(heading, justify="left" if heading == "architecture" else "right")
            for name, counts in self._counts.items():
                running = sum(architecture == name for architecture, _ in self._running)
                shown = counts | Counter(running=running)
                table.add_row(
                    name,
                    *(str(shown[status]) for status in _COUNTS),
                    str(self._trials),
                    figure(self._best.get(name)),
                )
            return Group(table, Text(self._pace()))

    @property
    def _is_live(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def _line(self, text: str) -> None:
        """One event as one line, at once; nothing where the live display shows it."""
        if not self._is_live and not self._quiet:
            with self._lock:
                print(f"[{self._elapsed():7.1f} s] {text}", file=self._console.file, flush=True)

    def _count(self, record: TrialRecord) -> None:
        self._counts[record.architecture][record.status] += 1
        if record.status != "failed" and not record.over_limit:
            self._see(record.architecture, record.val_iou)

    def _see(self, architecture: str, val_iou: float | None) -> None:
        if val_iou is not None:
            self._best[architecture] = max(val_iou, self._best.get(architecture, 0.0))

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _pace(self) -> str:
        elapsed = self._elapsed()
        left = self._seconds_left(elapsed)
        return (
            f"{self._epochs / max(elapsed, 1e-9):.2f} epochs/s, elapsed {clock(elapsed)}, "
            f"left {'unknown' if left is None else 'about ' + clock(left)}"
        )

    def _seconds_left(self, elapsed: float) -> float | None:
        """By the pace of trials so far, and no more than the time budget leaves; None: unknown."""
        total = self._trials * len(self._counts)
        remaining = max(0, total - sum(counts.total() for counts in self._counts.values()))
        limits = []
        if self._ended:
            limits.append(remaining * elapsed / self._ended)
        if self._time_budget is not None:
            limits.append(max(0.0, self._time_budget - elapsed))
        return min(limits, default=None)


def figure(value: float | None) -> str:
    """A score or a loss with three decimals, or ``-`` where there is none."""
    return "-" if value is None else f"{value:.3f}"


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))
