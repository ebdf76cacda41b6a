"""Ray Tune, told to keep workers warm, to write nothing but checkpoints, and to bear losses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweeps import checkpoints
from sweeps.actors import lost_workers_are_borne
from sweeps.cluster import Bundle
from sweeps.machines import Machines
from sweeps.recording import Recording
from sweeps.room import Room
from sweeps.storage import Store
from sweeps.sweep import Sweep
from sweeps.timeout import Timeout
from sweeps.weights import Weights

MAX_FAILURES = 3  # so often may a trial's own worker die, as when memory runs out


def _train(config: dict[str, Any], **inputs: Any) -> None:
    """Runs on a worker, which alone imports a backend."""
    from sweeps.trial import run_trial  # noqa: PLC0415

    run_trial(config, **inputs)


@dataclass(frozen=True)
class Runner:
    """Runs the trials of a sweep on Ray's cluster.

    resources: what one trial uses. trainable: what a worker does with an assignment.
    """

    sweep: Sweep
    resources: Bundle
    recording: Recording
    trainable: Callable[..., None] = _train

    def run(
        self,
        searcher: Searcher,
        scheduler: TrialScheduler,
        *,
        trials: int,
        deadline: float | None = None,
    ) -> None:
        """Run what `searcher` suggests, `trials` at most, until the deadline (UNIX time)."""
        room = Room(searcher, self.resources, self.sweep.config.concurrency)
        tuner = tune.Tuner(
            tune.with_resources(self._trainable(), dict(self.resources)),
            tune_config=tune.TuneConfig(
                search_alg=room.searcher,
                scheduler=scheduler,
                num_samples=-1,
                reuse_actors=True,
                time_budget_s=None if deadline is None else max(1.0, deadline - time.time()),
                trial_dirname_creator=lambda trial: str(trial.config["trial"]),
            ),
            run_config=tune.RunConfig(
                name=checkpoints.next_run(self.sweep.store),
                storage_path=f"{absolute(self.sweep.store)}/{checkpoints.FOLDER}",
                callbacks=[self.recording, room, self._machines(trials), *self._timeout()],
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(num_to_keep=checkpoints.KEPT),
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            ),
        )
        with lost_workers_are_borne():
            tuner.fit()

    def _trainable(self) -> Any:
        """With the images and first weights: Ray brings them to each machine once."""
        return tune.with_parameters(
            self.trainable,
            train=self.sweep.inputs.train,
            validation=self.sweep.inputs.validation,
            weights=Weights.of(self.sweep.pretrained),
        )

    def _timeout(self) -> list[Timeout]:
        limit = self.sweep.config.trial_timeout
        return [] if limit is None else [Timeout(limit, self.recording)]

    def _machines(self, trials: int) -> Machines:
        return Machines(self.resources, trials, self.sweep.config.concurrency, self.sweep.progress)


def absolute(store: Store) -> str:
    """The store's URI as workers understand it, whose working folders are their own."""
    return store.uri if "://" in store.uri else str(Path(store.uri).absolute())
