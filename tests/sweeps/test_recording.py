"""Tune's events become rows, and running.json says what is to be gone on with."""

import io
import json
import math
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError
from ray.tune.experiment import Trial
from rich.console import Console

import nucseg_models
from sweeps.assignment import Assignment
from sweeps.failure import is_out_of_memory
from sweeps.limits import Limits
from sweeps.prices import Prices
from sweeps.progress import Progress
from sweeps.record import SUMMARY_FILE
from sweeps.recorder import Recorder
from sweeps.recording import RUNNING_FILE, Recording
from sweeps.rows import SweepFacts
from sweeps.storage import StorageError, open_store

FACTS = SweepFacts(
    sweep="night",
    backend="tensorflow",
    dataset="synthetic",
    dataset_sha256="0" * 64,
    git_commit=None,
    versions='{"keras": "3.15.1"}',
    devices_per_trial=2.0,
    prices=Prices({"": 3.6}),
    limits=Limits({}),
    max_usd=None,
)
MEASURED = {
    "device": "cpu",
    "parameters": 10,
    "flops_per_image": 20.0,
    "start_seconds": 1.0,
    "train_seconds": 2.0,
    "eval_seconds": 0.5,
    "images_per_second": 30.0,
    "peak_memory_bytes": 1000,
}


def assigned(number=0, architecture="cnn"):
    return Assignment(
        trial=f"{architecture}-{number:04d}",
        architecture=architecture,
        hyperparameters=dict(nucseg_models.get(architecture).paper),
        epochs=3,
        seed=5,
        is_paper=number == 0,
        threads=1,
    )


def epoch(number, iou, **more):
    best = {"best_iou": iou, "best_dice": iou, "best_accuracy": 0.9}
    scores = {"val_iou": iou, "val_accuracy": 0.9, "loss": 1.0, "learning_rate": 0.1}
    return {"epoch": number, **scores, **best, **MEASURED, **more}


FINAL = {
    "by_image": {"iou": [0.5, 1.0], "map": [0.25, 0.75]},
    "finished": True,
    **{
        f"final_{name}": 0.75
        for name in ("iou", "dice", "accuracy", "map", "f1_50", "f1_70", "aji")
    },
    "final_splits": 3,
    "final_merges": 4,
    "train_iou": 0.8,
    "train_accuracy": 0.95,
    "predict_seconds": 0.01,
}


@dataclass
class Desk:
    """A recording, the files and lines that it writes, and the clock that it looks at."""

    recording: Recording
    recorder: Recorder
    store: Any
    lines: io.StringIO
    clock: list[float]
    folder: Path

    def tell(self, event: str, assignment: Assignment, *, after: float = 0, **info: Any) -> Any:
        """An event of Tune's, `after` seconds; what Tune keeps of a trial that failed once."""
        self.clock[0] += after
        error, kept = info.pop("error", None), SimpleNamespace(num_failures=1)
        written = self.folder / "error.pkl"
        written.write_bytes(pickle.dumps(error))
        trial = SimpleNamespace(
            config=assignment.to_config(),
            status=info.pop("status", Trial.RUNNING),
            pickled_error_file=str(written) if error else None,
            run_metadata=kept,
        )
        getattr(self.recording, event)(0, [], trial, **info)
        return kept

    def running(self) -> list[str]:
        kept = json.loads(self.store.read_bytes(RUNNING_FILE))
        return [Assignment.from_config(config).trial for config in kept]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("sweeps.recording.time.monotonic", lambda: clock[0])
    return new_desk(tmp_path / "night", clock)


def new_desk(folder, clock, waiting=()):
    store, lines = open_store(folder), io.StringIO()
    recorder = Recorder.resumed(store)
    progress = Progress(["cnn", "unet"], 4, console=Console(file=lines))
    recording = Recording(FACTS, recorder, progress, store, waiting)
    return Desk(recording, recorder, store, lines, clock, folder.parent)


def test_a_completed_trial_is_a_row_with_its_final_scores(desk):
    trial = assigned()
    desk.tell("on_trial_start", trial)
    desk.tell("on_trial_result", trial, after=10, result=epoch(1, 0.5))
    desk.tell("on_trial_result", trial, after=5, result=epoch(2, 0.25, **FINAL))
    desk.tell("on_trial_complete", trial, after=0.1)

    (row,) = Recorder.resumed(desk.store).trials
    assert (row.trial_id, row.status, row.error) == ("cnn-0000", "completed", None)
    assert (row.is_paper, row.is_best, row.seed) == (True, True, 5)
    assert (row.epochs_planned, row.epochs_run) == (3, 2)
    assert (row.val_iou, row.val_map, row.val_splits, row.val_merges) == (0.75, 0.75, 3, 4)
    assert json.loads(row.val_by_image) == {"iou": [0.5, 1.0], "map": [0.25, 0.75]}
    assert (row.train_iou, row.train_accuracy, row.test_iou) == (0.8, 0.95, None)
    assert {name: getattr(row, name) for name in MEASURED} == MEASURED
    assert json.loads(row.hyperparameters) == trial.hyperparameters
    assert (row.optimizer, row.learning_rate, row.batch_size, row.image_size) == (
        ("adam", 0.1, 32, 128)
    )
    assert row.started_at <= row.ended_at


def test_cost_is_the_wall_time_that_devices_were_held(desk):
    trial = assigned()
    desk.tell("on_trial_start", trial)
    desk.tell("on_trial_result", trial, after=10, result=epoch(1, 0.5))
    desk.tell("on_trial_result", trial, after=5, result=epoch(2, 0.5, **FINAL))
    desk.tell("on_trial_complete", trial)

    (row,) = desk.recorder.trials
    assert row.device_seconds == 30.0  # 15 s on two devices
    assert row.usd == pytest.approx(30.0 / 3600 * 3.6)
    assert [(r.seconds, r.device_seconds) for r in desk.recorder.curves] == [(10, 20), (15, 30)]


def test_without_a_price_there_is_no_cost_in_dollars(desk):
    desk.recording._facts = replace(FACTS, prices=Prices({}))
    desk.tell("on_trial_start", assigned())
    desk.tell("on_trial_complete", assigned())

    assert desk.recorder.trials[0].usd is None


def test_what_running_trials_cost_is_known_at_any_time(desk):
    desk.recording._facts = replace(FACTS, max_usd=0.02)
    first, second = assigned(), assigned(1)
    desk.tell("on_trial_start", first)
    desk.tell("on_trial_start", second)
    desk.tell("on_trial_result", first, after=5, result=epoch(1, 0.5, **FINAL))
    desk.tell("on_trial_complete", first)
    desk.clock[0] += 2

    assert desk.recording.device_seconds("cnn-0001") == 14.0  # 7 s on two devices
    assert desk.recording.usd() == pytest.approx(24 / 1000)  # a device-second is a tenth of a cent
    assert desk.recording.all_is_spent()


def test_what_has_no_limit_is_never_spent(desk):
    desk.tell("on_trial_start", assigned(), after=1e9)

    assert not desk.recording.all_is_spent()


def test_a_trial_over_a_limit_says_so_in_its_row(desk):
    desk.recording._facts = replace(FACTS, limits=Limits({"peak_memory_bytes": 500}))
    desk.tell("on_trial_start", assigned())
    desk.tell("on_trial_result", assigned(), result=epoch(1, 0.5, **FINAL))
    desk.tell("on_trial_complete", assigned())

    assert desk.recorder.trials[0].over_limit == "peak_memory_bytes 1000 is over 500"


def test_a_row_has_the_batch_that_was_trained_with(desk):
    desk.tell("on_trial_start", assigned())
    desk.tell("on_trial_result", assigned(), result=epoch(1, 0.5, changed={"batch_size": 2}))
    desk.tell("on_trial_complete", assigned())

    (row,) = desk.recorder.trials
    assert row.batch_size == json.loads(row.hyperparameters)["batch_size"] == 2


def test_a_trial_that_the_scheduler_stopped_has_the_scores_of_its_best_epoch(desk):
    trial = assigned(1)
    desk.tell("on_trial_start", trial)
    desk.tell("on_trial_result", trial, result=epoch(1, 0.5))
    desk.tell("on_trial_result", trial, result=epoch(2, 0.25, best_iou=0.5, best_dice=0.6))
    desk.tell("on_trial_complete", trial)

    (row,) = desk.recorder.trials
    assert (row.status, row.error, row.epochs_run) == ("stopped", None, 2)
    assert (row.val_iou, row.val_dice, row.val_map) == (0.5, 0.6, None)
    assert [r.val_iou for r in desk.recorder.curves] == [0.5, 0.25]


def test_a_trial_that_told_of_its_failure_is_a_row_with_the_reason(desk):
    trial = assigned(1)
    desk.tell("on_trial_start", trial)
    desk.tell("on_trial_result", trial, after=2, result=epoch(1, 0.5))
    error = "DivergedError: loss became nan in epoch 2"
    desk.tell("on_trial_result", trial, after=1, result={"error": error, "device": "cpu"})
    desk.tell("on_trial_complete", trial)

    (row,) = desk.recorder.trials
    assert (row.status, row.error, row.epochs_run) == ("failed", error, 1)
    assert (row.is_best, row.device_seconds) == (False, 6.0)
    assert f"cnn-0001: failed: {error}" in desk.lines.getvalue()


def test_a_failure_that_was_told_before_the_worker_ended_is_the_rows_reason(desk):
    desk.tell("on_trial_start", assigned())
    desk.tell("on_trial_result", assigned(), result={"error": "ValueError: bad shape"})
    desk.tell("on_trial_error", assigned(), error=ActorDiedError())

    (row,) = desk.recorder.trials
    assert (row.status, row.error) == ("failed", "ValueError: bad shape")


def test_a_trial_whose_worker_was_lost_too_often_is_a_row_with_the_reason(desk):
    desk.tell("on_trial_start", assigned())
    desk.tell("on_trial_result", assigned(), after=4, result=epoch(1, 0.5))
    desk.tell("on_trial_error", assigned(), after=3, error=ActorDiedError())
    desk.tell("on_trial_start", assigned(1))
    desk.tell("on_trial_error", assigned(1), error=None)

    first, second = desk.recorder.trials
    assert (first.status, first.epochs_run, first.device_seconds) == ("failed", 1, 14.0)
    assert first.error.startswith("ActorDiedError: The actor died")
    assert second.error == "the worker was lost"
    assert desk.running() == []


def test_a_trial_whose_workers_all_died_as_they_started_is_a_row_with_the_reason(desk):
    desk.tell("on_trial_recover", assigned(), error=ActorDiedError())
    assert desk.recording.device_seconds("cnn-0000") == 0.0  # the study asks before the row
    desk.tell("on_trial_error", assigned(), after=9, error=ActorDiedError())

    (row,) = desk.recorder.trials
    assert (row.status, row.epochs_run, row.device_seconds) == ("failed", 0, 0.0)
    assert row.error.startswith("ActorDiedError: The actor died")
    assert desk.running() == []
    assert "cnn-0000: its worker was lost" in desk.lines.getvalue()


def test_a_trial_that_is_about_to_be_ended_is_a_row_with_the_reason(desk):
    desk.tell("on_trial_start", assigned())
    assert desk.recording.fail("cnn-0000", "ran longer than --trial-timeout 5s")
    desk.tell("on_trial_error", assigned(), error=ActorDiedError())

    (row,) = desk.recorder.trials
    assert (row.status, row.error) == ("failed", "ran longer than --trial-timeout 5s")


def test_a_trial_that_ended_before_it_could_be_ended_keeps_its_own_end(desk):
    for number, last in enumerate((FINAL, {"error": "ValueError: bad shape"})):
        trial = assigned(number)
        desk.tell("on_trial_start", trial)
        desk.tell("on_trial_result", trial, result=epoch(1, 0.5) | last)
        assert not desk.recording.fail(trial.trial, "too long")
        desk.tell("on_trial_complete", trial)
    late = assigned(2)
    desk.tell("on_trial_start", late)
    assert desk.recording.fail(late.trial, "too long")
    desk.tell("on_trial_result", late, result=epoch(1, 0.5, **FINAL))
    desk.tell("on_trial_complete", late)

    found = [(row.status, row.error) for row in desk.recorder.trials]
    done = ("completed", None)
    assert found == [done, ("failed", "ValueError: bad shape"), done]


def test_work_that_was_lost_and_repeated_is_counted_and_its_epochs_keep_their_first_row(desk):
    trial = assigned()
    desk.tell("on_trial_start", trial)
    desk.tell("on_trial_result", trial, after=10, result=epoch(1, 0.5))
    desk.tell("on_trial_recover", trial, after=4)  # the worker was lost in epoch 2
    desk.tell("on_trial_start", trial, after=100)  # nobody held a device meanwhile
    desk.tell("on_trial_result", trial, after=11, result=epoch(1, 0.3))
    desk.tell("on_trial_result", trial, after=5, result=epoch(2, 0.6, **FINAL))
    desk.tell("on_trial_complete", trial)

    assert [(r.epoch, r.val_iou) for r in desk.recorder.curves] == [(1, 0.5), (2, 0.6)]
    assert desk.recorder.trials[0].device_seconds == 2 * (10 + 4 + 11 + 5)
    assert desk.recorder.trials[0].workers_lost == 1
    (loss,) = json.loads(desk.recorder.trials[0].losses).items()
    assert loss[1]["worker"] == "unknown worker"  # Tune adds who it is, which is not here
    assert loss[1]["since"] <= loss[0]
    assert desk.lines.getvalue().count("started") == 1
    assert "cnn-0000: its worker was lost" in desk.lines.getvalue()


def test_a_lost_machine_does_not_count_as_a_failure_of_the_trial_but_a_dead_worker_does(desk):
    lost = RayActorError(error_msg="The actor died because its node has died. Node Id: 0123")
    desk.tell("on_trial_start", assigned())

    assert desk.tell("on_trial_recover", assigned(), error=ActorDiedError()).num_failures == 1
    assert desk.tell("on_trial_recover", assigned(), error=lost).num_failures == 0
    assert "cnn-0000: its machine was lost" in desk.lines.getvalue()


def test_why_a_workers_trial_was_lost_is_remembered_while_it_runs(desk):
    hungry = RayActorError(error_msg="the node was running low on memory")
    desk.tell("on_trial_start", assigned())
    assert desk.recording.why_lost("cnn-0000") is None

    desk.tell("on_trial_recover", assigned(), error=hungry)
    assert is_out_of_memory(desk.recording.why_lost("cnn-0000"))

    desk.tell("on_trial_complete", assigned())
    assert desk.recording.why_lost("cnn-0000") is None


def test_a_checkpoint_that_could_not_be_stored_is_told_and_the_trial_goes_on(desk):
    unstored = RayTaskError("train", "Traceback ...", OSError("No space left on device"))
    desk.tell("on_trial_start", assigned())
    desk.tell("on_trial_recover", assigned(), error=unstored)

    assert desk.running() == ["cnn-0000"]
    assert "cnn-0000: OSError: No space left on device; it will be tried" in desk.lines.getvalue()


def test_running_json_holds_what_has_begun_and_not_ended(desk):
    for number in range(3):
        desk.tell("on_trial_start", assigned(number))
    desk.tell("on_trial_complete", assigned(1))

    assert desk.running() == ["cnn-0000", "cnn-0002"]
    assert [row.trial_id for row in desk.recorder.trials] == ["cnn-0001"]
    assert [each.trial for each in desk.recording.unended()] == ["cnn-0000", "cnn-0002"]


def test_what_waits_from_an_earlier_run_stays_in_running_json_until_it_ends(desk, tmp_path):
    waiting = [assigned(number) for number in range(3)]
    again = new_desk(tmp_path / "night", desk.clock, waiting)
    again.tell("on_trial_start", waiting[1])
    assert sorted(again.running()) == ["cnn-0000", "cnn-0001", "cnn-0002"]

    again.tell("on_trial_complete", waiting[1])
    assert again.running() == ["cnn-0000", "cnn-0002"]
    assert [each.trial for each in again.recording.unended()] == ["cnn-0000", "cnn-0002"]


def test_a_trial_that_goes_on_keeps_its_rows_and_its_cost(desk, tmp_path):
    desk.tell("on_trial_start", assigned())
    desk.tell("on_trial_result", assigned(), after=10, result=epoch(1, 0.5))
    desk.recorder.flush()

    again = new_desk(tmp_path / "night", desk.clock, [assigned()])
    again.tell("on_trial_start", assigned())
    again.clock[0] += 7
    result = epoch(3, 0.6, earlier=[epoch(1, 0.1), epoch(2, 0.3)], **FINAL)  # 2 was not told of
    again.tell("on_trial_result", assigned(), after=1, result=result)
    again.tell("on_trial_complete", assigned())

    curve = Recorder.resumed(desk.store).curves
    assert [(r.epoch, r.val_iou, r.seconds) for r in curve] == [
        *((1, 0.5, 10.0), (2, 0.3, 18.0), (3, 0.6, 18.0))
    ]
    assert again.recorder.trials[0].device_seconds == 36.0


def test_a_trial_that_only_had_to_be_evaluated_is_completed_without_a_new_epoch(desk):
    trial = assigned()
    desk.tell("on_trial_start", trial)
    earlier = [epoch(1, 0.25), epoch(2, 0.5)]  # of a run that was cut off before it told of them
    desk.tell("on_trial_result", trial, after=5, result={"earlier": earlier, **FINAL})
    desk.tell("on_trial_complete", trial)

    (row,) = desk.recorder.trials
    assert (row.status, row.epochs_run, row.val_iou) == ("completed", 2, 0.75)
    assert (row.parameters, row.train_seconds) == (10, 2.0)
    assert [(r.epoch, r.val_iou) for r in desk.recorder.curves] == [(1, 0.25), (2, 0.5)]


def test_when_the_time_is_up_what_runs_counts_as_stopped(desk):
    desk.tell("on_trial_start", assigned(0))
    desk.tell("on_trial_result", assigned(0), result=epoch(1, 0.5))
    desk.tell("on_trial_start", assigned(1))
    desk.clock[0] += 3
    desk.recording.end_running()

    assert [(r.status, r.val_iou, r.device_seconds) for r in desk.recorder.trials] == [
        ("stopped", 0.5, 6.0),
        ("stopped", None, 6.0),
    ]
    assert desk.running() == desk.recording.unended() == []


def test_a_figure_that_is_no_number_is_left_empty(desk):
    desk.tell("on_trial_start", assigned())
    result = epoch(1, 0.5, loss=math.inf, images_per_second=math.nan)
    desk.tell("on_trial_result", assigned(), result=result)
    desk.tell("on_trial_complete", assigned())

    assert desk.recorder.curves[0].loss is None
    assert desk.recorder.trials[0].images_per_second is None


def test_an_end_that_is_told_twice_is_one_row(desk):
    desk.tell("on_trial_start", assigned())
    for event in ("on_trial_complete", "on_trial_complete", "on_trial_error", "on_trial_recover"):
        desk.tell(event, assigned())

    assert len(desk.recorder.trials) == 1


def test_while_storage_fails_a_sweep_goes_on_and_its_rows_are_stored_later(desk, tmp_path):
    (tmp_path / "night").write_text("a file where the sweep's folder should be")
    desk.tell("on_trial_start", assigned(0))
    desk.tell("on_trial_result", assigned(0), result=epoch(1, 0.5))
    desk.tell("on_trial_complete", assigned(0))
    assert "can't be written" in desk.lines.getvalue()

    (tmp_path / "night").unlink()
    desk.tell("on_trial_start", assigned(1))
    desk.tell("on_trial_complete", assigned(1))
    assert desk.store.exists(SUMMARY_FILE)
    assert len(Recorder.resumed(desk.store).trials) == 2
    assert len(Recorder.resumed(desk.store).curves) == 1


def test_a_trial_whose_row_could_not_be_stored_is_not_forgotten(desk, monkeypatch):
    """The disk has room for the small file alone, and then the driver dies."""
    usual = desk.store.write_bytes

    def full(name, data):
        if name == SUMMARY_FILE:
            raise StorageError("the disk is full")
        usual(name, data)

    desk.tell("on_trial_start", assigned(0))
    desk.tell("on_trial_result", assigned(0), result=epoch(1, 0.5))
    desk.tell("on_trial_start", assigned(1))
    with monkeypatch.context() as patched:
        patched.setattr(type(desk.store), "write_bytes", lambda _, name, data: full(name, data))
        desk.tell("on_trial_complete", assigned(0))
    assert desk.running() == ["cnn-0001", "cnn-0000"]

    desk.tell("on_trial_complete", assigned(1))
    assert len(Recorder.resumed(desk.store).trials) == 2
    assert desk.running() == []


def test_a_trial_that_could_not_be_written_down_as_it_began_is_with_its_next_epoch(
    desk, monkeypatch
):
    def full(*_):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.store), "write_bytes", full)
        desk.tell("on_trial_start", assigned(0))
    assert not desk.store.exists(RUNNING_FILE)

    desk.tell("on_trial_result", assigned(0), result=epoch(1, 0.5))
    assert desk.running() == ["cnn-0000"]


def test_while_a_trial_is_paused_it_costs_nothing(desk):
    desk.tell("on_trial_start", assigned(), status=Trial.PAUSED)
    desk.tell("on_trial_result", assigned(), after=10, result=epoch(1, 0.5))
    desk.clock[0] += 100
    assert desk.recording.seconds("cnn-0000") == 10


def test_a_device_without_a_price_is_told_once_where_there_is_a_limit_in_dollars(desk):
    desk.recording._facts = replace(FACTS, max_usd=5.0, prices=Prices({"T4": 0.5}))
    desk.tell("on_trial_start", assigned())
    for number in (1, 2):
        desk.tell("on_trial_result", assigned(), result=epoch(number, 0.5, device="A10G"))
    assert desk.lines.getvalue().count("has no price of A10G") == 1


def test_tune_may_pickle_a_recording(desk):
    assert desk.recording.__getstate__() == {}
