"""What a trial may need at most."""

import pytest

from sweeps.config import SweepConfig
from sweeps.limits import Limits

LIMITS = Limits({"peak_memory_bytes": 4e9, "predict_seconds": 0.5})


def test_limits_are_those_that_were_asked_for():
    asked = SweepConfig(arch="cnn", name="night", max_memory="4GB")

    assert Limits.of(asked) == Limits({"peak_memory_bytes": 4e9})


def test_what_is_over_a_limit_is_above_zero_and_what_is_not_measured_breaks_none():
    figures = {"peak_memory_bytes": 5e9, "predict_seconds": None}

    assert LIMITS.excess(figures) == {"peak_memory_bytes": 0.25, "predict_seconds": 0.0}
    assert LIMITS.excess({"predict_seconds": 0.25}) == {
        "peak_memory_bytes": 0.0,
        "predict_seconds": -0.5,
    }


def test_broken_limits_are_said_with_what_came_and_what_was_allowed():
    both = {"peak_memory_bytes": 5e9, "predict_seconds": 1.0}

    assert LIMITS.broken(both) == (
        "peak_memory_bytes 5e+09 is over 4e+09; predict_seconds 1 is over 0.5"
    )
    assert LIMITS.broken({"peak_memory_bytes": 4e9}) is None
    assert Limits({}).broken(both) is None


@pytest.mark.parametrize("nothing", [{}, {"peak_memory_bytes": None}])
def test_a_trial_without_figures_breaks_no_limit(nothing):
    assert LIMITS.broken(nothing) is None
