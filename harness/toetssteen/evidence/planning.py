"""What a plan can find, before it is asked: items, templates, and what they are good for.

A run that cannot answer its question costs as much as one that can. With a pilot the spread is
measured; without one the assumption is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from toetssteen.metrics.averages import Rate
from toetssteen.records import Estimate, Item, Status
from toetssteen.run.mark import Outcome
from toetssteen.run.plan import LoadedTask, Plan
from toetssteen.spec import Criterion, ProfileSpec
from toetssteen.statistics.planning import (
    Clustering,
    Demands,
    OneProportion,
    bound_without_event,
    detectable,
    from_pilot,
    trials_without_event,
    units_needed,
)
from toetssteen.statistics.studentised import Studentised

# How alike items of one template answer, where no pilot says (bias audits: 0.1 to 0.3).
ASSUMED_ICC = 0.1
# The rate with the widest interval, where no pilot says.
ASSUMED_RATE = 0.5


@dataclass(frozen=True, slots=True)
class Reach:
    """What one metric of a task can find.

    Args:
        task: its name.
        metric: its id.
        unit: what is counted: items, or the task's clusters.
        planned: how many there are.
        detectable: the smallest effect that so many find; None where it cannot be said.
        needed: how many find an effect as large as the margin; None without a margin.
        basis: the pilot or assumption behind both.
    """

    task: str
    metric: str
    unit: str
    planned: int
    detectable: float | None
    needed: int | None
    basis: str


def reach(
    plan: Plan,
    pilot: Outcome | None,
    *,
    margin: float | None,
    demands: Demands,
    icc: float = ASSUMED_ICC,
) -> Iterator[Reach]:
    """Give, for every metric that averages items, what the plan can find.

    Args:
        plan: what would be asked.
        pilot: what was answered already, if anything; its spread is used.
        margin: the smallest effect that matters, in the metric's own unit.
        demands: how sure.
        icc: how alike items of one cluster are assumed to be, for rates.
    """
    known = {} if pilot is None else _known(pilot)
    for task in plan.tasks:
        if plan.not_measurable(task):
            continue
        for metric_id, metric in task.metrics.items():
            if not metric.by_group:
                continue
            asked = _Asked(task, metric_id, _clusters(task))
            estimate = known.get((task.name, metric_id))
            if isinstance(metric, Rate):
                yield _rate(asked, estimate, margin, demands, icc)
            else:
                yield _mean(asked, estimate, margin, demands)


def warnings(plan: Plan, profile: ProfileSpec) -> Iterator[str]:
    """Say which criteria the planned number of items cannot decide, however the answers fall."""
    items = {f"{task.name}/{metric}": task.items for task in plan.tasks for metric in task.metrics}
    for criterion in profile.criteria:
        if criterion.result not in items:
            yield f"{criterion.id}: this plan does not ask for {criterion.result}"
        else:
            yield from _cannot(criterion, items[criterion.result])


def _known(pilot: Outcome) -> Mapping[tuple[str, str], Estimate]:
    return {
        (result.task, result.metric): result.estimate
        for result in pilot.results
        if not result.group and result.estimate.status is Status.MEASURED
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """One metric of a task, and how many units the plan has of it."""

    task: LoadedTask
    metric: str
    clusters: int

    @property
    def unit(self) -> str:
        return "clusters" if self.clusters else "items"

    @property
    def planned(self) -> int:
        return self.clusters or len(self.task.items)

    def reach(self, found: float | None, needed: int | None, basis: str) -> Reach:
        return Reach(self.task.name, self.metric, self.unit, self.planned, found, needed, basis)


def _mean(
    asked: _Asked, estimate: Estimate | None, margin: float | None, demands: Demands
) -> Reach:
    """Plan a mean or a gap from the spread that a pilot showed."""
    shown = None if estimate is None else _studentised(estimate)
    if estimate is None or shown is None:
        return asked.reach(None, None, "spread unknown; run a pilot with --limit")
    units = estimate.clusters if estimate.clusters is not None else estimate.n
    question = from_pilot(shown, units)
    needed = None if margin is None else ceil(units_needed(question, margin, demands))
    basis = f"spread of {units} {asked.unit} answered"
    return asked.reach(detectable(question, asked.planned, demands), needed, basis)


def _rate(
    asked: _Asked, estimate: Estimate | None, margin: float | None, demands: Demands, icc: float
) -> Reach:
    """Plan a rate from the pilot's rate, or the worst one, and the clustering assumed."""
    rate = ASSUMED_RATE
    if estimate is not None and estimate.value is not None and 0 < estimate.value < 1:
        rate = estimate.value
    question = OneProportion(rate)
    clustering = Clustering(len(asked.task.items) / asked.planned, icc)
    sign = 1 if rate <= ASSUMED_RATE else -1
    found = detectable(question, clustering.units(asked.planned), demands, sign=sign)
    needed = None
    if margin is not None and margin <= question.most(sign):
        needed = ceil(clustering.clusters(units_needed(question, sign * margin, demands)))
    source = "answered" if rate != ASSUMED_RATE else "assumed"
    basis = f"rate {rate:.3g} {source}" + (f", icc {icc:g} assumed" if asked.clusters else "")
    return asked.reach(abs(found), needed, basis)


def _clusters(task: LoadedTask) -> int:
    """Return the number of clusters; of two crossed kinds the fewer, 0 where none is declared."""
    kinds = task.task.spec.clusters
    return min((len({item.clusters[kind] for item in task.items}) for kind in kinds), default=0)


def _studentised(estimate: Estimate) -> Studentised | None:
    value, error, df = estimate.value, estimate.standard_error, estimate.df
    if value is None or not error or df is None:
        return None
    return Studentised(value, error, df, estimate.method)


def _cannot(criterion: Criterion, items: tuple[Item, ...]) -> Iterator[str]:
    kind, value = criterion.comparator.kind, criterion.comparator.value
    n = len(items)
    if n < criterion.min_n:
        yield f"{criterion.id}: asks for at least {criterion.min_n} items, the plan has {n}"
    if kind == "at_most" and value is not None and 0 < value < 1:
        least = bound_without_event(n)
        if least > value:
            needed = ceil(trials_without_event(value))
            yield (
                f"{criterion.id}: even without a single event {n} items only show at most "
                f"{least:.3g}; {needed} items would show {value:g}"
            )
