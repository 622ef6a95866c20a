"""One-sided bounds, and a rate whose items hang together, worked by hand."""

import pytest

from toetssteen.statistics import Interval
from toetssteen.statistics.proportions import cluster_rate, lower_bound, upper_bound


@pytest.mark.parametrize(
    ("n", "percent"),
    [(100, "2.95"), (300, "0.994"), (1_000, "0.299"), (3_000, "0.0998"), (10_000, "0.0300")],
)
def test_no_event_in_n_trials_bounds_the_rate(n: int, percent: str) -> None:
    """0 of 3,000, one-sided 95 %.

    Clopper and Pearson (1934), Biometrika 26:404-413: the bound is the rate at which seeing so
    few would have probability .05. With none seen:

        (1 - p)^3000 = .05
        p = 1 - .05^(1/3000) = 1 - exp(-2.995732 / 3000) = 1 - exp(-.000998577) = .000998079
    """
    assert f"{100 * upper_bound(0, n):.{len(percent) - 2}f}" == percent


def test_ten_of_ten_may_still_be_three_in_four() -> None:
    """p^10 = .05: p = .05^.1 = exp(-.2995732) = .741134; from above nothing bounds it."""
    assert round(lower_bound(10, 10), 6) == 0.741134
    assert upper_bound(10, 10) == 1.0
    assert lower_bound(0, 10) == 0.0


def templates(hits: list[int], items: int) -> Interval:
    """Answer so many of each template's items with 1."""
    values = [float(i < hit) for hit in hits for i in range(items)]
    return cluster_rate(values, [k for k in range(len(hits)) for _ in range(items)])


def test_twenty_items_in_four_templates_are_worth_six() -> None:
    """4, 2, 3 and 1 of 5 items. Korn and Graubard (1998), Survey Methodology 24:193-201.

        rate              10 / 20 = .5
        totals - 2.5      1.5, -.5, .5, -1.5: squares sum to 5
        V                 4/3 * 5 / 20^2 = .0166667
        p(1 - p) / V      .25 / .0166667 = 15
        t(.975)           2.093024 with 19 df, 3.182446 with 3 df
        worth             15 * (2.093024 / 3.182446)^2 = 15 * .432542 = 6.488

    Clopper and Pearson for 3.244 of 6.488 trials: the 2.5 % point of Beta(3.244, 4.244) is
    .128595, and by symmetry the other bound is 1 - .128595.
    """
    interval = templates([4, 2, 3, 1], 5)
    assert interval.value == 0.5
    assert round(interval.low, 6) == 0.128595
    assert round(interval.high, 6) == 0.871405
    assert interval.method == "korn-graubard (4 clusters worth 6.5 trials)"


def test_where_no_template_shows_it_the_templates_are_the_trials() -> None:
    """None of 4 templates of 5: (1 - p)^4 = .025, p = 1 - .025^.25 = 1 - .397635 = .602365."""
    none, every = templates([0, 0, 0, 0], 5), templates([5, 5, 5, 5], 5)
    assert (none.value, none.low, round(none.high, 6)) == (0.0, 0.0, 0.602365)
    assert (every.value, round(every.low, 6), every.high) == (1.0, 0.397635, 1.0)


def test_one_template_that_shows_it_cannot_be_worth_more_than_sixteen_trials() -> None:
    """1, 0, 0 and 0 of 100 items.

        rate              .0025
        totals - .25      .75, -.25, -.25, -.25: squares sum to .75
        V                 4/3 * .75 / 400^2 = .00000625
        p(1 - p) / V      .00249375 / .00000625 = 399
        worth             399 * (1.965927 / 3.182446)^2 = 152.3
        believed          4 templates * 4^1 = 16: one template shows no spread between templates

    Clopper and Pearson for .04 of 16 trials: the 97.5 % point of Beta(1.04, 15.96) is .210286.
    """
    interval = templates([1, 0, 0, 0], 100)
    assert interval.value == 0.0025
    assert round(interval.high, 6) == 0.210286
    assert interval.method == "korn-graubard (4 clusters worth 16.0 trials)"


def test_what_is_no_rate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values 0 and 1, got 0\.5"):
        cluster_rate([0.0, 0.5], "ab")
    with pytest.raises(ValueError, match="fewer than two clusters"):
        cluster_rate([0.0, 1.0], "aa")
    for bound in (upper_bound, lower_bound):
        with pytest.raises(ValueError, match="no trials"):
            bound(0, 0)
