"""A sweep's cost before it is paid for, in words and in a file."""

import json
from dataclasses import replace

import pytest

from sweeps.plan import Part, Plan, held_against, per_epoch
from sweeps.storage import open_store

PARTS = (
    Part("cnn", 8, 3600.0, 0.5, 1e6, "a probe"),
    Part("unet", 8, 10800.0, 1.5, 2e6, "earlier trials: 16"),
)


def plan(parts=PARTS, time_budget=None, max_usd=None):
    return Plan(parts, 2.0, at_once=4, time_budget=time_budget, max_usd=max_usd)


def test_the_wall_time_is_the_devices_time_over_all_that_run_at_once():
    made = plan()

    assert made.device_seconds == 14400
    assert made.wall_seconds == 1800  # 4 hours of devices, two a trial, four trials at once
    assert made.usd == 2.0


def test_a_time_budget_bounds_time_and_price():
    made = plan(time_budget=900.0)

    assert (made.wall_seconds, made.device_seconds, made.usd) == (900, 7200, 1.0)
    assert "The time budget ends it before all trials have run." in made.told()
    assert plan(time_budget=1801.0).wall_seconds == 1800


def test_money_bounds_the_search():
    made = plan(max_usd=0.5)  # of 2

    assert (made.usd, made.device_seconds, made.wall_seconds) == (0.5, 3600, 450)
    assert "--max-usd ends it before all trials have run." in made.told()
    assert "--max-usd" not in plan(max_usd=2.0).told()


@pytest.mark.parametrize(
    ("max_usd", "usd", "wall_seconds"), [(None, 2.5, 2250), (2.25, 2.25, 2025), (1.0, 1.0, 900)]
)
def test_repeats_come_after_the_search_with_the_money_that_is_left(max_usd, usd, wall_seconds):
    parts = [replace(part, repeat_seconds=part.device_seconds / 4) for part in PARTS]
    made = plan(parts, max_usd=max_usd)

    assert (made.usd, made.wall_seconds) == (usd, wall_seconds)
    assert ("--max-usd ends it" in made.told()) == (max_usd is not None)
    assert made.told().count("--confirm, after it") == 2


def test_a_time_budget_is_for_the_search_and_not_for_the_repeats():
    parts = [replace(part, repeat_seconds=part.device_seconds / 4) for part in PARTS]

    assert plan(parts, time_budget=900.0).wall_seconds == 900 + 450


def test_without_all_prices_there_is_no_sum():
    made = plan((*PARTS, Part("resnet", 1, 60.0, None, 0.0, "a probe")))

    assert made.usd is None
    assert "- USD" in made.told()


def test_it_is_told_in_eighty_columns():
    told = plan().told()

    assert max(map(len, told.splitlines())) <= 80
    assert "4.00 device-hours, 2.00 USD, 0:30:00 with 4 trials at once" in told
    assert "some 24 MB" in told
    assert [line.split()[:4] for line in told.splitlines()[1:3]] == [
        ["cnn", "8", "1.00", "0.5"],
        ["unet", "8", "3.00", "1.50"],
    ]


@pytest.mark.parametrize(("took", "said"), [(18000, "25% more"), (7200, "50% less")])
def test_afterwards_it_says_how_far_off_it_was(tmp_path, trial_record, took, said):
    store = open_store(tmp_path)
    plan().write(store)

    repeat = trial_record(trial_id="unet-0-again-1", confirms="unet-0")  # was not in the plan
    told = held_against(store, [trial_record(device_seconds=took), repeat])
    assert told.startswith("planned 4.00 device-hours, took")
    assert told.endswith(said)


def test_without_a_plan_there_is_nothing_to_say(tmp_path):
    assert held_against(open_store(tmp_path), []) is None


def test_it_is_kept_whole(tmp_path):
    store = open_store(tmp_path)
    plan().write(store)

    kept = json.loads(store.read_bytes("plan.json"))
    assert (kept["device_seconds"], kept["wall_seconds"], kept["usd"]) == (14400, 1800, 2.0)
    assert [part["architecture"] for part in kept["parts"]] == ["cnn", "unet"]


def test_earlier_trials_say_what_a_planned_epoch_costs(trial_record):
    whole = trial_record(epochs_planned=10, epochs_run=10, device_seconds=100)
    stopped = trial_record(status="stopped", epochs_planned=10, epochs_run=2, device_seconds=20)

    assert per_epoch([whole, stopped]) == 6.0
