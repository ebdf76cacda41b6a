"""A sweep that is cut off, in whatever way, goes on where it was and loses nothing that ended."""

import json
import re

import pyarrow.parquet as pq

ASKED = ("--arch", "cnn", "--trials", "3", "--max-epochs", "8", "--scheduler", "none")
WHERE = ("--image-size", "64", "--results", "results", "--name", "night")
RESUME = ("--resume", "--results", "results", "--name", "night")


def rows(folder, file="summary.parquet"):
    return pq.read_table(folder / file).to_pylist() if (folder / file).exists() else []


def running(folder):
    """What is to be gone on with, by trial; where its checkpoint is aside."""
    kept = json.loads((folder / "running.json").read_text())
    return {config.pop("trial"): {**config, "checkpoint": None} for config in kept}


def epochs_told(run):
    """The epochs of each trial in the order in which they were told."""
    told = {}
    for trial, epoch in re.findall(r"(cnn-\d{4}): epoch (\d+)/", run.printed()):
        told.setdefault(trial, []).append(int(epoch))
    return told


def test_a_sweep_goes_on_after_ctrl_c_lost_workers_and_the_loss_of_its_driver(launch, tmp_path):
    folder = tmp_path / "results" / "night"
    first = launch(*ASKED, *WHERE, terminal=True)
    first.wait_until(lambda: list(folder.glob("checkpoints/*/cnn-0000/*/state.npz")))
    first.press_ctrl_c()
    assert first.status(60) == 130
    assert first.left() == []
    screen = first.printed().replace("\r", "")
    assert "To go on:\npython sweeps/run.py --resume --name night --results=results" in screen
    assert "Traceback" not in screen
    cut_off, earlier = running(folder), rows(folder, "curves.parquet")
    assert "cnn-0000" in cut_off

    second = launch(*RESUME, "--concurrency", "1")  # the first had two workers
    second.wait_for(r"cnn-0000: epoch")
    second.kill_workers()
    second.wait_for(r"cnn-0000: its worker was lost, it will go on with another")
    second.wait_for(r"cnn-000\d: completed")
    second.kill()
    assert second.left("ray::ImplicitFunc") == []  # none trains on
    ended = {row["trial_id"]: row for row in rows(folder)}
    assert ended

    last = launch(*RESUME)
    assert last.status() == 0
    assert last.err.read_text() == ""
    found = {row["trial_id"]: row for row in rows(folder)}
    curves = rows(folder, "curves.parquet")

    assert sorted(found) == ["cnn-0000", "cnn-0001", "cnn-0002"]
    assert all(row["status"] == "completed" and row["epochs_run"] == 8 for row in found.values())
    best = [name for name, row in found.items() if row["is_best"]]
    assert len(best) == 1
    for name, row in ended.items():
        assert {**row, "is_best": None} == {**found[name], "is_best": None} or name in best
    for name, config in cut_off.items():
        assert json.loads(found[name]["hyperparameters"]) == config["hyperparameters"]
        assert found[name]["seed"] == config["seed"]
    assert [row["trial_id"] for row in found.values() if row["is_paper"]] == ["cnn-0000"]

    assert [row for row in curves if row in earlier] == earlier
    for name in found:
        told = [row["epoch"] for row in curves if row["trial_id"] == name]
        assert told == list(range(1, 9))
    assert epochs_told(second)["cnn-0000"][0] > 1
    assert epochs_told(second)["cnn-0000"] == sorted(set(epochs_told(second)["cnn-0000"]))
    assert sorted(path.name for path in folder.iterdir()) == [
        *("best", "curves.parquet", "gallery.parquet", "images.parquet"),
        *("summary.parquet", "sweep.json"),
    ]
    assert last.left() == []
