"""Answers to scores to estimates: pure, repeatable, asks nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from toetssteen.metrics import Metric, OfAPart, Rng
from toetssteen.records import (
    Answer,
    Answered,
    Block,
    ControlResult,
    Estimate,
    Marked,
    Result,
    Score,
    Status,
)
from toetssteen.run.controls import run_control
from toetssteen.run.plan import LoadedTask, Plan, answer_key
from toetssteen.run.store import Answers
from toetssteen.run.unscored import UNSCORED_GAP, unscored_gaps
from toetssteen.statistics.cells import SUPPRESSED_BELOW, Cell, cell
from toetssteen.statistics.multiplicity import benjamini_hochberg, holm


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What one task gave: every score, every estimate, every control."""

    loaded: LoadedTask
    scores: tuple[Score, ...]
    answers: Mapping[str, Answer]  # by item; read from the store where they are asked for
    blocks: tuple[Block, ...]
    results: tuple[Result, ...]
    controls: tuple[ControlResult, ...]

    @property
    def name(self) -> str:
        """The task's name."""
        return self.loaded.name


@dataclass(frozen=True, slots=True)
class FoundAnswers(Mapping[str, Answer]):
    """The answers to a task, by item."""

    keys_by_item: Mapping[str, str]
    by_key: Mapping[str, Answer]

    def __getitem__(self, item: str) -> Answer:
        """Return the answer to an item."""
        return self.by_key[self.keys_by_item[item]]

    def __contains__(self, item: object) -> bool:
        """Say whether an item is answered, without reading the answer."""
        return item in self.keys_by_item

    def __iter__(self) -> Iterator[str]:
        """Give the items that are answered."""
        return iter(self.keys_by_item)

    def __len__(self) -> int:
        """Return how many items are answered."""
        return len(self.keys_by_item)


@dataclass(frozen=True, slots=True)
class _Judged:
    score: Score
    key: str = ""  # of the answer; empty where there is none


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave."""

    plan: Plan
    tasks: tuple[TaskOutcome, ...]

    @property
    def results(self) -> tuple[Result, ...]:
        """Every result of every task."""
        return tuple(result for task in self.tasks for result in task.results)


def mark(plan: Plan, answers: Answers) -> Outcome:
    """Score the stored answers and estimate; the same answers give the same digits.

    Raises:
        KeyError, TypeError, ValueError: a scorer or metric is wrong; that is a bug, not a score.
    """
    return Outcome(plan, tuple(_mark_task(plan, task, answers) for task in plan.tasks))


def _mark_task(plan: Plan, loaded: LoadedTask, answers: Answers) -> TaskOutcome:
    judged = tuple(_judged(plan, loaded, answers))
    found = FoundAnswers({one.score.item: one.key for one in judged if one.key}, answers.by_key)
    blocks = tuple(block for block in answers.blocks if block.task == loaded.name)
    unasked = plan.not_measurable(loaded)
    scores = tuple(one.score for one in judged) if found else ()
    marked = Marked(scores, blocks)
    controls = tuple(
        result
        for control in loaded.controls
        for result in run_control(
            control,
            task=loaded.name,
            scorer=loaded.scorer,
            metrics=loaded.metrics,
            rng=_rng(plan, loaded.name, control.spec.name),
        )
    )
    results = tuple(
        _withheld(result, controls)
        for metric_id, metric in loaded.metrics.items()
        for result in _estimates(plan, loaded, metric_id, metric, marked, unasked)
    )
    missing = tuple(_missing(plan, loaded, scores)) if scores else ()
    return TaskOutcome(loaded, scores, found, blocks, (*results, *missing), controls)


def _missing(plan: Plan, loaded: LoadedTask, scores: Sequence[Score]) -> Iterator[Result]:
    """Give the gap in unscored answers between groups: a difference in refusal is a result."""
    gaps = unscored_gaps(scores, rng=_rng(plan, loaded.name, UNSCORED_GAP))
    for dimension, estimate in gaps:
        yield Result(loaded.name, UNSCORED_GAP, "near_zero", estimate, dimension)


def _judged(plan: Plan, loaded: LoadedTask, answers: Answers) -> Iterator[_Judged]:
    """Score item by item, in one go through items and answers: neither is in memory."""
    for item in loaded.items:
        key = answer_key(plan.identity, loaded.name, item, tuple(loaded.scorer.requests(item)))
        answer = answers.by_key.get(key)
        if answer is None:
            why = "not asked: the run is not complete"
            yield _Judged(Score.unscored(item, Answered.FAILED, why))
        else:
            yield _Judged(loaded.scorer.score(item, answer.responses), key)


def _estimates(
    plan: Plan,
    loaded: LoadedTask,
    metric_id: str,
    metric: Metric,
    marked: Marked,
    unasked: str,
) -> Iterator[Result]:
    def result(estimate: Estimate, group: str = "") -> Result:
        return Result(loaded.name, metric_id, metric.better, estimate, group)

    if unasked:
        yield result(Estimate.none(Status.NOT_MEASURABLE, unasked))
        return
    yield result(metric(marked, rng=_rng(plan, loaded.name, metric_id)))
    if not metric.by_group:
        return
    among = metric.among if isinstance(metric, OfAPart) else {}
    inside = [
        (group, _small_groups(metric(some, rng=_rng(plan, loaded.name, metric_id, group))))
        for group, some in _grouped(marked.scores, among=among)
    ]
    family = loaded.task.spec.family
    for declared in (True, False):
        some = [one for one in inside if (one[0].partition("=")[0] == family) is declared]
        adjusted = _adjusted([estimate for _, estimate in some], declared=declared)
        for (group, _), estimate in zip(some, adjusted, strict=True):
            yield result(estimate, group)


def _adjusted(estimates: Sequence[Estimate], *, declared: bool) -> list[Estimate]:
    """Correct the p-values of groups: by Holm where the task declared them as one family.

    Of the other groups nobody said beforehand that they would be tested: Benjamini-Hochberg.
    """
    adjust, how = (holm, "holm") if declared else (benjamini_hochberg, "benjamini-hochberg")
    adjusted = adjust([estimate.p_value for estimate in estimates])
    tested = sum(p is not None for p in adjusted)
    return [
        estimate
        if p is None
        else replace(estimate, p_adjusted=p, adjustment=f"{how} over {tested}")
        for estimate, p in zip(estimates, adjusted, strict=True)
    ]


def _grouped(scores: Sequence[Score], *, among: Mapping[str, str]) -> Iterator[tuple[str, Marked]]:
    """Give every group that a metric can differ in, with the scores inside and outside it.

    Args:
        scores: of the task.
        among: what the metric's items have in common; no group of its own.
    """
    dimensions = scores[0].groups if scores else ()
    counted = [s for s in scores if all(s.groups[column] == v for column, v in among.items())]
    for dimension in dimensions:
        values = sorted({score.groups[dimension] for score in counted})
        if len(values) < 2:
            continue
        for value in values:
            inside = tuple(s for s in scores if s.groups[dimension] == value)
            outside = tuple(s for s in scores if s.groups[dimension] != value)
            yield f"{dimension}={value}", Marked(inside, others=outside)


def _small_groups(estimate: Estimate) -> Estimate:
    if estimate.status is not Status.MEASURED:
        return estimate
    shown = cell(estimate.n)
    if shown is Cell.SUPPRESSED:
        return Estimate.none(
            Status.NOT_RESOLVABLE,
            f"the group has fewer than {SUPPRESSED_BELOW} scored items",
            n=estimate.n,
            unscored=estimate.unscored,
            unit=estimate.unit,
        )
    if shown is Cell.INDICATIVE:
        return replace(estimate, flags=(*estimate.flags, "indicative"))
    return estimate


def _withheld(result: Result, controls: Sequence[ControlResult]) -> Result:
    """Withhold a number whose scorer or metric was just seen to be wrong."""
    missed = [c for c in controls if c.metric == result.metric and c.landed is False]
    if not missed or result.estimate.value is None:
        return result
    first = missed[0]
    reason = (
        f"control {first.control} did not land: expected {first.expected}, got "
        f"{_said(first.estimate)}"
    )
    estimate = Estimate.none(
        Status.WITHHELD,
        reason,
        n=result.estimate.n,
        unscored=result.estimate.unscored,
        unit=result.estimate.unit,
    )
    return replace(result, estimate=estimate)


def _said(estimate: Estimate) -> str:
    return estimate.status.value if estimate.value is None else f"{estimate.value:.4g}"


def _rng(plan: Plan, *names: str) -> Rng:
    """Return a generator that depends on the seed and the names, not on what ran before."""
    return np.random.default_rng([plan.seed, *(crc32(name.encode()) for name in names)])
