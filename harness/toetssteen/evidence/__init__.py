"""Estimates against an acceptance profile: what the numbers say of each criterion.

There is no "compliant". A finding supports or contradicts a criterion that people registered;
people conclude.
"""

from collections.abc import Collection, Mapping, Sequence

from toetssteen.records import Estimate, Finding, Result, Says, Status
from toetssteen.run.mark import Outcome
from toetssteen.spec import Criterion, ProfileSpec

# Where more answers than this are unscored, the rest says little about the whole.
MOST_UNSCORED = 0.2


def weigh(outcome: Outcome, profile: ProfileSpec | None = None) -> tuple[Finding, ...]:
    """Hold every result against the criterion registered for it; the whole interval decides.

    Results without a criterion are reported and nothing is decided. A criterion whose result is
    not there is `not_measured`, never met.
    """
    criteria = profile.criteria if profile is not None else ()
    by_name = {result.name: result for result in outcome.results}
    controlled = {
        f"{control.task}/{control.metric}" for task in outcome.tasks for control in task.controls
    }
    bears_on = {task.name: task.loaded.task.spec.requirements for task in outcome.tasks}
    findings = [_judge(one, by_name.get(one.result), bears_on, controlled) for one in criteria]
    decided = {criterion.result for criterion in criteria}
    findings += [
        _report(result, bears_on[result.task])
        for result in outcome.results
        if result.name not in decided
    ]
    return tuple(findings)


def _report(result: Result, requirements: Sequence[str]) -> Finding:
    estimate = result.estimate
    if estimate.status is not Status.MEASURED:
        return Finding(
            result.name,
            Says.NOT_MEASURED,
            _why_not(estimate),
            requirements=tuple(requirements),
            estimate=estimate,
        )
    return Finding(
        result.name,
        Says.REPORTED,
        "no criterion was registered",
        requirements=tuple(requirements),
        estimate=estimate,
    )


def _judge(
    criterion: Criterion,
    result: Result | None,
    bears_on: Mapping[str, Sequence[str]],
    controlled: Collection[str],
) -> Finding:
    says, because = _decide(criterion, None if result is None else result.estimate)
    if says is Says.MEETS and result is not None and not _has_control(result, controlled):
        says, because = Says.INCONCLUSIVE, "no control shows that this number can be trusted"
    of_the_task = bears_on[result.task] if result is not None else ()
    return Finding(
        result=criterion.result,
        says=says,
        because=because,
        criterion=criterion.id,
        requirements=tuple(dict.fromkeys((*criterion.requirements, *of_the_task))),
        estimate=None if result is None else result.estimate,
    )


def _has_control(result: Result, controlled: Collection[str]) -> bool:
    return f"{result.task}/{result.metric}" in controlled


def _decide(criterion: Criterion, estimate: Estimate | None) -> tuple[Says, str]:
    if estimate is None:
        return Says.NOT_MEASURED, "the run holds no such result"
    if estimate.status is not Status.MEASURED:
        return Says.NOT_MEASURED, _why_not(estimate)
    kind, limit = criterion.comparator.kind, criterion.comparator.value
    if kind == "report_only" or limit is None:
        return Says.REPORTED, "the profile asks to report it"
    if estimate.n < criterion.min_n:
        return Says.INCONCLUSIVE, f"{estimate.n} items; the profile asks for {criterion.min_n}"
    asked = estimate.n + estimate.unscored
    if estimate.unscored > MOST_UNSCORED * asked:
        return Says.INCONCLUSIVE, f"{estimate.unscored} of {asked} answers are unscored"
    return _side(kind, limit, estimate)


def _side(kind: str, limit: float, estimate: Estimate) -> tuple[Says, str]:
    if estimate.low is None or estimate.high is None:
        return Says.INCONCLUSIVE, "the estimate has no interval"
    inside = f"[{estimate.low:.4g}, {estimate.high:.4g}]"
    if estimate.low >= limit if kind == "at_least" else estimate.high <= limit:
        worst = estimate.if_worst
        if worst is not None and (worst < limit if kind == "at_least" else worst > limit):
            return Says.INCONCLUSIVE, (
                f"the interval {inside} is on the right side of {limit:g}, but with the "
                f"{estimate.unscored} unscored answers counted against it the value is {worst:.4g}"
            )
        return Says.MEETS, f"the whole interval {inside} is on the right side of {limit:g}"
    if estimate.high < limit if kind == "at_least" else estimate.low > limit:
        return Says.DOES_NOT_MEET, f"the whole interval {inside} is beyond {limit:g}"
    return Says.INCONCLUSIVE, f"the interval {inside} lies on both sides of {limit:g}"


def _why_not(estimate: Estimate) -> str:
    return f"{estimate.status.value}: {estimate.reason}"
