"""Estimates against an acceptance profile: what the numbers say of each criterion.

There is no "compliant". A finding supports or contradicts a criterion that people registered;
people conclude.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from toetssteen.evidence.decide import Decided, Family, decide
from toetssteen.records import Estimate, Finding, Result, Says, Status
from toetssteen.run.mark import Outcome
from toetssteen.run.unscored import UNSCORED_GAP
from toetssteen.spec import Criterion, ProfileSpec


@dataclass(frozen=True, slots=True)
class _Known:
    """What the run knows beside the estimates."""

    requirements: Mapping[str, Sequence[str]]  # by task
    controlled: Collection[tuple[str, str]]  # task and metric
    unscored_gaps: Mapping[str, float]  # the largest by task
    registered: bool  # before the first answer


def weigh(
    outcome: Outcome, profile: ProfileSpec | None = None, *, asked_on: date | None = None
) -> tuple[Finding, ...]:
    """Hold every result against the criterion registered for it; the whole interval decides.

    Results without a criterion are reported and nothing is decided. A criterion whose result is
    not there is `not_measured`, never met; so is nothing met without a control. The differences
    that the profile wants to see equivalent are one family, corrected by Holm.

    Args:
        outcome: what the run gave.
        profile: the criteria.
        asked_on: the day of the first answer. A criterion that was registered later, or never,
            is not met: AI Act Art. 9(8) speaks of prior defined metrics and thresholds.
    """
    criteria = profile.criteria if profile is not None else ()
    by_name = {result.name: result for result in outcome.results}
    known = _known(outcome, registered=_registered(profile, asked_on))
    family = Family.of(criteria, {name: r.estimate for name, r in by_name.items()})
    findings = [_judge(one, by_name.get(one.result), known, family) for one in criteria]
    decided = {criterion.result for criterion in criteria}
    findings += [
        _report(result, known.requirements[result.task])
        for result in outcome.results
        if result.name not in decided
    ]
    return tuple(findings)


def _registered(profile: ProfileSpec | None, asked_on: date | None) -> bool:
    if profile is None or profile.registered_on is None:
        return False
    return asked_on is None or profile.registered_on <= asked_on


def _known(outcome: Outcome, *, registered: bool) -> _Known:
    gaps: dict[str, float] = {}
    for result in outcome.results:
        if result.metric == UNSCORED_GAP and result.estimate.value is not None:
            gaps[result.task] = max(gaps.get(result.task, 0.0), result.estimate.value)
    return _Known(
        requirements={task.name: task.loaded.task.spec.requirements for task in outcome.tasks},
        # Only a control that must land on a number shows that the number means something.
        controlled={
            (c.task, c.metric)
            for task in outcome.tasks
            for c in task.controls
            if c.landed and c.estimate.status is Status.MEASURED
        },
        unscored_gaps=gaps,
        registered=registered,
    )


def _report(result: Result, requirements: Sequence[str]) -> Finding:
    estimate = result.estimate
    if estimate.status is Status.MEASURED:
        decided = Decided(Says.REPORTED, "no criterion was registered")
    else:
        decided = Decided(Says.NOT_MEASURED, f"{estimate.status.value}: {estimate.reason}")
    return _finding(result.name, decided, estimate, requirements)


def _judge(criterion: Criterion, result: Result | None, known: _Known, family: Family) -> Finding:
    if result is None:
        decided = Decided(Says.NOT_MEASURED, "the run holds no such result")
        return _finding(criterion.result, decided, None, criterion.requirements, criterion.id)
    decided = decide(
        criterion,
        result.estimate,
        family,
        unscored_gap=known.unscored_gaps.get(result.task, 0.0),
        compares_groups=result.better == "near_zero",
    )
    if decided.says is Says.MEETS and (result.task, result.metric) not in known.controlled:
        decided = Decided(Says.INCONCLUSIVE, "no control shows that this number can be trusted")
    if decided.says is Says.MEETS and not known.registered:
        decided = Decided(
            Says.INCONCLUSIVE, "the criterion was not registered before the first answer"
        )
    requirements = (*criterion.requirements, *known.requirements[result.task])
    return _finding(criterion.result, decided, result.estimate, requirements, criterion.id)


def _finding(
    name: str,
    decided: Decided,
    estimate: Estimate | None,
    requirements: Sequence[str],
    criterion: str = "",
) -> Finding:
    return Finding(
        result=name,
        says=decided.says,
        because=decided.because,
        criterion=criterion,
        requirements=tuple(dict.fromkeys(requirements)),
        estimate=estimate,
    )
