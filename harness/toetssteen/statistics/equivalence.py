"""Is a difference shown, is it shown to be small, or do we not know?"""

from dataclasses import dataclass
from enum import StrEnum

from scipy.special import stdtr

from toetssteen.statistics import Interval
from toetssteen.statistics.studentised import Studentised


class Verdict(StrEnum):
    """What the data say of one difference, against a margin registered before the run."""

    DIFFERENCE = "difference"
    SMALL_DIFFERENCE = "small difference"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Tost:
    """Two one-sided tests: is the value above -margin, and is it below +margin?

    Args:
        above: p-value against "at most -margin".
        below: p-value against "at least +margin".
    """

    above: float
    below: float

    @property
    def p(self) -> float:
        """The p-value of equivalence: both must be shown."""
        return max(self.above, self.below)


def tost(estimate: Studentised, *, margin: float) -> Tost:
    """Test whether a value lies within +-margin.

    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657-680. At level
    alpha it agrees with: the 1 - 2 alpha interval lies within the margin.

    Where nothing varies (a candidate that answers the same for every name) t is not defined;
    each of the df + 1 units then lies on the same side, and the sign test says what that is
    worth: .5^(df + 1). Four templates are too few to show equivalence, five are enough at 5 %.

    Raises:
        ValueError: the margin is not above 0.
    """
    if margin <= 0:
        raise ValueError(f"a margin must be above 0, got {margin}")
    return Tost(
        above=_one_sided(estimate, estimate.value + margin),
        below=_one_sided(estimate, margin - estimate.value),
    )


def verdict(
    value: float,
    *,
    margin: float,
    difference_p: float,
    equivalence_p: float,
    alpha: float = 0.05,
) -> Verdict:
    """Return what the data say of one difference.

    A difference that is shown is `difference` where the estimate reaches the margin, else
    `small difference`, also where it is shown to be within the margin. Not shown, but shown to
    be within the margin: `equivalent`. Neither: `inconclusive`, which is not "no difference".

    Args:
        value: the estimate.
        margin: the smallest difference that matters, registered before the run.
        difference_p: p-value against no difference, adjusted over the family.
        equivalence_p: p-value of `tost`.
        alpha: level of both tests.

    Raises:
        ValueError: the margin is not above 0.
    """
    if margin <= 0:
        raise ValueError(f"a margin must be above 0, got {margin}")
    if difference_p < alpha:
        return Verdict.DIFFERENCE if abs(value) >= margin else Verdict.SMALL_DIFFERENCE
    return Verdict.EQUIVALENT if equivalence_p < alpha else Verdict.INCONCLUSIVE


def verdict_of_interval(
    interval: Interval, *, margin: float, difference_p: float, alpha: float = 0.05
) -> Verdict:
    """Return the verdict on a difference that has an interval but no standard error.

    Such as Newcombe's, Tango's or a bootstrap's. Pass the interval at level 1 - 2 alpha (90 % for
    alpha .05): whether it lies within the margin is then the equivalence test at alpha. The
    95 % interval may be passed too, and asks for more.

    Raises:
        ValueError: the margin is not above 0.
    """
    within = -margin < interval.low and interval.high < margin
    return verdict(
        interval.value,
        margin=margin,
        difference_p=difference_p,
        equivalence_p=0.0 if within else 1.0,
        alpha=alpha,
    )


def _one_sided(estimate: Studentised, away: float) -> float:
    """Return the p-value against a distance of 0 or less."""
    if estimate.without_spread(abs(away)):
        return float(0.5 ** (estimate.df + 1)) if away > 0 else 1.0
    return float(stdtr(estimate.df, -away / estimate.standard_error))
