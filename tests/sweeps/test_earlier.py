"""What a search knows of before it begins."""

import io

import pytest
from rich.console import Console

from nucseg_models.data.synthetic import synthetic
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.earlier import in_other_sweeps, in_this_sweep
from sweeps.inputs import Inputs
from sweeps.limits import Limits
from sweeps.progress import Progress
from sweeps.recorder import Recorder
from sweeps.storage import open_store
from sweeps.sweep import Sweep

IMAGES = synthetic(6, seed=0, sides=(48, 48))
INPUTS = Inputs(IMAGES.subset(range(4)), IMAGES.subset(range(4, 6)), None)


def sweep_at(folder, inputs=INPUTS, lines=None, **asked):
    store = open_store(folder)
    config = SweepConfig(**({"arch": "unet", "name": "night"} | asked))
    progress = Progress(["unet"], 4, console=Console(file=lines or io.StringIO()))
    recorder = Recorder(store)
    recorder.describe({"data": inputs.describe()})
    return Sweep(config, inputs, store, recorder, progress, None, 0.0)


@pytest.fixture
def other(tmp_path, trial_record, epoch_record):
    """A sweep of three trials; returns its folder."""
    recorder = sweep_at(tmp_path / "other").recorder
    for epoch, iou in ((1, 0.25), (2, None), (3, 0.75)):
        recorder.epoch(epoch_record(trial_id="unet-0000", epoch=epoch, val_iou=iou))
    recorder.ended(trial_record(trial_id="unet-0000", peak_memory_bytes=300))
    recorder.ended(trial_record(trial_id="unet-0001", status="failed", error="E: x", val_iou=None))
    recorder.ended(trial_record(trial_id="unet-0002", confirms="unet-0000"))
    recorder.ended(trial_record(trial_id="cnn-0000", architecture="cnn"))
    return str(tmp_path / "other")


def test_trials_are_told_with_their_curves_cost_and_limits_but_no_repeats(other):
    found = in_this_sweep(Recorder.resumed(open_store(other)), Limits({"peak_memory_bytes": 200}))

    assert [trial.trial for trial in found] == ["unet-0000", "unet-0001", "cnn-0000"]
    first, second, _ = (trial.ending for trial in found)
    assert (first.status, first.scores, first.value) == ("completed", {1: 0.25, 3: 0.75}, 0.75)
    assert (first.device_seconds, first.excess) == (12.5, {"peak_memory_bytes": 0.5})
    assert (second.status, second.error, second.value) == ("failed", "E: x", None)


def test_a_warm_start_takes_the_trials_of_the_architectures_that_are_searched(other, tmp_path):
    lines = io.StringIO()
    found = in_other_sweeps(sweep_at(tmp_path / "mine", lines=lines, warm_start=[other]))

    assert [trial.trial for trial in found] == ["unet-0000", "unet-0001"]
    assert f"starting from 2 trials of {other}" in lines.getvalue()


def test_without_a_warm_start_nothing_is_known(tmp_path):
    assert in_other_sweeps(sweep_at(tmp_path / "mine")) == []


def other_images():
    images = synthetic(6, seed=1, sides=(48, 48))
    return Inputs(images.subset(range(4)), images.subset(range(4, 6)), None)


def another_split():
    return Inputs(IMAGES.subset(range(1, 5)), IMAGES.subset([0, 5]), None)


@pytest.mark.parametrize("inputs", [other_images, another_split])
def test_scores_on_other_images_are_refused(other, tmp_path, inputs):
    mine = sweep_at(tmp_path / "mine", inputs(), warm_start=[other])

    with pytest.raises(ConfigError, match=r"other images, or of another split .* same --seed"):
        in_other_sweeps(mine)


def test_a_sweep_without_such_an_architecture_is_refused(other, tmp_path):
    mine = sweep_at(tmp_path / "mine", arch="resnet", warm_start=[other])

    with pytest.raises(ConfigError, match="holds no trial of resnet"):
        in_other_sweeps(mine)


@pytest.mark.parametrize("content", [None, b"{", b"{}"])
def test_a_folder_that_holds_no_sweep_is_refused(tmp_path, content):
    if content is not None:
        open_store(tmp_path / "empty").write_bytes("sweep.json", content)
    mine = sweep_at(tmp_path / "mine", warm_start=[str(tmp_path / "empty")])

    with pytest.raises(ConfigError, match=r"can't be read as a sweep's folder"):
        in_other_sweeps(mine)
