import numpy as np
import pytest

from analysis.intervals import Interval, mean_interval


def test_the_interval_holds_the_mean_and_narrows_with_more_values():
    rng = np.random.default_rng(1)
    few, many = (mean_interval(rng.normal(5, 1, count)) for count in (10, 1000))
    assert few.low < few.mean < few.high
    assert many.high - many.low == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.1)
    assert few.high - few.low > 5 * (many.high - many.low)


def test_the_same_values_give_the_same_interval():
    assert mean_interval([1, 2, 4]) == mean_interval([1, 2, 4])


def test_equal_values_leave_no_doubt():
    assert mean_interval([0.25] * 5) == Interval(0.25, 0.25, 0.25, 5)


def test_one_value_has_no_interval():
    alone = mean_interval([0.5])
    assert alone == Interval(0.5, None, None, 1)
    assert alone.sign == 0
    assert str(alone) == "0.500 (one value)"


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.3, 1), (-0.3, -0.1, -1), (-0.1, 0.1, 0)])
def test_a_difference_has_a_sign_only_if_its_interval_leaves_out_zero(low, high, sign):
    interval = Interval((low + high) / 2, low, high, 9)
    assert interval.sign == sign
    assert (-interval).sign == -sign


def test_intervals_that_do_not_meet_lie_above_each_other():
    low, middle, high = (Interval(m, m - 0.1, m + 0.1, 9) for m in (0.5, 0.6, 0.8))
    assert high.lies_above(low)
    assert not low.lies_above(high)
    assert not middle.lies_above(low)
