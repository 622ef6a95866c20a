"""How many items answer a question, and what a number of items can still find; one the other.

A question knows its standard deviation, for one unit, if nothing is the matter and if an effect
is there. `units_needed` and `detectable` invert each other for every question.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, expm1, inf, log1p, sqrt
from typing import Protocol

from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from toetssteen.statistics.studentised import Studentised

FINE = 1e-15


@dataclass(frozen=True, slots=True)
class Demands:
    """How sure the answer must be.

    Args:
        alpha: the chance of a false alarm in the whole family.
        power: the chance to find the effect if it is there.
        family: how many tests share alpha (Bonferroni: a little more than Holm needs).
        two_sided: whether an effect in either direction counts.
    """

    alpha: float = 0.05
    power: float = 0.80
    family: int = 1
    two_sided: bool = True

    def __post_init__(self) -> None:
        """Refuse what no formula here can answer.

        Raises:
            ValueError: alpha is not between 0 and .5, power not between .5 and 1, or the family
                is empty.
        """
        if not (0 < self.alpha < 0.5 <= self.power < 1 and self.family >= 1):
            raise ValueError(f"these demands cannot be planned for: {self}")

    @property
    def level(self) -> float:
        """The quantile that a test statistic must exceed."""
        return 1 - self.alpha / self.family / (2 if self.two_sided else 1)


class Question(Protocol):
    """What is asked of the data, for one unit (item, pair, or item in each of two groups)."""

    def null_sd(self, effect: float, /) -> float:
        """Return the standard deviation that the test assumes when it rejects."""
        ...

    def sd(self, effect: float, /) -> float:
        """Return the standard deviation if the effect is there."""
        ...

    def most(self, sign: int, /) -> float:
        """Return how large an effect with this sign can be."""
        ...

    def df(self, units: float, /) -> float:
        """Return the degrees of freedom that units leave; infinite where none are spent."""
        ...


@dataclass(frozen=True, slots=True)
class OneProportion:
    """Is a rate other than one that is given? A unit is an item."""

    null: float

    def null_sd(self, _: float, /) -> float:
        """Return the standard deviation at the given rate."""
        return _binomial_sd(self.null)

    def sd(self, effect: float, /) -> float:
        """Return the standard deviation at the rate plus the effect."""
        return _binomial_sd(self.null + effect)

    def most(self, sign: int, /) -> float:
        """Return the way to 1, or to 0."""
        return 1 - self.null if sign > 0 else self.null

    def df(self, _: float, /) -> float:
        """Spend none."""
        return inf


@dataclass(frozen=True, slots=True)
class TwoProportions:
    """Do two independent groups have different rates? A unit is an item in each group.

    Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, chapter 4.

    Args:
        base: the rate of the first group; the second's is base + effect.
        common: the rate of both if there is no difference, where that is known from elsewhere;
            None takes the mean of the two, as the usual test does.
    """

    base: float
    common: float | None = None

    def null_sd(self, effect: float, /) -> float:
        """Return the standard deviation of the difference if both had one rate."""
        rate = self.base + effect / 2 if self.common is None else self.common
        return sqrt(2) * _binomial_sd(rate)

    def sd(self, effect: float, /) -> float:
        """Return the standard deviation of the difference."""
        return sqrt(_binomial_sd(self.base) ** 2 + _binomial_sd(self.base + effect) ** 2)

    def most(self, sign: int, /) -> float:
        """Return the way from the base to 1, or to 0."""
        return 1 - self.base if sign > 0 else self.base

    def df(self, _: float, /) -> float:
        """Spend none."""
        return inf


@dataclass(frozen=True, slots=True)
class PairedProportions:
    """Do two readings of the same items have different rates (McNemar)? A unit is a pair.

    Connor (1987), Biometrics 43:207-211.

    Args:
        discordance: the share of pairs whose two readings differ, in whichever direction.
    """

    discordance: float

    def null_sd(self, _: float, /) -> float:
        """Return the standard deviation of a pair's difference if directions balance."""
        return sqrt(self.discordance)

    def sd(self, effect: float, /) -> float:
        """Return the standard deviation of a pair's difference."""
        return sqrt(max(0.0, self.discordance - effect**2))

    def most(self, _: int, /) -> float:
        """Return the discordance: then all pairs that differ, differ one way."""
        return self.discordance

    def df(self, _: float, /) -> float:
        """Spend none."""
        return inf


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """Is a mean (of paired differences) other than 0? A unit is an item, a pair, or a cluster.

    Args:
        sd_of_one: standard deviation of one unit; .5 is the most that a rate can have.
        spent: degrees of freedom that the mean costs: 1 for Student's t; None plans with the
            normal distribution, for a known standard deviation or many units.
    """

    sd_of_one: float
    spent: int | None = None

    def null_sd(self, _: float, /) -> float:
        """Return the standard deviation of one unit."""
        return self.sd_of_one

    def sd(self, _: float, /) -> float:
        """Return the standard deviation of one unit."""
        return self.sd_of_one

    def most(self, _: int, /) -> float:
        """Return no limit."""
        return inf

    def df(self, units: float, /) -> float:
        """Return the units less what is spent."""
        return inf if self.spent is None else units - self.spent


@dataclass(frozen=True, slots=True)
class Clustering:
    """What hanging together costs: `size` items a cluster, with an intraclass correlation.

    Kish (1965), Survey Sampling, section 5.4: n items are worth n / (1 + (size - 1) icc).
    """

    size: float
    icc: float

    @property
    def design_effect(self) -> float:
        """How many clustered items are worth one that stands alone."""
        return 1 + (self.size - 1) * self.icc

    def clusters(self, units: float) -> float:
        """Return the clusters that are worth so many independent items."""
        return units * self.design_effect / self.size

    def units(self, clusters: float) -> float:
        """Return the independent items that so many clusters are worth."""
        return clusters * self.size / self.design_effect


@dataclass(frozen=True, slots=True)
class AttackSize:
    """How many texts show that an attack finds more members than it may accuse others."""

    members: int
    non_members: int


def units_needed(question: Question, effect: float, demands: Demands | None = None) -> float:
    """Return how many units find an effect with the power that is demanded; round it up.

    ((level quantile * null_sd + power quantile * sd) / effect)^2, with Student's quantiles where
    the question spends degrees of freedom (Bloom 1995, Evaluation Review 19:547-556).

    Args:
        question: what is asked.
        effect: the smallest effect worth finding, with its sign.
        demands: how sure; 5 % two-sided and 80 % by default.

    Raises:
        ValueError: the effect is 0, or larger than it can be.
    """
    demands = demands or Demands()
    most = question.most(1 if effect > 0 else -1)
    if effect == 0 or abs(effect) > most:
        raise ValueError(f"an effect of {effect} cannot be: it lies between 0 and {most}")

    def for_df(df: float) -> float:
        return (_reach(question, effect, demands, df) / abs(effect)) ** 2

    fewest = question.df(0)
    if fewest == inf:
        return for_df(inf)
    least = 1 - fewest  # one degree of freedom
    if for_df(1) <= least:
        return least
    return _root(lambda units: units - for_df(question.df(units)), least, least + for_df(1))


def detectable(
    question: Question, units: float, demands: Demands | None = None, *, sign: int = 1
) -> float:
    """Return the smallest effect that so many units find with the power that is demanded.

    Args:
        question: what is asked.
        units: how many there are.
        demands: how sure; 5 % two-sided and 80 % by default.
        sign: 1 for an effect upwards, -1 downwards; the result has it.

    Raises:
        ValueError: not even the largest effect that can be would be found, or no degree of
            freedom is left.
    """
    demands = demands or Demands()
    df = question.df(units)
    if df < 1 or units <= 0:
        raise ValueError(f"{units} units leave no spread to measure")

    def found(size: float) -> float:
        return size - _reach(question, sign * size, demands, df) / sqrt(units)

    most = question.most(sign)
    if most == inf:
        return sign * _reach(question, 0.0, demands, df) / sqrt(units)
    if found(most) < 0:
        raise ValueError(f"{units} units would not even find an effect of {sign * most}")
    return sign * _root(found, FINE, most)


def from_pilot(estimate: Studentised, units: int) -> MeanDifference:
    """Return the question that plans the next run from the standard error of one that was done.

    `detectable(from_pilot(estimate, units), units)` is what that run could have found.

    Args:
        estimate: with the standard error of so many units.
        units: items, pairs, or clusters where those are the units; not less than its df.

    Raises:
        ValueError: nothing varied, or there are fewer units than degrees of freedom.
    """
    spent = round(units - estimate.df)
    if estimate.standard_error <= 0 or spent < 0:
        raise ValueError("without spread between units nothing can be planned")
    return MeanDifference(estimate.standard_error * sqrt(units), spent)


def trials_without_event(rate: float, *, level: float = 0.95) -> float:
    """Return how many trials without an event bound its rate below this one; round it up.

    One-sided, exact: (1 - rate)^n = 1 - level.

    Raises:
        ValueError: the rate or the level is not between 0 and 1.
    """
    _check_shares(rate, level)
    return log1p(-level) / log1p(-rate)


def bound_without_event(trials: float, *, level: float = 0.95) -> float:
    """Return the one-sided exact upper bound of a rate after so many trials without an event.

    Raises:
        ValueError: there are no trials, or the level is not between 0 and 1.
    """
    _check_shares(level)
    if trials <= 0:
        raise ValueError("no trials bound nothing")
    return -expm1(log1p(-level) / trials)


def attack_size(tpr: float, *, alpha: float, demands: Demands | None = None) -> AttackSize:
    """Return the members and non-members that show a TPR above alpha at a FPR of alpha.

    An attack that guesses finds alpha of the members. Non-members: at least 1/alpha, or not one
    false positive can be allowed; that many bound the realised rate only loosely.

    Args:
        tpr: the share of members that an attack worth reporting finds.
        alpha: the false positive rate.
        demands: how sure; one-sided, 5 % and 80 % by default.

    Raises:
        ValueError: alpha is not between 0 and 1, or the TPR is not above it.
    """
    _check_shares(alpha)
    if tpr <= alpha:
        raise ValueError(f"a TPR of {tpr} at a FPR of {alpha} is no attack")
    demands = demands or Demands(two_sided=False)
    members = units_needed(OneProportion(alpha), tpr - alpha, demands)
    return AttackSize(ceil(members), ceil(1 / alpha - 1e-9))


def _reach(question: Question, effect: float, demands: Demands, df: float) -> float:
    def quantile(share: float) -> float:
        return float(ndtri(share) if df == inf else stdtrit(df, share))

    level, power = quantile(demands.level), quantile(demands.power)
    return level * question.null_sd(effect) + power * question.sd(effect)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=FINE, rtol=FINE, maxiter=500))


def _binomial_sd(rate: float) -> float:
    return sqrt(max(0.0, rate * (1 - rate)))


def _check_shares(*shares: float) -> None:
    for share in shares:
        if not 0 < share < 1:
            raise ValueError(f"a share lies between 0 and 1, got {share}")
