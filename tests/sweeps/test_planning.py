"""How a plan is reckoned; that it is said and kept is tested by a whole sweep."""

import pytest

import nucseg_models
from nucseg_models.data.synthetic import synthetic
from sweeps import planning
from sweeps.config import SweepConfig
from sweeps.inputs import Inputs
from sweeps.probe import Probe, probe
from sweeps.progress import Progress
from sweeps.recorder import Recorder
from sweeps.storage import open_store
from sweeps.sweep import Sweep

CNN = nucseg_models.get("cnn")
IMAGES = synthetic(6, seed=0, sides=(64, 64))
INPUTS = Inputs(IMAGES.subset(range(4)), IMAGES.subset(range(4, 6)), None)
PROBE = Probe("cpu", 10.0, 0.5, 1e-4, 1000, [1.0, 1.0, 3.0, 5.0], [1.0, 1.0, 3.0, 5.0])
EPOCH = 4 * 0.5 + 2 * 64 * 64 * 1e-4  # 4 crops and 2 images
FINAL = 2 * 2 * 64 * 64 * 1e-4


@pytest.fixture
def sweep(tmp_path):
    def make(**asked):
        store = open_store(tmp_path / "night")
        config = SweepConfig(
            **({"arch": "cnn", "name": "night", "max_epochs": 5, "scheduler": "none"} | asked)
        )
        progress = Progress(["cnn"], 4, quiet=True)
        return Sweep(config, INPUTS, store, Recorder(store), progress, None, 0.0)

    return make


def test_known_settings_cost_their_own_and_others_the_mean_of_what_was_drawn(sweep):
    seconds = planning._trial_seconds(sweep(trials=3), "cnn", PROBE, known=2)

    assert seconds[:2] == pytest.approx([10 + 5 * EPOCH + FINAL] * 2)
    assert seconds[2] == pytest.approx(10 + 2.5 * (5 * EPOCH + FINAL))


def test_a_scheduler_that_stops_early_saves_but_not_on_the_papers_row(sweep):
    whole = planning._trial_seconds(sweep(trials=9), "cnn", PROBE, known=2)
    saved = planning._trial_seconds(sweep(trials=9, scheduler="asha"), "cnn", PROBE, known=2)

    assert saved[0] == whole[0]
    assert all(one < other for one, other in zip(saved[1:], whole[1:], strict=True))


@pytest.mark.parametrize("trials", [1, 2, 30])
def test_what_a_scheduler_lets_train_is_a_share(trials):
    assert planning._share("none", trials, 9) == 1.0
    assert 0 < planning._share("asha", trials, 9) <= 1.0
    assert planning._share("hyperband", trials, 9) == planning._share("asha", trials, 9)


def test_asha_lets_many_trials_train_less_than_half():
    assert planning._share("asha", 30, 27) < 0.5


def test_earlier_trials_are_reckoned_by_their_cost_an_epoch(sweep, trial_record):
    rows = [trial_record(epochs_planned=10, device_seconds=100, device="T4", epochs_run=10)]
    part = planning._from_earlier(sweep(trials=3, usd_per_hour=3.6), "cnn", rows)

    assert part.device_seconds == 10 * 15  # three trials of five epochs
    assert part.usd == pytest.approx(0.15)
    assert part.basis == "earlier trials: 1"


def test_repeats_with_fresh_seeds_are_whole_trials(sweep, trial_record):
    stopped = trial_record(epochs_planned=10, device_seconds=10, epochs_run=1, status="stopped")
    whole = trial_record(epochs_planned=10, device_seconds=100, epochs_run=10)
    part = planning._from_earlier(sweep(trials=3, confirm=3), "cnn", [stopped, whole])

    assert part.repeat_seconds == 3 * 5 * 10
    assert planning._whole_trial_seconds(sweep(trials=3), "cnn", PROBE) == pytest.approx(
        10 + 2.5 * (5 * EPOCH + FINAL)
    )


def test_a_probe_measures_a_short_training(monkeypatch):
    monkeypatch.setattr("nucseg_models.device.prepare", lambda *_: None)  # used before
    start = {**CNN.starts[0], "image_size": 64, "batch_size": 2}
    wider = {**start, "image_size": 128}
    found = probe(
        "cnn",
        start,
        [start, wider],
        threads=1,
        precision="float32",
        train=INPUTS.train,
        validation=INPUTS.validation,
    )

    assert min(found.start, found.crop, found.pixel, found.state_bytes) > 0
    assert found.crop_work == pytest.approx([1.0, 4.0], rel=0.1)
    assert found.pixel_work == pytest.approx([1.0, 1.0], rel=0.1)
