"""Workers that Ray's memory monitor ended are to Tune what other dead workers are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.air.execution._internal import RayActorManager, TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution import tune_controller


class ActorManager(RayActorManager):
    """Tune's own, which ends the whole run at an error that is neither an actor's nor a task's.

    Such is Ray's OutOfMemoryError (2.60): one hungry trial would end the sweep.
    """

    def _actor_start_failed(self, tracked_actor: TrackedActor, exception: Exception) -> None:
        super()._actor_start_failed(tracked_actor, _known(exception))

    def _actor_task_failed(
        self, tracked_actor_task: TrackedActorTask, exception: Exception
    ) -> None:
        super()._actor_task_failed(tracked_actor_task, _known(exception))


@contextmanager
def lost_workers_are_borne() -> Iterator[None]:
    """Tune uses `ActorManager` meanwhile; it offers no other way to have that."""
    theirs = tune_controller.RayActorManager
    tune_controller.RayActorManager = ActorManager
    try:
        yield
    finally:
        tune_controller.RayActorManager = theirs


def _known(error: Exception) -> Exception:
    """The error, of a kind that Tune knows."""
    if isinstance(error, RayError) and not isinstance(error, RayActorError | RayTaskError):
        known: Exception = RayActorError(error_msg=str(error))
        return known
    return error
