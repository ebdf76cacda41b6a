"""The rows of summary.parquet and curves.parquet."""

import io
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.record import (
    EpochRecord,
    TrialRecord,
    columns,
    from_table,
    schema,
    to_table,
)

REPOSITORY = Path(__file__).parents[2]

SUMMARY_COLUMNS = """
    sweep trial_id architecture status error is_best on_front is_paper over_limit confirms seed
    backend precision device worker workers_lost losses dataset dataset_sha256
    hyperparameters optimizer
    learning_rate batch_size image_size epochs_planned epochs_run parameters flops_per_image
    start_seconds train_seconds eval_seconds device_seconds images_per_second predict_seconds
    peak_memory_bytes usd val_iou val_dice val_accuracy val_map val_f1_50 val_f1_70 val_aji
    val_splits val_merges val_by_image train_accuracy train_iou
    test_iou test_dice test_accuracy test_map test_f1_50 test_f1_70 test_aji
    test_splits test_merges started_at ended_at git_commit versions
"""

CURVE_COLUMNS = """
    sweep trial_id architecture epoch seconds device_seconds loss val_iou val_accuracy learning_rate
    worker ended_at
"""


def values_of(row_type, name):
    """Strategy of the values that a column's declaration allows."""
    kind, nullable, column = columns(row_type)[name]
    if kind is str and column.json:
        values = st.sampled_from(['{"depth": 4}', "{}"])
    elif kind is str and column.choices:
        values = st.sampled_from(column.choices)
    elif kind is str:
        values = (
            st.from_regex(column.pattern, fullmatch=True)
            if column.pattern
            else st.text("aµ ", min_size=1)
        )
    elif kind is datetime:
        times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))
        values = times.map(lambda time: time.replace(tzinfo=UTC))
    elif kind is bool:
        values = st.booleans()
    elif kind is int:
        values = st.integers(int(column.at_least or 0), 2**63 - 1)
    else:
        values = st.floats(column.at_least, column.at_most, allow_nan=False, allow_infinity=False)
    return st.none() | values if nullable else values


def rows_of(row_type):
    """Strategy of valid rows: free values, then those made to agree that must."""
    return st.fixed_dictionaries({name: values_of(row_type, name) for name in columns(row_type)})


@st.composite
def trials(draw):
    values = draw(rows_of(TrialRecord))
    failed = values["status"] == "failed"
    values["error"] = "out of memory" if failed else None
    if values["status"] == "completed" and values["val_iou"] is None:
        values["val_iou"] = 0.5
    may_win = not failed and values["val_iou"] is not None
    values["is_best"] &= may_win
    values["on_front"] = values["on_front"] and may_win
    values["epochs_run"] = min(values["epochs_run"], values["epochs_planned"])
    return TrialRecord(**values)


def test_the_columns_are_those_promised_in_their_order():
    assert [field.name for field in fields(TrialRecord)] == SUMMARY_COLUMNS.split()
    assert schema(TrialRecord).names == SUMMARY_COLUMNS.split()
    assert [field.name for field in fields(EpochRecord)] == CURVE_COLUMNS.split()
    assert schema(EpochRecord).names == CURVE_COLUMNS.split()


def test_every_column_has_a_description_a_unit_and_a_type_that_is_not_null():
    for field in [*schema(TrialRecord), *schema(EpochRecord)]:
        assert field.metadata[b"description"], field.name
        assert field.metadata[b"unit"], field.name
        assert not pa.types.is_null(field.type), field.name


def test_schema_types_follow_the_units():
    for field in schema(TrialRecord):
        if field.name.endswith("_seconds"):
            assert field.type == pa.float64()
        if field.name.endswith("_at"):
            assert field.type == pa.timestamp("us", tz="UTC")
    assert schema(TrialRecord).field("peak_memory_bytes").type == pa.int64()


@settings(max_examples=30, deadline=None)
@given(st.lists(trials(), max_size=3))
def test_trials_survive_the_way_through_parquet(records):
    file = io.BytesIO()
    pq.write_table(to_table(TrialRecord, records), file)

    assert from_table(TrialRecord, pq.read_table(file)) == records


@settings(max_examples=30, deadline=None)
@given(st.lists(rows_of(EpochRecord).map(lambda values: EpochRecord(**values)), max_size=3))
def test_epochs_survive_the_way_through_parquet(records):
    file = io.BytesIO()
    pq.write_table(to_table(EpochRecord, records), file)

    assert from_table(EpochRecord, pq.read_table(file)) == records


def test_the_parquet_file_documents_itself(trial_record):
    file = io.BytesIO()
    pq.write_table(to_table(TrialRecord, [trial_record()]), file)

    found = pq.read_schema(file)

    assert found.metadata[b"schema_version"] == b"1"
    assert found.field("usd").metadata[b"unit"] == b"US dollars"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"status": "failed"}, "error must be given where status is failed"),
        ({"error": "out of memory"}, "error must be given where status is failed, and nowhere"),
        ({"status": "running"}, "status must be one of completed, stopped, failed"),
        ({"val_iou": None}, "val_iou must be given where status is completed"),
        ({"val_iou": 1.5}, "val_iou must be at most 1, not 1.5"),
        ({"test_dice": -0.1}, "test_dice must be at least 0, not -0.1"),
        ({"status": "stopped", "val_iou": None, "is_best": True}, "is_best and on_front must be"),
        ({"status": "failed", "error": "shape", "is_best": True}, "is_best and on_front must be"),
        ({"status": "stopped", "val_iou": None, "on_front": True}, "is_best and on_front must be"),
        ({"epochs_run": 21}, r"epochs_run must be at most epochs_planned \(20\), not 21"),
        ({"dataset_sha256": "abc"}, "dataset_sha256 must be text that matches"),
        ({"hyperparameters": "adam"}, "hyperparameters must be a JSON object"),
        ({"device_seconds": -1}, "device_seconds must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_trial_that_contradicts_itself_is_refused(trial_record, changes, complaint):
    with pytest.raises(ValueError, match=f"^TrialRecord.{complaint}"):
        trial_record(**changes)


def test_a_failed_trial_needs_no_figures_but_its_error_and_cost(trial_record):
    record = trial_record(
        status="failed", error="NaN loss", val_iou=None, epochs_run=0, device=None
    )

    assert record.error == "NaN loss"


def test_epochs_count_from_one_and_a_loss_that_is_not_a_number_is_none(epoch_record):
    assert epoch_record(loss=None).loss is None
    with pytest.raises(ValueError, match="epoch must be at least 1, not 0"):
        epoch_record(epoch=0)
    with pytest.raises(ValueError, match="loss must be a finite number, not nan"):
        epoch_record(loss=float("nan"))


def test_records_and_storage_start_without_ray_keras_or_boto3():
    code = (
        "import sys, sweeps.record, sweeps.storage;"
        "print([name for name in ('ray', 'keras', 'tensorflow', 'boto3') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )

    assert found.stdout.strip() == "[]"
