import numpy as np

from sweeps.replay_plot import median


def test_the_median_of_three_courses_is_that_of_their_best_so_far():
    courses = [
        [(1.0, 0.1), (2.0, 0.5), (4.0, 0.6)],
        [(1.0, 0.2), (2.0, 0.3), (4.0, 0.7)],
        [(1.0, 0.4), (2.0, 0.4)],
    ]
    found = median(courses, np.array([0.5, 1.0, 2.5, 4.0]))
    np.testing.assert_allclose(found, [0.0, 0.2, 0.4, 0.65])  # the third has ended before the last


def test_there_is_no_median_where_most_courses_have_ended():
    found = median([[(1.0, 0.5)], [(1.0, 0.5)], [(9.0, 0.5)]], np.array([1.0, 2.0]))
    np.testing.assert_array_equal(found, [1.0 * 0.5, np.nan])
