"""A value with its standard error: the test, also where nothing varies."""

from math import atan, pi, sqrt

import pytest

from toetssteen.statistics.means import cluster_mean
from toetssteen.statistics.studentised import Studentised


def test_the_t_test_of_four_templates() -> None:
    """Differences [[.1, .1], [0, .1], [.2, 0], [0, 0]]: mean .0625, standard error .0239357.

    t = .0625 / .0239357 = 2.611165 with 3 df. For 3 df the distribution has a closed form:

        F(t) = 1/2 + (u / (1 + u^2) + atan u) / pi,  u = t / sqrt(3) = 1.507557
        u / (1 + u^2) = 1.507557 / 3.272727 = .460642;  atan u = .985110
        2 (1 - F) = 1 - 2 (.460642 + .985110) / pi = .079605
    """
    mean = cluster_mean([0.1, 0.1, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0], "aabbccdd")
    assert (round(mean.standard_error, 6), mean.df) == (0.023936, 3)
    u = mean.value / mean.standard_error / sqrt(3)
    by_hand = 1 - 2 * (u / (1 + u * u) + atan(u)) / pi
    assert mean.p_value() == pytest.approx(by_hand, abs=1e-12)
    assert round(mean.p_value(), 6) == 0.079605


def test_a_difference_that_never_varies_is_tested_by_its_sign() -> None:
    """All of 6 templates say .3: by chance all on one side in 2 of 2^6 cases, 2 / 64 = .03125."""
    always = Studentised(0.3, 0.0, 5, "cluster-t (6 clusters)")
    assert always.p_value() == 0.03125
    assert always.p_value(null=0.3) == 1.0


def test_no_difference_that_never_varies_is_no_evidence_of_one() -> None:
    zero = Studentised(0.0, 0.0, 23, "cluster-t (24 clusters)")
    assert zero.p_value() == 1.0
    interval = zero.interval()
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_rounding_is_no_spread() -> None:
    """.1 + .2 - .3 is not quite 0, and a spread of that size is none."""
    assert Studentised(0.3, 1e-17, 5, "t").p_value() == 0.03125
