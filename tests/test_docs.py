"""The examples in docs/ do what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sweeps.record import CURVES_FILE, SUMMARY_FILE, EpochRecord, TrialRecord, to_table

QUERYING = Path(__file__).parents[1] / "docs" / "querying.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", QUERYING.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trial_record, epoch_record):
    """A folder that holds results/night."""
    made = tmp_path_factory.mktemp("docs")
    night = made / "results" / "night"
    night.mkdir(parents=True)
    hyperparameters = '{"learning_rate": 0.01, "loss": "bce_dice", "optimizer": "adam"}'
    trial = trial_record(is_best=True, hyperparameters=hyperparameters)
    pq.write_table(to_table(TrialRecord, [trial]), night / SUMMARY_FILE)
    pq.write_table(to_table(EpochRecord, [epoch_record()]), night / CURVES_FILE)
    return made


@pytest.mark.parametrize(
    ("number", "shown"),
    list(enumerate(["unet-0", "bce_dice", "0.75", "unet-0", "device-seconds", "['unet-0"])),
)
def test_each_example_runs_and_shows_what_it_promises(folder, number, shown):
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLES[number]],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_every_example_is_tested():
    assert len(EXAMPLES) == 6
