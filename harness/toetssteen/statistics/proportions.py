"""Intervals for one proportion: independent trials, or trials that hang together in clusters."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from scipy.special import betaincinv, ndtri, stdtrit

from toetssteen.statistics import Interval


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return Wilson's score interval for independent trials.

    Wilson (1927), JASA 22:209-212. Holds its level for small n and near 0 and 1, where the
    textbook interval does not (Brown, Cai and DasGupta 2001, Statistical Science 16:101-133).

    Raises:
        ValueError: n is 0, or successes are not between 0 and n.
    """
    rate = _rate(successes, n)
    z = -float(ndtri(_tail(level)))
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At 0 and at n the formula gives 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(rate, low, high, "wilson")


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the exact interval of Clopper and Pearson (1934), Biometrika 26:404-413.

    Its coverage is never below the level, which is what a bound on leakage needs.

    Raises:
        ValueError: n is 0, or successes are not between 0 and n.
    """
    rate, tail = _rate(successes, n), _tail(level)
    return Interval(rate, _low(rate, n, tail), _high(rate, n, tail), "clopper-pearson")


def upper_bound(successes: int, n: int, *, level: float = 0.95) -> float:
    """Return the one-sided exact upper bound of Clopper and Pearson (1934).

    What a count of zero still allows: 0 in 3,000 gives 0.0998 %. All of the error lies on one
    side, so this is lower than the upper end of the two-sided interval of the same level.

    Raises:
        ValueError: n is 0, or successes are not between 0 and n.
    """
    return _high(_rate(successes, n), n, 1 - level)


def lower_bound(successes: int, n: int, *, level: float = 0.95) -> float:
    """Return the one-sided exact lower bound of Clopper and Pearson (1934).

    Raises:
        ValueError: n is 0, or successes are not between 0 and n.
    """
    return _low(_rate(successes, n), n, 1 - level)


def cluster_rate(
    values: Sequence[float], clusters: Sequence[Hashable], *, level: float = 0.95
) -> Interval:
    """Return an interval for a rate whose items hang together in K clusters; it stays in [0, 1].

    Korn and Graubard (1998), Survey Methodology 24:193-201: the clustered variance V says how
    many independent trials would be as precise, p(1 - p)/V; that number is multiplied by
    (t_{n-1} / t_{K-1})^2, because V itself is estimated from K clusters, and is at most n. The
    rate then gets Clopper and Pearson's interval on so many trials.

    Clusters in which the rarer answer never occurs show nothing of how it hangs together, and
    V is then too small. So no more than K * 4^j trials are believed when j clusters show the
    rarer answer: the clusters themselves are the trials when none does, and from three or four
    on it seldom binds. That rule is ours; docs/statistics.md has the coverage with and without.

    Args:
        values: 0 or 1 an item.
        clusters: the cluster of each item.
        level: of confidence.

    Raises:
        ValueError: fewer than two clusters, or a value that is neither 0 nor 1.
    """
    trials = _effective(values, clusters, level=level)
    rate, n, tail = trials.rate, trials.n, (1 - level) / 2
    method = f"korn-graubard ({trials.clusters} clusters worth {n:.1f} trials)"
    return Interval(rate, _low(rate, n, tail), _high(rate, n, tail), method)


@dataclass(frozen=True, slots=True)
class _Trials:
    """A rate, and the number of independent trials that would be as precise."""

    rate: float
    n: float
    clusters: int


def _effective(values: Sequence[float], clusters: Sequence[Hashable], *, level: float) -> _Trials:
    inside: dict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        if value not in (0.0, 1.0):
            raise ValueError(f"a rate needs values 0 and 1, got {value}")
        inside[cluster].append(value)
    n, k = len(values), len(inside)
    if k < 2:
        raise ValueError("the spread between fewer than two clusters is not known")
    rate = fsum(values) / n
    groups = inside.values()
    showing = min(sum(1.0 in group for group in groups), sum(0.0 in group for group in groups))
    between = fsum((fsum(group) - rate * len(group)) ** 2 for group in groups)
    variance = k / (k - 1) * between / n**2
    tail = 0.5 + level / 2
    shrink = float(stdtrit(n - 1, tail) / stdtrit(k - 1, tail)) ** 2
    seen = rate * (1 - rate) * shrink
    believed = seen / variance if seen < variance * n else float(n)
    return _Trials(rate, min(believed, k * 4.0 ** min(showing, 32)), k)


def _rate(successes: int, n: int) -> float:
    if n == 0:
        raise ValueError("a proportion of no trials is not defined")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no proportion")
    return successes / n


def _tail(level: float) -> float:
    """Return what a two-sided interval leaves out on each side."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    return (1 - level) / 2


def _low(rate: float, n: float, tail: float) -> float:
    """Return the rate at which so many successes or more come with chance `tail`."""
    return float(betaincinv(rate * n, n - rate * n + 1, tail)) if rate > 0 else 0.0


def _high(rate: float, n: float, tail: float) -> float:
    """Return the rate at which so many successes or fewer come with chance `tail`."""
    return float(betaincinv(rate * n + 1, n - rate * n, 1 - tail)) if rate < 1 else 1.0
