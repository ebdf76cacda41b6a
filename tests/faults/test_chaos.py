"""A few sweeps with faults drawn at random; the long run is `python tests/faults/chaos.py`."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_nothing_that_ended_is_lost_when_drivers_and_workers_die_and_s3_fails(tmp_path):
    # Seeds 31 to 34: the driver killed, a worker killed, S3 that fails at times, S3 that is slow.
    command = [sys.executable, str(PROJECT / "tests" / "faults" / "chaos.py")]
    done = subprocess.run(
        [*command, "--runs", "4", "--seed", "31"],
        env={**os.environ, "NUCSEG_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("| all | 4 |")]
