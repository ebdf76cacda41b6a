"""One sweep: what was asked, on what data, and where it is recorded and shown."""

from __future__ import annotations

from dataclasses import dataclass

from sweeps.config import SweepConfig
from sweeps.inputs import Inputs
from sweeps.progress import Progress
from sweeps.recorder import Recorder
from sweeps.storage import Store

# Time kept back from the budget for saving and testing the winners: a share, at most so many s.
RESERVE_SHARE, RESERVE_LIMIT = 0.05, 60.0


@dataclass(frozen=True)
class Sweep:
    """Everything that a search works on.

    store: the sweep's folder. pretrained: what `sweeps.inputs.weights_path` gave.
    started: UNIX time at which the time budget began.
    """

    config: SweepConfig
    inputs: Inputs
    store: Store
    recorder: Recorder
    progress: Progress
    pretrained: str | None
    started: float

    @property
    def deadline(self) -> float | None:
        """UNIX time by which all trials must have ended, winners' time kept back; or None."""
        budget = self.config.time_budget
        if budget is None:
            return None
        return self.started + budget - min(RESERVE_LIMIT, RESERVE_SHARE * budget)
