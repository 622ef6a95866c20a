"""Two candidates on the same items: paired differences, with correction over the family.

Runs that were asked other questions are refused, with the difference named: two numbers that
look alike and are not comparable are worse than one number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from toetssteen.errors import UsageError
from toetssteen.evidence.decide import MOST_UNSCORED
from toetssteen.metrics import PerItem
from toetssteen.metrics.averages import clustered_mean, clusters_of
from toetssteen.records import Better, Estimate, Score, Status
from toetssteen.run.mark import Outcome, TaskOutcome
from toetssteen.statistics import Interval
from toetssteen.statistics.differences import mcnemar, tango
from toetssteen.statistics.means import independent_mean
from toetssteen.statistics.multiplicity import holm

ALPHA = 0.05
WHAT_MATTERS = {
    "version": "task version",
    "items_sha256": "items",
    "items": "number of items",
    "scorer": "scorer and prompt",
    "clusters": "clusters",
    "code": "plugin code",
    "metrics": "metrics",
}


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One metric on the same items: the other candidate minus the reference.

    Args:
        task: its name.
        metric: its id.
        better: which way is better.
        reference: the candidate that is compared with.
        other: the candidate that is compared.
        estimate: other minus reference over the items that both have scored.
        p_value: two-sided, against no difference; None where there is no estimate.
        p_adjusted: by Holm over every difference of the comparison.
    """

    task: str
    metric: str
    better: Better
    reference: str
    other: str
    estimate: Estimate
    p_value: float | None
    p_adjusted: float | None = None

    @property
    def says(self) -> str:
        """What the difference says: better, worse, another, or nothing that can be relied on."""
        if self.p_adjusted is None or self.estimate.value is None:
            return "not compared"
        asked = self.estimate.n + self.estimate.unscored
        if self.p_adjusted >= ALPHA or self.estimate.unscored > MOST_UNSCORED * asked:
            return "inconclusive"
        if self.better == "near_zero":
            return "difference"
        return "better" if (self.estimate.value > 0) == (self.better == "higher") else "worse"


def compare(outcomes: Sequence[Outcome]) -> tuple[PairedDifference, ...]:
    """Compare every run with the first, on the tasks that both have.

    Raises:
        UsageError: fewer than two runs, no task in common, or questions that differ.
    """
    if len(outcomes) < 2:
        raise UsageError("a comparison needs at least two runs")
    reference = outcomes[0]
    found = [difference for other in outcomes[1:] for difference in _against(reference, other)]
    adjusted = holm([difference.p_value for difference in found])
    return tuple(replace(d, p_adjusted=p) for d, p in zip(found, adjusted, strict=True))


def _against(reference: Outcome, other: Outcome) -> Iterator[PairedDifference]:
    ours = {task.name: task for task in reference.tasks}
    theirs = {task.name: task for task in other.tasks}
    common = [name for name in ours if name in theirs]
    if not common:
        raise UsageError(
            f"the runs of {reference.plan.card.name} and {other.plan.card.name} have no task in "
            f"common: {', '.join(ours)} and {', '.join(theirs)}"
        )
    _same_questions(reference, other, common)
    for name in common:
        yield from _task(ours[name], theirs[name], _label(reference), _label(other))


def _label(outcome: Outcome) -> str:
    return outcome.plan.card.name


def _same_questions(reference: Outcome, other: Outcome, common: Sequence[str]) -> None:
    """Refuse runs whose questions differ in a way that matters; say which and how."""
    ours, theirs = _records(reference), _records(other)
    faults = [
        f"{name}: {said} differs ({ours[name][key]} and {theirs[name][key]})"
        for name in common
        for key, said in WHAT_MATTERS.items()
        if ours[name][key] != theirs[name][key]
    ]
    if faults:
        raise UsageError("these runs cannot be compared:\n  " + "\n  ".join(faults))


def _records(outcome: Outcome) -> Mapping[str, Mapping[str, object]]:
    marking = outcome.plan.marking
    return {
        task["name"]: {**task, "metrics": marking[task["name"]]["metrics"]}
        for task in outcome.plan.record()["tasks"]
    }


def _task(
    ours: TaskOutcome, theirs: TaskOutcome, reference: str, other: str
) -> Iterator[PairedDifference]:
    decided = {r.metric: r.estimate for r in (*ours.results, *theirs.results) if not r.group}
    before = {score.item: score for score in ours.scores}
    after = {score.item: score for score in theirs.scores}
    for metric_id, metric in ours.loaded.metrics.items():
        withheld = _withheld(ours, metric_id) or _withheld(theirs, metric_id)
        if isinstance(metric, PerItem) and not withheld:
            estimate, p_value = _paired(metric, before, after)
        else:
            reason = withheld or "has no value per item"
            estimate, p_value = Estimate.none(Status.NOT_MEASURABLE, reason), None
        estimate = replace(estimate, unit=decided[metric_id].unit)
        yield PairedDifference(
            ours.name, metric_id, metric.better, reference, other, estimate, p_value
        )


def _withheld(task: TaskOutcome, metric_id: str) -> str:
    """Return why a run's own number may not be used, or nothing if it may."""
    for result in task.results:
        if result.metric == metric_id and not result.group:
            status = result.estimate.status
            if status is not Status.MEASURED:
                return f"one of the runs has no number: {status.value}"
    return ""


def _paired(
    metric: PerItem, before: Mapping[str, Score], after: Mapping[str, Score]
) -> tuple[Estimate, float | None]:
    pairs = [
        (old, new, before[item])
        for item in before
        if item in after
        and (old := metric.of(before[item])) is not None
        and (new := metric.of(after[item])) is not None
    ]
    unscored = len(before.keys() | after.keys()) - len(pairs)
    if len(pairs) < 2:
        reason = "fewer than two items were scored in both runs"
        return Estimate.none(Status.NOT_RESOLVABLE, reason, n=len(pairs), unscored=unscored), None
    differences = [new - old for old, new, _ in pairs]
    ways = clusters_of([score for _, _, score in pairs])
    if any(len(set(way)) < 2 for way in ways):
        reason = "all items scored in both runs belong to one cluster"
        return Estimate.none(Status.NOT_RESOLVABLE, reason, n=len(pairs), unscored=unscored), None
    if ways:
        mean = clustered_mean(differences, ways)
        interval, p_value = mean.interval(), mean.p_value()
    else:
        interval, p_value = _independent([(old, new) for old, new, _ in pairs])
    # Where nothing varies, t has no spread to go by; an interval of no width would be certainty.
    spread = interval.high > interval.low
    estimate = Estimate(
        value=interval.value,
        low=interval.low if spread else None,
        high=interval.high if spread else None,
        n=len(pairs),
        unscored=unscored,
        method=f"paired {interval.method}",
        status=Status.MEASURED,
        clusters=min((len(set(way)) for way in ways), default=None),
    )
    return estimate, p_value


def _independent(pairs: Sequence[tuple[float, float]]) -> tuple[Interval, float]:
    """Answers of yes and no get the paired score interval and McNemar's test; others Student's."""
    if {value for pair in pairs for value in pair} <= {0.0, 1.0}:
        gained = sum(new > old for old, new in pairs)
        lost = sum(new < old for old, new in pairs)
        return tango(gained, lost, len(pairs)), mcnemar(gained, lost).mid_p
    mean = independent_mean([new - old for old, new in pairs])
    return mean.interval(), mean.p_value()
