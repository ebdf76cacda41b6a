"""A recorded sweep, replayed: worked out by hand, and by the sweep's own scheduler."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeps.recorder import Recorder
from sweeps.replay import Curve, Outcome, Strategy, play, recorded
from sweeps.storage import open_store

PROJECT = Path(__file__).parents[2]


def curve(number, *scores, seconds=10.0, is_paper=False):
    spent = [seconds * (n + 1) for n in range(len(scores))]
    return Curve(f"unet-{number:04d}", "unet", is_paper, scores, spent)


THREE = [curve(0, 0.1, 0.2, 0.3), curve(1, 0.2, 0.5, 0.4), curve(2, 0.3, 0.35, 0.36)]


def test_all_trials_to_their_end_find_the_best_for_the_whole_price():
    for slots in (1, 2, 5):
        for seed in range(5):
            assert play(THREE, Strategy("all"), slots, seed) == Outcome(0.5, 90.0)


def test_a_share_of_the_trials_costs_that_share():
    found = {play(THREE, Strategy("one", trials=1 / 3), 1, seed) for seed in range(20)}

    assert found == {Outcome(0.3, 30.0), Outcome(0.5, 30.0), Outcome(0.36, 30.0)}


def test_a_share_of_the_price_ends_every_trial_when_it_is_spent():
    for seed in range(5):
        assert play(THREE, Strategy("half", price=0.5), 1, seed).seconds == 50.0
        # Of two at once, the other ends the epoch that it is in.
        assert play(THREE, Strategy("half", price=0.5), 2, seed).seconds == 60.0


def test_asha_stops_what_is_behind_at_a_rung_as_in_a_sweep():
    # Of 27 epochs the first rung is the first epoch; a worse second trial ends there.
    good, bad = curve(0, *[0.5] * 27), curve(1, *[0.1] * 27)
    spent = {play([good, bad], Strategy("asha", "asha"), 1, seed).seconds for seed in range(8)}

    assert spent == {27 * 10 + 10, 2 * 27 * 10}  # the bad one first: nothing to compare it with


def test_asha_never_stops_the_papers_row():
    good, paper = curve(0, *[0.5] * 27), curve(1, *[0.1] * 27, is_paper=True)

    for seed in range(8):
        assert play([good, paper], Strategy("asha", "asha"), 1, seed).seconds == 2 * 27 * 10


@pytest.fixture
def sweep(tmp_path, trial_record, epoch_record):
    """Two trials that ended, one that failed before its first epoch, and a repeat."""
    recorder = Recorder(open_store(tmp_path / "night"))
    for trial, epochs in (("unet-0000", 3), ("unet-0001", 2), ("unet-0000-again-1", 3)):
        for epoch in range(1, epochs + 1):
            recorder.epoch(
                epoch_record(
                    trial_id=trial, epoch=epoch, val_iou=epoch / 10, device_seconds=5.0 * epoch
                )
            )
    recorder.ended(trial_record(trial_id="unet-0000", is_paper=True))
    recorder.ended(trial_record(trial_id="unet-0001"))
    recorder.ended(trial_record(trial_id="unet-0002", status="failed", error="x", val_iou=None))
    recorder.ended(trial_record(trial_id="unet-0000-again-1", confirms="unet-0000"))
    return tmp_path / "night"


def test_the_curves_of_a_sweep_are_read_without_repeats_and_failures(sweep):
    first = Curve("unet-0000", "unet", True, (0.1, 0.2, 0.3), (5.0, 10.0, 15.0))
    second = Curve("unet-0001", "unet", False, (0.1, 0.2), (5.0, 10.0))

    assert recorded(str(sweep)) == {"unet": [first, second]}


def run(*arguments):
    command = [sys.executable, str(PROJECT / "sweeps" / "replay.py"), *arguments]
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_command_prints_each_strategys_regret_and_price(sweep):
    done = run(str(sweep), "--seeds", "3")

    assert (done.returncode, done.stderr) == (0, "")
    assert "all trials to their end" in done.stdout
    assert "0.000 (0.000 to 0.000)" in done.stdout
    assert "1.000 (1.000 to 1.000)" in done.stdout


def test_the_course_of_a_replay_is_the_best_so_far_after_each_epoch():
    course = play(THREE[1:2], Strategy("all"), 1, 0).course

    assert course == [(10.0, 0.2), (20.0, 0.5), (30.0, 0.5)]


def test_the_command_draws_the_courses(sweep, tmp_path):
    done = run(str(sweep), "--seeds", "3", "--plot", str(tmp_path / "courses.png"))

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\d+ trials replayed in \d+\.\d s: \d+ a second", done.stdout)
    assert np.asarray(Image.open(tmp_path / "courses.png")).std() > 0


def test_a_plot_of_a_kind_that_is_not_known_is_refused_in_a_sentence(sweep, tmp_path):
    done = run(str(sweep), "--seeds", "1", "--plot", str(tmp_path / "courses.docx"))

    assert done.returncode == 2
    assert re.search(r"--plot .*courses\.docx can't be written: .*docx", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_folder_without_curves_is_told(tmp_path):
    done = run(str(tmp_path / "nowhere"))

    assert done.returncode == 2
    assert "holds no curves of trials that ended" in done.stderr
    assert "Traceback" not in done.stderr
