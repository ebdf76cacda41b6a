"""The driver's pen: what has ended is stored, whole, and the best is marked."""

import io
import json
import time

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps import recorder as recorder_module
from sweeps.record import EpochRecord, TrialRecord, from_table
from sweeps.recorder import Recorder
from sweeps.storage import LocalStore, StorageError, open_store
from sweeps.winner_record import GalleryRecord, ImageRecord


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "night")


def stored(store, row_type, name):
    return from_table(row_type, pq.read_table(io.BytesIO(store.read_bytes(name))))


def summary(store):
    return stored(store, TrialRecord, "summary.parquet")


def curves(store):
    return stored(store, EpochRecord, "curves.parquet")


def best_ids(store):
    return {row.trial_id for row in summary(store) if row.is_best}


def test_a_trial_that_ended_is_on_disk_with_its_curve(store, trial_record, epoch_record):
    recorder = Recorder(store)
    recorder.epoch(epoch_record(epoch=1))
    recorder.epoch(epoch_record(epoch=2))
    assert not store.exists("curves.parquet")

    recorder.ended(trial_record())

    assert [row.trial_id for row in summary(store)] == ["unet-0"]
    assert [row.epoch for row in curves(store)] == [1, 2]


def test_curves_are_stored_after_a_while_though_no_trial_ends(store, epoch_record):
    recorder = Recorder(store, curve_seconds=0.05)
    time.sleep(0.06)
    recorder.epoch(epoch_record())

    assert len(curves(store)) == 1


def test_any_parquet_reader_opens_the_files(store, trial_record):
    Recorder(store).ended(trial_record(val_iou=0.5))

    table = pq.read_table(store.folder / "summary.parquet")

    assert table.column("val_iou").to_pylist() == [0.5]
    assert table.column("is_best").to_pylist() == [True]


def test_the_best_is_found_anew_for_each_architecture(store, trial_record):
    recorder = Recorder(store)
    recorder.ended(trial_record(trial_id="a", val_iou=0.6))
    recorder.ended(trial_record(trial_id="c", architecture="cnn", val_iou=0.4))
    assert best_ids(store) == {"a", "c"}

    recorder.ended(trial_record(trial_id="b", val_iou=0.7, status="stopped"))

    assert best_ids(store) == {"b", "c"}
    assert recorder.best("unet").trial_id == "b"
    assert recorder.best("unet").is_best


def test_a_failed_trial_never_wins_and_the_earlier_of_equals_does(store, trial_record):
    recorder = Recorder(store)
    recorder.ended(trial_record(trial_id="f", status="failed", error="NaN loss", val_iou=0.9))
    assert recorder.best("unet") is None
    assert best_ids(store) == set()

    recorder.ended(trial_record(trial_id="first", val_iou=0.5))
    recorder.ended(trial_record(trial_id="second", val_iou=0.5))

    assert best_ids(store) == {"first"}
    assert recorder.best("resnet") is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=6))
def test_exactly_one_trial_is_the_best_and_none_is_better(tmp_path_factory, trial_record, scores):
    recorder = Recorder(LocalStore(tmp_path_factory.mktemp("night")))
    for number, score in enumerate(scores):
        recorder.ended(trial_record(trial_id=str(number), val_iou=score))

    best = [trial for trial in recorder.trials if trial.is_best]

    assert [trial.trial_id for trial in best] == [str(scores.index(max(scores)))]


def test_a_winner_gets_its_test_figures_in_its_own_row(store, trial_record):
    recorder = Recorder(store)
    winner = trial_record(trial_id="a")
    recorder.ended(winner)
    recorder.ended(trial_record(trial_id="b", val_iou=0.1))

    recorder.replace(trial_record(trial_id="a", test_iou=0.8))

    assert [(row.trial_id, row.test_iou, row.is_best) for row in summary(store)] == [
        ("a", 0.8, True),
        ("b", None, False),
    ]


def test_a_winner_that_is_beaten_later_loses_its_test_figures(store, trial_record):
    recorder = Recorder(store)
    recorder.ended(trial_record(trial_id="a"))
    recorder.replace(trial_record(trial_id="a", test_iou=0.8, test_splits=3))
    recorder.ended(trial_record(trial_id="b", val_iou=0.9))

    assert [(row.trial_id, row.test_iou, row.test_splits) for row in summary(store)] == [
        ("a", None, None),
        ("b", None, None),
    ]


def test_a_winner_whose_new_figures_lose_keeps_these_and_no_test_figures(store, trial_record):
    recorder = Recorder(store)
    recorder.ended(trial_record(trial_id="a", val_iou=0.8))
    recorder.ended(trial_record(trial_id="b", val_iou=0.7))
    recorder.replace(trial_record(trial_id="a", val_iou=0.6, test_iou=0.5))

    for written in (recorder, Recorder.resumed(store)):
        rows = [(t.trial_id, t.val_iou, t.test_iou, t.is_best) for t in written.trials]
        assert rows == [("a", 0.6, None, False), ("b", 0.7, None, True)]


def test_a_trial_ends_once_and_only_what_ended_is_replaced(store, trial_record):
    recorder = Recorder(store)
    with pytest.raises(ValueError, match="unet-0 of unet has no row yet"):
        recorder.replace(trial_record())
    recorder.ended(trial_record())
    with pytest.raises(ValueError, match="unet-0 of unet has its row already"):
        recorder.ended(trial_record())
    recorder.ended(trial_record(architecture="cnn"))


def test_a_resumed_recorder_goes_on_where_the_other_ended(store, trial_record, epoch_record):
    earlier = Recorder(store)
    earlier.epoch(epoch_record(trial_id="a"))
    earlier.epoch(epoch_record(trial_id="lost"))
    earlier.ended(trial_record(trial_id="a", val_iou=0.6))

    later = Recorder.resumed(store)
    later.epoch(epoch_record(trial_id="b"))
    later.ended(trial_record(trial_id="b", val_iou=0.5))

    assert [row.trial_id for row in summary(store)] == ["a", "b"]
    assert best_ids(store) == {"a"}
    assert [row.trial_id for row in curves(store)] == ["a", "lost", "b"]


def test_resuming_an_empty_folder_begins_anew(store):
    recorder = Recorder.resumed(store)

    assert recorder.trials == []


def test_a_file_that_is_no_table_is_named_on_resuming(store):
    store.write_bytes("summary.parquet", b"cut short")

    with pytest.raises(ValueError, match=r"night/summary.parquet can't be read"):
        Recorder.resumed(store)


def test_rows_outlive_a_failure_of_storage(tmp_path, trial_record):
    (tmp_path / "night").write_text("in the folder's way")
    recorder = Recorder(LocalStore(tmp_path / "night"))
    with pytest.raises(StorageError, match="can't be written"):
        recorder.ended(trial_record(trial_id="a"))

    (tmp_path / "night").unlink()
    recorder.flush()

    assert [row.trial_id for row in summary(LocalStore(tmp_path / "night"))] == ["a"]


def test_nothing_is_written_by_a_driver_that_may_write_no_more(store, trial_record):
    def check():
        raise StorageError("another driver has taken this sweep over")

    recorder = Recorder(store, check=check)
    for write in (lambda: recorder.ended(trial_record()), recorder.flush):
        with pytest.raises(StorageError, match="another driver"):
            write()
    assert store.list() == []


def test_the_description_is_written_as_json(store):
    Recorder(store).describe({"config": {"trials": 2}, "dataset": "synthetic"})

    assert json.loads(store.read_bytes("sweep.json"))["config"] == {"trials": 2}


def test_rows_go_to_s3_as_well(s3_admin, trial_record, tmp_path):
    store = open_store(f"s3://sweeps/{tmp_path.name}/night")
    Recorder(store).ended(trial_record())

    assert best_ids(store) == {"unet-0"}


def test_a_new_winner_takes_the_place_of_its_architectures_last_one(
    store, image_record, gallery_record
):
    def found(row_type, name):
        rows = stored(store, row_type, name)
        return sorted((row.architecture, row.trial_id, row.image) for row in rows)

    def segmented(trial, *images, architecture="unet"):
        whose = {"architecture": architecture, "trial_id": trial}
        rows = [
            [make(**whose, image=image) for image in images]
            for make in (image_record, gallery_record)
        ]
        recorder.segmented(architecture, *rows)

    recorder = Recorder(store)
    segmented("unet-0", "a", "b")
    segmented("cnn-1", "a", architecture="cnn")
    segmented("unet-7", "a")
    expected = [("cnn", "cnn-1", "a"), ("unet", "unet-7", "a")]
    assert found(ImageRecord, "images.parquet") == expected
    assert found(GalleryRecord, "gallery.parquet") == expected


def test_a_repeat_with_a_fresh_seed_never_wins(store, trial_record):
    recorder = Recorder(store)
    recorder.ended(trial_record(trial_id="unet-0", val_iou=0.7))
    recorder.ended(trial_record(trial_id="unet-0-again-1", confirms="unet-0", val_iou=0.9))

    assert best_ids(store) == {"unet-0"}


def test_a_trial_over_a_limit_never_wins(store, trial_record):
    recorder = Recorder(store)
    recorder.ended(trial_record(trial_id="unet-0000", val_iou=0.9, over_limit="it is too large"))
    recorder.ended(trial_record(trial_id="unet-0001", val_iou=0.5))

    assert best_ids(store) == {"unet-0001"}


def test_of_two_objectives_the_front_wins(store, trial_record):
    recorder = Recorder(store, objective=("iou", "device_seconds"))
    ended = {  # name -> IoU, device-seconds
        "first": (0.5, 10.0),
        "beaten": (0.4, 20.0),
        "dear": (0.9, 100.0),
        "beaten later": (0.6, 50.0),
        "cheap": (0.7, 50.0),
        "as good as dear, dearer": (0.9, 110.0),
    }
    for name, (iou, cost) in ended.items():
        recorder.ended(trial_record(trial_id=name, val_iou=iou, device_seconds=cost))

    assert [trial.trial_id for trial in recorder.winners("unet")] == ["dear", "cheap", "first"]
    assert {row.trial_id for row in summary(store) if row.on_front} == {"first", "cheap", "dear"}
    assert best_ids(store) == {"dear"}


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.integers(1, 4)), min_size=1, max_size=8
    )
)
def test_nothing_beats_what_is_on_the_front_and_something_all_else(
    tmp_path_factory, trial_record, points
):
    recorder = Recorder(
        LocalStore(tmp_path_factory.mktemp("night")), objective=("iou", "device_seconds")
    )
    for number, (iou, cost) in enumerate(points):
        recorder.ended(trial_record(trial_id=str(number), val_iou=iou, device_seconds=cost))

    def beats(one, other):
        same = (one.val_iou, one.device_seconds) == (other.val_iou, other.device_seconds)
        return (
            not same and one.val_iou >= other.val_iou and one.device_seconds <= other.device_seconds
        )

    for trial in recorder.trials:
        beaten = any(beats(other, trial) for other in recorder.trials)
        assert not (trial.on_front and beaten)
        if not trial.on_front:
            assert any(
                beats(other, trial)
                or (other.val_iou, other.device_seconds) == (trial.val_iou, trial.device_seconds)
                for other in recorder.trials
                if other.on_front
            )
    assert sum(bool(trial.is_best) for trial in recorder.trials) == 1


def test_of_one_objective_there_is_no_front(store, trial_record):
    recorder = Recorder(store)
    recorder.ended(trial_record(trial_id="unet-0000", val_iou=0.9))

    assert [row.on_front for row in summary(store)] == [None]


@pytest.fixture
def many(monkeypatch):
    """As if thousands of trials had ended, and all rows took long to write."""
    monkeypatch.setattr(recorder_module, "FEW", 0)
    monkeypatch.setattr(recorder_module, "PATIENCE", 1e9)


def test_of_many_trials_the_newest_rows_lie_beside_the_others_for_a_while(
    store, trial_record, epoch_record, many
):
    recorder = Recorder(store)
    for number in range(4):
        recorder.epoch(epoch_record(trial_id=str(number)))
        recorder.ended(trial_record(trial_id=str(number), val_iou=0.1 * number))

    assert [row.trial_id for row in summary(store)] == ["0"]  # written before it was known to last
    pending = stored(store, TrialRecord, "pending-summary.parquet")
    assert [row.trial_id for row in pending] == ["1", "2", "3"]
    again = Recorder.resumed(store)
    assert again.trials == recorder.trials
    assert [row.trial_id for row in again.curves] == ["0", "1", "2", "3"]
    assert again.best("unet").trial_id == "3"


def test_the_newest_rows_are_put_with_the_others_at_the_end(
    store, trial_record, epoch_record, many
):
    recorder = Recorder(store)
    for number in range(3):
        recorder.epoch(epoch_record(trial_id=str(number)))
        recorder.ended(trial_record(trial_id=str(number)))
    left = {name: store.read_bytes(name) for name in store.list("pending-")}
    recorder.flush()

    assert [row.trial_id for row in summary(store)] == ["0", "1", "2"]
    assert [row.trial_id for row in curves(store)] == ["0", "1", "2"]
    assert store.list("pending-") == []
    for name, content in left.items():  # as if it had been killed before it removed them
        store.write_bytes(name, content)
    again = Recorder.resumed(store)
    assert again.trials == recorder.trials
    assert len(again.curves) == 3
