"""Which checkpoint a trial goes on from: the newest that is whole."""

import numpy as np
import pytest

from sweeps import checkpoints
from sweeps.storage import open_store

FILES = (checkpoints.STATE, checkpoints.COUNTERS, checkpoints.CURVE)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "night")


def save(store, run, trial, number):
    folder = f"checkpoints/{run}/{trial}/checkpoint_{number:06d}"
    path = open_store(store.uri).folder / folder
    path.mkdir(parents=True)
    np.savez(path / checkpoints.STATE, weight_0=np.arange(9.0))
    (path / checkpoints.COUNTERS).write_text('{"epochs_run": 1}')
    (path / checkpoints.CURVE).write_text('[{"epoch": 1}]')
    return folder


def test_there_is_none_before_the_first(store):
    assert checkpoints.latest(store, "cnn-0000") is None
    save(store, "0001", "cnn-0001", 0)
    assert checkpoints.latest(store, "cnn-0000") is None


def test_the_newest_is_of_the_newest_run_though_each_run_counts_from_0(store):
    save(store, "0001", "cnn-0000", 9)
    newest = save(store, "0001", "cnn-0000", 10)
    assert checkpoints.latest(store, "cnn-0000") == newest

    newest = save(store, "0002", "cnn-0000", 0)
    assert checkpoints.latest(store, "cnn-0000") == newest


def test_a_trial_that_the_newest_run_did_not_touch_keeps_its_own(store):
    save(store, "0002", "cnn-0001", 0)
    own = save(store, "0001", "cnn-0000", 3)

    assert checkpoints.latest(store, "cnn-0000") == own


@pytest.mark.parametrize("lost", ["half of the state", "half of the curve", *FILES])
def test_one_that_was_not_written_to_its_end_is_passed_over(store, lost):
    whole = save(store, "0001", "cnn-0000", 3)
    torn = store.folder / save(store, "0001", "cnn-0000", 4)
    if lost in FILES:
        (torn / lost).unlink()
    else:
        path = torn / (checkpoints.STATE if "state" in lost else checkpoints.CURVE)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert checkpoints.latest(store, "cnn-0000") == whole


@pytest.mark.parametrize("bit", range(8))
def test_one_of_which_a_bit_has_turned_is_passed_over(store, bit):
    whole = save(store, "0001", "cnn-0000", 3)
    turned = store.folder / save(store, "0001", "cnn-0000", 4) / checkpoints.STATE
    content = turned.read_bytes()
    # What no reader looks at, as times and versions, may turn; all else must be noticed.
    taken = set()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        turned.write_bytes(changed)
        taken.add(checkpoints.latest(store, "cnn-0000"))
        assert taken <= {whole, f"checkpoints/0001/cnn-0000/{turned.parent.name}"}
    assert whole in taken


def test_each_run_has_a_folder_of_its_own(store):
    assert checkpoints.next_run(store) == "0001"
    save(store, "0001", "cnn-0000", 0)
    assert checkpoints.next_run(store) == "0002"
    save(store, "0010", "cnn-0000", 0)
    store.write_bytes("checkpoints/.DS_Store", b"as a file manager leaves it")
    assert checkpoints.next_run(store) == "0011"


def test_nothing_is_left_when_they_are_removed(store):
    save(store, "0001", "cnn-0000", 0)
    store.write_bytes("summary.parquet", b"rows")
    checkpoints.remove(store)

    assert [path.name for path in store.folder.iterdir()] == ["summary.parquet"]


def test_on_s3_as_well(s3_admin):
    store = open_store("s3://sweeps/checkpoints-test")
    for marker in ("checkpoints/", "checkpoints/0001/"):  # as Tune leaves them
        store.write_bytes(marker, b"")
    store.write_bytes("checkpoints/0001/cnn-0000/checkpoint_000000/counters.json", b"{}")
    assert checkpoints.latest(store, "cnn-0000") is None
    assert checkpoints.next_run(store) == "0002"

    checkpoints.remove(store)
    assert store.list() == []
