"""What a worker does with a trial; how Tune calls it is tested by whole sweeps."""

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ray import tune

import nucseg_models
from nucseg_models.data.synthetic import synthetic
from nucseg_models.training import DivergedError, TrainingRun
from sweeps import checkpoints, handover, trial
from sweeps.assignment import Assignment
from sweeps.failure import is_out_of_memory

DATA = synthetic(8, seed=0, sides=(64, 72))
TRAIN, VALIDATION = DATA.subset(range(6)), DATA.subset(range(6, 8))


@dataclass
class Session:
    """Stands where Tune does: keeps what is reported, and gives the checkpoint to go on from."""

    folder: Path
    start: Path | None = None
    results: list[dict[str, Any]] = field(default_factory=list)

    def report(self, figures, checkpoint=None):
        self.results.append(figures)
        if checkpoint is not None:
            shutil.copytree(checkpoint.path, self.folder / str(len(self.results)))

    def get_checkpoint(self):
        return self.start and tune.Checkpoint(self.start)


@pytest.fixture
def session(tmp_path, monkeypatch):
    made = Session(tmp_path)
    monkeypatch.setattr(tune, "report", made.report)
    monkeypatch.setattr(tune, "get_checkpoint", made.get_checkpoint)
    monkeypatch.setattr(trial, "_prepared", {1})  # other tests have used this process before
    return made


def run(epochs=2, *, deadline=None, checkpoint=None, **hyperparameters):
    paper = nucseg_models.get("cnn").paper
    assignment = Assignment(
        trial="cnn-0000",
        architecture="cnn",
        hyperparameters={**paper, "image_size": 64, "batch_size": 4, **hyperparameters},
        epochs=epochs,
        seed=1,
        is_paper=True,
        threads=1,
        deadline=deadline,
        checkpoint=checkpoint,
    )
    trial.run_trial(assignment.to_config(), train=TRAIN, validation=VALIDATION)


def test_each_epoch_is_reported_and_the_last_with_the_final_scores(session):
    run()

    first, last = session.results
    assert (first["epoch"], last["epoch"]) == (1, 2)
    assert "finished" not in first
    assert last["finished"]
    assert last["final_iou"] == max(first["val_iou"], last["val_iou"])
    assert np.mean(last["by_image"]["iou"]) == pytest.approx(last["final_iou"], abs=1e-4)
    assert len(last["by_image"]["map"]) == len(VALIDATION)
    assert {"parameters", "flops_per_image", "device", "peak_memory_bytes"} <= first.keys()
    curve = json.loads((session.folder / "2" / checkpoints.CURVE).read_text())
    assert [epoch["loss"] for epoch in curve] == [first["loss"], last["loss"]]


def test_a_trial_goes_on_from_a_checkpoint_as_if_it_had_not_been_cut_off(session):
    run(epochs=3)
    whole = session.results[:]
    run(epochs=3, checkpoint=str(session.folder / "1"))

    second, third = session.results[3:]
    assert [row["epoch"] for row in second["earlier"]] == [1]
    assert third["earlier"] == []
    assert second["loss"] == pytest.approx(whole[1]["loss"], rel=1e-5)
    assert third["val_iou"] == pytest.approx(whole[2]["val_iou"], rel=1e-3, abs=1e-3)


def test_tunes_own_checkpoint_goes_before_that_of_the_sweep_that_is_resumed(session):
    run(epochs=3)
    session.start = session.folder / "2"
    run(epochs=3, checkpoint=str(session.folder / "1"))

    assert [result["epoch"] for result in session.results[3:]] == [3]


def test_a_trial_that_was_cut_off_after_its_last_epoch_is_only_evaluated(session):
    run()
    run(checkpoint=str(session.folder / "2"))

    (result,) = session.results[2:]
    assert "loss" not in result
    assert [row["epoch"] for row in result["earlier"]] == [1, 2]
    assert result["final_iou"] == pytest.approx(session.results[1]["final_iou"])


def test_a_trial_whose_time_is_up_ends_after_the_epoch_that_it_is_in(session):
    run(epochs=50, deadline=time.time() + 0.1)

    assert [result["epoch"] for result in session.results] == [1]
    assert session.results[0]["finished"]


def test_a_failure_is_reported_with_its_reason_and_raised_for_the_worker_to_be_replaced(session):
    with pytest.raises(KeyError, match="none such"):
        run(optimizer="none such")

    (failed,) = session.results
    assert failed.keys() == {"error", "device"}
    assert "none such" in failed["error"]


def test_a_trial_that_diverged_is_reported_and_its_worker_serves_the_next(session, monkeypatch):
    def diverge(run):
        raise DivergedError("loss became nan")

    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "epoch", diverge)
        run()
    run(epochs=1)

    failed, after = session.results
    assert failed["error"] == "DivergedError: loss became nan"
    assert after["finished"]


def test_where_storage_stays_away_a_trial_is_left_to_be_tried_again(session, monkeypatch):
    def full(figures, checkpoint=None):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tune, "report", full)
    monkeypatch.setattr(handover, "PATIENCE", 0)
    with pytest.raises(handover.UnstoredError, match=r"can't be stored: .*No space left"):
        run()
    assert session.results == []


def runs_out_of_memory_above(batch, monkeypatch):
    """There is no device here whose memory a test could fill: a step asks for too much of it."""
    whole = TrainingRun.epoch

    def epoch(run):
        if run.hyperparameters["batch_size"] > batch:
            keras.ops.zeros((2**23, 2**23))  # 256 TiB
        return whole(run)

    monkeypatch.setattr(TrainingRun, "epoch", epoch)


def test_where_memory_runs_out_a_trial_goes_on_at_half_the_batch(session, monkeypatch):
    runs_out_of_memory_above(2, monkeypatch)
    run(batch_size=4)

    assert [result["epoch"] for result in session.results] == [1, 2]
    assert {result["changed"]["batch_size"] for result in session.results} == {2}
    assert session.results[-1]["finished"]


def test_where_half_the_batch_is_too_much_as_well_the_trial_failed_for_want_of_memory(
    session, monkeypatch
):
    runs_out_of_memory_above(1, monkeypatch)
    with pytest.raises(Exception, match="OOM"):
        run(batch_size=4)

    (result,) = session.results
    assert is_out_of_memory(result["error"])


def test_a_failure_of_another_kind_is_not_tried_again(session, monkeypatch):
    begun = []
    monkeypatch.setattr(TrainingRun, "epoch", lambda run: begun.append(run) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run()

    assert len(begun) == 1
    assert session.results[0]["error"].startswith("ZeroDivisionError")
    assert not is_out_of_memory(session.results[0]["error"])
