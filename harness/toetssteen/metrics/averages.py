"""Rates, means and paired gaps over items, with the interval that the clusters ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor, fsum
from typing import ClassVar

from toetssteen.metrics import Rng, degenerate
from toetssteen.metrics.among import among
from toetssteen.records import Better, Estimate, Marked, Score, Status
from toetssteen.statistics import Interval
from toetssteen.statistics.clusters import two_way
from toetssteen.statistics.means import cluster_mean, independent_mean
from toetssteen.statistics.proportions import clopper_pearson, cluster_rate, wilson
from toetssteen.statistics.studentised import Studentised

# A gap with a smaller p-value is taken as shown, also where every decision is the same.
SHOWN = 0.05


@dataclass(frozen=True, slots=True)
class Rate:
    """The share of items for which something holds (values 0 and 1).

    Independent items: Wilson. Items in clusters: Wilson on the number of independent items that
    the clusters are worth (`cluster_rate`). Two crossed kinds of cluster (template and name): t
    with two-way errors, cut to [0, 1].

    Args:
        part: a part of the score instead of its value.
        better: which way is better for the person or organisation concerned.
        exact: Clopper-Pearson instead of Wilson for independent items: never too narrow, as a
            bound on leakage must be.
        among: group column → value of the items that count; all of them unless given.
    """

    part: str | None = None
    better: Better = "higher"
    exact: bool = False
    among: Mapping[str, str] = field(default_factory=dict)
    by_group: ClassVar[bool] = True

    def of(self, score: Score) -> float | None:
        """Return the value of one item; None also for an item that does not count."""
        if any(score.groups[column] != value for column, value in self.among.items()):
            return None
        return value_of(score, self.part)

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the rate."""
        marked = _on_part(among(marked, self.among), self.part)
        no_number = degenerate(marked.scores, others=marked.others, part=bool(self.among))
        if no_number is not None:
            return no_number
        values = _values(marked.scores)
        if not set(values) <= {0.0, 1.0}:
            raise ValueError(f"a rate needs values 0 and 1, got {sorted(set(values))[:5]}")
        ways = clusters_of(marked.scores)
        if (unresolved := _unresolved_clusters(marked.scores, ways)) is not None:
            return unresolved
        if not ways:
            interval = (clopper_pearson if self.exact else wilson)(
                round(fsum(values)), len(values)
            )
        elif len(ways) == 1:
            interval = cluster_rate(values, ways[0])
        else:
            interval = two_way(values, *ways).interval()
        return _estimate(interval, marked.scores, ways, bounds=(0.0, 1.0), better=self.better)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a score or of one of its parts.

    Independent items: Student's t. Items in clusters: t over clusters (K-1); two crossed kinds
    of cluster: two-way errors. Where all are equal and the score has bounds, Clopper-Pearson on
    items or clusters (see `_widened`).

    Args:
        part: a part of the score instead of its value.
        better: which way is better.
        unit: what is counted.
        bounds: the least and most that the score can be, where it has bounds.
    """

    part: str | None = None
    better: Better = "higher"
    unit: str = ""
    bounds: tuple[float, float] | None = None
    by_group: ClassVar[bool] = True

    def of(self, score: Score) -> float | None:
        """Return the value of one item."""
        return value_of(score, self.part)

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the mean."""
        marked = _on_part(marked, self.part)
        no_number = degenerate(marked.scores, unit=self.unit, others=marked.others)
        return self.average(marked) if no_number is None else no_number

    def average(self, marked: Marked) -> Estimate:
        """Estimate the mean of the values, also of answers that are all the same."""
        if all(score.value is None for score in marked.scores):
            no_number = degenerate(marked.scores, unit=self.unit, others=marked.others)
            if no_number is None:
                raise AssertionError("no score, and yet no reason")
            return no_number
        values = _values(marked.scores)
        for value in values:
            if self.bounds is not None and not self.bounds[0] <= value <= self.bounds[1]:
                raise ValueError(f"{value} lies outside the bounds {list(self.bounds)}")
        ways = clusters_of(marked.scores)
        unresolved = _unresolved_clusters(marked.scores, ways, unit=self.unit)
        if unresolved is not None:
            return unresolved
        if not ways and len(values) < 2:
            return _unresolved(marked.scores, "one scored item shows no spread", unit=self.unit)
        mean = clustered_mean(values, ways)
        estimate = _estimate(
            mean.interval(), marked.scores, ways, bounds=self.bounds, better=self.better
        )
        return replace(estimate, unit=self.unit, standard_error=mean.standard_error, df=mean.df)


@dataclass(frozen=True, slots=True)
class Gap:
    """The mean paired difference between two renderings of the same items; 0 is no difference.

    Args:
        unit: of the difference.
        part: a part of the score instead of its value.
        bounds: the least and most that the difference can be, where it has bounds.
    """

    unit: str = "logit"
    part: str | None = None
    bounds: tuple[float, float] | None = None
    better: Better = field(default="near_zero", init=False)
    by_group: ClassVar[bool] = True

    def of(self, score: Score) -> float | None:
        """Return the difference of one item."""
        return value_of(score, self.part)

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the gap, with the p-value against no difference.

        A candidate that always decides the same may still lean: a gap that is shown stands. One
        that is not shown says nothing, and is not called fair.
        """
        marked = _on_part(marked, self.part)
        estimate = Mean(better="near_zero", unit=self.unit, bounds=self.bounds).average(marked)
        if estimate.value is None or estimate.standard_error is None or estimate.df is None:
            return estimate
        shown = Studentised(estimate.value, estimate.standard_error, estimate.df, estimate.method)
        constant = degenerate(marked.scores, unit=self.unit, others=marked.others)
        if constant is not None and shown.p_value() >= SHOWN:
            return constant
        return replace(estimate, p_value=shown.p_value())


def clustered_mean(values: Sequence[float], ways: Sequence[Sequence[str]]) -> Studentised:
    """Return a mean with the standard error that its clusters ask for.

    Args:
        values: one number an item.
        ways: for each kind of cluster, the cluster of every item; two kinds are crossed.
    """
    if not ways:
        return independent_mean(values)
    if len(ways) == 1:
        named = cluster_mean(values, ways[0])
        return replace(named, method=f"cluster-t ({len(set(ways[0]))} clusters)")
    return two_way(values, *ways)


def value_of(score: Score, part: str | None) -> float | None:
    """Return a score's value or one of its parts; None where it is unscored.

    An unscored answer may still have parts: a refusal decides nothing, and is counted as one.

    Raises:
        KeyError: the scorer gives no such part.
    """
    if part is None:
        return score.value
    if part not in score.parts:
        if score.value is None:
            return None
        raise KeyError(f"part {part!r} is not in the score; there is {sorted(score.parts)}")
    return score.parts[part]


def _on_part(marked: Marked, part: str | None) -> Marked:
    """Return the scores with a part of each in place of its value."""
    if part is None:
        return marked

    def of(score: Score) -> Score:
        value = value_of(score, part)
        why = "" if value is not None else score.why_unscored
        return replace(score, value=value, why_unscored=why)

    # The others stay as they are: what does not count need not have the part.
    return replace(marked, scores=tuple(map(of, marked.scores)))


def _values(scores: Sequence[Score]) -> list[float]:
    return [score.value for score in scores if score.value is not None]


def clusters_of(scores: Sequence[Score]) -> list[list[str]]:
    """Return, for each kind of cluster the task declares, the cluster of each scored item."""
    scored = [score for score in scores if score.value is not None]
    return [[score.clusters[kind] for score in scored] for kind in scored[0].clusters]


def _unresolved_clusters(
    scores: Sequence[Score], ways: Sequence[Sequence[str]], *, unit: str = ""
) -> Estimate | None:
    if any(len(set(way)) < 2 for way in ways):
        return _unresolved(scores, "all scored items belong to one cluster", unit=unit)
    return None


def _unresolved(scores: Sequence[Score], reason: str, *, unit: str = "") -> Estimate:
    scored = sum(score.value is not None for score in scores)
    return Estimate.none(
        Status.NOT_RESOLVABLE, reason, n=scored, unscored=len(scores) - scored, unit=unit
    )


def _widened(
    interval: Interval, bounds: tuple[float, float], *, trials: int, named: str
) -> Interval:
    """Give an interval of no width the width that so many agreeing trials can carry.

    Where nothing differs, t has no spread to go by and would claim certainty. Clopper-Pearson
    holds for any score between bounds when all values are at one bound; between the bounds it is
    taken from the whole numbers of successes on either side.
    """
    least, most = bounds
    # Rounding leaves some 1e-16 where nothing differs; one item in a million leaves 1e-12.
    if interval.high - interval.low > 1e-13 * (most - least):
        return interval
    successes = round((interval.value - least) / (most - least) * trials, 9)
    low = clopper_pearson(floor(successes), trials).low
    high = clopper_pearson(ceil(successes), trials).high
    return Interval(
        value=interval.value,
        low=least + low * (most - least),
        high=least + high * (most - least),
        method=f"clopper-pearson ({trials} {named} as trials)",
    )


def _estimate(
    interval: Interval,
    scores: Sequence[Score],
    ways: Sequence[Sequence[str]],
    *,
    bounds: tuple[float, float] | None,
    better: Better,
) -> Estimate:
    n = sum(score.value is not None for score in scores)
    missing = len(scores) - n
    k = min((len(set(way)) for way in ways), default=None)
    worst = best = None
    if bounds is not None:
        interval = _widened(
            interval, bounds, trials=k or n, named="clusters" if k is not None else "items"
        )
        low, high = max(bounds[0], interval.low), min(bounds[1], interval.high)
        interval = replace(interval, low=low, high=high)
        if missing:
            # Manski bounds: every unscored answer at one end, then at the other.
            ends = [(interval.value * n + missing * end) / (n + missing) for end in bounds]
            worst, best = worst_and_best(min(ends), max(ends), better)
    return Estimate(
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=n,
        unscored=missing,
        method=interval.method,
        status=Status.MEASURED,
        clusters=k,
        if_worst=worst,
        if_best=best,
    )


def worst_and_best(low: float, high: float, better: Better) -> tuple[float, float]:
    """Return which end of what is possible is worse and which better."""
    if better == "near_zero":
        nearest = 0.0 if low <= 0.0 <= high else min(low, high, key=abs)
        return max(low, high, key=abs), nearest
    return (low, high) if better == "higher" else (high, low)
