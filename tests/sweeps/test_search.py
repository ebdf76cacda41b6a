"""What a search goes on with; whole searches are tested by the command line."""

import json
from types import SimpleNamespace

import pytest

from sweeps import search
from sweeps.assignment import Assignment
from sweeps.checks import ConfigError
from sweeps.recording import RUNNING_FILE
from sweeps.storage import open_store

CUT_OFF = Assignment(
    trial="cnn-0000",
    architecture="cnn",
    hyperparameters={},
    epochs=3,
    seed=0,
    is_paper=True,
    threads=1,
)


@pytest.fixture
def sweep(tmp_path):
    """Of a sweep what is looked at: its folder, its rows and its deadline."""
    return SimpleNamespace(
        store=open_store(tmp_path), recorder=SimpleNamespace(trials=[]), deadline=None
    )


def test_what_was_cut_off_is_gone_on_with_unless_it_has_a_row(sweep, trial_record):
    sweep.store.write_bytes(RUNNING_FILE, json.dumps([CUT_OFF.to_config()]).encode())
    assert search._waiting(sweep) == [CUT_OFF]
    sweep.recorder.trials.append(trial_record(trial_id="cnn-0000"))
    assert search._waiting(sweep) == []


@pytest.mark.parametrize("content", ["[", "5", '["x"]', '[{"trial": "cnn-0000"}]', "[" * 100_000])
def test_a_list_of_running_trials_that_another_version_wrote_is_refused(sweep, content):
    sweep.store.write_bytes(RUNNING_FILE, content.encode())
    with pytest.raises(ConfigError, match=r"running.json can't be read .*go on with the version"):
        search._waiting(sweep)
