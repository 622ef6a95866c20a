"""Differences between two proportions: of independent groups, or of the same items twice."""

from dataclasses import dataclass
from math import comb, hypot, sqrt

from scipy.optimize import brentq
from scipy.special import bdtr, chdtrc, ndtri

from toetssteen.statistics import Interval
from toetssteen.statistics.proportions import wilson

JUST_UNDER = 1e-9


@dataclass(frozen=True, slots=True)
class McNemar:
    """Two p-values for the same question: do two readings of the same items differ?

    Args:
        exact: never too small, often too large.
        mid_p: close to its level, and in practice not above it; the one to report.
    """

    exact: float
    mid_p: float


def newcombe(successes: int, n: int, others: int, m: int, *, level: float = 0.95) -> Interval:
    """Return the hybrid score interval of successes/n - others/m, of two independent groups.

    Newcombe (1998), Statistics in Medicine 17:873-890, method 10. It works where a group has no
    success at all and the textbook interval is wrong (0 of 15 against 5 of 40).

    Raises:
        ValueError: a group is empty, or its successes are not between 0 and its size.
    """
    between = square_and_add(wilson(successes, n, level=level), wilson(others, m, level=level))
    return Interval(between.value, between.low, between.high, "newcombe")


def unpaired_p(successes: int, n: int, others: int, m: int) -> float:
    """Return the two-sided p-value of no difference between two independent proportions.

    Pearson's chi-squared with (N - 1) for N, which Campbell (2007), Statistics in Medicine
    26:3661-3675, recommends down to expected counts of 1. Where all or none of both groups are
    successes there is no evidence of a difference: 1.

    Raises:
        ValueError: a group is empty, or its successes are not between 0 and its size.
    """
    if min(n, m) < 1 or not (0 <= successes <= n and 0 <= others <= m):
        raise ValueError(f"{successes} of {n} and {others} of {m} are no proportions")
    whole, common = n + m, (successes + others) / (n + m)
    if common in (0.0, 1.0):
        return 1.0
    squared = (successes / n - others / m) ** 2 / (common * (1 - common) * (1 / n + 1 / m))
    return float(chdtrc(1, squared * (whole - 1) / whole))


def square_and_add(first: Interval, second: Interval) -> Interval:
    """Return an interval for first - second from an interval for each, of independent groups.

    The distance from the difference to each bound is the root of the summed squares of the
    distances that matter on that side: Zou and Donner (2008), Statistics in Medicine
    27:1693-1702. With Wilson's intervals this is `newcombe`; with `cluster_rate` it compares
    groups that share no cluster. Both intervals must have the same level.
    """
    value = first.value - second.value
    below = hypot(first.value - first.low, second.high - second.value)
    above = hypot(first.high - first.value, second.value - second.low)
    method = f"square-and-add ({first.method}; {second.method})"
    return Interval(value, max(-1.0, value - below), min(1.0, value + above), method)


def mcnemar(first_only: int, second_only: int) -> McNemar:
    """Test whether two readings of the same items differ, from the pairs that disagree.

    Fagerland, Lydersen and Laake (2013), BMC Medical Research Methodology 13:91: the exact
    conditional test, and its mid-p version, which they recommend.

    Args:
        first_only: pairs in which only the first reading has the property.
        second_only: pairs in which only the second has it.

    Raises:
        ValueError: a count below 0.
    """
    if min(first_only, second_only) < 0:
        raise ValueError("a number of pairs cannot be negative")
    discordant, fewer = first_only + second_only, min(first_only, second_only)
    if discordant == 0:
        return McNemar(1.0, 1.0)  # their mid-p would say .5 of no evidence at all
    point = comb(discordant, fewer) / 2**discordant
    if first_only == second_only:
        return McNemar(1.0, 1.0 - point / 2)
    exact = min(1.0, 2 * float(bdtr(fewer, discordant, 0.5)))
    return McNemar(exact, exact - point)


def tango(first_only: int, second_only: int, pairs: int, *, level: float = 0.95) -> Interval:
    """Return the score interval of a difference of two proportions of the same items.

    The value is (first_only - second_only) / pairs. Tango (1998), Statistics in Medicine
    17:891-908: the bounds are the differences that the score test just does not reject. It
    keeps its level for few discordant pairs, and none at all.

    Args:
        first_only: pairs in which only the first reading has the property.
        second_only: pairs in which only the second has it.
        pairs: all pairs, also those that agree.
        level: of confidence.

    Raises:
        ValueError: no pairs, a negative count, or more discordant pairs than pairs.
    """
    if pairs == 0:
        raise ValueError("a difference over no pairs is not defined")
    if min(first_only, second_only) < 0 or first_only + second_only > pairs:
        raise ValueError(
            f"{first_only} + {second_only} discordant pairs do not fit in {pairs} pairs"
        )
    # The upper bound is the lower one of the swapped question, so that swapping mirrors exactly.
    low = _tango_low(first_only, second_only, pairs, level)
    high = -_tango_low(second_only, first_only, pairs, level)
    return Interval((first_only - second_only) / pairs, low, high, "tango")


def _tango_low(b: int, c: int, n: int, level: float) -> float:
    z = float(ndtri(0.5 + level / 2))

    def beyond(delta: float) -> float:
        """Return (b - c - n delta) - z * its standard deviation if delta were true."""
        half = -b - c + (2 * n - b + c) * delta
        root = sqrt(max(0.0, half * half + 8 * n * c * delta * (1 - delta)))
        q = (root - half) / (4 * n)  # the likeliest P(second only), given delta
        variance = n * (2 * q + delta * (1 - delta))
        return b - c - n * delta - z * sqrt(max(0.0, variance))

    value = (b - c) / n
    if value == -1.0:
        return -1.0
    # At -1 the test rejects; just under the value it accepts (at the value both sides can be 0).
    return float(brentq(beyond, -1.0, value - JUST_UNDER, xtol=1e-15, rtol=1e-14))
