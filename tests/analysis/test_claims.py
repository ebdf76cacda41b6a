import pytest

from analysis import claims, load
from analysis.claims import CONFIRMED, REFUTED, UNDECIDED, Evidence

RISING = {"cnn": 0.5, "resnet": 0.6, "unet": 0.7, "mask_rcnn": 0.8}


@pytest.fixture
def evidence(sweep_folder, trial_record, image_record):
    """A function from IoU (and DSB score) by architecture to evidence with ten images each."""

    def make(iou, cost=None, splits=None):
        cost, splits = cost or {}, splits or {}
        trials = [
            trial_record(
                architecture=name,
                trial_id=name,
                is_best=True,
                val_iou=value,
                device_seconds=cost.get(name, 100.0),
            )
            for name, value in iou.items()
        ]
        images = [
            image_record(
                architecture=name,
                trial_id=name,
                image=str(n),
                iou=value + n / 1000,
                map=value,
                splits=splits.get(name, 2),
            )
            for name, value in iou.items()
            for n in range(10)
        ]
        folder = sweep_folder(trials, images=images)
        return Evidence(load.trials([folder]), load.images([folder]))

    return make


def test_a_rise_on_every_image_confirms_the_order(evidence):
    verdict = claims.iou_rises(evidence(RISING))
    assert verdict.verdict == CONFIRMED
    assert verdict.figures[0] == "ResNet-152 - Simple CNN: IoU 0.100 (0.100 to 0.100)"


def test_one_sure_fall_refutes_the_order(evidence):
    assert claims.iou_rises(evidence({**RISING, "resnet": 0.4})).verdict == REFUTED


def test_a_missing_architecture_leaves_the_order_open(evidence):
    verdict = claims.iou_rises(evidence({"cnn": 0.5, "unet": 0.7}))
    assert verdict.verdict == UNDECIDED
    assert "not measured" in verdict.figures[0]


@pytest.mark.parametrize(
    ("cost", "third", "verdict"),
    [({"resnet": 900.0}, 0.6, CONFIRMED), ({"unet": 900.0}, 0.6, REFUTED)],
)
def test_compute_is_judged_by_the_slowest_and_its_rank(evidence, cost, third, verdict):
    assert claims.compute_rises_otherwise(evidence(RISING, cost)).verdict == verdict


def test_resnet_as_the_worst_refutes_that_it_is_third(evidence):
    found = claims.compute_rises_otherwise(evidence({**RISING, "resnet": 0.4}, {"resnet": 900.0}))
    assert found.verdict == REFUTED


def test_separation_needs_a_better_score_and_fewer_errors(evidence):
    fewer = {"mask_rcnn": 1}
    assert claims.mask_rcnn_separates_best(evidence(RISING, splits=fewer)).verdict == CONFIRMED
    more = {"mask_rcnn": 3}
    assert claims.mask_rcnn_separates_best(evidence(RISING, splits=more)).verdict == REFUTED


def test_the_sum_of_splits_and_merges_is_compared(evidence):
    figures = claims.mask_rcnn_separates_best(evidence(RISING, splits={"mask_rcnn": 1})).figures
    assert "splits and merges an image, Mask R-CNN - U-Net: -1.000 (-1.000 to -1.000)" in figures


@pytest.mark.parametrize(("unsplit", "verdict"), [(0.4, CONFIRMED), (0.9, REFUTED)])
def test_masks_need_splitting_if_that_raises_the_score(
    sweep_folder, image_record, trial_record, unsplit, verdict
):
    images = [image_record(image=str(n), map=0.6, map_unsplit=unsplit) for n in range(5)]
    folder = sweep_folder([trial_record()], images=images)
    found = claims.masks_need_splitting(Evidence(load.trials([folder]), load.images([folder])))
    assert found.verdict == verdict
    assert found.figures[0].endswith("not measured")


def test_without_scores_of_components_it_stays_open_whether_masks_need_splitting(evidence):
    assert claims.masks_need_splitting(evidence(RISING)).verdict == UNDECIDED


def activations(sweep_folder, trial_record, sigmoid, others):
    trials = [
        trial_record(
            trial_id=f"unet-{n}", val_iou=iou, hyperparameters=f'{{"activation": "{activation}"}}'
        )
        for n, (activation, iou) in enumerate(
            [*(("sigmoid", iou) for iou in sigmoid), *(("relu", iou) for iou in others)]
        )
    ]
    folder = sweep_folder(trials)
    return claims.sigmoid_learns_worse(Evidence(load.trials([folder]), load.images([folder])))


def test_sigmoid_is_judged_by_trials_with_and_without_it(sweep_folder, trial_record):
    found = activations(sweep_folder, trial_record, [0.1, 0.2, 0.1], [0.7, 0.8, 0.7])
    assert found.verdict == CONFIRMED
    assert "3 trials with sigmoid: 0.133" in found.figures[0]


@pytest.mark.parametrize("sigmoid", [[], [0.1], [0.1, 0.9, 0.5]])
def test_sigmoid_stays_open_where_trials_are_few_or_mixed(sweep_folder, trial_record, sigmoid):
    assert activations(sweep_folder, trial_record, sigmoid, [0.7, 0.8]).verdict == UNDECIDED
