import math
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

import nucseg_models
from nucseg_models import optimizers
from nucseg_models.evaluation import evaluate_pixels
from nucseg_models.training import Clock, DivergedError, TrainingRun, best_weights
from nucseg_models.workshop import Workshop

UNET = nucseg_models.get("unet")
EPOCHS = 3


@pytest.fixture(scope="module")
def workshop():
    """One graph for all tests: what a trial leaves in it has its own tests."""
    return Workshop()


@pytest.fixture(scope="module")
def start(tiny, nuclei, workshop):
    """A function that starts a run of a tiny U-Net with batch normalisation and dropout."""

    def begin(*, seed=0, epochs=EPOCHS, deadline=None, workshop=workshop, **changes):
        wanted = {
            "image_size": 32,
            "normalisation": "batch",
            "dropout": 0.2,
            "optimizer": "adamw",
            "schedule": "cosine",
            "augmentation": "full",
            "weight_decay": 1e-3,
        }
        return TrainingRun(
            UNET,
            tiny(UNET, **{**wanted, **changes}),
            train=nuclei.subset(range(6)),
            validation=nuclei.subset(range(6, 8)),
            epochs=epochs,
            seed=seed,
            deadline=deadline,
            workshop=workshop,
        )

    return begin


def finished(run):
    """All reports of a run, and what it leaves."""
    reports = []
    while not run.done():
        reports.append(run.epoch())
    return reports, run.model.get_weights()


@pytest.fixture(scope="module")
def uninterrupted(start):
    """The reports, last and best weights of a whole run of seed 0."""
    run = start()
    reports, weights = finished(run)
    return reports, weights, run.best_weights


@pytest.fixture(scope="module")
def fresh(start):
    """The same in a workshop of its own, with its clock after each epoch and at the end, and the
    seconds that it took in all.
    """
    began, clocks, reports = time.time(), [], []
    run = start(workshop=None)
    while not run.done():
        reports.append(run.epoch())
        clocks.append(run.clock)
    weights = run.model.get_weights()
    run.finish()
    run.score_training_images()
    return SimpleNamespace(
        reports=reports,
        weights=weights,
        clocks=clocks,
        clock=run.clock,
        seconds=time.time() - began,
    )


def learned(report):
    return (report.epoch, report.learning_rate, report.loss, report.validation)


def assert_same_weights(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_reports_every_epoch(uninterrupted):
    reports, *_ = uninterrupted
    assert [report.epoch for report in reports] == list(range(1, EPOCHS + 1))
    for report in reports:
        assert math.isfinite(report.loss)
        assert 0 <= report.validation.iou <= report.validation.dice <= 1
        assert report.images_per_second > 0


def test_training_lowers_the_loss(uninterrupted):
    reports, *_ = uninterrupted
    assert reports[-1].loss < reports[0].loss


def test_the_learning_rate_follows_the_schedule(uninterrupted):
    reports, *_ = uninterrupted
    hyperparameters = {"learning_rate": UNET.paper["learning_rate"], "schedule": "cosine"}
    expected = [optimizers.learning_rate(hyperparameters, k / EPOCHS) for k in range(EPOCHS)]
    assert [report.learning_rate for report in reports] == pytest.approx(expected)


def test_the_learning_rate_moves_evenly_within_an_epoch_and_ends_low(start):
    run = start()
    while not run.done():
        first = run.epoch().learning_rate
    optimizer, peak = run.model.optimizer, UNET.paper["learning_rate"]
    assert float(optimizer.learning_rate) == pytest.approx(0.01 * peak, rel=1e-3)
    assert first > 0.1 * peak


def test_the_same_seed_gives_the_same_run(fresh, uninterrupted):
    expected, expected_weights, _ = uninterrupted
    assert [learned(report) for report in fresh.reports] == [learned(r) for r in expected]
    assert_same_weights(fresh.weights, expected_weights)


def test_another_seed_gives_another_run(start, uninterrupted):
    reports, _ = finished(start(seed=1))
    assert reports[-1].loss != uninterrupted[0][-1].loss


@pytest.mark.parametrize("epochs_before", [1, 2])
def test_a_resumed_run_ends_as_an_uninterrupted_one(start, uninterrupted, tmp_path, epochs_before):
    run = start()
    reports = [run.epoch() for _ in range(epochs_before)]
    run.save(tmp_path)
    saved = run.clock

    other = start(seed=0)
    other.load(tmp_path)
    assert other.epochs_run == epochs_before
    assert other.clock == saved
    assert other.best == run.best
    rest, weights = finished(other)

    expected, expected_weights, expected_best = uninterrupted
    assert [learned(report) for report in reports + rest] == [learned(r) for r in expected]
    assert_same_weights(weights, expected_weights)
    assert_same_weights(other.best_weights, expected_best)


def test_the_first_step_after_resuming_counts_as_start_as_it_builds_the_graph(start, tmp_path):
    run = start()
    run.epoch()
    run.save(tmp_path)
    other = start()
    other.load(tmp_path)
    report = other.epoch()
    assert other.clock.start > run.clock.start
    trained = other.clock.train - run.clock.train
    assert report.images_per_second == pytest.approx(4 / trained, rel=0.01)


def test_the_best_epochs_weights_are_those_that_are_evaluated_at_the_end(start):
    run = start(threshold=0.3)
    weights, scores = [], []
    while not run.done():
        if run.epochs_run == EPOCHS - 1:  # the last epoch then finds no nucleus anywhere
            run.model.get_layer("logits").bias.assign([-100.0])
            run.model.optimizer.read()
        scores.append(run.epoch().validation)
        weights.append(run.model.get_weights())
    best = max(range(EPOCHS), key=lambda epoch: scores[epoch].iou)
    assert scores[-1].iou == 0 < scores[best].iou

    evaluation = run.finish()
    assert_same_weights(run.model.get_weights(), weights[best])
    assert run.best == scores[best]
    assert evaluation.scores.iou == pytest.approx(scores[best].iou)
    assert set(evaluation.by_image) == set(run.validation.ids)


def test_best_weights_are_read_from_a_checkpoint_alone(start, tmp_path):
    run = start()
    run.epoch()
    run.save(tmp_path)
    state = (tmp_path / "state.npz").read_bytes()
    assert_same_weights(best_weights(state), run.best_weights)


def test_scores_on_training_images_take_as_many_as_there_are_validation_images(start):
    run = start()
    run.epoch()
    before = run.clock.evaluate
    expected = evaluate_pixels(run.model, UNET, run.hyperparameters, run.train.subset([0, 1]))
    assert run.score_training_images() == expected
    assert run.clock.evaluate > before


def test_a_deadline_ends_the_run_in_time(start):
    start().epoch()  # so that building graphs takes none of the time
    deadline = time.time() + 8
    run = start(epochs=100_000, deadline=deadline)
    progress = []
    while not run.done():
        run.epoch()
        progress.append(run.progress)
    run.finish()
    assert time.time() < deadline + 2  # a second more than epochs take, for a busy machine
    assert time.time() > deadline - 3
    assert 2 < run.epochs_run < 100_000
    assert all(a < b for a, b in pairwise([0, *progress]))
    assert progress[-1] > 0.9  # the cosine ends where the time does


def test_a_deadline_far_away_changes_nothing(start, uninterrupted):
    reports, weights = finished(start(deadline=time.time() + 10_000))
    assert len(reports) == EPOCHS
    assert_same_weights(weights, uninterrupted[1])


def test_a_run_whose_deadline_has_passed_still_has_one_epoch(start):
    run = start(deadline=time.time() - 1)
    assert not run.done()
    run.epoch()
    assert run.done()
    assert run.finish().scores.iou == pytest.approx(run.best.iou)


@pytest.mark.parametrize("seconds", [None, 10_000])
def test_progress_rises_from_0_to_1(start, seconds):
    run = start(deadline=seconds and time.time() + seconds)
    progress = [run.progress]
    while not run.done():
        run.epoch()
        progress.append(run.progress)
    assert progress[0] == 0
    assert all(a < b for a, b in pairwise(progress))
    assert progress[-1] == 1


def test_clocks_add_up_to_the_time_that_passed(fresh):
    assert fresh.clock.total == pytest.approx(fresh.seconds, rel=0.02, abs=0.1)
    assert min(fresh.clock.start, fresh.clock.train, fresh.clock.evaluate) > 0


def test_building_the_graph_is_start_and_not_training(fresh):
    first = fresh.clocks[0]
    assert first.start > first.train
    # One of two batches: the first step is not counted.
    assert fresh.reports[0].images_per_second == pytest.approx(4 / first.train, rel=0.01)


def test_clocks_are_added_part_by_part():
    assert Clock(1, 2, 3) + Clock(10, 20, 30) == Clock(11, 22, 33)
    assert Clock(1, 2, 3).total == 6


def test_an_epoch_of_a_single_batch_counts_as_training(start):
    run = start(batch_size=6)
    report = run.epoch()
    assert run.clock.train > 0
    assert report.images_per_second == pytest.approx(6 / run.clock.train, rel=0.01)


def test_a_loss_that_is_no_number_is_an_error_that_names_the_rate(start):
    run = start(learning_rate=1e30, optimizer="sgd", schedule="constant", normalisation="none")
    with pytest.raises(DivergedError, match=r"loss became (nan|inf) in epoch \d.* rate 1e\+30"):
        finished(run)
