"""What a worker does while storage is away, and comes back."""

import json
import threading

import pytest
from ray import tune

from sweeps import cluster, handover
from sweeps.config import SweepConfig
from sweeps.quiet import silence_ray

AWAY = OSError(5, "Input/output error")


@pytest.fixture
def outage(monkeypatch):
    """Has the first attempts find storage away; returns how many were made, and the pauses."""

    def begin(function, attempts):
        made, pauses = [], []

        def attempt(*arguments, **named):
            made.append(arguments)
            if len(made) <= attempts:
                raise AWAY

        monkeypatch.setattr(tune, function, attempt)
        monkeypatch.setattr(handover.time, "sleep", pauses.append)
        return made, pauses

    return begin


def test_an_epochs_figures_are_told_again_until_its_checkpoint_is_stored(outage, tmp_path):
    made, pauses = outage("report", attempts=7)
    handover.report({"epoch": 3}, tmp_path)

    assert made == [({"epoch": 3},)] * 8
    assert pauses == [0.5, 1, 2, 4, 8, 8, 8]


def test_storage_that_stays_away_is_given_up(outage, tmp_path, monkeypatch):
    outage("report", attempts=99)
    clock = iter(range(0, 990, 10))
    monkeypatch.setattr(handover.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(handover.UnstoredError, match=r"can't be stored: .*Input/output error"):
        handover.report({"epoch": 3}, tmp_path)
    assert next(clock) <= handover.PATIENCE + 20


def test_a_checkpoint_that_cannot_be_read_yet_is_waited_for(tmp_path, monkeypatch):
    kept, whole = tmp_path / "kept", tmp_path / "whole"
    whole.mkdir()
    (whole / "curve.json").write_text("[]")
    monkeypatch.setattr(tune, "get_checkpoint", lambda: None)
    monkeypatch.setattr(handover.time, "sleep", lambda _: whole.rename(kept))

    assert handover.take_up(str(kept), tmp_path / "mine")
    assert (tmp_path / "mine" / "curve.json").read_text() == "[]"


def test_without_a_checkpoint_there_is_nothing_to_take_up(tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "get_checkpoint", lambda: None)
    assert not handover.take_up(None, tmp_path)


def test_what_an_outage_left_half_written_is_written_over(tmp_path):
    trial_folder = tmp_path / "run" / "trial"

    def train(_):
        for epoch in (1, 2):
            place = trial_folder / f"checkpoint_{epoch - 1:06d}"
            if epoch == 2:  # a file where the folder should be: nothing can be stored there
                place.write_text("")
                threading.Timer(1.0, place.unlink).start()
            made = tmp_path / str(epoch)
            made.mkdir()
            (made / "state").write_text(json.dumps(epoch))
            handover.report({"epoch": epoch}, made)

    silence_ray()
    with cluster.ray_running(SweepConfig(arch="cnn", name="night", address="local")):
        run = tune.RunConfig(name="run", storage_path=str(tmp_path), verbose=0)
        names = tune.TuneConfig(trial_dirname_creator=lambda _: "trial")
        (result,) = tune.Tuner(train, run_config=run, tune_config=names).fit()

    assert result.error is None
    assert result.metrics["epoch"] == 2
    stored = sorted(path.name for path in trial_folder.glob("checkpoint_*"))
    assert stored == ["checkpoint_000000", "checkpoint_000001"]
    assert (trial_folder / "checkpoint_000001" / "state").read_text() == "2"
