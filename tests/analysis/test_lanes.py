"""Who held a trial that still runs; lanes of ended trials are tested as they are drawn."""

from datetime import UTC, datetime, timedelta

import pytest

from analysis import lanes, load, running

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def held(sweep_folder, trial_record, epoch_record):
    """Worker, begin and end in seconds after noon, of what the epochs (worker, seconds of the
    trial, seconds after noon) of unet-9 tell, beside those of unet-0, which has ended.
    """

    def of(*epochs):
        rows = [
            epoch_record(
                trial_id="unet-9",
                epoch=number,
                worker=worker,
                seconds=seconds,
                ended_at=None if after is None else NOON + timedelta(seconds=after),
            )
            for number, (worker, seconds, after) in enumerate(epochs, start=1)
        ]
        ended = epoch_record(trial_id="unet-0", worker="c:3", ended_at=NOON)
        folder = sweep_folder([trial_record()], [*rows, ended])
        found = lanes.of_running(running.epochs(load.curves([folder]), load.trials([folder])))
        assert set(found["trial_id"]) <= {"unet-9"}
        zero = 1000 * NOON.timestamp()
        return [
            (row["worker"], (row["begun"] - zero) / 1000, (row["ended"] - zero) / 1000)
            for row in found.sort("begun").iter_rows(named=True)
        ]

    return of


def test_a_trial_that_runs_has_been_held_since_its_first_epoch_began(held):
    assert held(("a:1", 10.0, 10.0), ("a:1", 25.0, 25.0)) == [("a:1", 0.0, 25.0)]


def test_a_worker_that_took_over_has_held_it_since_its_own_first_epoch_began(held):
    found = held(("a:1", 10.0, 10.0), ("b:2", 25.0, 60.0), ("b:2", 30.0, 65.0))
    assert found == [("a:1", 0.0, 10.0), ("b:2", 45.0, 65.0)]


def test_epochs_without_a_time_as_earlier_versions_wrote_them_tell_nothing(held):
    assert held((None, 10.0, None)) == []


def test_lanes_of_both_kinds_have_the_same_columns(held, sweep_folder, trial_record):
    trials = load.trials([sweep_folder([trial_record()], name="day")])
    assert dict(lanes.of_ended(trials).schema) == lanes.SCHEMA
