"""What a plan can find, before it is asked: items, templates, and what they are good for.

A run that cannot answer its question costs as much as one that can. With a pilot the spread is
measured; without one the assumption is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from toetssteen.metrics.averages import Rate
from toetssteen.records import Estimate, Marked, Score, Status
from toetssteen.run.mark import Outcome
from toetssteen.run.plan import LoadedTask, Plan
from toetssteen.spec import Criterion, ProfileSpec
from toetssteen.statistics.planning import (
    Clustering,
    Demands,
    OneProportion,
    detectable,
    from_pilot,
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
    """Give, for every metric, what the plan can find, in items, clusters or repeats.

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
            estimate = known.get((task.name, metric_id))
            if not metric.by_group:
                # Measured over repeats (blocks of requests), not over items.
                blocks = 0 if estimate is None else estimate.clusters or 0
                asked = _Asked(task, metric_id, blocks, unit="blocks")
                yield _mean(asked, estimate, margin, demands)
                continue
            asked = _Asked(task, metric_id, _clusters(task))
            if isinstance(metric, Rate):
                yield _rate(asked, estimate, margin, demands, icc)
            else:
                yield _mean(asked, estimate, margin, demands)


def warnings(plan: Plan, profile: ProfileSpec) -> Iterator[str]:
    """Say which criteria the plan cannot decide, however well the candidate answers.

    For a rate the best possible answers are put through the same metric as the real ones: if
    even they do not meet the criterion, no candidate can.
    """
    asked = {f"{t.name}/{metric}": (t, metric) for t in plan.tasks for metric in t.metrics}
    for criterion in profile.criteria:
        whole = criterion.result.partition("[")[0]
        if whole not in asked:
            yield f"{criterion.id}: this plan does not ask for {criterion.result}"
        elif whole == criterion.result:
            yield from _cannot(criterion, *asked[whole])


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
    unit: str = ""

    @property
    def called(self) -> str:
        return self.unit or ("clusters" if self.clusters else "items")

    @property
    def planned(self) -> int:
        return self.clusters or len(self.task.items)

    def reach(self, found: float | None, needed: int | None, basis: str) -> Reach:
        return Reach(self.task.name, self.metric, self.called, self.planned, found, needed, basis)


def _mean(
    asked: _Asked, estimate: Estimate | None, margin: float | None, demands: Demands
) -> Reach:
    """Plan a mean or a gap from the spread that a pilot showed."""
    shown = None if estimate is None else _studentised(estimate)
    if estimate is None or shown is None:
        return asked.reach(None, None, "spread unknown; run a pilot, name it with --pilot")
    units = estimate.clusters if estimate.clusters is not None else estimate.n
    question = from_pilot(shown, units)
    needed = None if margin is None else ceil(units_needed(question, margin, demands))
    basis = f"spread of {units} {asked.called} answered"
    found = detectable(question, asked.planned, demands) if asked.planned > 1 else None
    return asked.reach(found, needed, basis)


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
    try:
        found = abs(detectable(question, clustering.units(asked.planned), demands, sign=sign))
    except ValueError:
        found = None  # so few that not even the largest effect would be found
    needed = None
    if margin is not None and margin <= question.most(sign):
        needed = ceil(clustering.clusters(units_needed(question, sign * margin, demands)))
    source = "assumed" if rate == ASSUMED_RATE else "answered"
    basis = f"rate {rate:.3g} {source}" + (f", icc {icc:g} assumed" if asked.clusters else "")
    return asked.reach(found, needed, basis)


def _clusters(task: LoadedTask) -> int:
    """Return the number of clusters; of two crossed kinds the fewer, 0 where none is declared."""
    kinds = task.task.spec.clusters
    return min((len({item.clusters[kind] for item in task.items}) for kind in kinds), default=0)


def _studentised(estimate: Estimate) -> Studentised | None:
    value, error, df = estimate.value, estimate.standard_error, estimate.df
    if value is None or not error or df is None:
        return None
    return Studentised(value, error, df, estimate.method)


def _cannot(criterion: Criterion, task: LoadedTask, metric_id: str) -> Iterator[str]:
    n, metric = len(task.items), task.metrics[metric_id]
    if n < criterion.min_n:
        yield f"{criterion.id}: asks for at least {criterion.min_n} items, the plan has {n}"
    kind, value = criterion.comparator.kind, criterion.comparator.value
    if not isinstance(metric, Rate) or value is None or kind not in {"at_least", "at_most"}:
        return
    best = _if_all(0.0 if kind == "at_most" else 1.0, task, metric)
    reached = best.high if kind == "at_most" else best.low
    if reached is None:
        yield f"{criterion.id}: {best.reason}"
    elif (reached > value) if kind == "at_most" else (reached < value):
        yield (
            f"{criterion.id}: even if every answer were right, {n} items only show "
            f"{kind.replace('_', ' ')} {reached:.3g}; the criterion is {value:g}"
        )


def _if_all(value: float, task: LoadedTask, metric: Rate) -> Estimate:
    scores = tuple(
        Score.of(item, value, parts={metric.part: value} if metric.part else None, said=item.id)
        for item in task.items
    )
    return metric(Marked(scores), rng=np.random.default_rng(0))
