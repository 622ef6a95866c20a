"""Resampled clusters: a ratio of counts, worked by hand where that can be done."""

import numpy as np
import pytest

from toetssteen.statistics.bootstrap import (
    Array,
    bca,
    bootstrap_t,
    cluster_totals,
    jackknife,
    percentile,
    statistic_interval,
)
from toetssteen.statistics.means import cluster_t


def rng() -> np.random.Generator:
    return np.random.default_rng(20_250_101)


def share(sums: Array) -> Array:
    """Biased of answered."""
    return sums[..., 1] / sums[..., 0]


def clusters(k: int) -> Array:
    """Draw so many templates of up to 20 answers, of which about 65 % biased."""
    draw = np.random.default_rng(k)
    answered = draw.integers(5, 21, size=k)
    return np.stack([answered, draw.binomial(answered, draw.beta(6.5, 3.5, size=k))], 1).astype(
        float
    )


def test_three_templates_leaving_one_out_at_a_time() -> None:
    """Answered 4, 4, 2, of which biased 3, 1, 2: 6/10 = .6.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 11:

        without the first    3/6 = .5
        without the second   5/6 = .833333
        without the third    4/8 = .5
        mean .611111; squares .012346 + .049383 + .012346 = .074074
        standard error       sqrt(2/3 * .074074) = .222222

        t(.975, 2 df) = 4.302653: .6 +- .956145
    """
    totals = cluster_totals(
        [[1.0] * 10, [1, 1, 1, 0, 1, 0, 0, 0, 1, 1]], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    )
    assert sorted(map(tuple, totals)) == [(2, 2), (4, 1), (4, 3)]
    found = jackknife(totals, share)
    assert (found.value, round(found.standard_error, 6), found.df) == (0.6, 0.222222, 2)
    interval = statistic_interval(totals, share, rng=rng())
    assert round(interval.low, 6) == round(0.6 - 0.956145, 6)
    assert interval.method == "cluster jackknife-t (3 clusters)"


def test_the_mean_of_equal_clusters_is_cluster_t() -> None:
    """A mean is the ratio of a sum to a count: the jackknife is then the plain t interval."""
    values = [0.1, 0.1, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0]
    totals = cluster_totals([[1.0] * 8, values], "aabbccdd")
    ours, known = jackknife(totals, share).interval(), cluster_t(values, "aabbccdd")
    assert [ours.low, ours.high] == pytest.approx([known.low, known.high], abs=1e-15)


def test_the_bootstrap_of_a_mean_is_nearly_t() -> None:
    """Hesterberg (2015): at expanded levels the bootstrap of a symmetric mean is the t interval.

    The 10 values +-1, ..., +-5 are symmetric around 0.
        variance 110 / 9 = 12.2222; standard error sqrt(1.22222) = 1.105542
        t(.975, 9 df) = 2.262157: half 2.500909
    """
    values = [sign * x for x in range(1, 6) for sign in (-1.0, 1.0)]
    totals = cluster_totals([[1.0] * 10, values], range(10))
    found = bca(totals, share, rng=rng())
    assert found.value == 0.0
    assert found.low == pytest.approx(-2.500909, rel=0.06)
    assert found.high == pytest.approx(2.500909, rel=0.06)
    wider = bootstrap_t(totals, share, rng=rng())  # resamples with little spread have a large t
    assert -3.2 < wider.low < -2.4 < 2.4 < wider.high < 3.2


def test_the_method_follows_from_the_number_of_clusters() -> None:
    few = statistic_interval(clusters(9), share, rng=rng())
    enough = statistic_interval(clusters(10), share, rng=rng())
    assert few.method == "cluster jackknife-t (9 clusters)"
    assert enough.method == "cluster bootstrap-bca (10 clusters, 9999 resamples)"


def test_percentiles_need_forty_clusters() -> None:
    with pytest.raises(ValueError, match="percentiles of 39 clusters are too narrow; 40"):
        percentile(clusters(39), share, rng=rng())
    found = percentile(clusters(40), share, rng=rng())
    assert found.low < found.value < found.high
    assert found.method == "cluster bootstrap-percentile (40 clusters, 9999 resamples)"


def test_the_same_seed_gives_the_same_digits_whatever_was_drawn_before() -> None:
    np.random.default_rng().random()
    for interval in (bca, bootstrap_t, statistic_interval):
        assert interval(clusters(12), share, rng=rng()) == interval(clusters(12), share, rng=rng())
    assert bca(clusters(12), share, rng=rng()) != bca(
        clusters(12), share, rng=np.random.default_rng(2)
    )


def test_clusters_that_all_say_the_same_have_no_spread() -> None:
    """A perfect stereotyper: 1 in every template, and no t to resample."""
    same = np.full((12, 2), 20.0)
    found = bca(same, share, rng=rng())
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="nothing varies"):
        bootstrap_t(same, share, rng=rng())


def test_a_ratio_of_nothing_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="undefined for these items"):
        bca(np.zeros((12, 2)), share, rng=rng())
    one_answers = np.zeros((12, 2))
    one_answers[3] = [20, 12]
    with pytest.raises(ValueError, match="undefined without one of the clusters"):
        bca(one_answers, share, rng=rng())
    two_answer = one_answers.copy()
    two_answer[5] = [20, 3]
    with pytest.raises(ValueError, match=r"undefined in \d+ of 9999 resamples"):
        bca(two_answer, share, rng=rng())
    with pytest.raises(ValueError, match="fewer than two clusters"):
        jackknife(np.ones((1, 2)), share)
    with pytest.raises(ValueError, match="one number for each item"):
        cluster_totals([[1.0, 2.0]], "abc")
