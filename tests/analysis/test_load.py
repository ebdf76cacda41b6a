import contextlib
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import load
from analysis.load import AnalysisError
from sweeps.record import SUMMARY_FILE, EpochRecord, TrialRecord, to_table
from sweeps.storage import open_store


def test_a_folder_of_sweeps_gives_the_trials_of_all(sweep_folder, ten_trials, tmp_path):
    sweep_folder(ten_trials[:4], name="results/a")
    sweep_folder(ten_trials[4:], name="results/b")
    found = load.trials([str(tmp_path / "results")])
    assert sorted(found["trial_id"]) == sorted(trial.trial_id for trial in ten_trials)
    assert found.columns == list(TrialRecord.__dataclass_fields__)


def test_a_sweep_named_twice_is_read_once(sweep_folder, ten_trials, tmp_path):
    folder = sweep_folder(ten_trials)
    with contextlib.chdir(tmp_path):
        assert load.trials([folder, "night", str(tmp_path)]).height == 10


def test_sweeps_of_one_name_are_told_apart_by_their_folders(sweep_folder, ten_trials):
    first = sweep_folder(ten_trials[:1], name="monday/night")
    second = sweep_folder(ten_trials[:1], name="tuesday/night")
    assert load.trials([first, second])["sweep"].to_list() == [first, second]


def test_sweeps_of_one_name_bear_the_same_names_in_all_files(
    sweep_folder, ten_trials, epoch_record
):
    first = sweep_folder(ten_trials[:1], name="monday/night")
    second = sweep_folder(epochs=[epoch_record()], name="tuesday/night")
    assert load.trials([first, second])["sweep"].to_list() == [first]
    assert load.curves([first, second])["sweep"].to_list() == [second]


def test_the_curves_of_trials_that_still_run_are_read(sweep_folder, epoch_record):
    folder = sweep_folder(epochs=[epoch_record(epoch=1), epoch_record(epoch=2)])
    assert load.curves([folder])["epoch"].to_list() == [1, 2]


def test_sweeps_on_s3_are_read(sweep_folder, ten_trials, s3_admin):
    folder = Path(sweep_folder(ten_trials))
    uri = "s3://sweeps/load/night"
    open_store(uri).write_file(SUMMARY_FILE, folder / SUMMARY_FILE)
    assert load.trials([uri]).height == 10
    assert load.trials(["s3://sweeps/load"]).height == 10


def test_a_sweep_without_an_ended_trial_says_so(sweep_folder):
    with pytest.raises(AnalysisError, match=r"no trial has ended yet in .*night: look again later"):
        load.trials([sweep_folder()])


def test_a_running_sweep_that_has_only_its_description_is_a_sweep(tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(AnalysisError, match="no trial has ended yet"):
        load.trials([str(tmp_path)])


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_a_folder_that_holds_no_sweep_is_named(tmp_path, place):
    with pytest.raises(AnalysisError, match=r"there is no sweep at .*give a folder that holds"):
        load.trials([str(tmp_path / place)])


def test_another_kind_of_address_is_refused():
    with pytest.raises(AnalysisError, match="local path or s3://"):
        load.trials(["https://example.org/results"])


def test_a_file_cut_short_is_named(sweep_folder, ten_trials):
    folder = Path(sweep_folder(ten_trials))
    whole = (folder / SUMMARY_FILE).read_bytes()
    (folder / SUMMARY_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AnalysisError, match=r"night/summary.parquet can't be read"):
        load.trials([str(folder)])


def test_a_file_with_flipped_bytes_is_named(sweep_folder, ten_trials):
    folder = Path(sweep_folder(ten_trials))
    table = to_table(TrialRecord, ten_trials * 50)
    pq.write_table(table, folder / SUMMARY_FILE, compression="zstd")
    content = bytearray((folder / SUMMARY_FILE).read_bytes())
    content[100:140] = bytes(40)
    (folder / SUMMARY_FILE).write_bytes(content)
    with pytest.raises(AnalysisError, match=r"night/summary.parquet can't be read"):
        load.trials([str(folder)])


def test_another_schema_is_refused_with_what_to_do(sweep_folder, ten_trials):
    folder = Path(sweep_folder(ten_trials))
    table = to_table(TrialRecord, ten_trials)
    older = table.replace_schema_metadata({"schema_version": "0"})
    pq.write_table(older, folder / SUMMARY_FILE)
    with pytest.raises(AnalysisError, match=r"schema_version is 0.*use the version that wrote it"):
        load.trials([str(folder)])
    pq.write_table(pa.table({"a": [1]}, metadata=table.schema.metadata), folder / SUMMARY_FILE)
    with pytest.raises(AnalysisError, match="missing, or of another type"):
        load.trials([str(folder)])


def test_a_sweep_may_be_moved(sweep_folder, ten_trials, tmp_path):
    moved = shutil.move(sweep_folder(ten_trials), tmp_path / "elsewhere")
    assert load.trials([str(moved)]).height == 10


def test_reading_needs_neither_ray_nor_keras_nor_tensorflow():
    program = (
        "import sys; from analysis import load; "
        "print([m for m in ('ray', 'keras', 'tensorflow', 'boto3', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_a_refusal_ends_the_commands_in_order(sweep_folder, ten_trials, request):
    folder = Path(sweep_folder(ten_trials))
    table = to_table(TrialRecord, ten_trials).replace_schema_metadata({"schema_version": "0"})
    pq.write_table(table, folder / SUMMARY_FILE)
    command = [sys.executable, "analysis/tradeoff.py", str(folder)]
    for _ in range(6):  # threads of Arrow's were still at work in most runs, and aborted it
        done = subprocess.run(
            command, cwd=request.config.rootpath, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("analysis/tradeoff.py: ")
        assert "terminate called" not in done.stderr


def test_a_trial_over_a_limit_does_not_compete(sweep_folder, trial_record):
    over = trial_record(trial_id="b", over_limit="peak_memory_bytes 2 is over 1")
    folder = sweep_folder([trial_record(trial_id="a"), over])
    assert load.competing(load.trials([folder]))["trial_id"].to_list() == ["a"]


def test_rows_that_wait_for_their_file_are_read_too_and_there_is_one_best(
    sweep_folder, ten_trials, trial_record, epoch_record
):
    folder = sweep_folder(ten_trials, [epoch_record(epoch=1)])
    better = [trial_record(trial_id=f"unet-{n}", is_best=True, val_iou=n / 10) for n in (9, 8)]
    tested = replace(better[0], test_iou=0.5)
    late = to_table(TrialRecord, [*better, ten_trials[0], tested])
    pq.write_table(late, f"{folder}/pending-summary.parquet")
    epochs = to_table(EpochRecord, [epoch_record(epoch=1), epoch_record(epoch=2)])
    pq.write_table(epochs, f"{folder}/pending-curves.parquet")

    found = load.trials([folder])
    assert found.height == len(ten_trials) + 2
    assert set(found.filter("is_best")["trial_id"]) == {"cnn-3", "unet-9"}
    assert found.filter(trial_id="unet-9")["test_iou"].to_list() == [0.5]
    assert load.curves([folder])["epoch"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("val_iou", math.nan, "val_iou holds a number that is not finite"),
        ("device_seconds", math.inf, "device_seconds holds a number that is not finite"),
        ("hyperparameters", "no JSON", "hyperparameters holds 'no JSON', not a JSON object"),
        ("losses", "[1]", r"losses holds '\[1\]', not a JSON object"),
    ],
)
def test_values_that_no_sweep_writes_are_refused_by_their_column(
    sweep_folder, ten_trials, column, value, says
):
    folder = sweep_folder(ten_trials)
    table = pq.read_table(f"{folder}/summary.parquet")
    values = [value, *table[column].to_pylist()[1:]]
    place = table.column_names.index(column)
    field = table.schema.field(column)
    changed = table.set_column(place, field, pa.array(values, field.type))
    pq.write_table(changed, f"{folder}/summary.parquet")
    with pytest.raises(AnalysisError, match=says):
        load.trials([folder])
