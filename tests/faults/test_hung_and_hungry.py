"""A trial that hangs, or whose machine runs out of memory, is a failed row; the sweep goes on.

Real workers of a real Ray, whose trials sleep instead of training.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.failure import is_out_of_memory
from sweeps.recorder import Recorder
from sweeps.storage import open_store

PROJECT = Path(__file__).parents[2]
ASKED = ("--arch", "cnn", "--max-epochs", "2", "--image-size", "64", "--scheduler", "none")
WHERE = ("--address", "local", "--concurrency", "1", "--results", "results", "--name", "night")


@pytest.fixture
def rows(tmp_path):
    """Runs a sweep of so many trials; its rows."""

    def sweep(trials, *arguments, **environment):
        command = [sys.executable, str(PROJECT / "tests" / "faults" / "pretended.py")]
        done = subprocess.run(
            [*command, *ASKED, "--trials", str(trials), *WHERE, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "FAULTS_SECONDS": "0.1", **environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Recorder.resumed(open_store(tmp_path / "results" / "night")).trials

    return sweep


def test_a_trial_that_tells_nothing_for_too_long_is_ended_and_the_next_has_a_new_worker(rows):
    first, hung, last = rows(3, "--trial-timeout", "6s", FAULTS_HANG="cnn-0001")

    assert (hung.status, hung.error) == ("failed", "ran longer than --trial-timeout 6s")
    assert 6 < hung.device_seconds < 12
    assert (first.status, last.status) == ("completed", "completed")
    assert first.worker != last.worker


def test_where_a_machine_has_no_memory_for_its_workers_each_trial_failed_for_that_reason(rows):
    # Any use of memory is too much, so that none need be filled.
    found = rows(2, RAY_memory_usage_threshold="0.001", RAY_memory_monitor_refresh_ms="100")

    assert [row.status for row in found] == ["failed", "failed"]
    for row in found:
        assert is_out_of_memory(row.error)
        assert "running low on memory" in row.error
