"""A sweep that ends when its time is up."""

import re
from datetime import UTC, datetime

import pyarrow.parquet as pq


def test_a_time_budget_ends_a_sweep_in_time_with_its_winner_on_a_clean_terminal(launch, tmp_path):
    asked = ("--arch", "cnn", "--trials", "500", "--time-budget", "40s")
    small = ("--max-epochs", "2", "--image-size", "64", "--results", "results", "--name", "night")
    began = datetime.now(UTC)
    run = launch(*asked, *small, "--concurrency", "1", terminal=True)
    assert run.status() == 0

    found = pq.read_table(tmp_path / "results" / "night" / "summary.parquet").to_pylist()
    searched = max(row["ended_at"] for row in found) - began
    assert 28 < searched.total_seconds() < 50  # an epoch is not cut short at once
    assert {row["status"] for row in found} <= {"completed", "stopped"}
    assert sum(row["is_best"] for row in found) == 1
    assert (tmp_path / "results" / "night" / "best" / "cnn" / "model.keras").exists()
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", run.printed()).replace("\r", "")
    assert re.search(r"epochs/s, elapsed 0:0\d:\d\d, left about 0:0\d:\d\d", screen)
    assert "winners  results/night/best/" in screen
    assert not re.search(r"ray|tensorflow|warn|optuna|pid|error", screen.lower())
    assert max(map(len, screen.splitlines())) <= 80
