import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import thinning, tradeoff


def made_up(count):
    """So many scored trials of two networks."""
    rng = np.random.default_rng(count)
    names = ["cnn", "unet"]
    return pl.DataFrame(
        {
            "architecture": [names[n % 2] for n in range(count)],
            "cost": rng.uniform(1, 9, count),
            "gain": rng.uniform(0, 1, count),
            "is_best": [n == 0 for n in range(count)],
            "is_paper": [n == 1 for n in range(count)],
        }
    )


@pytest.mark.parametrize("most", [1, 60, 500])
def test_fronts_best_trials_and_the_papers_rows_are_never_left_out(most):
    scored = made_up(400)
    kept = thinning.trials(scored, "cost", "gain", most)
    assert kept.height == min(400, most) or most == 1
    for part in scored.partition_by("architecture"):
        front = tradeoff.front(part, "cost", "gain")
        assert front.join(kept, on=scored.columns).height == front.height
    assert kept["is_best"].sum() == kept["is_paper"].sum() == 1


def test_what_is_few_stays_as_it_is():
    scored = made_up(30)
    assert thinning.trials(scored, "cost", "gain", 30).equals(scored)


def test_the_same_trials_are_drawn_each_time():
    scored = made_up(300)
    first, second = (thinning.trials(scored, "cost", "gain", 50) for _ in range(2))
    assert first.equals(second)


@given(st.integers(1, 500), st.integers(2, 50))
def test_a_curve_keeps_its_ends_and_at_most_so_many_points(count, most):
    places = thinning.evenly(count, most)
    assert (places[0], places[-1]) == (0, count - 1)
    assert len(places) <= most
    assert len(places) == count or count > most


def test_intervals_with_small_gaps_are_one():
    assert thinning.merged([0, 5, 20], [4, 9, 30], gap=2) == [(0, 9), (20, 30)]
    assert thinning.merged([0, 1], [9, 3], gap=1) == [(0, 9)]
    assert thinning.merged([], [], gap=1) == []
