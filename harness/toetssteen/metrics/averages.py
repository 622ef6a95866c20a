"""Rates, means and paired gaps over items, with the interval that the clusters ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor, fsum
from typing import ClassVar

from toetssteen.metrics import Rng, degenerate
from toetssteen.records import Better, Estimate, Marked, Score, Status
from toetssteen.statistics import Interval
from toetssteen.statistics.means import cluster_t, student
from toetssteen.statistics.proportions import clopper_pearson, wilson


@dataclass(frozen=True, slots=True)
class Rate:
    """The share of items for which something holds (values 0 and 1).

    Independent items: Wilson. Items in clusters: t over clusters, cut to [0, 1]; where no
    cluster differs from another, Clopper-Pearson with the clusters as trials (see `_widened`).

    Args:
        part: a part of the score instead of its value.
        better: which way is better for the person or organisation concerned.
    """

    part: str | None = None
    better: Better = "higher"
    by_group: ClassVar[bool] = True

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the rate."""
        if (no_number := degenerate(marked.scores, others=marked.others)) is not None:
            return no_number
        values = _values(marked.scores, self.part)
        if not set(values) <= {0.0, 1.0}:
            raise ValueError(f"a rate needs values 0 and 1, got {sorted(set(values))[:5]}")
        clusters = _clusters(marked.scores)
        if clusters is None:
            interval = wilson(round(fsum(values)), len(values))
        elif len(set(clusters)) < 2:
            return _unresolved(marked.scores, "all scored items belong to one cluster")
        else:
            interval = cluster_t(values, clusters)
        return _estimate(interval, marked.scores, clusters, bounds=(0.0, 1.0), better=self.better)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a score or of one of its parts.

    Independent items: Student's t. Items in clusters: t over clusters (K-1). Where all are equal
    and the score has bounds, Clopper-Pearson on items or clusters (see `_widened`).

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

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the mean."""
        no_number = degenerate(marked.scores, unit=self.unit, others=marked.others)
        if no_number is not None:
            return no_number
        values = _values(marked.scores, self.part)
        for value in values:
            if self.bounds is not None and not self.bounds[0] <= value <= self.bounds[1]:
                raise ValueError(f"{value} lies outside the bounds {list(self.bounds)}")
        clusters = _clusters(marked.scores)
        if clusters is None and len(values) < 2:
            return _unresolved(marked.scores, "one scored item shows no spread", unit=self.unit)
        if clusters is not None and len(set(clusters)) < 2:
            return _unresolved(
                marked.scores, "all scored items belong to one cluster", unit=self.unit
            )
        interval = student(values) if clusters is None else cluster_t(values, clusters)
        estimate = _estimate(
            interval, marked.scores, clusters, bounds=self.bounds, better=self.better
        )
        return replace(estimate, unit=self.unit)


@dataclass(frozen=True, slots=True)
class Gap:
    """The mean paired difference between two renderings of the same items; 0 is no difference.

    Args:
        unit: of the difference.
    """

    unit: str = "logit"
    better: Better = field(default="near_zero", init=False)
    by_group: ClassVar[bool] = True

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the gap."""
        return Mean(better="near_zero", unit=self.unit)(marked, rng=rng)


def _values(scores: Sequence[Score], part: str | None) -> list[float]:
    scored = [score for score in scores if score.value is not None]
    if part is None:
        return [score.value for score in scored if score.value is not None]
    for score in scored:
        if part not in score.parts:
            raise KeyError(f"part {part!r} is not in the score; there is {sorted(score.parts)}")
    return [score.parts[part] for score in scored]


def _clusters(scores: Sequence[Score]) -> list[tuple[str, ...]] | None:
    """Return one cluster a scored item, or None if the task declares none."""
    scored = [score for score in scores if score.value is not None]
    if not scored[0].clusters:
        return None
    return [tuple(score.clusters.values()) for score in scored]


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
    clusters: Sequence[tuple[str, ...]] | None,
    *,
    bounds: tuple[float, float] | None,
    better: Better,
) -> Estimate:
    n = sum(score.value is not None for score in scores)
    missing = len(scores) - n
    k = None if clusters is None else len(set(clusters))
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
            worst, best = _worst_and_best(min(ends), max(ends), better)
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


def _worst_and_best(low: float, high: float, better: Better) -> tuple[float, float]:
    if better == "near_zero":
        nearest = 0.0 if low <= 0.0 <= high else min(low, high, key=abs)
        return max(low, high, key=abs), nearest
    return (low, high) if better == "higher" else (high, low)
