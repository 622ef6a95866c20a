"""How well scores separate members from non-members: the whole curve, and its strict end.

Everywhere a higher score means: more likely a member. Ties count half in the area, and as
accusations at a threshold (score >= threshold).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, floor, fsum, isfinite, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from toetssteen.statistics import Interval
from toetssteen.statistics.proportions import clopper_pearson

# alpha * n is meant to be whole more often than floating point makes it (.29 * 100).
WHOLE = 1e-9


@dataclass(frozen=True, slots=True)
class Area:
    """The area under a ROC curve, with DeLong's standard error."""

    value: float
    standard_error: float
    members: int
    non_members: int

    def interval(self, *, level: float = 0.95) -> Interval:
        """Return the interval on the logit scale; it stays in [0, 1].

        On the plain scale DeLong's interval covers less than it says near 1 and for small groups
        (docs/statistics.md). With perfect separation DeLong's standard error is 0; the smaller
        group then counts as that many independent pairs, all ordered alike, and Clopper and
        Pearson bound their probability.
        """
        if self.value in (0.0, 1.0):
            pairs = min(self.members, self.non_members)
            exact = clopper_pearson(round(self.value) * pairs, pairs, level=level)
            method = f"clopper-pearson ({pairs} pairs: perfect separation)"
            return Interval(self.value, exact.low, exact.high, method)
        logit = log(self.value / (1 - self.value))
        error = self.standard_error / (self.value * (1 - self.value))
        half = float(ndtri(0.5 + level / 2)) * error
        return Interval(self.value, _expit(logit - half), _expit(logit + half), "delong (logit)")

    def p_value(self) -> float:
        """Return the two-sided p-value of no separation at all (area .5), on the logit scale.

        With perfect separation: the sign test of as many pairs as the smaller group has.
        """
        if self.value in (0.0, 1.0):
            return min(1.0, 2 * 0.5 ** min(self.members, self.non_members))
        logit = log(self.value / (1 - self.value))
        error = self.standard_error / (self.value * (1 - self.value))
        return float(2 * ndtr(-abs(logit) / error))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What an attacker finds who may accuse at most a share alpha of the non-members.

    Args:
        alpha: the false positive rate that was allowed.
        threshold: the lowest score that is called a member; None where even the highest score
            would accuse too many.
        tpr: the share of members found, with its interval.
        fpr: the share of non-members accused at that threshold, with its interval.
    """

    alpha: float
    threshold: float | None
    tpr: Interval
    fpr: Interval


def area_under_curve(members: Sequence[float], non_members: Sequence[float]) -> Area:
    """Return the probability that a member scores above a non-member (ties count half).

    With the variance of DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845, by the
    ranks of Sun and Xu (2014), IEEE Signal Processing Letters 21:1389-1393: O(n log n).

    Raises:
        ValueError: fewer than two members or non-members, a score that is no number, or all
            scores equal.
    """
    m, n = len(members), len(non_members)
    if min(m, n) < 2:
        raise ValueError("the spread of fewer than two members or non-members is not known")
    ours, theirs = _numbers(members), _numbers(non_members)
    if min(ours[0], theirs[0]) == max(ours[-1], theirs[-1]):
        raise ValueError("all scores are equal: they separate nothing")
    together = rankdata(np.concatenate([ours, theirs]))
    above = (together[:m] - rankdata(ours)) / n  # a member's share of non-members below it
    below = 1 - (together[m:] - rankdata(theirs)) / m  # a non-member's share of members above it
    area = fsum(together[:m] - rankdata(ours)) / (m * n)
    variance = _variance(above, area) / m + _variance(below, area) / n
    return Area(area, sqrt(variance), m, n)


def tpr_at_fpr(
    members: Sequence[float],
    non_members: Sequence[float],
    *,
    alpha: float,
    level: float = 0.95,
) -> OperatingPoint:
    """Return the share of members found while at most a share alpha of non-members is accused.

    The lowest threshold with at most floor(alpha * non-members) false positives, without
    interpolation between thresholds (Carlini et al. 2022, IEEE S&P, arXiv:2112.03570, report
    attacks this way). Clopper-Pearson for both rates; the interval of the false positive rate is
    what alpha really came to. The threshold is taken as given: where non-members are few, read
    the two intervals together.

    Raises:
        ValueError: fewer than 1/alpha non-members ("not resolvable": not one false positive
            would be allowed), no members, or a score that is no number.
    """
    m, n = len(members), len(non_members)
    if not 0 < alpha < 1:
        raise ValueError(f"a false positive rate lies between 0 and 1, got {alpha}")
    if m == 0:
        raise ValueError("there are no members to find")
    allowed = floor(alpha * n + WHOLE)
    if allowed < 1:
        raise ValueError(f"not resolvable: {n} non-members, {_needed(alpha)} are needed")
    ours, theirs = _numbers(members), _numbers(non_members)
    # The next non-member would be one too many: the threshold lies above it and all its ties.
    limit = theirs[n - allowed - 1] if allowed < n else -np.inf
    scores = np.concatenate([ours, theirs])
    allowed_scores = scores[scores > limit]
    threshold = float(allowed_scores.min()) if allowed_scores.size else None
    found = m - int(np.searchsorted(ours, limit, side="right"))
    accused = n - int(np.searchsorted(theirs, limit, side="right"))
    return OperatingPoint(
        alpha=alpha,
        threshold=threshold,
        tpr=clopper_pearson(found, m, level=level),
        fpr=clopper_pearson(accused, n, level=level),
    )


def _needed(alpha: float) -> int:
    return -floor(-1 / alpha + WHOLE)


def _numbers(scores: Sequence[float]) -> NDArray[np.float64]:
    """Return the scores in ascending order; where two are swapped, nothing may change."""
    if not all(isfinite(score) for score in scores):
        raise ValueError("a score is not a finite number")
    return np.sort(np.asarray(scores, dtype=np.float64))


def _variance(shares: NDArray[np.float64], mean: float) -> float:
    return fsum((shares - mean) ** 2) / (len(shares) - 1)


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x)) if x > 0 else exp(x) / (1 + exp(x))
