"""Poor trials are stopped early, each compared with its own architecture's only."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from sweeps.limits import Limits
from sweeps.scheduler import SchedulerPerArchitecture

CONTINUE, STOP, PAUSE = TrialScheduler.CONTINUE, TrialScheduler.STOP, TrialScheduler.PAUSE


@dataclass(eq=False)
class Candidate:
    """The part of Tune's trial that schedulers look at."""

    trial_id: str
    config: dict[str, Any]
    status: str = Trial.RUNNING
    is_saving: bool = False
    has_reported_at_least_once: bool = False


@dataclass
class Controller:
    """The part of Tune's controller that schedulers call."""

    trials: list[Candidate] = field(default_factory=list)
    scheduler: Any = None

    def get_trials(self):
        return self.trials

    def stop_trial(self, trial):
        trial.status = Trial.TERMINATED
        self.scheduler.on_trial_remove(self, trial)


class Sweep:
    """A scheduler, and the trials that it is told of."""

    def __init__(self, kind, epochs=9, architectures=("cnn", "unet"), **stops):
        self.scheduler = SchedulerPerArchitecture(kind, architectures, epochs, **stops)
        self.scheduler.set_search_properties(None, None)
        self.controller = Controller(scheduler=self.scheduler)

    def begin(self, architecture="cnn", *, is_paper=False, status=Trial.RUNNING):
        config = {"architecture": architecture, "is_paper": is_paper}
        trial = Candidate(f"t{len(self.controller.trials)}", config, status)
        self.controller.trials.append(trial)
        self.scheduler.on_trial_add(self.controller, trial)
        return trial

    def epoch(self, trial, epoch, iou, **figures):
        result = {"epoch": epoch, "val_iou": iou, **figures}
        decision = self.scheduler.on_trial_result(self.controller, trial, result)
        if decision == PAUSE:
            trial.status = Trial.PAUSED
        return decision

    def end(self, trial, **result):
        trial.status = Trial.TERMINATED
        self.scheduler.on_trial_complete(self.controller, trial, result)


def test_asha_stops_what_is_not_among_the_best_third_at_its_first_rung():
    sweep = Sweep("asha")
    good, better, poor = (sweep.begin() for _ in range(3))

    assert [sweep.epoch(trial, 1, 0.5) for trial in (good, better)] == [CONTINUE, CONTINUE]
    assert sweep.epoch(poor, 1, 0.4) == STOP


def test_asha_compares_within_an_architecture_only():
    sweep = Sweep("asha")
    for _ in range(3):
        sweep.epoch(sweep.begin("unet"), 1, 0.9)

    assert sweep.epoch(sweep.begin("cnn"), 1, 0.1) == CONTINUE
    assert sweep.epoch(sweep.begin("unet"), 1, 0.1) == STOP


@pytest.mark.parametrize("kind", ["asha", "hyperband"])
def test_the_papers_row_is_never_stopped_nor_paused(kind):
    sweep = Sweep(kind)
    for _ in range(4):
        sweep.epoch(sweep.begin(), 1, 0.9)
    paper = sweep.begin(is_paper=True)

    assert [sweep.epoch(paper, epoch, 0.01) for epoch in range(1, 10)] == [CONTINUE] * 9
    sweep.end(paper, epoch=9, val_iou=0.01, finished=True)


def test_the_papers_row_does_not_raise_the_bar_for_others():
    sweep = Sweep("asha")
    sweep.epoch(sweep.begin(is_paper=True), 1, 0.9)

    assert sweep.epoch(sweep.begin(), 1, 0.1) == CONTINUE


@pytest.mark.parametrize("kind", ["asha", "hyperband", "none"])
def test_a_trial_that_finished_or_failed_is_not_judged(kind):
    sweep = Sweep(kind)
    first, finished, failed = (sweep.begin() for _ in range(3))
    sweep.epoch(first, 1, 0.9)
    last = {"epoch": 9, "val_iou": 0.1, "finished": True}
    error = {"error": "DivergedError: loss became nan"}

    assert sweep.scheduler.on_trial_result(sweep.controller, finished, last) == CONTINUE
    assert sweep.scheduler.on_trial_result(sweep.controller, failed, error) == CONTINUE
    sweep.end(finished, **last)
    sweep.end(failed, **error)


@pytest.mark.parametrize("epochs", [1, 2, 3, 6, 9, 26, 27, 28, 30, 54, 81, 100])
def test_no_trial_is_judged_more_than_three_times_before_its_last_epoch(epochs):
    sweep = Sweep("asha", epochs)
    leader = sweep.begin()
    for epoch in range(1, epochs):
        sweep.epoch(leader, epoch, 0.9)
    # A trial that is poor at one epoch alone is stopped there if that epoch is a rung.
    rungs = []
    for epoch in range(1, epochs):
        trial = sweep.begin()
        decisions = [sweep.epoch(trial, earlier, 0.9) for earlier in range(1, epoch)]
        assert STOP not in decisions
        if sweep.epoch(trial, epoch, 0.1) == STOP:
            rungs.append(epoch)

    assert len(rungs) <= 3
    assert rungs or epochs < 3


@pytest.mark.parametrize(("kind", "epochs"), [("none", 9), ("asha", 2), ("hyperband", 2)])
def test_without_a_scheduler_or_with_too_few_epochs_nothing_is_stopped(kind, epochs):
    sweep = Sweep(kind, epochs)
    for _ in range(3):
        sweep.epoch(sweep.begin(), 1, 0.9)

    assert sweep.epoch(sweep.begin(), 1, 0.0) == CONTINUE


def test_hyperband_pauses_trials_and_goes_on_with_the_best_third():
    sweep = Sweep("hyperband", 9, ["cnn"])
    long = [sweep.begin() for _ in range(3)]  # its first bracket: 9 epochs each, none judged
    rung = [sweep.begin() for _ in range(5)]  # its second: 3 epochs each, then the best third
    assert {sweep.epoch(trial, epoch, 0.1) for trial in long for epoch in (1, 2, 3)} == {CONTINUE}

    for number, trial in enumerate(rung[:-1]):
        assert [sweep.epoch(trial, epoch, 0.1 * number) for epoch in (1, 2, 3)][-1] == PAUSE
    assert sweep.scheduler.choose_trial_to_run(sweep.controller) is None
    assert [sweep.epoch(rung[-1], epoch, 0.9) for epoch in (1, 2, 3)][-1] == CONTINUE

    assert [trial.status for trial in rung[:3]] == [Trial.TERMINATED] * 3
    assert sweep.scheduler.choose_trial_to_run(sweep.controller) is rung[3]


def test_a_trial_that_has_not_begun_goes_before_paused_ones():
    sweep = Sweep("none")
    sweep.begin(status=Trial.PAUSED)
    pending = sweep.begin("unet", status=Trial.PENDING)

    assert sweep.scheduler.choose_trial_to_run(sweep.controller) is pending
    pending.status = Trial.RUNNING
    assert sweep.scheduler.choose_trial_to_run(sweep.controller).status == Trial.PAUSED


def test_a_free_worker_takes_the_newest_trial_but_first_one_that_had_begun():
    sweep = Sweep("asha")
    lost, older, newest = (sweep.begin(status=Trial.PENDING) for _ in range(3))
    assert sweep.scheduler.choose_trial_to_run(sweep.controller) is newest

    lost.has_reported_at_least_once = True
    assert sweep.scheduler.choose_trial_to_run(sweep.controller) is lost
    lost.status = newest.status = Trial.RUNNING
    assert sweep.scheduler.choose_trial_to_run(sweep.controller) is older


def test_a_lost_worker_is_passed_on_and_its_trial_can_begin_again():
    for kind in ("asha", "hyperband", "none"):
        sweep = Sweep(kind)
        trial, other = sweep.begin(), sweep.begin()
        sweep.epoch(trial, 1, 0.5)
        sweep.scheduler.on_trial_error(sweep.controller, trial)
        sweep.scheduler.on_trial_add(sweep.controller, trial)

        assert sweep.epoch(trial, 2, 0.5) == CONTINUE
        assert sweep.epoch(other, 1, 0.6) == CONTINUE


def test_it_names_itself_and_its_architectures():
    assert "cnn, unet" in Sweep("asha").scheduler.debug_string()


@pytest.mark.parametrize("kind", ["asha", "hyperband", "none"])
def test_a_trial_that_breaks_a_limit_is_stopped_at_once_but_not_the_papers_row(kind):
    sweep = Sweep(kind, limits=Limits({"peak_memory_bytes": 100}))
    paper, large, small = sweep.begin(is_paper=True), sweep.begin(), sweep.begin()

    assert sweep.epoch(paper, 1, 0.5, peak_memory_bytes=200) == CONTINUE
    assert sweep.epoch(large, 1, 0.9, peak_memory_bytes=200) == STOP
    assert sweep.epoch(small, 1, 0.1, peak_memory_bytes=50) != STOP


def test_when_the_money_is_spent_every_trial_is_stopped_after_its_epoch():
    spent = []
    sweep = Sweep("asha", all_is_spent=lambda: bool(spent))
    paper, other = sweep.begin(is_paper=True), sweep.begin()
    assert sweep.epoch(paper, 1, 0.5) == CONTINUE
    spent.append("all")

    assert (sweep.epoch(paper, 2, 0.5), sweep.epoch(other, 1, 0.9)) == (STOP, STOP)
