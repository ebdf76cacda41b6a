"""Which trials a search tries, in what order, and what its studies are told of their ends."""

import importlib.util
import warnings
from dataclasses import replace
from itertools import groupby

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

import nucseg_models
from nucseg_models import search_space
from sweeps.assignment import DEFAULT_EPOCHS, Assignment, trial_number, trial_seed
from sweeps.config import SweepConfig
from sweeps.searcher import PastTrial, StudyPerArchitecture
from sweeps.telling import Ending

CNN, UNET, RESNET = (nucseg_models.get(name) for name in ("cnn", "unet", "resnet"))
NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns of what a search should not do
        yield


@pytest.fixture
def clock(monkeypatch):
    now = [NOW]
    monkeypatch.setattr("sweeps.searcher.time.time", lambda: now[0])
    return now


def searcher(
    *architectures,
    trials=6,
    deadline=None,
    pretrained=None,
    all_is_spent=lambda: False,
    why_lost=lambda trial: None,
    past=(),
    elsewhere=(),
    waiting=(),
    **asked,
):
    architectures = architectures or (CNN,)
    names = tuple(architecture.name for architecture in architectures)
    return StudyPerArchitecture(
        SweepConfig(arch=names, name="night", trials=trials, **asked),
        architectures,
        deadline=deadline,
        pretrained=pretrained,
        device_seconds=lambda trial: 10.0 * (1 + trial_number(trial)),
        all_is_spent=all_is_spent,
        why_lost=why_lost,
        past=past,
        elsewhere=elsewhere,
        waiting=waiting,
    )


def suggestions(search):
    """All trials of a search, each completed before the next is asked for, a better one each."""
    found = []
    while (config := search.suggest(f"tune-{len(found)}")) != Searcher.FINISHED:
        found.append(Assignment.from_config(config))
        complete(search, f"tune-{len(found) - 1}", 0.1 + 0.01 * len(found))
    return found


def complete(search, trial_id, iou, epochs=1):
    for epoch in range(1, epochs + 1):
        search.on_trial_result(trial_id, {"epoch": epoch, "val_iou": iou})
    last = {"epoch": epochs, "val_iou": iou, "finished": True, "final_iou": iou}
    search.on_trial_complete(trial_id, last)


def told(search, architecture=CNN):
    """What a study knows: state, value and scores by epoch of each trial that was asked for."""
    asked = [
        trial
        for trial in search.study(architecture.name).trials
        if trial.state != TrialState.WAITING
    ]
    return [(trial.state, trial.value, trial.intermediate_values) for trial in asked]


def test_each_architecture_begins_with_the_papers_row_then_its_starts_then_the_sampler():
    found = suggestions(searcher(CNN, UNET))

    for architecture in (CNN, UNET):
        own = [trial for trial in found if trial.architecture == architecture.name]
        known = [dict(architecture.paper), *map(dict, architecture.starts)]
        assert [trial.hyperparameters for trial in own[: len(known)]] == known
        assert all(trial.hyperparameters not in known for trial in own[len(known) :])
        assert [trial.is_paper for trial in own] == [True] + [False] * 5
        assert [trial.trial for trial in own] == [f"{architecture.name}-{n:04d}" for n in range(6)]


def test_architectures_take_turns():
    found = suggestions(searcher(CNN, UNET, RESNET, trials=2))

    assert [trial.architecture for trial in found] == ["cnn", "unet", "resnet"] * 2


def test_it_is_finished_when_every_architecture_has_its_trials():
    search = searcher(CNN, UNET, trials=1)
    assert not search.is_done()
    search.suggest("a")
    search.suggest("b")

    assert search.suggest("c") == Searcher.FINISHED
    assert not search.is_done()  # two have not ended
    complete(search, "a", 0.5)
    search.on_trial_complete("b", error=True)
    assert search.is_done()


def test_the_papers_row_trains_its_own_epochs_and_others_what_was_asked():
    def planned(**asked):
        return [trial.epochs for trial in suggestions(searcher(trials=2, **asked))]

    assert planned() == [CNN.paper_epochs, DEFAULT_EPOCHS]
    assert planned(max_epochs=4) == [4, 4]
    assert planned(max_epochs=50) == [CNN.paper_epochs, 50]


def test_only_architectures_that_take_weights_are_given_them():
    found = suggestions(searcher(CNN, RESNET, trials=1, pretrained="imagenet"))

    assert [trial.pretrained for trial in found] == [None, "imagenet"]


def test_what_a_file_of_weights_fixes_holds_for_every_trial_and_is_not_searched(monkeypatch):
    monkeypatch.setattr(RESNET, "fixed_by", lambda path: {"layers": 101})
    search = searcher(RESNET, trials=6, pretrained="/weights.h5")
    found = suggestions(search)

    assert {trial.hyperparameters["layers"] for trial in found} == {101}
    assert all("layers" not in trial.params for trial in search.study("resnet").trials)


def test_a_trial_holds_whole_threads_of_the_cores_that_were_asked_for():
    for cores, threads in ((0.5, 1), (1, 1), (2.5, 2)):
        assert suggestions(searcher(trials=1, cpus_per_trial=cores))[0].threads == threads


def test_a_pinned_image_size_holds_for_every_trial_and_is_not_searched():
    search = searcher(trials=8, image_size=320)
    found = suggestions(search)

    assert {trial.hyperparameters["image_size"] for trial in found} == {320}
    assert all("image_size" not in trial.params for trial in search.study("cnn").trials)
    for trial in found:
        search_space.check(trial.hyperparameters, CNN.search_space)


def test_seeds_differ_by_trial_and_do_not_depend_on_other_architectures():
    alone, beside = suggestions(searcher(CNN)), suggestions(searcher(UNET, CNN))

    assert [trial for trial in beside if trial.architecture == "cnn"] == alone
    assert len({trial.seed for trial in beside}) == len(beside)


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "nsgaii"])
def test_the_same_seed_gives_the_same_trials_and_another_seed_others(sampler):
    first, again, other = (
        suggestions(searcher(sampler=sampler, seed=seed, trials=8)) for seed in (3, 3, 4)
    )

    assert first == again
    assert [t.hyperparameters for t in first[2:]] != [t.hyperparameters for t in other[2:]]


@pytest.mark.parametrize(
    "sampler",
    [
        "tpe",
        "random",
        "cmaes",
        "nsgaii",
        pytest.param(
            "gp",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("torch") is None, reason="the sampler needs torch"
            ),
        ),
    ],
)
@pytest.mark.parametrize("architecture", [CNN, UNET, RESNET], ids=lambda each: each.name)
def test_every_sampler_stays_within_the_search_space_and_does_not_repeat_itself(
    sampler, architecture
):
    trials = 5 if sampler == "gp" else 15  # each of its models takes a second
    found = suggestions(searcher(architecture, sampler=sampler, trials=trials))

    for trial in found:
        search_space.check(trial.hyperparameters, architecture.search_space)
    chosen = sorted(str(sorted(trial.hyperparameters.items())) for trial in found)
    assert max(len(list(same)) for _, same in groupby(chosen)) == 1


def test_studies_are_told_how_trials_ended():
    search = searcher(trials=5)
    for number in range(5):
        search.suggest(str(number))
    complete(search, "0", 0.5, epochs=2)
    search.on_trial_result("1", {"epoch": 1, "val_iou": 0.25})
    search.on_trial_complete(
        "1", {"epoch": 2, "val_iou": 0.375}
    )  # stopped: Tune tells it last here
    search.on_trial_complete("2", {"error": "DivergedError: loss became nan"})
    search.on_trial_result("3", {"epoch": 1, "val_iou": 0.125})
    search.on_trial_complete("3", error=True)  # its worker was lost too often
    search.on_trial_result("4", {"epoch": 1, "val_iou": 0.0625})
    search.on_trial_complete("4")  # stopped while the scheduler had it paused

    assert told(search) == [
        (TrialState.COMPLETE, 0.5, {1: 0.5, 2: 0.5}),
        (TrialState.PRUNED, 0.375, {1: 0.25, 2: 0.375}),
        (TrialState.FAIL, None, {}),
        (TrialState.FAIL, None, {1: 0.125}),
        (TrialState.PRUNED, 0.0625, {1: 0.0625}),
    ]


def test_the_value_of_a_completed_trial_is_that_of_its_best_epoch():
    search = searcher()
    search.suggest("a")
    search.on_trial_complete("a", {"epoch": 3, "val_iou": 0.2, "finished": True, "final_iou": 0.4})
    search.suggest("b")  # went on from its last epoch's checkpoint: nothing was left to train
    search.on_trial_complete("b", {"epoch": 3, "finished": True, "final_iou": 0.3})

    assert [value for _, value, _ in told(search)] == [0.4, 0.3]


@pytest.mark.parametrize("score", [None, float("nan")])
def test_a_score_that_is_no_number_leaves_no_trial_running(score):
    search = searcher()
    search.suggest("epoch")
    search.on_trial_result("epoch", {"epoch": 1, "val_iou": score})
    search.on_trial_complete("epoch", {"epoch": 2, "val_iou": score})
    search.suggest("final")
    search.on_trial_complete("final", {"epoch": 1, "finished": True, "final_iou": score})
    search.suggest("none")
    search.on_trial_complete("none", {})

    assert told(search) == [(TrialState.FAIL, None, {})] * 3


def test_an_epoch_that_is_run_again_after_a_loss_keeps_its_first_score():
    search = searcher()
    search.suggest("a")
    for score in (0.5, 0.25):
        search.on_trial_result("a", {"epoch": 1, "val_iou": score})
    search.on_trial_complete("a", {"epoch": 1, "val_iou": 0.25})

    assert told(search) == [(TrialState.PRUNED, 0.5, {1: 0.5})]


def past(number, status="completed", hyperparameters=CNN.paper, value=0.5, scores=None):
    return PastTrial(
        trial=f"cnn-{number:04d}",
        hyperparameters=hyperparameters,
        ending=Ending(
            status=status,
            scores={1: 0.25, 2: 0.5} if scores is None else scores,
            value=value,
            device_seconds=30.0,
        ),
    )


def test_past_trials_are_told_and_numbering_goes_on():
    ended = [
        past(0),
        past(2, "stopped", CNN.starts[0]),
        past(1, "failed", CNN.paper, value=None, scores={}),
    ]
    search = searcher(past=ended, trials=5)
    known = told(search)
    found = suggestions(search)

    assert known == [
        (TrialState.COMPLETE, 0.5, {1: 0.25, 2: 0.5}),
        (TrialState.PRUNED, None, {1: 0.25, 2: 0.5}),
        (TrialState.FAIL, None, {}),
    ]
    assert [trial.trial for trial in found] == ["cnn-0003", "cnn-0004"]
    assert not any(trial.is_paper for trial in found)


def test_a_resumed_search_does_not_try_the_papers_row_or_the_starts_again():
    found = suggestions(searcher(past=[past(0)], trials=3))
    assert found[0].hyperparameters == dict(CNN.starts[0])

    found = suggestions(searcher(past=[past(0), past(1)], trials=3))
    assert found[0].hyperparameters not in [dict(CNN.paper), dict(CNN.starts[0])]


def test_a_trial_that_had_not_begun_though_later_ones_had_is_begun_by_a_resumed_search():
    found = suggestions(searcher(past=[past(0), past(2), past(3)], trials=5))
    assert [each.trial for each in found] == ["cnn-0001", "cnn-0004"]
    assert found[0].hyperparameters == dict(CNN.starts[0])

    found = suggestions(searcher(past=[past(1)], trials=2))
    assert [(each.trial, each.is_paper) for each in found] == [("cnn-0000", True)]


def test_a_resumed_search_does_not_make_its_random_choices_again():
    once = suggestions(searcher(sampler="random", trials=8))
    ended = [
        past(number, hyperparameters=trial.hyperparameters) for number, trial in enumerate(once[:5])
    ]
    more = suggestions(searcher(sampler="random", trials=8, past=ended))

    assert len(more) == 3
    assert not any(trial.hyperparameters in [o.hyperparameters for o in once] for trial in more)


def test_past_trials_of_an_architecture_that_is_not_searched_now_are_left_alone():
    search = searcher(UNET, past=[past(0)], trials=1)

    assert suggestions(search)[0].trial == "unet-0000"


def test_trials_that_were_cut_off_come_first_and_unchanged():
    sampled = suggestions(searcher(CNN, UNET, trials=4))
    cut_off = [
        replace(trial, checkpoint="/night/checkpoint")
        for trial in sampled
        if trial.trial in ("cnn-0003", "cnn-0002", "unet-0000")
    ]
    search = searcher(CNN, UNET, trials=5, past=[past(0), past(1)], waiting=cut_off)
    found = suggestions(search)

    assert sorted(trial.trial for trial in found[:3]) == ["cnn-0002", "cnn-0003", "unet-0000"]
    assert all(trial in cut_off for trial in found[:3])
    assert found[3].hyperparameters == dict(UNET.starts[0])
    assert {trial.trial for trial in found[3:]} == {
        "cnn-0004",
        *(f"unet-000{n}" for n in (1, 2, 3, 4)),
    }


def test_a_study_is_told_of_a_cut_off_trial_by_the_trials_own_hyperparameters():
    cut_off = [trial for trial in suggestions(searcher(trials=4)) if trial.trial == "cnn-0003"]
    search = searcher(trials=4, past=[past(0), past(1), past(2)], waiting=cut_off)
    search.suggest("a")
    complete(search, "a", 0.75)

    last = search.study("cnn").trials[-1]
    assert (last.params, last.value) == (cut_off[0].hyperparameters, 0.75)


def test_no_trial_begins_in_the_last_tenth_of_the_budget_but_each_papers_row(clock):
    waiting = [suggestions(searcher(UNET, trials=1))[0]]
    search = searcher(CNN, UNET, RESNET, deadline=NOW + 100, waiting=waiting)
    assert search.suggest("a")["trial"] == "unet-0000"
    assert search.suggest("b")["trial"] == "cnn-0000"

    clock[0] = NOW + 89
    assert search.suggest("c")["trial"] == "resnet-0000"
    assert search.suggest("d")["trial"] == "cnn-0001"
    clock[0] = NOW + 91
    assert search.suggest("e") == Searcher.FINISHED

    late = searcher(CNN, deadline=NOW + 191)
    clock[0] = NOW + 190
    assert late.suggest("a")["is_paper"]
    assert late.suggest("b") == Searcher.FINISHED


def test_a_trial_is_told_when_it_must_end():
    assert suggestions(searcher(trials=1, deadline=4e9))[0].deadline == 4e9
    assert suggestions(searcher(trials=1))[0].deadline is None


def test_a_trials_seed_is_the_sweeps_and_its_own():
    assert [trial.seed for trial in suggestions(searcher(seed=5, trials=2))] == [
        trial_seed(5, "cnn-0000"),
        trial_seed(5, "cnn-0001"),
    ]


BOTH = ("iou", "device_seconds")


def test_two_objectives_are_told_with_what_the_trials_cost_however_they_ended():
    search = searcher(objective=BOTH, trials=3)
    for number in range(3):
        search.suggest(str(number))
    complete(search, "0", 0.5, epochs=2)
    search.on_trial_result("1", {"epoch": 1, "val_iou": 0.375})
    search.on_trial_complete("1", {"epoch": 2, "val_iou": 0.25})  # stopped early
    search.on_trial_complete("2", {"error": "DivergedError: loss became nan"})

    first, second, third = search.study("cnn").trials
    assert (first.values, second.values) == ([0.5, 10.0], [0.375, 20.0])
    assert third.state == TrialState.FAIL
    assert [trial.number for trial in search.study("cnn").best_trials] == [0]


def test_what_two_objectives_knew_is_known_after_a_resume():
    search = searcher(objective=BOTH, past=[past(0), past(1, "stopped", CNN.starts[0])])

    assert [trial.values for trial in search.study("cnn").trials[:2]] == [[0.5, 30.0]] * 2


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsgaii"])
def test_every_sampler_but_cmaes_searches_for_two_objectives_within_limits(sampler):
    search = searcher(objective=BOTH, sampler=sampler, trials=14, max_memory=1e9)
    for number in range(14):
        search.suggest(str(number))
        search.on_trial_complete(
            str(number),
            {
                "epoch": 1,
                "val_iou": 0.5,
                "finished": True,
                "final_iou": 0.5,
                "peak_memory_bytes": 5e8 + 1e8 * number,
            },
        )

    broken = [trial.constraints["peak_memory_bytes"] > 0 for trial in search.study("cnn").trials]
    assert broken == [False] * 6 + [True] * 8


def test_a_broken_limit_is_told_as_a_constraint_of_stopped_and_completed_trials():
    search = searcher(max_memory=1e9, max_seconds_per_image=2.0)
    search.suggest("a")
    figures = {"epoch": 1, "val_iou": 0.5, "peak_memory_bytes": 1.5e9}
    search.on_trial_complete("a", {**figures, "predict_seconds": 1.0, "final_iou": 0.5})
    search.suggest("b")
    search.on_trial_complete("b", figures)

    ended = [trial for trial in search.study("cnn").trials if trial.state.is_finished()]
    assert [trial.constraints for trial in ended] == [
        {"peak_memory_bytes": 0.5, "predict_seconds": -0.5},
        {"peak_memory_bytes": 0.5, "predict_seconds": 0.0},  # not known: it breaks none
    ]


def test_a_trial_whose_workers_the_memory_monitor_ended_is_told_as_a_constraint():
    why = "OutOfMemoryError: Task was killed due to the node running low on memory."
    search = searcher(why_lost={"cnn-0000": why}.get)
    for trial in "ab":
        search.suggest(trial)
        search.on_trial_complete(trial, None, error=True)

    first, second = search.study("cnn").trials[:2]
    assert (first.state, first.constraints) == (TrialState.PRUNED, {"memory": 1.0})
    assert (second.state, second.constraints) == (TrialState.FAIL, {})


def test_the_sampler_keeps_off_what_needs_too_much_memory():
    def large(search):
        found = []
        for number in range(40):
            assignment = Assignment.from_config(search.suggest(str(number)))
            batch = assignment.hyperparameters["batch_size"]
            found.append(batch > 8)
            figures = {"epoch": 1, "val_iou": 0.5 + batch / 100, "finished": True}
            figures |= {"final_iou": figures["val_iou"], "peak_memory_bytes": batch * 1e8}
            search.on_trial_complete(str(number), figures)
        return sum(found[20:])

    # The larger the batch, the better, and the more memory it needs.
    assert large(searcher(trials=40)) >= 15
    assert large(searcher(trials=40, max_memory=8e8)) <= 8


@pytest.mark.parametrize("objective", [("iou",), BOTH])
def test_memory_that_ran_out_is_learnt_as_a_constraint(objective):
    search = searcher(objective=objective, trials=12)
    for number in range(12):
        search.suggest(str(number))
        if number % 3 == 0:
            said = "ResourceExhaustedError: OOM when allocating tensor"
            search.on_trial_complete(str(number), {"error": said})
        else:
            complete(search, str(number), 0.5)

    trials = search.study("cnn").trials
    assert {(trial.state, trial.constraints["memory"]) for trial in trials[::3]} == {
        (TrialState.PRUNED, 1.0)
    }
    assert all(trial.constraints == {} for trial in trials[1::3])


def test_no_trial_begins_when_the_money_is_spent():
    spent = []
    search = searcher(all_is_spent=lambda: bool(spent))
    search.suggest("a")
    spent.append("all")

    assert search.suggest("b") == Searcher.FINISHED
    assert not search.is_done()
    complete(search, "a", 0.5)
    assert search.is_done()


def test_trials_of_other_sweeps_are_known_and_their_starts_not_tried_again():
    elsewhere = [past(0), past(7, hyperparameters=CNN.starts[0])]
    search = searcher(elsewhere=elsewhere, trials=3)
    known = told(search)
    found = suggestions(search)

    assert known == [(TrialState.COMPLETE, 0.5, {1: 0.25, 2: 0.5})] * 2
    assert [trial.trial for trial in found] == ["cnn-0000", "cnn-0001", "cnn-0002"]
    assert found[0].hyperparameters == dict(CNN.paper)  # always: the yardstick of this sweep
    assert CNN.starts[0] not in [trial.hyperparameters for trial in found]


def test_a_trial_that_the_search_space_does_not_hold_is_not_known():
    halved = past(0, hyperparameters={**CNN.paper, "batch_size": 3})
    search = searcher(past=[halved], trials=2)

    assert told(search) == []
    assert suggestions(search)[0].trial == "cnn-0001"  # its number is taken all the same


def test_a_failure_that_was_told_before_its_worker_ended_is_learnt_as_what_it_was():
    search = searcher(trials=2)
    search.suggest("a")
    search.on_trial_result("a", {"error": "ResourceExhaustedError: OOM"})
    search.on_trial_complete("a", error=True)

    first = search.study("cnn").trials[0]
    assert (first.state, first.constraints) == (TrialState.PRUNED, {"memory": 1.0})


def test_a_long_search_forgets_old_trials_yet_learns_how_running_ones_ended(monkeypatch):
    monkeypatch.setattr("sweeps.study.MOST", 10)
    monkeypatch.setattr("sweeps.study.BEST", 3)
    search = searcher(trials=60)
    search.suggest("slow")
    found = []
    for number in range(50):
        found.append(Assignment.from_config(search.suggest(f"tune-{number}")))
        complete(search, f"tune-{number}", 0.001 * number)
    complete(search, "slow", 0.9, epochs=2)

    assert [trial.trial for trial in found] == [f"cnn-{n:04d}" for n in range(1, 51)]
    study = search.study("cnn")
    assert len(study.trials) < 20
    assert (study.best_value, study.best_trial.intermediate_values) == (0.9, {1: 0.9, 2: 0.9})
    assert study.best_trial.params == dict(CNN.paper)
    assert 0.049 in [trial.value for trial in study.trials]
    assert TrialState.RUNNING not in [trial.state for trial in study.trials]
