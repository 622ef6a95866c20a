"""Findings as they are printed: per registered criterion, and per article they bear on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from toetssteen.records import Record, Says
from toetssteen.report.page import (
    CriterionShown,
    FindingShown,
    MetricRows,
    RequirementShown,
    Row,
    TaskShown,
)
from toetssteen.report.show_estimates import show_finding
from toetssteen.report.words import MetricWords, Phrase, Words, day_of


def criteria_lead(profile: Record, words: Words) -> str:
    return words.say(
        "findings_criteria_lead",
        profile=words.told(profile["title"]),
        version=profile["version"],
        registered=_registered(profile, words),
    )


def _registered(profile: Record, words: Words) -> str:
    day = day_of(profile["registered_on"])
    if day is None:
        return words["not_registered"]
    return words.say("registered_on", date=words.day(day))


def show_criteria(
    record: Record, tasks: Sequence[TaskShown], words: Words
) -> Iterator[CriterionShown]:
    profile = record["profile"]
    if profile is None:
        return
    findings = {f["criterion"]: f for f in record["findings"] if f["criterion"]}
    places = {row.result: (task, rows, row) for task, rows, row in _rows(tasks)}
    for criterion in profile["criteria"]:
        finding = findings.get(criterion["id"])
        if finding is None:  # the profile was changed after weighing; never pass that over
            finding = {
                "says": Says.NOT_MEASURED.value,
                "because": "the run holds no such result",
                "criterion": criterion["id"],
            }
        task, rows, row = places.get(criterion["result"], (None, None, None))
        metric = words.metric(criterion["result"].rpartition("/")[2].partition("[")[0])
        shown = show_finding(finding, metric, words)
        yield CriterionShown(
            id=criterion["id"],
            title=words.told(criterion["title"]),
            finding=shown,
            sentence=_finding_sentence(shown, finding, _registered(profile, words), words),
            limit=_limit(criterion, metric, words),
            least_items=words.integer(criterion["min_n"]),
            measured=row.estimate if row is not None else None,
            rationale=words.told(criterion["rationale"]),
            basis=words.label("criterion_bases", criterion["basis"]),
            result=criterion["result"],
            task=task,
            metric=rows.name if rows is not None else metric.name[words.language],
        )


def _rows(tasks: Iterable[TaskShown]) -> Iterator[tuple[TaskShown, MetricRows, Row]]:
    for task in tasks:
        for rows in task.metrics:
            for row in rows.rows:
                yield task, rows, row


def _finding_sentence(shown: FindingShown, finding: Record, registered: str, words: Words) -> str:
    """Return the fixed wording of a finding, where there is one."""
    pieces = {"criterion": shown.criterion, "registered": registered}
    if finding["says"] == Says.MEETS:
        return words.say("fixed_meets", **pieces)
    if finding["says"] == Says.DOES_NOT_MEET:
        return words.say("not_met", **pieces)
    if finding["says"] == Says.INCONCLUSIVE and "lies on both sides" in finding["because"]:
        return words["fixed_inconclusive"]
    return ""


def _limit(criterion: Record, metric: MetricWords, words: Words) -> str:
    kind, value = criterion["comparator"]["kind"], criterion["comparator"]["value"]
    limit = "" if value is None else words.exactly(value, percent=metric.percent)
    return words.label("comparators", kind).format(limit=limit)


def show_requirements(
    record: Record, tasks: Sequence[TaskShown], started: date | None, words: Words
) -> Iterator[RequirementShown]:
    bearing = _bearing(record)
    for requirement in record["requirements"]:
        urn = requirement["urn"]
        rows = [
            (task, rows.name, row)
            for task, rows, row in _rows(tasks)
            if urn in bearing.get(row.result, ())
        ]
        # Groups stand with their task; only those with a criterion of their own stand here too.
        whole = tuple(r for r in rows if not r[2].group or any(f.criterion for f in r[2].findings))
        yield _requirement(requirement, whole, len(rows) - len(whole), started, words)


def _bearing(record: Record) -> Mapping[str, frozenset[str]]:
    """Return the requirements on which each result bears: its task's, and its criterion's."""
    return {
        result["name"]: frozenset(task["requirements"]).union(
            *(finding["requirements"] for finding in result["findings"])
        )
        for task in record["tasks"]
        for result in task["results"]
    }


def _requirement(
    requirement: Record,
    rows: tuple[tuple[TaskShown, str, Row], ...],
    by_group: int,
    started: date | None,
    words: Words,
) -> RequirementShown:
    if requirement["article"] is None:
        unknown = words["unknown_requirement"]
        none = Phrase(words["unknown"])
        return RequirementShown(
            urn=requirement["urn"],
            article=requirement["urn"],
            title=unknown,
            applies_from=none,
            source="",
            checked_on="",
            binds="",
            later="",
            can_show="",
            cannot_show="",
            rows=rows,
            by_group=by_group,
        )
    applies = requirement["applies_from"]
    said = words.phrase(applies)
    return RequirementShown(
        urn=requirement["urn"],
        article=words.terms(requirement["article"]),
        title=words.told(requirement["title"]),
        applies_from=Phrase(words.terms(applies)) if said.text == applies else said,
        source=words.terms(requirement["applies_source"]),
        checked_on=words.terms(requirement["checked_on"]),
        binds=words.listing([words.label("roles", role) for role in requirement["binds"]]),
        later=_later(applies, started, words),
        can_show=words.told(requirement["can_show"]),
        cannot_show=words.told(requirement["cannot_show"]),
        rows=rows,
        by_group=by_group,
    )


def _later(applies_from: str, started: date | None, words: Words) -> str:
    """Say that a duty does not apply yet, where every date it names is after the run."""
    days = [day for word in applies_from.replace("(", " ").split() if (day := day_of(word[:10]))]
    if not days or started is None or min(days) <= started:
        return ""
    return words.say("fixed_later", date=words.day(min(days)))


def standards(record: Record, started: date | None, words: Words) -> str:
    """Say that no harmonised standard was applied, as of the day the requirements were checked."""
    checked = [day for r in record["requirements"] if (day := day_of(r.get("checked_on") or ""))]
    day = max(checked, default=started)
    return words.say("fixed_standards", date=words.day(day) if day else words["unknown"])
