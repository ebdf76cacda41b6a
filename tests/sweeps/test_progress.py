"""What a person sees of a sweep while it runs."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from sweeps.progress import Progress, clock, figure


@pytest.fixture
def pipe():
    return Console(file=io.StringIO(), width=80)


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)


def text_of(console):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def shown(progress, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(progress.render())
    return console.file.getvalue().splitlines()


def test_a_pipe_gets_one_line_an_event(pipe, trial_record):
    with Progress(["unet"], 2, console=pipe) as progress:
        progress.trial_started("unet", "t0")
        progress.epoch("unet", "t0", 1, 20, val_iou=0.25, loss=0.5)
        progress.epoch("unet", "t0", 2, 20, val_iou=None, loss=None)
        progress.trial_ended(trial_record(trial_id="t0"))
        progress.trial_ended(
            trial_record(trial_id="t1", status="failed", error="out of\nmemory", val_iou=None)
        )
        progress.message("2 images left out")

    lines = [re.sub(r"^\[ +\d+\.\d s\] ", "", line) for line in text_of(pipe).splitlines()]
    assert lines == [
        "t0: started",
        "t0: epoch 1/20, IoU 0.250, loss 0.500",
        "t0: epoch 2/20, IoU -, loss -",
        "t0: completed after 20 epochs, IoU 0.750, 12.5 device-seconds",
        "t1: failed: out of memory",
        "2 images left out",
    ]


def test_lines_reach_a_pipe_at_once():
    code = (
        "import os; from sweeps.progress import Progress\n"
        "with Progress(['unet'], 1) as progress:\n"
        "    progress.trial_started('unet', 't0')\n"
        "    os._exit(0)\n"  # without flushing
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert "t0: started" in found.stdout


@pytest.mark.parametrize("console", ["pipe", "terminal"])
def test_quiet_shows_nothing(console, request, trial_record):
    console = request.getfixturevalue(console)
    with Progress(["unet"], 2, quiet=True, console=console) as progress:
        progress.trial_started("unet", "t0")
        progress.epoch("unet", "t0", 1, 20, val_iou=0.25, loss=0.5)
        progress.trial_ended(trial_record(status="failed", error="NaN loss"))
        progress.message("note")

    assert text_of(console) == ""


def test_the_display_counts_trials_and_shows_the_best(terminal, trial_record):
    progress = Progress(["unet", "cnn"], 16, console=terminal)
    for number in range(3):
        progress.trial_ended(trial_record(trial_id=str(number), val_iou=0.5 + number / 8))
    progress.trial_ended(trial_record(trial_id="s", status="stopped", val_iou=0.125))
    progress.trial_ended(trial_record(trial_id="f", status="failed", error="NaN", val_iou=0.9))
    progress.trial_started("cnn", "c0")
    progress.trial_started("cnn", "c1")
    progress.epoch("cnn", "c0", 1, 15, val_iou=0.375, loss=0.5)

    lines = shown(progress)

    assert lines[0].split() == [
        *("architecture", "done", "running", "stopped", "failed", "of", "best", "IoU")
    ]
    assert lines[1].split() == ["unet", "3", "0", "1", "1", "16", "0.750"]
    assert lines[2].split() == ["cnn", "0", "2", "0", "0", "16", "0.375"]
    assert re.match(r"\d+\.\d\d epochs/s, elapsed 0:00:0\d, left about ", lines[3])


def test_a_terminal_gets_one_live_display_and_failures_above_it(terminal, trial_record):
    with Progress(["unet"], 2, console=terminal) as progress:
        progress.trial_started("unet", "t0")
        progress.epoch("unet", "t0", 1, 20, val_iou=0.25, loss=0.5)
        progress.trial_ended(trial_record(trial_id="t0", val_iou=0.625))
        progress.trial_ended(trial_record(trial_id="t1", status="failed", error="NaN loss"))

    text = text_of(terminal)
    assert "t1: failed: NaN loss" in text
    assert "epoch 1/20" not in text
    assert re.search(r"unet +1 +0 +0 +1 +2 +0\.625", text)


def test_a_resumed_sweep_begins_with_its_earlier_counts(terminal, trial_record):
    earlier = [trial_record(val_iou=0.5), trial_record(architecture="not_asked_for_now")]
    progress = Progress(["unet"], 4, earlier=earlier, console=terminal)

    assert shown(progress)[1].split() == ["unet", "1", "0", "0", "0", "4", "0.500"]
    assert shown(progress)[2].endswith("left unknown")


def test_the_time_left_follows_the_pace_of_trials_within_the_budget(trial_record, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("sweeps.progress.time.monotonic", lambda: now[0])
    progress = Progress(["unet"], 4, time_budget=25)
    assert shown(progress)[-1].endswith("left about 0:00:25")

    now[0] = 110.0
    progress.trial_ended(trial_record(trial_id="0"))
    assert shown(progress)[-1].endswith("elapsed 0:00:10, left about 0:00:15")  # 30 by the pace

    now[0] = 112.0
    progress.trial_ended(trial_record(trial_id="1"))
    progress.trial_ended(trial_record(trial_id="2"))
    assert shown(progress)[-1].endswith("left about 0:00:04")  # 12 s for 3 trials, 1 to go


def test_the_display_fits_eighty_columns(trial_record):
    progress = Progress(["mask_rcnn", "resnet"], 1000, time_budget=1e6)
    for number in range(3):
        progress.trial_ended(trial_record(architecture="mask_rcnn", trial_id=str(number)))

    assert max(len(line) for line in shown(progress, width=200)) <= 80


def test_figures_and_clocks_read_well():
    assert (figure(0.83214), figure(None)) == ("0.832", "-")
    assert (clock(59.6), clock(3723)) == ("0:01:00", "1:02:03")
