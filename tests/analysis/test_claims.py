import json

import polars as pl
import pytest

from analysis import claims, load
from analysis.claims import CONFIRMED, REFUTED, UNDECIDED
from analysis.evidence import Evidence
from analysis.load import AnalysisError
from sweeps.record import TrialRecord, to_table
from sweeps.winner_record import ImageRecord

RISING = {"cnn": 0.5, "resnet": 0.6, "unet": 0.7, "mask_rcnn": 0.8}


@pytest.fixture
def evidence(sweep_folder, trial_record, image_record):
    """A function from IoU (and DSB score) by architecture to evidence with thirty images each.

    seeds: what three repeats add to it; no repeats if empty.
    """

    def make(iou, cost=None, splits=None, seeds=(-0.001, 0.0, 0.001)):
        cost, splits = cost or {}, splits or {}

        def trial(name, value, **more):
            figures = {"val_splits": splits.get(name, 20), "val_merges": 1, "val_map": value}
            return trial_record(
                architecture=name,
                val_iou=value,
                device_seconds=cost.get(name, 100.0),
                **{"trial_id": name, **figures, **more},
            )

        trials = [trial(name, value, is_best=True) for name, value in iou.items()]
        trials += [
            trial(name, value + more, trial_id=f"{name}-again-{n}", confirms=name)
            for name, value in iou.items()
            for n, more in enumerate(seeds)
        ]
        images = [
            image_record(
                architecture=name,
                trial_id=name,
                image=str(n),
                iou=value + n / 1000,
                map=value,
                splits=splits.get(name, 20),
            )
            for name, value in iou.items()
            for n in range(30)
        ]
        folder = sweep_folder(trials, images=images)
        return Evidence(load.trials([folder]), load.images([folder]))

    return make


def test_a_rise_over_images_and_seeds_confirms_the_order(evidence):
    verdict = claims.iou_rises(evidence(RISING))
    assert verdict.verdict == CONFIRMED
    assert (
        "ResNet-152 - Simple CNN: IoU over images 0.100 (0.100 to 0.100; n = 30)"
        in (verdict.figures[0])
    )


def test_one_sure_fall_refutes_the_order(evidence):
    assert claims.iou_rises(evidence({**RISING, "resnet": 0.4})).verdict == REFUTED


@pytest.mark.parametrize("seeds", [(), (0.0,), (-0.2, 0.0, 0.2)])
def test_without_seeds_that_agree_nothing_is_decided(evidence, seeds):
    verdict = claims.iou_rises(evidence(RISING, seeds=seeds))
    assert verdict.verdict == UNDECIDED
    assert ("over fresh seeds not measured" in verdict.figures[0]) == (len(seeds) < 2)


def test_a_missing_architecture_leaves_the_order_open_but_the_others_are_compared(evidence):
    verdict = claims.iou_rises(evidence({"cnn": 0.5, "unet": 0.7}))
    assert verdict.verdict == UNDECIDED
    (figure,) = verdict.figures
    assert figure.startswith("U-Net - Simple CNN: IoU over images 0.200 (0.200 to 0.200; n = 30)")


def test_a_fall_over_a_missing_architecture_refutes_the_order(evidence):
    assert claims.iou_rises(evidence({"cnn": 0.7, "unet": 0.5})).verdict == REFUTED


def test_of_one_architecture_alone_no_step_is_measured(evidence):
    verdict = claims.iou_rises(evidence({"cnn": 0.5}))
    assert verdict.verdict == UNDECIDED
    assert all("over images not measured" in figure for figure in verdict.figures)


@pytest.mark.parametrize(
    ("cost", "iou", "verdict"),
    [
        ({"resnet": 900.0}, RISING, CONFIRMED),
        ({"unet": 900.0}, RISING, REFUTED),  # not the slowest
        ({"resnet": 900.0}, {**RISING, "resnet": 0.4}, REFUTED),  # the worst
        ({"resnet": 900.0}, {**RISING, "resnet": 0.9}, REFUTED),  # the best
        ({"resnet": 900.0}, {**RISING, "resnet": 0.5005}, UNDECIDED),  # a tie
    ],
)
def test_compute_is_judged_by_resnets_cost_and_rank(evidence, cost, iou, verdict):
    assert claims.compute_rises_otherwise(evidence(iou, cost)).verdict == verdict


def test_compute_stays_open_without_repeats(evidence):
    found = claims.compute_rises_otherwise(evidence(RISING, {"resnet": 900.0}, seeds=()))
    assert found.verdict == UNDECIDED


@pytest.mark.parametrize(
    ("iou", "splits", "verdict"),
    [
        (RISING, 10, CONFIRMED),
        (RISING, 30, UNDECIDED),  # better scores, but more errors
        ({**RISING, "mask_rcnn": 0.65}, 10, REFUTED),
    ],
)
def test_separation_needs_a_better_score_without_more_errors(evidence, iou, splits, verdict):
    found = claims.mask_rcnn_separates_best(evidence(iou, splits={"mask_rcnn": splits}))
    assert found.verdict == verdict


def test_errors_are_counted_an_image_over_images_and_over_seeds(evidence):
    found = evidence(RISING, splits={"mask_rcnn": 10}).difference(
        "mask_rcnn", "unet", "errors", comparisons=1
    )
    assert found.over_images.mean == -10.0  # each of 30 images has 10 less
    assert found.over_seeds.mean == pytest.approx(-10 / 30)  # all images of a repeat together


def test_a_rival_that_finds_nothing_and_so_errs_never_refutes_separation(evidence):
    splits = {"cnn": 0, "mask_rcnn": 10}
    found = claims.mask_rcnn_separates_best(evidence({**RISING, "cnn": 0.01}, splits=splits))
    assert found.verdict == UNDECIDED


@pytest.mark.parametrize(("unsplit", "verdict"), [(0.4, CONFIRMED), (0.9, REFUTED)])
def test_masks_need_splitting_if_that_raises_the_score(
    sweep_folder, image_record, trial_record, unsplit, verdict
):
    whose = [{"architecture": name, "trial_id": name} for name in ("cnn", "resnet", "unet")]
    images = [
        image_record(**each, image=str(n), map=0.6, map_unsplit=unsplit)
        for each in whose
        for n in range(5)
    ]
    folder = sweep_folder([trial_record(**each, is_best=True) for each in whose], images=images)
    found = claims.masks_need_splitting(Evidence(load.trials([folder]), load.images([folder])))
    assert found.verdict == verdict
    assert len(found.figures) == 3


def test_without_scores_of_components_it_stays_open_whether_masks_need_splitting(evidence):
    assert claims.masks_need_splitting(evidence(RISING)).verdict == UNDECIDED


def by_image(score, images=30):
    """What each of some images scored, around a mean."""
    scores = [score + (n % 3 - 1) / 100 for n in range(images)]
    return json.dumps({"iou": scores, "map": scores}, sort_keys=True)


def activations(sweep_folder, trial_record, sigmoid, others, architecture="unet"):
    """The verdict on sigmoid from U-Net's trials with it, and a network's without."""
    rows = [*(("sigmoid", "unet", iou) for iou in sigmoid)]
    rows += [("relu", architecture, iou) for iou in others]
    trials = [
        trial_record(
            trial_id=f"{name}-{n}",
            architecture=name,
            val_iou=iou,
            val_by_image=by_image(iou),
            hyperparameters=f'{{"activation": "{activation}"}}',
        )
        for n, (activation, name, iou) in enumerate(rows)
    ]
    folder = sweep_folder(trials)
    return claims.sigmoid_learns_worse(Evidence(load.trials([folder]), load.images([folder])))


@pytest.mark.parametrize(
    ("sigmoid", "others", "verdict"),
    [
        ([0.1, 0.2, 0.1], [0.7, 0.8, 0.7], CONFIRMED),
        ([0.7, 0.8, 0.7], [0.1, 0.2, 0.1], REFUTED),
        ([0.1, 0.9, 0.5], [0.7, 0.8], UNDECIDED),
        ([0.1], [0.7, 0.8], UNDECIDED),
    ],
)
def test_sigmoid_is_judged_by_trials_with_and_without_it(
    sweep_folder, trial_record, sigmoid, others, verdict
):
    assert activations(sweep_folder, trial_record, sigmoid, others).verdict == verdict


def test_sigmoid_is_not_judged_by_another_networks_trials(sweep_folder, trial_record):
    found = activations(sweep_folder, trial_record, [0.1, 0.1], [0.7, 0.7], "mask_rcnn")
    assert found.verdict == UNDECIDED


def test_sweeps_of_different_images_are_not_judged_together(sweep_folder, trial_record):
    first = sweep_folder([trial_record()], name="a")
    other = trial_record(dataset="plates", dataset_sha256="f" * 64)
    folders = [first, sweep_folder([other], name="b")]
    with pytest.raises(AnalysisError, match=r"used different images.*: plates, synthetic"):
        Evidence(load.trials(folders), load.images(folders))


@pytest.mark.parametrize(
    "case",
    [
        (
            claims.residuals_cure_sigmoid,
            '{"activation": "sigmoid", "residual": true}',
            '{"activation": "sigmoid", "residual": false}',
        ),
        (
            claims.combining_is_better,
            '{"fill": true, "semantic_head": true}',
            '{"fill": true, "semantic_head": false}',
        ),
    ],
)
@pytest.mark.parametrize(("gain", "verdict"), [(0.5, CONFIRMED), (-0.3, REFUTED), (0.0, UNDECIDED)])
def test_what_a_setting_brings_is_judged_by_trials_with_and_without_it(
    sweep_folder, trial_record, case, gain, verdict
):
    claim, first, second = case
    scores = [(first, 0.4 + gain), (first, 0.41 + gain), (second, 0.4), (second, 0.41)]
    trials = [
        trial_record(
            trial_id=f"mask_rcnn-{n}",
            architecture="mask_rcnn",
            val_iou=score,
            val_map=score,
            val_by_image=by_image(score),
            hyperparameters=text,
        )
        for n, (text, score) in enumerate(scores)
    ]
    folder = sweep_folder(trials)
    assert claim(Evidence(load.trials([folder]), load.images([folder]))).verdict == verdict


@pytest.mark.parametrize(
    ("images", "verdict", "figure"),
    [
        ((0.2, 0.8), CONFIRMED, "over images, best less best, 0.600 (0.600 to 0.600; n = 30)"),
        ((0.8, 0.2), UNDECIDED, "over images, best less best, -0.600 (-0.600 to -0.600; n = 30)"),
        ((None, 0.8), UNDECIDED, "over images, best less best, not measured"),
    ],
)
def test_a_setting_has_to_be_better_over_trials_and_over_images(
    sweep_folder, trial_record, images, verdict, figure
):
    trials = [
        trial_record(
            trial_id=f"unet-{n}",
            val_iou=(0.1, 0.7)[n // 2] + n / 100,
            val_by_image=images[n // 2] and by_image(images[n // 2]),
            hyperparameters=f'{{"activation": "{("sigmoid", "relu")[n // 2]}"}}',
        )
        for n in range(4)
    ]
    folder = sweep_folder(trials)
    found = claims.sigmoid_learns_worse(Evidence(load.trials([folder]), load.images([folder])))
    assert found.verdict == verdict
    assert figure in found.figures[0]


def test_residuals_are_judged_among_sigmoid_networks_only(sweep_folder, trial_record):
    texts = [
        '{"activation": "relu", "residual": true}',
        '{"activation": "relu", "residual": false}',
    ]
    trials = [
        trial_record(trial_id=f"unet-{n}", val_iou=0.9 - n / 5, hyperparameters=texts[n // 2])
        for n in range(4)
    ]
    folder = sweep_folder(trials)
    found = claims.residuals_cure_sigmoid(Evidence(load.trials([folder]), load.images([folder])))
    assert found.verdict == UNDECIDED


def test_of_several_sweeps_the_best_winner_alone_is_judged(evidence, trial_record, image_record):
    night = evidence({"unet": 0.9, "mask_rcnn": 0.8})
    weak = [trial_record(sweep="smoke", architecture="unet", val_iou=0.1, is_best=True)]
    poor = [
        image_record(sweep="smoke", architecture="unet", image=str(n), iou=0.1) for n in range(30)
    ]
    both = Evidence(
        pl.concat([night.trials, pl.from_arrow(to_table(TrialRecord, weak))]),
        pl.concat([night.images, pl.from_arrow(to_table(ImageRecord, poor))]),
    )
    for each in (night, both):
        apart = each.difference("mask_rcnn", "unet", "iou", 1).over_images
        assert apart.mean == pytest.approx(-0.1)


def test_splitting_is_confirmed_only_where_every_network_was_measured(evidence, image_record):
    found = evidence({"unet": 0.7})
    gained = found.images.with_columns(map_unsplit=pl.col("map") - 0.2)
    verdict = claims.masks_need_splitting(Evidence(found.trials, gained))
    assert verdict.verdict == UNDECIDED
    assert "by splitting 0.200" in verdict.figures[2]
    assert verdict.figures[0].endswith("not measured")
