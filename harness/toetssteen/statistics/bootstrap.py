"""Intervals for any statistic of cluster totals, such as a macro-F1 over classes.

The statistic is a function of sums over items (how many of a class, how many of those right), so
one function serves the sample, the sample without one cluster, and ten thousand resamples at
once. Clusters are drawn, never items: items of one cluster say the same thing over again.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from toetssteen.statistics import Interval
from toetssteen.statistics.studentised import Studentised

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Sums of shape (..., columns) to values of shape (...); not finite where it is undefined."""

RESAMPLES = 9_999
STUDENTISED_RESAMPLES = 1_999  # each needs its own jackknife
ENOUGH_TO_RESAMPLE = 10  # clusters; with fewer, resamples repeat each other
ENOUGH_FOR_PERCENTILES = 40  # clusters; with fewer, percentiles are too narrow
MOST_UNDEFINED = 0.05  # of the resamples


def cluster_totals(columns: Sequence[Sequence[float]], clusters: Sequence[Hashable]) -> Array:
    """Return the sum of each column in each cluster, in an order that no permutation changes.

    Args:
        columns: one sequence a column, one number an item.
        clusters: the cluster of each item.

    Returns:
        An array of shape (clusters, columns), sorted by its numbers.

    Raises:
        ValueError: there are no columns, or one is not as long as `clusters`.
    """
    inside: dict[Hashable, list[int]] = defaultdict(list)
    for index, cluster in enumerate(clusters):
        inside[cluster].append(index)
    if not columns or any(len(column) != len(clusters) for column in columns):
        raise ValueError("every column needs one number for each item")
    totals = [
        [fsum(column[index] for index in members) for column in columns]
        for members in inside.values()
    ]
    return _sorted(np.array(totals, dtype=np.float64))


def statistic_interval(
    totals: Array, statistic: Statistic, *, rng: np.random.Generator, level: float = 0.95
) -> Interval:
    """Return the interval that holds its level best for this number of clusters.

    `bca` from 10 clusters on, `jackknife` with t below: which holds for a ratio, and by how much,
    is in docs/statistics.md. A ratio itself is better served by `ratios.cluster_ratio`.

    Args:
        totals: shape (clusters, columns).
        statistic: of sums over clusters.
        rng: draws the resamples.
        level: of confidence.

    Raises:
        ValueError: fewer than two clusters, or the statistic is undefined too often.
    """
    if len(totals) < ENOUGH_TO_RESAMPLE:
        return jackknife(totals, statistic).interval(level=level)
    return bca(totals, statistic, rng=rng, level=level)


def jackknife(totals: Array, statistic: Statistic) -> Studentised:
    """Return a statistic with the standard error of leaving out one cluster at a time.

    K - 1 degrees of freedom. For a mean over equal clusters this is `cluster_t`. Tukey's
    jackknife: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 11.

    Args:
        totals: shape (clusters, columns).
        statistic: of sums over clusters.

    Raises:
        ValueError: fewer than two clusters, or undefined for all or without one of the clusters.
    """
    totals = _sorted(totals)
    k = len(totals)
    value, without = _value(totals, statistic), _without_one(totals, statistic)
    error = sqrt((k - 1) / k * fsum((without - fsum(without) / k) ** 2))
    return Studentised(value, error, k - 1, f"cluster jackknife-t ({k} clusters)")


def bca(
    totals: Array,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the bias-corrected and accelerated cluster bootstrap, at expanded levels.

    Efron (1987), JASA 82:171-185; acceleration by the jackknife. The normal quantiles in it are
    replaced by sqrt(K/(K-1)) t_{K-1}, because the bootstrap of K clusters is too narrow by just
    that: Hesterberg (2015), The American Statistician 69:371-386. Stays within the range of the
    statistic.

    Args:
        totals: shape (clusters, columns).
        statistic: of sums over clusters.
        rng: draws the resamples.
        level: of confidence.
        resamples: how many.

    Raises:
        ValueError: fewer than two clusters, or undefined for the whole, without one of the
            clusters, or in more than 5 % of the resamples.
    """
    totals = _sorted(totals)
    k = len(totals)
    value, without = _value(totals, statistic), _without_one(totals, statistic)
    drawn = _resampled(totals, statistic, rng=rng, resamples=resamples)
    below = (np.sum(drawn < value) + np.sum(drawn == value) / 2) / len(drawn)
    # A share of 0 or 1 would shift without end; half a resample is the least that can be seen.
    bias = float(ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn))))
    reach = sqrt(k / (k - 1)) * float(stdtrit(k - 1, 0.5 + level / 2))
    shares = [_bca_share(bias + side * reach, bias, _acceleration(without)) for side in (-1, 1)]
    method = f"cluster bootstrap-bca ({k} clusters, {len(drawn)} resamples)"
    return _between(value, drawn, shares, method)


def bootstrap_t(
    totals: Array,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = STUDENTISED_RESAMPLES,
) -> Interval:
    """Return the cluster bootstrap-t interval, with the jackknife's standard error.

    Davison and Hinkley (1997), Bootstrap Methods and their Application, section 5.2. Good from
    about 20 clusters on; with few, resamples without spread make it endlessly wide or, left
    out, too narrow.

    Args:
        totals: shape (clusters, columns).
        statistic: of sums over clusters.
        rng: draws the resamples.
        level: of confidence.
        resamples: how many; each costs as many evaluations as there are clusters.

    Raises:
        ValueError: fewer than two clusters, nothing varies between them, or undefined for the
            whole, without one of the clusters, or in more than 5 % of the resamples.
    """
    totals = _sorted(totals)
    k = len(totals)
    whole = jackknife(totals, statistic)
    if whole.without_spread(abs(whole.value)) or whole.standard_error == 0:
        raise ValueError("nothing varies between the clusters: there is no t to resample")
    weights = _weights(k, rng=rng, resamples=resamples)
    sums = _weighted_sums(weights, totals)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = statistic(sums)
        squares = np.zeros(resamples)
        lacking = [statistic(sums - totals[i]) for i in range(k)]
        mean = sum(weights[:, i] * np.where(weights[:, i], lacking[i], 0) for i in range(k)) / k
        for i in range(k):
            away = np.where(weights[:, i], lacking[i] - mean, 0)
            squares += weights[:, i] * away**2
        studentised = (values - whole.value) / np.sqrt((k - 1) / k * squares)
    kept = _defined(studentised)
    tail = (1 - level) / 2
    high_t, low_t = (_quantile(kept, share) for share in (1 - tail, tail))
    low = whole.value - high_t * whole.standard_error
    high = whole.value - low_t * whole.standard_error
    method = f"cluster bootstrap-t ({k} clusters, {len(kept)} resamples)"
    return Interval(whole.value, min(low, whole.value), max(high, whole.value), method)


def percentile(
    totals: Array,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the percentile cluster bootstrap, for comparison with other tools.

    Efron and Tibshirani (1993), chapter 13. Of 10 clusters it covers 88 % where it says 95 %.

    Raises:
        ValueError: fewer than 40 clusters, or undefined for the whole or in more than 5 % of the
            resamples.
    """
    totals = _sorted(totals)
    k = len(totals)
    if k < ENOUGH_FOR_PERCENTILES:
        raise ValueError(
            f"percentiles of {k} clusters are too narrow; {ENOUGH_FOR_PERCENTILES} are needed"
        )
    value = _value(totals, statistic)
    drawn = _resampled(totals, statistic, rng=rng, resamples=resamples)
    tail = (1 - level) / 2
    method = f"cluster bootstrap-percentile ({k} clusters, {len(drawn)} resamples)"
    return _between(value, drawn, [tail, 1 - tail], method)


def _sorted(totals: Array) -> Array:
    """Order clusters by their totals: names and the order of items must not move a draw."""
    if totals.ndim != 2 or len(totals) < 2:
        raise ValueError("the spread between fewer than two clusters is not known")
    return totals[np.lexsort(totals.T[::-1])]


def _value(totals: Array, statistic: Statistic) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(_added(totals)))
    if not np.isfinite(value):
        raise ValueError("the statistic is undefined for these items")
    return value


def _without_one(totals: Array, statistic: Statistic) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        without = statistic(_added(totals) - totals)
    if not np.all(np.isfinite(without)):
        raise ValueError("the statistic is undefined without one of the clusters")
    return without


def _added(totals: Array) -> Array:
    return np.array([fsum(column) for column in totals.T])


def _acceleration(without: Array) -> float:
    away = fsum(without) / len(without) - without
    squares = fsum(away**2)
    return fsum(away**3) / (6 * squares**1.5) if squares > 0 else 0.0


def _bca_share(shifted: float, bias: float, acceleration: float) -> float:
    return float(ndtr(bias + shifted / (1 - acceleration * shifted)))


def _resampled(
    totals: Array, statistic: Statistic, *, rng: np.random.Generator, resamples: int
) -> Array:
    """Draw K of K clusters, for all resamples at once; whole numbers, so alike on any machine."""
    sums = np.zeros((resamples, totals.shape[1]))
    for _ in range(len(totals)):
        sums += totals[rng.integers(len(totals), size=resamples)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return _defined(statistic(sums))


def _weights(k: int, *, rng: np.random.Generator, resamples: int) -> NDArray[np.int64]:
    """Return how often each cluster is drawn in each resample (multinomial)."""
    weights = np.zeros((resamples, k), dtype=np.int64)
    rows = np.arange(resamples)
    for _ in range(k):
        weights[rows, rng.integers(k, size=resamples)] += 1
    return weights


def _weighted_sums(weights: NDArray[np.int64], totals: Array) -> Array:
    # Cluster by cluster, not as one matrix product: BLAS adds in another order on every machine.
    sums = np.zeros((len(weights), totals.shape[1]))
    for i, total in enumerate(totals):
        sums += weights[:, i, None] * total
    return sums


def _defined(drawn: Array) -> Array:
    kept = drawn[np.isfinite(drawn)]
    if len(kept) < (1 - MOST_UNDEFINED) * len(drawn):
        lost = len(drawn) - len(kept)
        raise ValueError(f"the statistic is undefined in {lost} of {len(drawn)} resamples")
    return np.sort(kept)


def _between(value: float, drawn: Array, shares: Sequence[float], method: str) -> Interval:
    low, high = (_quantile(drawn, share) for share in shares)
    return Interval(value, min(low, value), max(high, value), method)


def _quantile(drawn: Array, share: float) -> float:
    """Return the (B + 1) * share-th of B ordered values; Davison and Hinkley (1997), p. 195."""
    return float(np.quantile(drawn, share, method="weibull"))
