"""How decisions fall on groups: rates per group, signed contrasts, and the largest gap.

The measures are those of Hardt, Price and Srebro (2016), Equality of Opportunity in Supervised
Learning, and Chouldechova (2017), Big Data 5(2):153-163. fairlearn computes them too; what is
added here is what a decision needs: intervals, small groups hidden, a rate that is not defined
said to be so (and not 0), and a guard where the truth is known of picked cases only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from toetssteen.errors import ArgumentError, ContentError
from toetssteen.metrics import Rng, degenerate
from toetssteen.metrics.averages import Mean, Rate, clusters_of
from toetssteen.metrics.groups import gap_between
from toetssteen.records import Better, Estimate, Marked, Score, Status
from toetssteen.statistics import Interval
from toetssteen.statistics.cells import SUPPRESSED_BELOW, Cell, cell
from toetssteen.statistics.clusters import Sample, difference
from toetssteen.statistics.differences import newcombe, unpaired_p
from toetssteen.statistics.strata import Side, mantel_haenszel

Measure = Literal[
    "selection_rate",
    "accuracy",
    "true_positive_rate",
    "false_positive_rate",
    "positive_predictive_value",
    "false_discovery_rate",
    "false_omission_rate",
    "calibration",
    "brier",
]
Parts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Of:
    """One measure: among which cases, what is counted, and what must be known for it."""

    counts: Callable[[float, Parts], float]  # of the decision and the parts of a score
    among: str  # in words, for when there are none
    belongs: Callable[[float, Parts], bool] = lambda _selected, _parts: True
    needs: tuple[str, ...] = ()
    better: Better = "near_zero"
    # Of a case without a decision: could it have belonged, by what is known of the case itself?
    could: Callable[[Parts], bool] = lambda _parts: True


def _positive(parts: Parts) -> float:
    return parts["positive"] if "positive" in parts else parts["positive_if_picked"]


MEASURES: Mapping[Measure, _Of] = {
    "selection_rate": _Of(lambda selected, _: selected, "cases"),
    "accuracy": _Of(
        lambda _, p: p["correct"],
        "cases with a known label",
        needs=("correct",),
        better="higher",
        could=lambda p: "positive" in p,
    ),
    "true_positive_rate": _Of(
        lambda selected, _: selected,
        "cases whose true label is the positive one",
        lambda _, p: p["positive"] == 1.0,
        ("positive",),
        "higher",
        could=lambda p: p.get("positive") == 1.0,
    ),
    "false_positive_rate": _Of(
        lambda selected, _: selected,
        "cases whose true label is not the positive one",
        lambda _, p: p["positive"] == 0.0,
        ("positive",),
        "lower",
        could=lambda p: p.get("positive") == 0.0,
    ),
    "positive_predictive_value": _Of(
        lambda _, p: _positive(p),
        "cases decided for, with a known label",
        lambda selected, _: selected == 1.0,
        ("positive or positive_if_picked",),
        "higher",
    ),
    "false_discovery_rate": _Of(
        lambda _, p: 1.0 - _positive(p),
        "cases decided for, with a known label",
        lambda selected, _: selected == 1.0,
        ("positive or positive_if_picked",),
        "lower",
    ),
    "false_omission_rate": _Of(
        lambda _, p: p["positive"],
        "cases decided against, with a known label",
        lambda selected, _: selected == 0.0,
        ("positive",),
        "lower",
    ),
    "calibration": _Of(
        lambda _, p: p["positive"] - p["probability"],
        "cases with a probability and a known label",
        needs=("positive", "probability"),
        could=lambda p: "positive" in p,
    ),
    "brier": _Of(
        lambda _, p: (p["positive"] - p["probability"]) ** 2,
        "cases with a probability and a known label",
        needs=("positive", "probability"),
        could=lambda p: "positive" in p,
        better="lower",
    ),
}
BOUNDS: Mapping[Measure, tuple[float, float]] = {"calibration": (-1.0, 1.0), "brier": (0.0, 1.0)}
PICKED = "picked cases only"  # a flag on what is known of no others


@dataclass(frozen=True, slots=True)
class LabelRate:
    """One measure of decisions, over all cases and for each group.

    Intervals as of `rate` (and of `mean` for calibration and Brier).

    Args:
        measure: `selection_rate`, `accuracy`, `true_positive_rate`, `false_positive_rate`,
            `positive_predictive_value`, `false_discovery_rate`, `false_omission_rate`,
            `calibration` (how often it happened minus how probable it was held) or `brier`.
    """

    measure: Measure
    by_group: ClassVar[bool] = True

    @property
    def better(self) -> Better:
        """Which way is better for the person concerned."""
        return MEASURES[self.measure].better

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the measure."""
        whole = (*marked.scores, *marked.others)
        if (no_number := _no_number(marked.scores, whole, self.measure)) is not None:
            return no_number
        kept = _kept(marked.scores, self.measure)
        metric: Rate | Mean = (
            Mean(better=self.better, bounds=BOUNDS[self.measure])
            if self.measure in BOUNDS
            else Rate(better=self.better)
        )
        estimate = metric(Marked(tuple(kept)), rng=rng)
        return replace(estimate, flags=(*estimate.flags, *_flags(marked.scores, self.measure)))


@dataclass(frozen=True, slots=True)
class LabelContrast:
    """One measure in one group minus the same in a reference group; 0 is no difference.

    Independent cases: Newcombe's interval and Campbell's test; calibration and Brier, which are
    no rates: Welch's t. Cases in clusters: t over clusters.
    With `within`, groups are compared inside the strata of another column (conditional parity)
    and pooled (Mantel-Haenszel), cases taken as independent.

    Args:
        measure: see `label_rate`.
        group: the task's group column.
        of_group: the group.
        reference: the group it is held beside.
        within: the group column whose strata are compared inside.
    """

    measure: Measure
    group: str
    of_group: str
    reference: str
    within: str | None = None
    better: Better = field(default="near_zero", init=False)
    by_group: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            ArgumentError: a group beside itself, or strata for what is no rate.
        """
        if self.of_group == self.reference:
            raise ArgumentError("reference", "should be another group than of_group")
        if self.within is not None and self.measure in BOUNDS:
            raise ArgumentError("within", f"is for rates; {self.measure} is none")

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the contrast, with its p-value against no difference."""
        scores = marked.scores
        if (no_number := _no_number(scores, scores, self.measure)) is not None:
            return no_number
        _check_columns(scores, self.group, self.within)
        sides = {
            name: [s for s in _kept(scores, self.measure) if s.groups.get(self.group) == name]
            for name in (self.of_group, self.reference)
        }
        valued = {name: [s for s in side if s.value is not None] for name, side in sides.items()}
        n = sum(map(len, valued.values()))
        unscored = sum(map(len, sides.values())) - n
        for name, side in valued.items():
            if cell(len(side)) is Cell.SUPPRESSED:
                return Estimate.none(
                    Status.NOT_RESOLVABLE,
                    f"{self.group}={name}: fewer than {SUPPRESSED_BELOW} "
                    f"{MEASURES[self.measure].among}",
                    n=n,
                    unscored=unscored,
                )
        estimate = self._contrast(*valued.values(), n=n, unscored=unscored)
        return replace(estimate, flags=_flags(scores, self.measure))

    def _contrast(
        self, ones: Sequence[Score], others: Sequence[Score], *, n: int, unscored: int
    ) -> Estimate:
        both = [*ones, *others]
        low, high = BOUNDS.get(self.measure, (0.0, 1.0))
        widest = high - low
        ways = clusters_of(both)
        if not ways and self.measure in BOUNDS:
            ways = [[score.item for score in both]]  # every case by itself: Welch
        try:
            interval, p_value = self._compared(ones, others, ways)
        except ValueError as error:
            return Estimate.none(Status.NOT_RESOLVABLE, str(error), n=n, unscored=unscored)
        return Estimate(
            value=interval.value,
            low=max(-widest, interval.low),
            high=min(widest, interval.high),
            n=n,
            unscored=unscored,
            method=interval.method,
            status=Status.MEASURED,
            p_value=p_value,
            clusters=min((len(set(way)) for way in ways), default=None),
        )

    def _compared(
        self, ones: Sequence[Score], others: Sequence[Score], ways: Sequence[Sequence[str]]
    ) -> tuple[Interval, float]:
        """Return the difference with its interval, and the p-value of none."""
        first, second = _numbers(ones), _numbers(others)
        if self.within is not None:
            strata = [[score.groups[self.within] for score in side] for side in (ones, others)]
            if ways:
                raise ValueError("cases in clusters are not compared within strata")
            pooled = mantel_haenszel(Side(first, strata[0]), Side(second, strata[1]))
            if cell(min(pooled.n1, pooled.n0)) is Cell.SUPPRESSED:
                raise ValueError(
                    f"fewer than {SUPPRESSED_BELOW} cases of a group lie in strata that both have"
                )
            return pooled.interval, pooled.p_value
        if ways:
            cut = len(first)
            samples = [
                Sample(values, ways[0][part], ways[1][part] if len(ways) > 1 else None)
                for values, part in ((first, slice(cut)), (second, slice(cut, None)))
            ]
            shown = difference(*samples)
            if shown.without_spread(1.0):
                raise ValueError(
                    "nothing varies between the clusters: there is no spread to go by"
                )
            return shown.interval(), shown.p_value()
        counts = (round(sum(first)), len(first), round(sum(second)), len(second))
        return newcombe(*counts), unpaired_p(*counts)


@dataclass(frozen=True, slots=True)
class LabelGap:
    """The largest gap in one measure between groups, beside what shuffled groups give.

    Args:
        measure: see `label_rate`.
        group: the task's group column.
    """

    measure: Measure
    group: str
    better: Better = field(default="near_zero", init=False)
    by_group: ClassVar[bool] = False

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the gap and its null."""
        scores = marked.scores
        if (no_number := _no_number(scores, scores, self.measure)) is not None:
            return no_number
        _check_columns(scores, self.group)
        kept = _kept(scores, self.measure)
        valued = [(score, score.value) for score in kept if score.value is not None]
        missing = len(kept) - len(valued)
        estimate = gap_between(
            [s for s, _ in valued], [v for _, v in valued], self.group, missing, rng
        )
        return replace(estimate, flags=(*estimate.flags, *_flags(scores, self.measure)))


def _no_number(
    scores: Sequence[Score], whole: Sequence[Score], measure: Measure
) -> Estimate | None:
    """Return why the measure has no value, if so.

    That a candidate always decides the same is seen over all cases, not inside one group: a group
    of which nobody is selected is a finding.
    """
    n = sum(score.value is not None for score in scores)
    unscored = len(scores) - n
    if not n:
        return degenerate(scores)
    if (constant := degenerate(whole)) is not None:
        return replace(constant, n=n, unscored=unscored)
    if not any(_known(score.parts, measure) for score in whole if score.value is not None):
        picked = any("positive_if_picked" in score.parts for score in whole)
        reason = (
            "the truth is known of picked cases only, and this rate is not one over them: it "
            "cannot be known from such labels"
            if picked
            else f"no case has what this needs: {', '.join(MEASURES[measure].needs)}"
        )
        return Estimate.none(Status.NOT_MEASURABLE, reason, n=n, unscored=unscored)
    if not any(_value(score, measure) is not None for score in scores):
        reason = f"there are no {MEASURES[measure].among} here; the measure is not defined"
        return Estimate.none(Status.NOT_RESOLVABLE, reason, n=0, unscored=unscored)
    return None


def _check_columns(scores: Sequence[Score], *columns: str | None) -> None:
    """Refuse a column by which the task does not report.

    Raises:
        ContentError: says which.
    """
    for column in columns:
        if column is not None and column not in scores[0].groups:
            raise ContentError(f"metrics.args: {column}", "is no column under `groups`")


def _kept(scores: Sequence[Score], measure: Measure) -> list[Score]:
    """Return the cases that belong to a measure, worth what it counts; unscored ones too.

    `said` is gone: that all selected cases have the same decision is no sign of constancy.
    """
    kept = []
    for score in scores:
        value = _value(score, measure)
        missed = score.value is None and MEASURES[measure].could(score.parts)
        if value is not None or missed:
            kept.append(replace(score, value=value, said="", parts={}))
    return kept


def _numbers(scores: Sequence[Score]) -> list[float]:
    return [score.value for score in scores if score.value is not None]


def _value(score: Score, measure: Measure) -> float | None:
    if score.value is None or not _known(score.parts, measure):
        return None
    of = MEASURES[measure]
    if not of.belongs(score.value, score.parts):
        return None
    return of.counts(score.value, score.parts)


def _known(parts: Parts, measure: Measure) -> bool:
    """Is there, of a case, all that a measure needs?"""
    return all(
        any(name in parts for name in need.split(" or ")) for need in MEASURES[measure].needs
    )


def _flags(scores: Sequence[Score], measure: Measure) -> tuple[str, ...]:
    if "positive or positive_if_picked" not in MEASURES[measure].needs:
        return ()
    return (PICKED,) if any("positive_if_picked" in score.parts for score in scores) else ()
