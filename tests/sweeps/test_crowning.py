"""Where winners' models are kept; how they are made is tested by whole sweeps."""

import json

import pytest

from sweeps.crowning import is_saved
from sweeps.storage import open_store


@pytest.fixture
def store(tmp_path):
    """A sweep's folder in which unet-0 was saved as the best."""
    store = open_store(tmp_path / "night")
    store.write_bytes("best/unet/model.keras", b"the model of unet-0")
    store.write_bytes("best/unet/config.json", json.dumps({"trial_id": "unet-0"}).encode())
    return store


def test_a_winner_is_saved_where_its_place_has_its_model(store, trial_record):
    assert is_saved(store, trial_record(is_best=True))
    assert not is_saved(store, trial_record(trial_id="unet-1", is_best=True))


def test_a_former_best_that_stays_on_the_front_takes_its_model_along(store, trial_record):
    former = trial_record(is_best=False, on_front=True)
    assert is_saved(store, former)
    assert store.read_bytes("front/unet/unet-0/model.keras") == b"the model of unet-0"
    store.delete("best/unet/config.json")  # as when the new best is saved there
    assert is_saved(store, former)


def test_another_of_the_front_has_yet_to_be_saved(store, trial_record):
    assert not is_saved(store, trial_record(trial_id="unet-1", is_best=False, on_front=True))
    assert store.list("front/") == []
