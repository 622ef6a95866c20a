"""The largest gap between groups, worked by hand and against the gap that chance makes."""

import numpy as np
import pytest

from toetssteen.statistics.gaps import largest_gap


def rng() -> np.random.Generator:
    return np.random.default_rng(20_250_101)


def test_two_groups_of_two_can_be_shuffled_in_six_ways() -> None:
    """Group a: 1, 1; group b: 0, 0. The gap is 1.

    Of the 6 ways to give two people to a, 2 have a gap of 1 and 4 have a gap of 0: mean 1/3,
    median 0, and a p-value near (1 + B/3) / (1 + B).
    """
    gap = largest_gap([1, 1, 0, 0], "aabb", rng=rng(), permutations=9_999)
    assert gap.observed == 1.0
    assert gap.null_mean == pytest.approx(1 / 3, abs=0.02)
    assert (gap.null_median, gap.null_95) == (0.0, 1.0)
    assert gap.p_value == pytest.approx(1 / 3, abs=0.02)
    assert gap.method == "permutation of 2 groups within 1 strata"


def test_numbers_are_shuffled_as_two_values_are() -> None:
    """0, 1, 2, 3 in 6 ways: gaps 2, 1, 0, 0, 1, 2. Mean 1; 2 of 6 reach the observed 2."""
    gap = largest_gap([3, 2, 1, 0], "aabb", rng=rng(), permutations=9_999)
    assert gap.observed == 2.0
    assert gap.null_mean == pytest.approx(1.0, abs=0.03)
    assert gap.null_median == 1.0
    assert gap.p_value == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize(
    ("groups", "n", "mean", "p95"), [(5, 200, 0.075, 0.125), (20, 50, 0.240, 0.320)]
)
def test_chance_makes_a_gap(groups: int, n: int, mean: float, p95: float) -> None:
    """Groups with one rate of 30 %.

    The range of 5 standard normal numbers is 2.326 on average (of 20: 3.735), and a rate of n
    people has standard deviation sqrt(.3 * .7 / n):
        2.326 * sqrt(.21 / 200) = 2.326 * .032404 = .0754
        3.735 * sqrt(.21 / 50)  = 3.735 * .064807 = .2421
    """
    values = [1.0] * round(0.3 * groups * n) + [0.0] * round(0.7 * groups * n)
    labels = [i % groups for i in range(groups * n)]
    gap = largest_gap(values, labels, rng=rng(), permutations=9_999)
    assert gap.null_mean == pytest.approx(mean, abs=0.0035)
    assert gap.null_95 == pytest.approx(p95, abs=0.006)
    assert gap.p_value == 1.0


def test_what_differs_between_strata_explains_no_gap() -> None:
    """Region x grants all and has mostly a, region y none and mostly b; within, all are alike.

    Without strata the gap of .6 looks unlikely; nothing can be shuffled within x or y.
    """
    values, groups = [1.0] * 10 + [0.0] * 10, "a" * 8 + "b" * 2 + "a" * 2 + "b" * 8
    assert largest_gap(values, groups, rng=rng()).p_value < 0.05
    with pytest.raises(ValueError, match="nothing can be shuffled"):
        largest_gap(values, groups, strata="x" * 10 + "y" * 10, rng=rng())


def test_people_are_exchanged_within_their_stratum_only() -> None:
    """x: a 1, b 0; y: a 0, b 0. In x one of two ways each: the gap is always 1/2."""
    gap = largest_gap([1, 0, 0, 0], "abab", strata="xxyy", rng=rng(), permutations=99)
    assert (gap.observed, gap.null_median, gap.p_value) == (0.5, 0.5, 1.0)


def test_what_has_no_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="two groups"):
        largest_gap([0, 1], "aa", rng=rng())
    with pytest.raises(ValueError, match="all values are equal"):
        largest_gap([1, 1], "ab", rng=rng())
    with pytest.raises(ValueError, match="shorter"):
        largest_gap([1, 0, 1], "ab", rng=rng())
