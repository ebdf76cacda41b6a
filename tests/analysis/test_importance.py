import json

import numpy as np
import optuna
import polars as pl
import pytest
from optuna.importance import get_param_importances

from analysis import importance, load

COUNT = 60


@pytest.fixture
def searched(sweep_folder, trial_record):
    """A sweep's folder: IoU follows the learning rate alone, of four things that were varied."""
    rng = np.random.default_rng(0)

    def trial(number):
        rate = 10 ** rng.uniform(-4, -1)
        settings = {
            "depth": int(rng.integers(2, 6)),
            "learning_rate": rate,
            "loss": str(rng.choice(["bce", "dice"])),
            "residual": bool(rng.integers(2)),
            "width": 16,
        }
        iou = float(np.exp(-((np.log10(rate) + 2.5) ** 2)))
        return trial_record(
            trial_id=f"unet-{number}", val_iou=iou, hyperparameters=json.dumps(settings)
        )

    return sweep_folder([trial(number) for number in range(COUNT)])


def test_what_decides_comes_first_and_importances_sum_to_one(searched):
    trials = load.trials([searched])
    found = importance.importances(importance.hyperparameters(trials), trials["val_iou"])
    assert found["hyperparameter"][0] == "learning_rate"
    assert found["importance"][0] > 0.8
    assert found["importance"].sum() == pytest.approx(1)


def test_what_never_varied_has_no_importance(searched):
    assert "width" not in importance.hyperparameters(load.trials([searched])).columns


def test_trials_that_lack_a_newer_setting_are_taken_as_they_are(searched):
    trials = load.trials([searched])
    settings = importance.hyperparameters(trials)
    older = settings.with_columns(
        depth=pl.when(pl.int_range(pl.len()) < 20).then(None).otherwise("depth")
    )
    found = importance.importances(older, trials["val_iou"])
    assert sorted(found["hyperparameter"]) == sorted(settings.columns)


def test_importances_are_optunas_own():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    corners = (
        {"rate": 0.001, "depth": 1},
        {"rate": 1.0, "depth": 4},
    )  # our ranges are what is seen
    for corner in corners:
        study.enqueue_trial({**corner, "loss": "bce"})
    study.optimize(_gain, n_trials=50)
    rows = [trial.params for trial in study.trials]
    gains = pl.Series("gain", [trial.value for trial in study.trials])
    found = importance.importances(pl.DataFrame(rows), gains)
    assert dict(found.iter_rows()) == pytest.approx(get_param_importances(study))


def _gain(trial):
    rate = trial.suggest_float("rate", 0.001, 1.0, log=True)
    right_loss = trial.suggest_categorical("loss", ["bce", "dice"]) == "dice"
    return rate + trial.suggest_int("depth", 1, 4) + right_loss


def test_the_command_prints_importances_and_draws_them(searched, tmp_path, capsys):
    assert importance.main([searched, "-o", str(tmp_path / "out")]) == 0
    assert "unet, 60 trials" in capsys.readouterr().out
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["importance.csv", "unet_interaction.png", "unet_slices.png"]
    table = pl.read_csv(tmp_path / "out" / "importance.csv")
    assert table["hyperparameter"][0] == "learning_rate"


def test_too_few_trials_are_a_sentence(sweep_folder, ten_trials, capsys):
    assert importance.main([sweep_folder(ten_trials[:3])]) == 2
    said = capsys.readouterr()
    assert "cnn: importances need 5 trials or more with different settings" in said.out
    assert "no architecture has 5 trials that differ" in said.err
