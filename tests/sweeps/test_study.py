"""What a study is made of; that samplers keep to a space is tested with the searcher."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import nucseg_models
from nucseg_models.search_space import Choice, Float, Int
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.searcher import StudyPerArchitecture
from sweeps.study import BoundedTPE, begin_journal, distribution, renewed

CNN = nucseg_models.get("cnn")


def asked(path):
    return SweepConfig(arch="cnn", name="night", trials=4, optuna_journal=path and str(path))


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (Float(0.1, 0.9), FloatDistribution(0.1, 0.9)),
        (Float(1e-4, 1, log=True), FloatDistribution(1e-4, 1, log=True)),
        (Int(2, 8, log=True), IntDistribution(2, 8, log=True)),
        (Choice("a", "b"), CategoricalDistribution(("a", "b"))),
    ],
)
def test_a_declared_range_is_told_in_optunas_terms(declared, told):
    assert distribution(declared) == told


def search_of(config):
    return StudyPerArchitecture(
        config, [CNN], deadline=None, pretrained=None, device_seconds=lambda trial: 1.0
    )


def test_a_journal_shows_every_trial_to_others_while_the_search_goes_on(tmp_path):
    path = tmp_path / "for" / "others.journal"
    begin_journal(asked(path))
    search = search_of(asked(path))
    for trial in ("a", "b", "c"):
        search.suggest(trial)
    search.on_trial_complete("a", {"val_iou": 0.5, "epoch": 1, "final_iou": 0.5})
    search.on_trial_complete("b", {"val_iou": 0.25, "epoch": 1})

    seen = optuna.load_study(
        study_name="night-cnn", storage=JournalStorage(JournalFileBackend(str(path)))
    )
    assert [trial.state.name for trial in seen.trials[:3]] == ["COMPLETE", "PRUNED", "RUNNING"]
    assert seen.best_value == 0.5


def test_a_journal_of_an_earlier_run_is_begun_anew(tmp_path):
    path = tmp_path / "others.journal"
    for _ in range(2):
        begin_journal(asked(path))
        search = search_of(asked(path))
        search.suggest("a")

    assert len(search.study("cnn").trials) == len((CNN.paper, *CNN.starts))


def test_a_journal_that_can_not_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"--optuna-journal .* can't be written"):
        begin_journal(asked(tmp_path / "file" / "journal"))


SPACE = {"x": FloatDistribution(0.0, 1.0), "y": CategoricalDistribution(("a", "b"))}


def told(study, number):
    """Ended trials: the nearer x is to 0.7, the better."""
    values = np.random.default_rng(0).random(number)
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={"x": x, "y": "a"}, distributions=SPACE, value=1 - abs(x - 0.7)
            )
            for x in values
        ]
    )


def test_of_thousands_of_trials_tpe_models_a_share_and_finds_what_is_good_all_the_same(monkeypatch):
    shown = []
    whole = optuna.samplers.TPESampler._sample

    def spy(self, study, trial, space):
        shown.append(len(study._get_trials(deepcopy=False, states=None, use_cache=False)))
        return whole(self, study, trial, space)

    monkeypatch.setattr(optuna.samplers.TPESampler, "_sample", spy)
    study = optuna.create_study(direction="maximize", sampler=BoundedTPE(SPACE, seed=0))
    told(study, 3000)
    found = [study.ask(SPACE).params["x"] for _ in range(20)]

    assert max(shown) <= 1000 + 20  # and those that run
    assert np.median(np.abs(np.array(found) - 0.7)) < 0.05


def grown(number, **directions):
    """A study of so many trials, and one that runs."""
    study = optuna.create_study(sampler=BoundedTPE(SPACE, seed=0), **directions)
    told(study, number)
    return study, study.ask(SPACE)


def test_a_study_of_thousands_is_renewed_with_the_trials_that_tpe_models():
    study, _ = grown(1000, direction="maximize")
    new = renewed(study)

    assert len(new.trials) <= 500
    assert new.best_value == study.best_value
    assert new.sampler is study.sampler
    assert renewed(new) is new
    assert all(trial.state.is_finished() for trial in new.trials)


def test_of_two_objectives_a_renewed_study_keeps_the_front():
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=BoundedTPE(SPACE, seed=0)
    )
    points = np.random.default_rng(0).random((1000, 2))
    study.add_trials(
        [
            optuna.trial.create_trial(params={"x": x, "y": "a"}, distributions=SPACE, values=[x, y])
            for x, y in points
        ]
    )
    new = renewed(study)

    assert len(new.trials) <= 500
    assert sorted(t.values for t in new.best_trials) == sorted(t.values for t in study.best_trials)


def test_a_study_is_not_renewed_while_starts_wait_nor_where_the_sampler_learns_from_all():
    study, _ = grown(1000, direction="maximize")
    study.enqueue_trial({"x": 0.5, "y": "b"})
    assert renewed(study) is study

    evolving = optuna.create_study(sampler=optuna.samplers.NSGAIISampler(seed=0))
    told(evolving, 1000)
    assert renewed(evolving) is evolving


def test_of_few_trials_it_suggests_what_optunas_own_does():
    found = []
    for made in (BoundedTPE(SPACE, seed=0), optuna.samplers.TPESampler(seed=0)):
        study = optuna.create_study(direction="maximize", sampler=made)
        told(study, 30)
        found.append([study.ask(SPACE).params for _ in range(5)])

    assert found[0] == found[1]
