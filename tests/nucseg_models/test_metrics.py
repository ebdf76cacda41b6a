from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from stardist.matching import matching

from nucseg_models import metrics

properties = settings(max_examples=50, deadline=None, derandomize=True)
shapes = st.tuples(st.integers(1, 6), st.integers(1, 6))
label_pairs = shapes.flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.int32, shape, elements=st.integers(0, 4))] * 2)
)
NOTHING = np.zeros((2, 3), np.int32)


def labels(*rows: str) -> np.ndarray:
    """An int32 label image from rows of digits."""
    return np.array([[int(digit) for digit in row] for row in rows], np.int32)


def overlaps(truth: np.ndarray, predicted: np.ndarray) -> metrics.Overlaps:
    return metrics.overlap_counts(truth, predicted)


# Two nuclei of 4 pixels; the first found but for one pixel (IoU 3/4), the second found with one
# pixel too many (IoU 4/5), and one extra object of one pixel.
TRUTH = labels("1100220", "1100220", "0000000")
PREDICTED = labels("1100222", "1000220", "3000000")


def test_pixel_scores_are_those_counted_by_hand():
    scores = metrics.score_pixels(TRUTH, PREDICTED > 0)
    assert scores.iou == 7 / 10
    assert scores.dice == 14 / 17
    assert scores.accuracy == 18 / 21


def test_the_overlap_table_holds_areas_and_shared_pixels():
    table = overlaps(TRUTH, PREDICTED)
    assert table.true_areas.tolist() == [0, 4, 4]
    assert table.predicted_areas.tolist() == [0, 3, 5, 1]
    assert list(zip(table.true, table.predicted, table.intersection, strict=True)) == [
        (1, 1, 3),
        (2, 2, 4),
    ]
    assert table.iou.tolist() == [3 / 4, 4 / 5]


def test_data_science_bowl_score_is_the_mean_over_ten_thresholds():
    # Both nuclei up to 0.70, one at 0.75 (0.75 is not above itself), none from 0.80.
    # TP/(TP+FP+FN): 2/(2+1+0) five times, 1/(1+2+1) once, 0 four times.
    expected = (5 * 2 / 3 + 1 / 4) / 10
    assert metrics.data_science_bowl_score(overlaps(TRUTH, PREDICTED)) == pytest.approx(expected)


def test_f1_counts_matches_misses_and_extras():
    assert metrics.f1(overlaps(TRUTH, PREDICTED), 70) == 4 / 5
    assert metrics.f1(overlaps(TRUTH, PREDICTED), 75) == 2 / 5


def test_aggregated_jaccard_adds_extra_predictions_to_the_union():
    assert metrics.aggregated_jaccard(overlaps(TRUTH, PREDICTED)) == 7 / (4 + 5 + 1)


def test_aggregated_jaccard_adds_missed_nuclei_to_the_union():
    assert metrics.aggregated_jaccard(overlaps(TRUTH, labels(*["1100000"] * 2, "0" * 7))) == 4 / 8


def test_aggregated_jaccard_lets_two_nuclei_share_a_prediction():
    # Both nuclei pair with prediction 1: shared 3 + 1, unions 5 + 5, nothing is extra.
    table = overlaps(labels("111122"), labels("011110"))
    assert metrics.aggregated_jaccard(table) == (3 + 1) / (5 + 5)


def test_a_piece_that_is_no_best_match_is_extra_in_aggregated_jaccard():
    assert metrics.aggregated_jaccard(overlaps(labels("1111"), labels("1112"))) == 3 / (4 + 1)


def test_a_tie_in_aggregated_jaccard_leaves_no_equal_prediction_over():
    assert metrics.aggregated_jaccard(overlaps(labels("1111"), labels("1122"))) == 2 / 4


def test_iou_exactly_at_the_threshold_is_no_match():
    halves = overlaps(labels("1111"), labels("1122"))
    assert metrics.true_positives(halves, 50) == 0
    eleven_of_twenty = overlaps(labels("1" * 20), labels("1" * 11 + "0" * 9))
    assert metrics.true_positives(eleven_of_twenty, 55) == 0
    assert metrics.true_positives(eleven_of_twenty, 50) == 1


def test_thresholds_without_unique_matches_are_refused():
    with pytest.raises(ValueError, match=r"50\.\.100 .* not 45"):
        metrics.true_positives(overlaps(TRUTH, PREDICTED), 45)


def test_one_nucleus_in_two_pieces_is_one_split():
    table = overlaps(labels("111111222"), labels("112233444"))
    assert (metrics.splits(table), metrics.merges(table)) == (1, 0)


def test_two_nuclei_under_one_prediction_are_one_merge():
    table = overlaps(labels("112233444"), labels("111111222"))
    assert (metrics.splits(table), metrics.merges(table)) == (0, 1)


def test_a_tenth_of_a_nucleus_is_no_piece_of_it_but_a_little_more_is():
    tenth = overlaps(labels("1111111111"), labels("1222222222"))
    assert metrics.splits(tenth) == 0
    ninth = overlaps(labels("111111111"), labels("122222222"))
    assert metrics.splits(ninth) == 1


def test_an_image_without_nuclei_scores_one_if_left_empty():
    assert astuple(metrics.score_image(NOTHING, NOTHING)) == (1, 1, 1, 1, 1, 1, 1, 0, 0)


def test_nuclei_predicted_where_there_are_none_score_zero():
    predicted = labels("110", "000")
    assert astuple(metrics.score_image(NOTHING, predicted)) == (0, 0, 4 / 6, 0, 0, 0, 0, 0, 0)
    assert astuple(metrics.score_image(predicted, NOTHING)) == (0, 0, 4 / 6, 0, 0, 0, 0, 0, 0)


def test_the_mean_weighs_images_alike_and_adds_up_splits_and_merges():
    good = metrics.Scores(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, splits=1, merges=2)
    bad = metrics.Scores(0.5, 0.0, 0.5, 0.0, 0.5, 0.25, 0.0, splits=3, merges=0)
    mean = metrics.mean_scores([good, bad])
    assert astuple(mean) == (0.75, 0.5, 0.75, 0.5, 0.75, 0.625, 0.5, 4, 2)
    assert metrics.mean_pixel_scores([good, bad]) == metrics.PixelScores(0.75, 0.5, 0.75)


@pytest.mark.parametrize("mean", [metrics.mean_scores, metrics.mean_pixel_scores])
def test_the_mean_of_no_images_is_an_error(mean):
    with pytest.raises(ValueError, match="at least one image"):
        mean([])


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (NOTHING, NOTHING.T, r"one size, not \(2, 3\) and \(3, 2\)"),
        (NOTHING, NOTHING > 0, "predicted labels must be integers, not bool"),
        (NOTHING - 1, NOTHING, "true labels must be 0 or above, not -1"),
    ],
)
def test_arrays_that_are_no_label_images_are_refused(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        metrics.score_image(truth, predicted)


def test_masks_of_different_size_are_refused_even_if_they_would_broadcast():
    with pytest.raises(ValueError, match="one size"):
        metrics.foreground_iou(np.ones((2, 3), bool), np.ones((1, 3), bool))


@properties
@given(label_pairs)
def test_a_perfect_prediction_scores_one(pair):
    truth, _ = pair
    scores = metrics.score_image(truth, truth)
    assert astuple(scores) == (1, 1, 1, 1, 1, 1, 1, 0, 0)


@properties
@given(label_pairs)
def test_scores_lie_between_zero_and_one(pair):
    *shares, splits, merges = astuple(metrics.score_image(*pair))
    assert all(0 <= share <= 1 for share in shares)
    assert 0 <= splits <= len(np.unique(pair[0][pair[0] > 0]))
    assert 0 <= merges <= len(np.unique(pair[1][pair[1] > 0]))


@properties
@given(label_pairs, st.permutations([1, 2, 3, 4]), st.permutations([9, 2, 70, 4]))
@example((labels("1122", "1133"), labels("1112", "1122")), [4, 3, 2, 1], [70, 9, 4, 2])
def test_the_numbering_of_labels_does_not_matter(pair, true_names, predicted_names):
    truth, predicted = pair
    renamed = (
        np.array([0, *true_names], np.int32)[truth],
        np.array([0, *predicted_names], np.int32)[predicted],
    )
    assert metrics.score_image(*renamed) == metrics.score_image(truth, predicted)


@properties
@given(label_pairs, st.sampled_from([np.flipud, np.fliplr, np.rot90, np.transpose]))
def test_an_image_that_is_turned_over_scores_the_same(pair, turn):
    assert metrics.score_image(*map(turn, pair)) == metrics.score_image(*pair)


@properties
@given(label_pairs)
def test_only_aggregated_jaccard_tells_truth_from_prediction(pair):
    truth, predicted = pair
    there, back = metrics.score_image(truth, predicted), metrics.score_image(predicted, truth)
    assert there == replace(back, aji=there.aji, splits=back.merges, merges=back.splits)


@properties
@given(label_pairs)
def test_a_higher_threshold_never_finds_more(pair):
    table = overlaps(*pair)
    found = [metrics.true_positives(table, percent) for percent in (*metrics.THRESHOLDS, 100)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == 0


@properties
@given(label_pairs)
def test_dice_of_one_image_follows_from_its_iou(pair):
    scores = metrics.score_image(*pair)
    assert scores.dice == pytest.approx(2 * scores.iou / (1 + scores.iou))


@properties
@given(label_pairs)
def test_nucleus_scores_agree_with_stardist(pair):
    truth, predicted = pair
    if not truth.any() and not predicted.any():
        return  # 1 here, 0 there
    table = overlaps(truth, predicted)
    # StarDist also counts an IoU equal to the threshold: ask a hair above it.
    thresholds = [percent / 100 + 1e-6 for percent in metrics.THRESHOLDS]
    reference = matching(truth, predicted, thresh=thresholds)
    for percent, at_threshold in zip(metrics.THRESHOLDS, reference, strict=True):
        assert metrics.true_positives(table, percent) == at_threshold.tp
        assert metrics.f1(table, percent) == pytest.approx(at_threshold.f1)
    expected = np.mean([at_threshold.accuracy for at_threshold in reference])
    assert metrics.data_science_bowl_score(table) == pytest.approx(expected)
