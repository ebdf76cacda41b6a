"""Why a trial failed, in one line."""

from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

from sweeps.failure import LONGEST, is_lost_machine, reason


def test_a_reason_is_the_kind_and_the_first_line():
    assert reason(ValueError("\n  bad shape (3, 4)\nGraph execution error")) == (
        "ValueError: bad shape (3, 4)"
    )


def test_an_error_without_a_message_is_named():
    assert reason(MemoryError()) == "MemoryError"


def test_a_long_reason_is_cut():
    assert len(reason(ValueError("x" * 1000))) == LONGEST


def test_of_an_error_from_a_worker_it_says_what_happened_there():
    raised = RayTaskError("train", "Traceback ...", ImportError("no module named jax"))

    assert reason(raised.as_instanceof_cause()) == "ImportError: no module named jax"


def test_a_lost_worker_is_told_in_rays_words():
    assert reason(ActorDiedError()).startswith("ActorDiedError: The actor died")


def test_a_lost_machine_is_told_from_a_worker_that_died_by_itself():
    # The sentence of Ray's core; tests/cluster sees it come from there.
    lost = RayActorError(error_msg="The actor died because its node has died. Node Id: 0123")

    assert is_lost_machine(lost)
    assert not is_lost_machine(ActorDiedError())
