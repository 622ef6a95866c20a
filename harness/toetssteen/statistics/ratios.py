"""An interval for a ratio of two counts or sums in clusters, such as the BBQ score."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from math import fsum, sqrt

from scipy.special import stdtrit

from toetssteen.statistics import Interval
from toetssteen.statistics.proportions import clopper_pearson


def cluster_ratio(
    above: Sequence[float],
    below: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    within: tuple[float, float],
    level: float = 0.95,
) -> Interval:
    """Return sum(above) / sum(below), where both differ from cluster to cluster.

    Fieller (1954), Journal of the Royal Statistical Society B 16:175-185: a ratio r is in the
    interval when the cluster totals of above - r * below do not differ from 0 on average, by the
    t test over K - 1 degrees of freedom. Nothing is drawn and nothing approximated by a
    derivative, so that it holds its level for few clusters (docs/statistics.md). Where the sum
    below may itself be nothing, any ratio may be possible: the interval is then all of `within`.

    Args:
        above: one number an item; 0 where the item does not count.
        below: one number an item; 0 where the item does not count.
        clusters: the cluster of each item.
        within: the smallest and the largest value that the ratio can have.
        level: of confidence.

    Raises:
        ValueError: fewer than two clusters, nothing below the line, or a ratio outside `within`.
    """
    totals: dict[Hashable, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for a, b, cluster in zip(above, below, clusters, strict=True):
        totals[cluster][0].append(a)
        totals[cluster][1].append(b)
    k = len(totals)
    if k < 2:
        raise ValueError("the spread between fewer than two clusters is not known")
    tops = [fsum(a) for a, _ in totals.values()]
    bottoms = [fsum(b) for _, b in totals.values()]
    if fsum(bottoms) == 0:
        raise ValueError("a ratio to nothing is not defined")
    value = fsum(tops) / fsum(bottoms)
    if not within[0] <= value <= within[1]:
        raise ValueError(
            f"the ratio {value:g} does not lie within {within[0]:g} and {within[1]:g}"
        )
    away = [top - value * bottom for top, bottom in zip(tops, bottoms, strict=True)]
    if not any(away):
        return _without_spread(value, sum(map(bool, bottoms)), within, level)
    return _fieller(value, away, bottoms, within, level)


def _fieller(
    value: float,
    away: Sequence[float],
    bottoms: Sequence[float],
    within: tuple[float, float],
    level: float,
) -> Interval:
    """Return the ratios value + d for which the mean of away - d * bottoms may be 0.

    By the t test: squared * d^2 + 2 * mixed * d - plain <= 0, which holds at d = 0.

    Args:
        value: the ratio.
        away: per cluster, what is above the line minus value times what is below; mean 0.
        bottoms: per cluster, what is below the line.
        within: the smallest and the largest value.
        level: of confidence.
    """
    k = len(away)
    bottom = fsum(bottoms) / k
    share = float(stdtrit(k - 1, 0.5 + level / 2)) ** 2 / (k * (k - 1))
    plain = share * fsum(a * a for a in away)
    mixed = share * fsum(a * (b - bottom) for a, b in zip(away, bottoms, strict=True))
    squared = bottom**2 - share * fsum((b - bottom) ** 2 for b in bottoms)
    inside = mixed**2 + squared * plain
    low, high = within
    bounds = within
    if squared != 0 and inside > 0:
        one, other = ((-mixed + side * sqrt(inside)) / squared for side in (-1, 1))
        first, second = value + min(one, other), value + max(one, other)
        if squared > 0:
            bounds = max(low, first), min(high, second)
        # Below the line there may be nothing: all up to the first and all from the second, of
        # which one part may lie outside the scale.
        elif first > value and second > high:
            bounds = low, min(high, first)
        elif second < value and first < low:
            bounds = max(low, second), high
    anything = "; any value is possible" if bounds == within else ""
    return Interval(value, *bounds, f"fieller ({k} clusters{anything})")


def _without_spread(
    value: float, filled: int, within: tuple[float, float], level: float
) -> Interval:
    """Return the interval where the ratio is the same in every cluster that has one.

    At an end of the scale nothing shows how far clusters can differ: then each is one trial, as
    in `cluster_rate`.

    Args:
        value: the ratio.
        filled: clusters with something below the line.
        within: the smallest and the largest value.
        level: of confidence.
    """
    low, high = within
    if filled < 2:
        return Interval(value, low, high, "fieller (1 cluster; any value is possible)")
    if low < value < high:
        return Interval(value, value, value, f"fieller ({filled} clusters)")
    method = f"clopper-pearson ({filled} clusters as trials: nothing varies)"
    share = clopper_pearson(filled if value == high else 0, filled, level=level)
    return Interval(value, low + share.low * (high - low), low + share.high * (high - low), method)
