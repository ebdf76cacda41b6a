import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume  # its only public face needs a whole study

from analysis.pareto import front, hypervolumes

points = st.lists(
    st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(lambda n: n / 8)),
    min_size=1,
    max_size=30,
)


def test_the_front_holds_what_nothing_cheaper_reaches():
    costs, gains = [3, 1, 2, 4, 2], [0.9, 0.5, 0.4, 0.9, 0.7]
    assert front(costs, gains).tolist() == [1, 4, 0]


def test_of_equal_points_the_first_is_on_the_front():
    assert front([1, 1, 1], [0.5, 0.6, 0.6]).tolist() == [1]


def test_what_gains_nothing_is_not_on_the_front_however_cheap():
    assert front([1, 2], [0.0, 0.3]).tolist() == [1]
    assert front([1.0], [0.0]).tolist() == []


@given(points)
def test_each_point_is_on_the_front_or_beaten_by_one_that_is(some):
    costs, gains = np.array(some).T
    chosen = front(costs, gains)
    for cost, gain in some:
        assert gain == 0 or any(costs[i] <= cost and gains[i] >= gain for i in chosen)
    for i in chosen:
        beaten = (costs <= costs[i]) & (gains >= gains[i])
        assert not (beaten & ((costs < costs[i]) | (gains > gains[i]))).any()


def test_the_hypervolume_grows_by_what_each_point_adds():
    # (1, 0.5) alone: 9 x 0.5; (4, 1) adds 6 x 0.5; (2, 0.25) nothing; (0, 1) takes all.
    costs, gains = [1, 4, 2, 0], [0.5, 1.0, 0.25, 1.0]
    assert hypervolumes(costs, gains, 10.0).tolist() == [4.5, 7.5, 7.5, 10.0]


@given(points, st.integers(1, 9).map(float))
def test_the_hypervolume_is_what_optuna_computes(some, reference):
    costs, gains = np.array(some).T
    losses = np.column_stack([costs, -gains])
    for count, found in enumerate(hypervolumes(costs, gains, reference), start=1):
        inside = losses[:count][costs[:count] < reference]
        expected = compute_hypervolume(inside, np.array([reference, 0.0])) if len(inside) else 0
        assert found == pytest.approx(expected)
