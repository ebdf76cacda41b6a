"""What one worker is told to do, and the names and seeds of trials."""

import json
from dataclasses import asdict

import pytest

from sweeps.assignment import Assignment, trial_architecture, trial_name, trial_number, trial_seed


def test_an_assignment_survives_json_as_running_json_keeps_it():
    assignment = Assignment(
        trial="unet-0003",
        architecture="unet",
        hyperparameters={"learning_rate": 1e-3 / 3, "batch_size": 8, "dilation": True},
        epochs=30,
        seed=2**32 - 1,
        is_paper=False,
        threads=2,
        pretrained="imagenet",
        deadline=1_700_000_000.123456,
        checkpoint="s3://bucket/night/checkpoints/0001/unet-0003/checkpoint_000004",
    )

    kept = json.loads(json.dumps(assignment.to_config()))

    assert Assignment.from_config(kept) == assignment
    assert asdict(Assignment.from_config(kept)) == assignment.to_config()


@pytest.mark.parametrize("architecture", ["cnn", "mask_rcnn", "a-b"])
def test_architecture_and_number_are_read_from_a_trials_name(architecture):
    trial = trial_name(architecture, 12)

    assert (trial_architecture(trial), trial_number(trial)) == (architecture, 12)


def test_names_sort_as_their_numbers_do():
    assert trial_name("cnn", 7) == "cnn-0007"
    assert trial_name("cnn", 9) < trial_name("cnn", 10)


def test_seeds_differ_by_trial_and_sweep_and_stay_the_same():
    trials = [trial_name(name, number) for name in ("cnn", "unet") for number in range(500)]
    seeds = {trial_seed(7, trial) for trial in trials}

    assert len(seeds) == len(trials)
    assert trial_seed(7, "cnn-0001") != trial_seed(8, "cnn-0001")
    assert trial_seed(7, "cnn-0001") == 1889501414  # on any machine
    assert all(0 <= seed < 2**32 for seed in seeds)
