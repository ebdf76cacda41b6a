import numpy as np
import pytest

from analysis.intervals import Interval, difference_interval, mean_interval


@pytest.mark.parametrize("count", [3, 8, 60])
def test_the_interval_holds_the_true_mean_in_about_95_of_100_cases(count):
    rng = np.random.default_rng(count)
    found = [mean_interval(rng.normal(5, 1, count)) for _ in range(300)]
    held = np.mean([interval.low <= 5 <= interval.high for interval in found])
    assert 0.9 <= held <= 0.99


def test_the_same_values_give_the_same_interval():
    values = np.arange(40) % 7
    assert mean_interval(values) == mean_interval(values)


def test_less_doubt_is_asked_for_by_a_wider_interval():
    values = np.arange(40) % 7
    assert mean_interval(values, 0.99).low < mean_interval(values).low


@pytest.mark.parametrize("count", [5, 50])
def test_equal_values_leave_no_doubt(count):
    assert mean_interval([0.25] * count) == Interval(0.25, 0.25, 0.25, count)


def test_one_value_has_no_interval():
    alone = mean_interval([0.5])
    assert alone == Interval(0.5, None, None, 1)
    assert alone.sign == 0
    assert str(alone) == "0.500 (one value)"


def test_an_interval_says_over_how_many_values_it_is():
    assert str(Interval(0.5, 0.4, 0.6, 3)) == "0.500 (0.400 to 0.600; n = 3)"


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.3, 1), (-0.3, -0.1, -1), (-0.1, 0.1, 0)])
def test_a_difference_has_a_sign_only_if_its_interval_leaves_out_zero(low, high, sign):
    assert Interval((low + high) / 2, low, high, 9).sign == sign


def test_the_difference_of_two_means_is_welchs():
    # Means 2 and 1, variances 1 and 1, three values each: 1 +- 2.776 x sqrt(2 / 3).
    found = difference_interval([1, 2, 3], [0, 1, 2])
    assert found.mean == 1
    assert (found.low, found.high) == pytest.approx((1 - 2.2669, 1 + 2.2669), abs=1e-3)


def test_the_difference_of_constants_is_sure():
    assert difference_interval([3, 3], [1, 1]) == Interval(2.0, 2.0, 2.0, 2)
