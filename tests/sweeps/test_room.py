"""Tune is held to as many trials as have room, on machines that are made up."""

from itertools import count
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from sweeps import cluster
from sweeps.room import Room

PAUSED = SimpleNamespace(status=Trial.PAUSED)
RUNNING = SimpleNamespace(status=Trial.RUNNING)
NAMES = map(str, count())


class Endless(Searcher):
    """Suggests a trial whenever it is asked."""

    def suggest(self, trial_id):
        return {"trial": trial_id}

    def on_trial_complete(self, trial_id, result=None, error=False):
        """Nothing is learnt."""


@pytest.fixture
def machines(monkeypatch):
    """What the cluster has; a test may change it."""
    there = [{"CPU": 4.0}]
    monkeypatch.setattr(cluster, "machines", lambda: there)
    monkeypatch.setattr("sweeps.room.SECONDS", 0)
    return there


def begun(room, trials=()):
    """How many trials Tune gets in a step."""
    room.on_step_begin(0, list(trials))
    return next(n for n in count() if room.searcher.suggest(next(NAMES)) is None)


def test_as_many_trials_begin_at_once_as_have_room(machines):
    assert begun(Room(Endless(), {"CPU": 2, "GPU": 0}, limit=None)) == 2


def test_before_any_machine_is_there_one_trial_waits_for_it(machines):
    machines.clear()
    assert begun(Room(Endless(), {"CPU": 2}, limit=None)) == 1


def test_when_machines_come_their_trials_begin(machines):
    room = Room(Endless(), {"CPU": 2}, limit=None)
    assert begun(room) == 2

    machines.append({"CPU": 8.0})
    assert begun(room, [RUNNING] * 2) == 4


def test_no_more_run_at_once_than_asked_for(machines):
    room = Room(Endless(), {"CPU": 1}, limit=2)
    assert begun(room) == 2


def test_a_paused_trial_leaves_its_room_to_another(machines):
    room = Room(Endless(), {"CPU": 2}, limit=None)
    begun(room)

    assert begun(room, [PAUSED, RUNNING]) == 1


def test_an_ended_trial_leaves_its_room_to_another(machines):
    room = Room(Endless(), {"CPU": 2}, limit=None)
    room.on_step_begin(0, [])
    first = room.searcher.suggest(next(NAMES))["trial"]
    assert begun(room, [RUNNING]) == 1

    room.searcher.on_trial_complete(first)
    assert begun(room, [RUNNING]) == 1
