"""Means and differences in one or two clusterings, worked by hand."""

import pytest

from toetssteen.statistics.clusters import Sample, difference, two_way, two_way_t

TEMPLATES, NAMES = "aaabbbccc", "xyzxyzxyz"


def test_three_templates_crossed_with_three_names() -> None:
    """5 plus -1, 0, 1 for the template plus -1, 0, 1 for the name; mean 5, n = 9.

    Cameron, Gelbach and Miller (2011), JBES 29:238-249: V = V_templates + V_names - V_cells.

        totals over templates   -3, 0, 3: squares 18    V = 3/2 * 18 / 81 = .333333
        totals over names       -3, 0, 3                V = .333333
        single cells            -2 -1 0 -1 0 1 0 1 2: squares 12   V = 9/8 * 12 / 81 = .166667

        V = .333333 + .333333 - .166667 = .5; standard error .707107
        t(.975, 2 df) = 4.302653; half 3.042435
        5 - 3.042435 = 1.957565; 5 + 3.042435 = 8.042435
    """
    values = [3.0, 4.0, 5.0, 4.0, 5.0, 6.0, 5.0, 6.0, 7.0]
    interval = two_way_t(values, TEMPLATES, NAMES)
    assert interval.value == 5.0
    assert round(two_way(values, TEMPLATES, NAMES).standard_error, 6) == 0.707107
    assert (round(interval.low, 6), round(interval.high, 6)) == (1.957565, 8.042435)
    assert interval.method == "two-way t (3 x 3 clusters)"


def test_two_ways_are_never_worth_less_than_one() -> None:
    """[[1, 2, 3], [2, 4, 6], [0, 0, 0]]: mean 2.

    totals over templates   0, 6, -6: squares 72    V = 3/2 * 72 / 81 = 1.333333
    totals over names       -3, 0, 3: squares 18    V = .333333
    single cells            squares 34              V = 9/8 * 34 / 81 = .472222

    V = 1.333333 + .333333 - .472222 = 1.194444 < 1.333333: the templates alone say more
    """
    found = two_way([1, 2, 3, 2, 4, 6, 0, 0, 0], TEMPLATES, NAMES)
    assert round(found.standard_error**2, 6) == 1.333333
    assert found.method == "two-way t (3 x 3 clusters), variance of the 3 clusters alone"


def test_a_template_filled_for_both_groups_pairs_them() -> None:
    """Template means .2 .2 .4 against .1 .1 .2: differences .1 .1 .2.

    mean .133333; sd sqrt(.006667 / 2) = .057735; standard error .057735 / sqrt(3) = .033333; 2 df
    """
    found = difference(
        Sample([0.3, 0.1, 0.2, 0.2, 0.5, 0.3], "aabbcc"),
        Sample([0.1, 0.1, 0.2, 0.0, 0.2, 0.2], "aabbcc"),
    )
    assert (round(found.value, 6), round(found.standard_error, 6)) == (0.133333, 0.033333)
    assert found.df == 2
    assert found.method == "cluster-t, difference (3 clusters)"


def test_groups_with_clusters_of_their_own_are_compared_as_by_welch() -> None:
    """Cluster means .3 .1 against 0 .2: difference .1.

    Each variance .02 / 2 = .01; their sum .02, standard error .141421.
    df = .02^2 / (.01^2 / 1 + .01^2 / 1) = 2. Welch (1947), Biometrika 34:28-35.
    """
    found = difference(Sample([0.3, 0.3, 0.1, 0.1], "aabb"), Sample([0.0, 0.0, 0.2, 0.2], "ccdd"))
    assert (round(found.value, 12), round(found.standard_error, 6)) == (0.1, 0.141421)
    assert round(found.df, 12) == 2


def test_clusters_that_are_partly_shared_cost_two_degrees_of_freedom() -> None:
    found = difference(Sample([0.3, 0.1, 0.4], "abc"), Sample([0.0, 0.2, 0.1], "bcd"))
    assert found.df == 4 - 2


def test_names_belong_to_a_group_and_templates_to_both() -> None:
    """2 templates x 2 names a group: first [[1, 3], [1, 3]], second [[0, 0], [2, 2]].

    means 2 and 1; influences (value - mean) / 4 in the first, its negative in the second:
        first -.25 .25 -.25 .25, second .25 .25 -.25 -.25

    templates (shared)   (-.25 + .25) + (.25 + .25) = .5 and -.5: 2/1 * .5 = 1, 1 df
    names (of a group)   first -.5, .5: 2/1 * .5 = 1; second 0, 0: 0; sum 1; df 1^2/(1^2/1) = 1
    cells (of a group)   four times .0625 a group: 4/3 * .25 twice = .666667

    V = 1 + 1 - .666667 = 1.333333
    """
    found = difference(
        Sample([1.0, 3.0, 1.0, 3.0], "aabb", "xyxy"), Sample([0.0, 0.0, 2.0, 2.0], "aabb", "vwvw")
    )
    assert (found.value, round(found.standard_error**2, 6), found.df) == (1.0, 1.333333, 1.0)
    assert found.method == "two-way t (2 x 4 clusters)"


def test_too_few_clusters_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two clusters"):
        two_way([1.0, 2.0], "aa", "xy")
    with pytest.raises(ValueError, match="so few clusters"):
        difference(Sample([1.0], "a"), Sample([2.0], "a"))
    with pytest.raises(ValueError, match="fewer than two clusters"):
        difference(Sample([1.0], "a"), Sample([2.0, 3.0], "bc"))
    with pytest.raises(ValueError, match="both groups need"):
        difference(Sample([1.0, 2.0], "ab", "xy"), Sample([2.0, 3.0], "ab"))
    with pytest.raises(ValueError, match="longer"):
        two_way([1.0, 2.0, 3.0], "ab", "xyz")
