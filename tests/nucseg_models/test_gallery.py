import numpy as np
import pytest

from nucseg_models import metrics
from nucseg_models.data import Dataset
from nucseg_models.data.synthetic import synthetic
from nucseg_models.gallery import VERDICTS, crowded, judge, place


def squares(*places, shape=(40, 60)):
    """Labels 1, 2, ... of rectangles (top, left, bottom, right)."""
    labels = np.zeros(shape, np.int32)
    for number, (top, left, bottom, right) in enumerate(places, start=1):
        labels[top:bottom, left:right] = number
    return labels


A, B, C = (2, 2, 12, 12), (2, 12, 12, 22), (20, 30, 30, 40)


@pytest.mark.parametrize(
    ("predicted", "counts"),
    [
        ([A, B, C], {"hit": 3}),
        ([A, B], {"hit": 2, "missed": 1}),
        ([A, B, C, (32, 2, 36, 6)], {"hit": 3, "false": 1}),
        ([(2, 2, 12, 22), C], {"hit": 1, "merged": 1}),
        ([A, B, (20, 30, 30, 35), (20, 35, 30, 40)], {"hit": 2, "split": 2}),
        ([A, B, (20, 30, 24, 40)], {"hit": 2, "poor": 1}),
        ([], {"missed": 3}),
    ],
)
def test_each_nucleus_gets_its_verdict(predicted, counts):
    found = judge(squares(A, B, C), squares(*predicted)).counts
    assert {name: count for name, count in found.items() if count} == counts


def test_outlines_are_drawn_in_the_verdicts_code():
    judged = judge(squares(A, C), squares(A))
    assert judged.outlines[2, 5] == VERDICTS.index("hit") + 1
    assert judged.outlines[20, 35] == VERDICTS.index("missed") + 1
    assert judged.outlines[5, 5] == judged.outlines[38, 50] == 0


def test_splits_and_merges_agree_with_the_metrics():
    made = synthetic(4, seed=2, sides=(64, 96))
    for labels in made.labels:
        predicted = np.roll(labels, 2, axis=1) % 7
        overlaps = metrics.overlap_counts(labels, predicted)
        counts = judge(labels, predicted).counts
        assert counts["merged"] == metrics.merges(overlaps)
        assert sum(counts.values()) - counts["missed"] == overlaps.predicted_count


def dataset(*labels, kinds):
    images = [np.zeros((*one.shape, 3), np.uint8) for one in labels]
    ids = tuple(str(n) for n in range(len(labels)))
    return Dataset("made up", images, labels, ids, kinds, "0")


def test_images_where_nuclei_touch_come_first_and_kinds_take_turns():
    few, many, none = squares(A, B, C), squares(A, B, (12, 2, 22, 22)), squares(A, C)
    made = dataset(none, few, many, none, kinds=("tissue", "tissue", "tissue", "brightfield"))
    assert crowded(made, 3) == [3, 2, 1]
    assert crowded(made, 99) == [3, 2, 1, 0]


def test_a_place_lies_where_nuclei_touch_and_within_the_image():
    labels = np.zeros((300, 200), np.int32)
    labels[250:270, 100:120], labels[250:270, 120:140] = 1, 2
    rows, columns = place(labels, side=64)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (64, 64)
    assert rows.start <= 250
    assert rows.stop >= 270
    assert columns.start <= 119 < columns.stop


def test_a_small_image_is_shown_whole():
    assert place(squares(A, B), side=64) == (slice(0, 40), slice(0, 60))
