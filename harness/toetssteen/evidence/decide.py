"""One estimate against one criterion: which side, or not known, and what would decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from toetssteen.records import Estimate, Says, Status
from toetssteen.spec import Criterion
from toetssteen.statistics.equivalence import Verdict, tost, verdict
from toetssteen.statistics.multiplicity import holm
from toetssteen.statistics.planning import from_pilot, units_needed
from toetssteen.statistics.studentised import Studentised

# Where more answers than this are unscored, the rest says little about the whole; where the
# share differs this much between groups, little about their difference.
MOST_UNSCORED = 0.2
MOST_UNSCORED_GAP = 0.05


@dataclass(frozen=True, slots=True)
class Decided:
    """What an estimate says of a criterion, and why."""

    says: Says
    because: str


@dataclass(frozen=True, slots=True)
class Family:
    """The differences that a profile declares together, with p-values corrected by Holm."""

    adjusted: Mapping[str, float]  # by criterion
    size: int

    @classmethod
    def of(cls, criteria: Sequence[Criterion], estimates: Mapping[str, Estimate]) -> "Family":
        """Correct the p-values of every criterion that asks for equivalence."""
        declared = [one for one in criteria if one.comparator.kind == "equivalence"]
        found = [estimates.get(one.result) for one in declared]
        # What was declared and could not be tested still counts: the family was fixed before.
        p_values = [None if e is None else e.p_value for e in found]
        adjusted = holm([1.0 if p is None else p for p in p_values])
        by_criterion = {
            one.id: after
            for one, before, after in zip(declared, p_values, adjusted, strict=True)
            if before is not None and after is not None
        }
        return cls(by_criterion, len(declared))


def decide(
    criterion: Criterion,
    estimate: Estimate,
    family: Family,
    *,
    unscored_gap: float,
    compares_groups: bool,
) -> Decided:
    """Return what an estimate says of a criterion.

    Args:
        criterion: as registered.
        estimate: of the result it names.
        family: the differences declared with it.
        unscored_gap: the largest difference between groups in the share of unscored answers.
        compares_groups: whether the estimate itself is a difference between groups.
    """
    kind, value = criterion.comparator.kind, criterion.comparator.value
    if estimate.status is not Status.MEASURED:
        return Decided(Says.NOT_MEASURED, f"{estimate.status.value}: {estimate.reason}")
    if kind == "report_only" or value is None:
        return Decided(Says.REPORTED, "the profile asks to report it")
    if (unsure := _why_unsure(criterion, estimate, unscored_gap * compares_groups)) is not None:
        return Decided(Says.INCONCLUSIVE, unsure)
    if kind == "equivalence":
        p_value = family.adjusted.get(criterion.id)
        decided = _equivalence(value, estimate, p_value, family.size)
    else:
        decided = _side(kind, value, estimate)
    if decided.says is Says.MEETS and estimate.unscored and estimate.if_worst is None:
        said = f"{estimate.unscored} answers are unscored, and how they would weigh is not known"
        return Decided(Says.INCONCLUSIVE, said)
    return decided


def _why_unsure(criterion: Criterion, estimate: Estimate, unscored_gap: float) -> str | None:
    """Return why too little was scored to decide, or None."""
    if estimate.n < criterion.min_n:
        return f"{estimate.n} items; the profile asks for {criterion.min_n}"
    asked = estimate.n + estimate.unscored
    if estimate.unscored > MOST_UNSCORED * asked:
        return f"{estimate.unscored} of {asked} answers are unscored"
    if unscored_gap > MOST_UNSCORED_GAP:
        return f"the share of unscored answers differs by {unscored_gap:.3g} between groups"
    return None


# --- a bound -----------------------------------------------------------------------------------


def _side(kind: str, limit: float, estimate: Estimate) -> Decided:
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return Decided(Says.INCONCLUSIVE, "the estimate has no interval")
    inside = f"[{low:.4g}, {high:.4g}]"
    if low >= limit if kind == "at_least" else high <= limit:
        worst = estimate.if_worst
        if worst is not None and (worst < limit if kind == "at_least" else worst > limit):
            said = (
                f"the interval {inside} is on the right side of {limit:g}, but with the "
                f"{estimate.unscored} unscored answers counted against it the value is {worst:.4g}"
            )
            return Decided(Says.INCONCLUSIVE, said)
        return Decided(
            Says.MEETS, f"the whole interval {inside} is on the right side of {limit:g}"
        )
    if high < limit if kind == "at_least" else low > limit:
        return Decided(Says.DOES_NOT_MEET, f"the whole interval {inside} is beyond {limit:g}")
    said = f"the interval {inside} lies on both sides of {limit:g}"
    needed = _items_that_decide(limit, estimate)
    if needed is not None:
        said += f"; about {needed} items would decide if the value stays {estimate.value:.4g}"
    return Decided(Says.INCONCLUSIVE, said)


def _items_that_decide(limit: float, estimate: Estimate) -> int | None:
    """Return the items for which the interval's half on the limit's side would just reach it.

    Intervals shrink with the root of n; rough near 0 and 1, and None where the value is the limit.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None or value == limit:
        return None
    half = value - low if value > limit else high - value
    return ceil(estimate.n * (half / abs(value - limit)) ** 2)


# --- equivalence -------------------------------------------------------------------------------


def _equivalence(
    margin: float, estimate: Estimate, difference_p: float | None, family: int
) -> Decided:
    """Hold a difference against a margin: shown, shown to be small, or not known."""
    value, error, df = estimate.value, estimate.standard_error, estimate.df
    if value is None or error is None or df is None or difference_p is None:
        return Decided(Says.INCONCLUSIVE, "equivalence is only decided for differences")
    shown = Studentised(value, error, df, estimate.method)
    found = verdict(
        value,
        margin=margin,
        difference_p=difference_p,
        equivalence_p=tost(shown, margin=margin).p,
    )
    said = (
        f"{found.value}: {value:.4g} against a margin of {margin:g} "
        f"(p {difference_p:.3g} by Holm over {family})"
    )
    match found:
        case Verdict.EQUIVALENT:
            return Decided(Says.MEETS, said)
        case Verdict.DIFFERENCE:
            return Decided(Says.DOES_NOT_MEET, said)
        case Verdict.SMALL_DIFFERENCE:
            # Smaller than the margin, but there: whether it is justified is for people.
            return Decided(Says.NEEDS_HUMAN_EVIDENCE, said)
        case Verdict.INCONCLUSIVE:
            return Decided(Says.INCONCLUSIVE, said + _units(shown, margin, estimate))


def _units(shown: Studentised, margin: float, estimate: Estimate) -> str:
    """Say how many clusters (or items) find a difference as large as the margin."""
    units = estimate.clusters if estimate.clusters is not None else estimate.n
    if shown.standard_error == 0:
        return ""
    needed = ceil(units_needed(from_pilot(shown, units), margin))
    kind = "clusters" if estimate.clusters is not None else "items"
    return f"; {needed} {kind} find a difference of {margin:g} with 80 % power, there are {units}"
