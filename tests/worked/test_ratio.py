"""A ratio of counts in clusters by Fieller's method, worked by hand."""

import pytest

from toetssteen.statistics.means import cluster_t
from toetssteen.statistics.ratios import cluster_ratio


def test_four_templates_by_the_formula_of_1954() -> None:
    """Answered 4, 4, 2, 2, of which with the stereotype 3, 1, 2, 1: 7/12 = .583333.

    Fieller (1954), Journal of the Royal Statistical Society B 16:175-185. Means: below 3, above
    1.75. Away from them: below 1, 1, -1, -1; above 1.25, -.75, .25, -.75.

        squares below          4         over K (K - 1) = 12: .333333
        products               1.25 - .75 - .25 + .75 = 1             .083333
        squares above          1.5625 + .5625 + .0625 + .5625 = 2.75  .229167

        t(.975, 3 df) = 3.182446, squared 10.127965
        r² (9 - 3.375988) - 2 r (5.25 - .843997) + (3.0625 - 2.320992) <= 0
        5.624012 r² - 8.812006 r + .741508 <= 0
        r = (4.406003 +- sqrt(19.412862 - 4.170250)) / 5.624012 = (4.406003 +- 3.904179) / 5.624012
          = .089229 and 1.477625, of which 1 is the largest that can be
    """
    clusters = "aaaabbbbccdd"
    biased = [1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0]
    found = cluster_ratio(biased, [1.0] * 12, clusters, within=(0, 1))
    assert round(found.value, 6) == 0.583333
    assert round(found.low, 5) == 0.08923
    assert found.high == 1.0
    assert found.method == "fieller (4 clusters)"
    wide = cluster_ratio(biased, [1.0] * 12, clusters, within=(0, 9))
    assert round(wide.high, 5) == 1.47763


def test_twelve_templates_that_docs_statistics_tells_of() -> None:
    answered = [14, 9, 20, 20, 6, 8, 8, 7, 14, 10, 12, 8]
    biased = [6, 8, 11, 10, 2, 6, 5, 4, 9, 6, 8, 4]
    lean = [2 * b - a for a, b in zip(answered, biased, strict=True)]
    found = cluster_ratio(lean, answered, range(12), within=(-1, 1))
    rounded = [round(x, 3) for x in (found.low, found.value, found.high)]
    assert rounded == [0.013, 0.162, 0.341]


def test_over_equal_clusters_it_is_the_t_interval_of_the_mean() -> None:
    """With as many below the line in each cluster, the products vanish and t is left."""
    values = [0.1, 0.1, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0]
    ours = cluster_ratio(values, [1.0] * 8, "aabbccdd", within=(-9, 9))
    known = cluster_t(values, "aabbccdd")
    assert [ours.low, ours.high] == pytest.approx([known.low, known.high], abs=1e-14)


def test_who_hardly_ever_answers_may_have_any_ratio() -> None:
    """One template of three was answered: whether all such would be, nobody can tell."""
    found = cluster_ratio(
        [1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 2, 2, 3, 3], within=(-1, 1)
    )
    assert (found.value, found.low, found.high) == (1.0, -1.0, 1.0)
    assert found.method == "fieller (1 cluster; any value is possible)"


def test_what_the_t_test_leaves_out_at_one_end_is_left_out() -> None:
    """Answered 9, 1, 1, 1 with one stereotype each: 4/12, and nearly all in one template.

    Means 3 and 1; below 6, -2, -2, -2 away from it: squares 48; all else 0. With .843997 for t
    squared over K (K - 1):

        r^2 (9 - 40.511860) - 6 r + 1 <= 0
        -31.511860 r^2 - 6 r + 1 has the roots (6 +- sqrt(36 + 126.047440)) / -63.023720
          = -.297186 and .106782: it is below 0 up to the one and from the other on

    Of 0 to 1 that leaves .106782 to 1; of -1 to 1 it leaves parts at both ends.
    """
    found = cluster_ratio([1.0] * 4, [9.0, 1.0, 1.0, 1.0], "abcd", within=(0, 1))
    assert round(found.low, 6) == 0.106782
    assert (found.high, found.method) == (1.0, "fieller (4 clusters)")
    both = cluster_ratio([1.0] * 4, [9.0, 1.0, 1.0, 1.0], "abcd", within=(-1, 1))
    assert (both.low, both.high) == (-1.0, 1.0)


def test_four_templates_that_all_say_the_same_are_four_trials() -> None:
    """As for shares: 4 of 4 leaves .025 ** (1/4) = .397635; on a scale of 2 twice as much."""
    found = cluster_ratio([2, 2, 2, 3], [2, 2, 2, 3], "abcd", within=(0, 1))
    assert (round(found.low, 6), found.high) == (0.397635, 1.0)
    assert found.method == "clopper-pearson (4 clusters as trials: nothing varies)"
    lean = cluster_ratio([-2, -2, -2, -3], [2, 2, 2, 3], "abcd", within=(-1, 1))
    assert (lean.low, round(lean.high, 6)) == (-1.0, 0.204729)


def test_what_is_no_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="a ratio to nothing"):
        cluster_ratio([0, 0], [0, 0], "ab", within=(0, 1))
    with pytest.raises(ValueError, match="does not lie within 0 and 1"):
        cluster_ratio([3, 1], [1, 1], "ab", within=(0, 1))
    with pytest.raises(ValueError, match="fewer than two clusters"):
        cluster_ratio([1, 0], [1, 1], "aa", within=(0, 1))
