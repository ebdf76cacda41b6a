"""Four faults of Ray's own OptunaSearch, and that this project's search has none of them.

Each test is run on both: as a demand that is met here, and is not met by the bare combination.
"""

import logging
import math
from types import SimpleNamespace

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

import nucseg_models
from sweeps.config import SweepConfig
from sweeps.scheduler import SchedulerPerArchitecture
from sweeps.searcher import StudyPerArchitecture

LIMIT = 1e9
BOTH = ["val_iou", "device_seconds"]


class Ours:
    """This project's search for one trial after another."""

    def __init__(self):
        config = SweepConfig(arch="cnn", name="night", max_memory=LIMIT)
        architectures = [nucseg_models.get("cnn")]
        self.search = StudyPerArchitecture(
            config,
            architectures,
            deadline=None,
            pretrained=None,
            device_seconds=lambda trial: 1.0,
        )

    def trials(self):
        every = self.search.study("cnn").trials
        return [trial for trial in every if trial.state != TrialState.WAITING]

    def scheduler(self):
        return SchedulerPerArchitecture("asha", ["cnn"], 9)


class Bare:
    """Ray Tune with Optuna the way that its documentation shows."""

    def __init__(self):
        space = {"learning_rate": FloatDistribution(1e-5, 1e-1, log=True)}
        self.search = OptunaSearch(space, metric="val_iou", mode="max")

    def trials(self):
        return self.search._ot_study.trials

    def scheduler(self):
        scheduler = ASHAScheduler(time_attr="epoch", max_t=9)
        scheduler.set_search_properties(BOTH, ["max", "min"])
        return scheduler


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


def end(search, *scores, **figures):
    """A trial that reports these scores, an epoch each, and then ends."""
    search.suggest("a")
    for epoch, score in enumerate(scores, start=1):
        result = {"epoch": epoch, "training_iteration": epoch, "val_iou": score, **figures}
        search.on_trial_result("a", result)
    search.on_trial_complete("a", result)


def a_stopped_trial_is_not_learnt_as_a_completed_one(combination):
    end(combination.search, 0.125, 0.25)
    (trial,) = combination.trials()
    return trial.state == TrialState.PRUNED and trial.intermediate_values == {1: 0.125, 2: 0.25}


def a_score_that_is_no_number_leaves_no_trial_running(combination):
    end(combination.search, math.nan)
    (trial,) = combination.trials()
    return trial.state == TrialState.FAIL


def a_limit_reaches_the_sampler(combination):
    end(combination.search, 0.5, peak_memory_bytes=2 * LIMIT)
    (trial,) = combination.trials()
    return any(value > 0 for value in trial.constraints.values())


def poor_trials_are_stopped_early_where_there_are_two_objectives(combination):
    scheduler = combination.scheduler()
    decisions = []
    for number in range(12):
        config = {"architecture": "cnn", "is_paper": False}
        trial = SimpleNamespace(trial_id=str(number), config=config)
        try:
            scheduler.on_trial_add(None, trial)
        except ValueError:
            return False
        result = {"epoch": 1, "training_iteration": 1, "val_iou": -number, "device_seconds": 1}
        decisions.append(scheduler.on_trial_result(None, trial, result))
    return TrialScheduler.STOP in decisions


DEMANDS = (
    a_stopped_trial_is_not_learnt_as_a_completed_one,
    a_score_that_is_no_number_leaves_no_trial_running,
    a_limit_reaches_the_sampler,
    poor_trials_are_stopped_early_where_there_are_two_objectives,
)


@pytest.mark.parametrize("is_met", DEMANDS)
def test_here_it_is_so(is_met):
    assert is_met(Ours())


@pytest.mark.parametrize("is_met", DEMANDS)
def test_it_is_not_so_in_the_bare_combination(is_met):
    assert not is_met(Bare())
