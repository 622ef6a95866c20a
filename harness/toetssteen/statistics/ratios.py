"""An interval for a ratio of two counts or sums in clusters, such as the BBQ score."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from math import fsum, sqrt

from scipy.special import stdtrit

from toetssteen.statistics import Interval


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
    below may itself be nothing, any ratio is possible: the interval is then all of `within`.

    Args:
        above: one number an item; 0 where the item does not count.
        below: one number an item; 0 where the item does not count.
        clusters: the cluster of each item.
        within: the smallest and the largest value that the ratio can have.
        level: of confidence.

    Raises:
        ValueError: fewer than two clusters, or nothing below the line.
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
    top, bottom = fsum(tops) / k, fsum(bottoms) / k
    if bottom == 0:
        raise ValueError("a ratio to nothing is not defined")
    value = top / bottom
    share = float(stdtrit(k - 1, 0.5 + level / 2)) ** 2 / (k * (k - 1))

    def spread(one: list[float], other: list[float]) -> float:
        """Return t squared times the covariance of two means."""
        ones, others = fsum(one) / k, fsum(other) / k
        return share * fsum((a - ones) * (b - others) for a, b in zip(one, other, strict=True))

    # The ratios r with squared r² - 2 mixed r + plain <= 0: the square of the t test's distance.
    squared = bottom**2 - spread(bottoms, bottoms)
    mixed = top * bottom - spread(tops, bottoms)
    plain = top**2 - spread(tops, tops)
    low, high = within
    if squared <= 0:
        return Interval(value, low, high, f"fieller ({k} clusters; any value is possible)")
    root = sqrt(max(0.0, mixed**2 - squared * plain))
    # Rounding may push a bound past the value where nothing varies.
    return Interval(
        value,
        min(value, max(low, (mixed - root) / squared)),
        max(value, min(high, (mixed + root) / squared)),
        f"fieller ({k} clusters)",
    )
