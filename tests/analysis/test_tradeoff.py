import csv
import io
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from PIL import Image

from analysis import load, tradeoff
from analysis.measures import COSTS
from sweeps.record import SUMMARY_FILE
from sweeps.storage import open_store

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Runs the command in this process."""

    def run(*arguments):
        status = tradeoff.main(list(arguments))
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def scored(sweep_folder, ten_trials):
    trials = load.trials([sweep_folder(ten_trials)])
    return tradeoff.scored_trials(trials, "device_seconds", "val_iou")


def names(table):
    return table["trial_id"].to_list()


def test_failed_trials_are_no_points(scored):
    assert "unet-4" not in names(scored)
    assert scored.height == 9


def test_repeats_with_fresh_seeds_do_not_compete(sweep_folder, ten_trials, trial_record):
    again = trial_record(trial_id="unet-1-again-1", confirms="unet-1", val_iou=0.99)
    trials = load.trials([sweep_folder([*ten_trials, again])])
    scored = tradeoff.scored_trials(trials, "device_seconds", "val_iou")
    assert "unet-1-again-1" not in names(scored)


def test_answers_are_those_worked_out_by_hand(scored):
    overall, each, cheapest_of_all, cheapest, affordable = tradeoff.answers(
        scored, "device_seconds", "val_iou", budget=60.0
    ).values()
    assert names(overall) == ["cnn-1", "cnn-4", "unet-0", "unet-2", "unet-1"]
    assert names(each) == ["cnn-1", "cnn-4", "cnn-3", "unet-0", "unet-2", "unet-1"]
    assert names(cheapest_of_all) == ["unet-2"]
    assert names(cheapest) == ["cnn-4", "unet-2"]
    assert names(affordable) == ["cnn-4", "unet-2"]


def test_the_search_is_worth_more_with_every_better_trial(scored):
    found = tradeoff.hypervolume_over_time(scored, "device_seconds", "val_iou")
    # Of an area of 110 x 1: unet-0 70 x 0.7, cnn-1 20 x 0.6, unet-1 10 x 0.15, unet-2 40 x 0.142,
    # cnn-4 15 x 0.045.
    areas = [0.0, 49, 61, 62.5, 62.5, 68.18, 68.18, 68.18, 68.855]
    assert found["hypervolume"].to_list() == pytest.approx([area / 110 for area in areas])
    assert found["hours"].to_list() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_better_trial_is_worth_something_where_all_cost_the_same(sweep_folder, ten_trials):
    same = [replace(trial, device_seconds=10.0) for trial in ten_trials]
    scored = tradeoff.scored_trials(load.trials([sweep_folder(same)]), "device_seconds", "val_iou")
    found = tradeoff.hypervolume_over_time(scored, "device_seconds", "val_iou")
    assert found["hypervolume"][-1] == pytest.approx(0.85 / 11)


def test_the_course_has_each_rise_of_a_few_and_the_last_of_many():
    few = pl.DataFrame({"hours": [1, 2, 3, 4], "hypervolume": [0.1, 0.1, 0.2, 0.2]})
    assert tradeoff.course(few)["hours"].to_list() == [1, 3]
    many = pl.DataFrame({"hours": range(100), "hypervolume": [n / 100 for n in range(100)]})
    assert tradeoff.course(many)["hours"].to_list() == list(range(4, 100, 5))


def test_the_command_prints_the_answers_and_writes_tables_and_figures(
    sweep_folder, ten_trials, tmp_path, run
):
    out = tmp_path / "out"
    done = run(sweep_folder(ten_trials), "--budget", "60", "-o", str(out))
    assert (done.status, done.err) == (0, "")
    assert "Best of each architecture for at most 60 device-seconds" in done.out
    assert "cnn-4: optimizer adam, width 4" in done.out
    risen = done.out.partition("Hypervolume (0..1) of val_iou over device_seconds, as it rose\n")[2]
    assert [line.split() for line in risen.splitlines()[1:7]] == [
        *(["1", "0"], ["2", "0.445"], ["3", "0.555"], ["4", "0.568"], ["6", "0.620"]),
        ["9", "0.626"],
    ]
    rows = list(csv.DictReader(io.StringIO((out / "cheapest_good.csv").read_text())))
    assert [row["trial_id"] for row in rows] == ["cnn-4", "unet-2"]
    assert rows[0]["val_iou"] == "0.645"
    assert (out / "tradeoff.md").read_text().count("## ") == 6
    for name in ("tradeoff", "hypervolume"):
        with Image.open(out / f"{name}.png") as image:
            assert len(image.convert("L").getcolors()) > 20
        assert ElementTree.parse(out / f"{name}.svg").getroot().tag.endswith("svg")


def test_the_same_results_give_the_same_files(sweep_folder, ten_trials, tmp_path, run):
    folder = sweep_folder(ten_trials)
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        run(folder, "-o", str(out))
    files = sorted(path.name for path in first.iterdir())
    assert files
    different = [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()]
    assert different == []


@pytest.mark.parametrize("kind", ["csv", "markdown"])
def test_tables_are_printed_in_other_formats(sweep_folder, ten_trials, kind, run):
    done = run(sweep_folder(ten_trials), "--format", kind)
    assert ("| unet-1 |" in done.out) == (kind == "markdown")
    assert ("night,unet-1," in done.out) == (kind == "csv")
    assert ("| 9 | 0.626 |" in done.out) == (kind == "markdown")
    assert ("\n9.0,0.6259" in done.out) == (kind == "csv")


def test_what_was_never_measured_is_a_sentence(sweep_folder, ten_trials, run):
    done = run(sweep_folder(ten_trials), "--cost", "usd")
    assert done.status == 2
    assert "of 10 trials none was scored with both val_iou and usd" in done.err
    assert "1 failed, the first because: out of memory" in done.err


def test_one_architecture_and_one_trial_are_enough(sweep_folder, ten_trials, tmp_path, run):
    done = run(sweep_folder(ten_trials[1:2]), "-o", str(tmp_path / "out"))
    assert (done.status, done.err) == (0, "")


def test_a_folder_that_is_no_sweep_is_a_sentence(tmp_path, run):
    done = run(str(tmp_path))
    assert done.status == 2
    assert done.err.startswith("analysis/tradeoff.py: there is no sweep at ")


def test_the_command_line_runs_as_documented_and_starts_fast(sweep_folder, ten_trials):
    command = [sys.executable, str(PROJECT / "analysis" / "tradeoff.py")]
    done = subprocess.run(
        [*command, sweep_folder(ten_trials)], check=True, capture_output=True, text=True
    )
    assert "Pareto front of each architecture" in done.stdout
    helped = subprocess.run(
        [sys.executable, "-X", "importtime", *command[1:], "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    slow = ("ray", "keras", "tensorflow", "matplotlib", "optuna", "pandas")
    imported = {line.split("|")[-1].strip().split(".")[0] for line in helped.stderr.splitlines()}
    assert imported.isdisjoint(slow)
    assert "--cost" in helped.stdout


def test_another_s3_service_can_be_named(run, sweep_folder, ten_trials, s3_admin, monkeypatch):
    store = open_store("s3://sweeps/endpoint/night")
    store.write_file(SUMMARY_FILE, Path(sweep_folder(ten_trials)) / SUMMARY_FILE)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")  # to be as it was after the test

    done = run("s3://sweeps/endpoint/night", "--s3-endpoint", s3_admin.endpoint)
    assert (done.status, done.err) == (0, "")
    assert "unet" in done.out
    refused = run("s3://sweeps/x", "--s3-endpoint", "s3.example")
    assert refused.status == 2
    assert "must be http://HOST:PORT or https://HOST" in refused.err


@pytest.mark.parametrize("cost", COSTS)
def test_every_cost_has_its_front(run, sweep_folder, ten_trials, cost):
    measured = {name: n + 1 for n, name in enumerate(COSTS)}
    trials = [replace(trial, **measured) for trial in ten_trials]
    done = run(sweep_folder(trials), "--cost", cost)
    assert (done.status, done.err) == (0, "")
    assert cost in done.out and "unet-1" in done.out


@pytest.mark.parametrize("budget", ["-5", "0", "nan", "inf", "much"])
def test_a_budget_that_is_none_is_refused(run, sweep_folder, ten_trials, budget, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(sweep_folder(ten_trials), "--budget", budget)
    assert "--budget" in capsys.readouterr().err


def test_sweeps_of_different_images_are_not_compared_without_a_word(
    run, sweep_folder, ten_trials, trial_record
):
    other = trial_record(dataset="plates", dataset_sha256="f" * 64)
    done = run(sweep_folder(ten_trials, name="a"), sweep_folder([other], name="b"))
    assert done.status == 0
    assert "different images" in done.err
