"""Intervals for one proportion."""

from scipy.stats import binomtest

from toetssteen.statistics import Interval


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return Wilson's score interval for independent trials.

    Wilson (1927), JASA 22:209-212. Holds its level for small n and near 0 and 1, where the
    textbook interval does not (Brown, Cai and DasGupta 2001, Statistical Science 16:101-133).

    Raises:
        ValueError: n is 0, or successes are not between 0 and n.
    """
    return _interval(successes, n, level=level, method="wilson")


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the exact interval of Clopper and Pearson (1934), Biometrika 26:404-413.

    Its coverage is never below the level, which is what a bound on leakage needs.

    Raises:
        ValueError: n is 0, or successes are not between 0 and n.
    """
    return _interval(successes, n, level=level, method="exact")


def _interval(successes: int, n: int, *, level: float, method: str) -> Interval:
    if n == 0:
        raise ValueError("a proportion of no trials is not defined")
    bounds = binomtest(successes, n).proportion_ci(
        confidence_level=level, method="wilson" if method == "wilson" else "exact"
    )
    named = "wilson" if method == "wilson" else "clopper-pearson"
    return Interval(successes / n, float(bounds.low), float(bounds.high), named)
