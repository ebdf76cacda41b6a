"""What ended a worker, as Tune is told of it."""

from types import SimpleNamespace

import pytest
from ray.air.execution._internal import RayActorManager
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.execution import tune_controller

from sweeps.actors import ActorManager, lost_workers_are_borne
from sweeps.failure import is_out_of_memory, reason

KILLED = OutOfMemoryError("1 worker(s) were killed due to the node running low on memory.\nx: 1")


def told(error, kind=ActorManager):
    """What Tune hears when a worker's task ends with an error."""
    heard = []
    actor = SimpleNamespace(actor_id=1, _on_error=None)
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda actor, error: heard.append(error))
    manager = kind.__new__(kind)
    manager._failed_actor_ids, manager._cleanup_actor = set(), lambda **_: None
    manager._actor_task_failed(task, error)
    return heard[0]


def test_a_worker_that_the_memory_monitor_ended_is_a_dead_worker_with_that_reason():
    error = told(KILLED)

    assert isinstance(error, RayActorError)
    assert reason(error) == f"RayActorError: {str(KILLED).splitlines()[0]}"
    assert is_out_of_memory(reason(error))


def test_other_errors_are_told_as_they_are():
    for error in (ActorDiedError(), RayTaskError("train", "Traceback", ValueError("x"))):
        assert told(error) is error


def test_tunes_own_manager_would_end_the_sweep():
    with pytest.raises(RuntimeError, match="unexpected exception"):
        told(KILLED, RayActorManager)


def test_tune_uses_this_manager_only_while_a_sweep_runs():
    with lost_workers_are_borne():
        assert tune_controller.RayActorManager is ActorManager
    assert tune_controller.RayActorManager is RayActorManager
