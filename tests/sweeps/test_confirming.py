from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from sweeps import confirming
from sweeps.assignment import Assignment
from sweeps.confirming import GivenTrials
from sweeps.recorder import Recorder
from sweeps.storage import LocalStore


@pytest.fixture
def sweep(tmp_path, trial_record):
    """A sweep that asked for two repeats, and whose U-Net and CNN have a best trial."""
    recorder = Recorder(LocalStore(tmp_path))
    recorder.ended(trial_record(trial_id="unet-0000", val_iou=0.7, epochs_run=9))
    recorder.ended(trial_record(trial_id="unet-0001", val_iou=0.8, epochs_run=7))
    recorder.ended(trial_record(trial_id="cnn-0000", architecture="cnn"))
    asked = {"arch": ("unet", "cnn", "resnet"), "confirm": 2, "seed": 5, "cpus_per_trial": 1.0}
    config = SimpleNamespace(**asked, precision="mixed_bfloat16")
    return SimpleNamespace(config=config, recorder=recorder, pretrained=None)


def names(assignments):
    return [assignment.trial for assignment in assignments]


def test_the_best_settings_of_each_architecture_are_repeated_with_seeds_of_their_own(sweep):
    wanted = confirming.assignments(sweep, [])
    assert names(wanted) == [
        *("unet-0001-again-1", "unet-0001-again-2", "cnn-0000-again-1", "cnn-0000-again-2")
    ]
    assert wanted[0].confirms == "unet-0001"
    assert wanted[0].hyperparameters == {"learning_rate": 0.01, "optimizer": "adam"}
    assert wanted[0].epochs == 7
    assert wanted[0].deadline is None
    assert len({assignment.seed for assignment in wanted}) == 4


def test_what_has_ended_is_not_repeated_again_and_what_was_cut_off_goes_on(sweep, trial_record):
    sweep.recorder.ended(
        trial_record(trial_id="unet-0001-again-1", confirms="unet-0001", val_iou=0.9)
    )
    fresh = confirming.assignments(sweep, [])
    config = fresh[0].to_config() | {"checkpoint": "somewhere"}
    again = confirming.assignments(sweep, [Assignment.from_config(config)])
    assert names(again) == names(fresh)
    assert names(again)[0] == "unet-0001-again-2"
    assert again[0].checkpoint == "somewhere"


def test_no_repeat_begins_when_the_money_is_spent():
    searcher = GivenTrials([SimpleNamespace(to_config=lambda: {"trial": "a"})], lambda: True)
    assert searcher.suggest("1") == Searcher.FINISHED
    assert searcher.is_done()


def test_given_trials_come_in_order_and_end():
    searcher = GivenTrials([SimpleNamespace(to_config=lambda: {"trial": "a"})])
    assert searcher.suggest("1") == {"trial": "a"}
    assert searcher.suggest("2") == Searcher.FINISHED
    assert not searcher.is_done()
    searcher.on_trial_complete("1")
    assert searcher.is_done()
