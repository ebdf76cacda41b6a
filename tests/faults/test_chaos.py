"""A few sweeps with faults drawn at random; the long run is `python tests/faults/chaos.py`."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_nothing_that_ended_is_lost_when_drivers_die_or_sleep_and_s3_is_away(tmp_path):
    # Seeds 30 to 33: S3 gone, the driver killed, the raylet killed, another driver takes over.
    command = [sys.executable, str(PROJECT / "tests" / "faults" / "chaos.py")]
    done = subprocess.run(
        [*command, "--runs", "4", "--seed", "30"],
        env={**os.environ, "NUCSEG_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("| all | 4 |")]
