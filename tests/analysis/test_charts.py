"""What the report's charts hold; how they look is tested in a browser by test_report.py."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from analysis import charts, lanes, load


def bars(chart):
    """Worker, begin and length in seconds of each bar, in the order of time."""
    found = [
        (base / 1000, worker, length / 1000)
        for trace in chart["data"]
        if trace["type"] == "bar"
        for worker, base, length in zip(trace["y"], trace["base"], trace["x"], strict=True)
    ]
    return [(worker, length) for _, worker, length in sorted(found)]


def marks(chart, name):
    """Worker and time in seconds of each mark."""
    return [
        (worker, time / 1000)
        for trace in chart["data"]
        if trace["type"] == "scatter" and trace["name"].endswith(name)
        for worker, time in zip(trace["y"], trace["x"], strict=True)
    ]


@pytest.fixture
def timeline(sweep_folder, trial_record):
    """The chart of one trial of a minute on b:2, that a:1 had for its first twenty seconds."""
    whole = trial_record(worker="b:2")
    begun = whole.started_at
    lost = begun + timedelta(seconds=20)
    loss = {lost.isoformat(): {"since": begun.isoformat(), "worker": "a:1"}}
    trial = trial_record(
        worker="b:2",
        workers_lost=1,
        losses=json.dumps(loss),
        started_at=begun,
        ended_at=begun + timedelta(seconds=60),
    )
    return charts.timeline(lanes.of_ended(load.trials([sweep_folder([trial])]))), lost.timestamp()


def test_a_lost_worker_was_busy_until_it_was_lost_and_another_from_then_on(timeline):
    chart, _ = timeline
    assert bars(chart) == [("a:1", 20.0), ("b:2", 40.0)]


def test_a_loss_is_marked_when_and_where_it_was(timeline):
    chart, lost = timeline
    assert marks(chart, "lost") == [("a:1", pytest.approx(lost, abs=0.001))]
    assert marks(chart, "failed") == []


def named(chart):
    """The trials that the bars are of."""
    return [
        trial for trace in chart["data"] if trace["type"] == "bar" for trial in trace["customdata"]
    ]


def test_a_bar_is_a_trials_so_that_a_click_can_open_its_page(sweep_folder, ten_trials):
    chart = charts.timeline(lanes.of_ended(load.trials([sweep_folder(ten_trials)])))
    assert sorted(named(chart)) == sorted(f"night/{trial.trial_id}" for trial in ten_trials)


def test_of_more_trials_than_can_be_told_apart_neighbours_are_one_bar(
    sweep_folder, ten_trials, monkeypatch
):
    monkeypatch.setattr(lanes, "MOST_BARS", 9)
    alike = [replace(trial, architecture="unet") for trial in ten_trials]
    chart = charts.timeline(lanes.of_ended(load.trials([sweep_folder(alike)])))
    assert named(chart) == [None]
    assert bars(chart) == [("unknown worker", 10 * 3600.0)]


def test_workers_without_losses_have_bars_alone(sweep_folder, ten_trials):
    chart = charts.timeline(lanes.of_ended(load.trials([sweep_folder(ten_trials)])))
    assert marks(chart, "lost") == []
    assert len(marks(chart, "failed")) == 1
