"""One run as one HTML page that needs nothing else: no script, no network, no fonts.

A page is built from the record alone, so the same record gives the same bytes. What a candidate
said is text and never markup: Jinja2 escapes every value, and `visible` shows what is invisible.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from math import isfinite
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toetssteen import content
from toetssteen.records import Record, Says, Status
from toetssteen.report.bars import Bar, Scale, scale_of
from toetssteen.report.safe_text import shorten, visible
from toetssteen.report.words import Amount, MetricWords, Phrase, Words
from toetssteen.spec import Language

# Of any one text; what lies beyond is counted, not shown.
MOST_CHARACTERS = 3000
MOST_TITLES = 8

WORST_FIRST = (
    Says.DOES_NOT_MEET,
    Says.INCONCLUSIVE,
    Says.NOT_MEASURED,
    Says.NEEDS_HUMAN_EVIDENCE,
    Says.MEETS,
    Says.REPORTED,
    Says.NOT_APPLICABLE,
)
# Colour is never the only sign.
SIGNS = {
    "meets": "✓",
    "does_not_meet": "✗",
    "inconclusive": "?",
    "not_measured": "○",
    "needs_human_evidence": "!",
    "not_applicable": "·",
    "reported": "i",
}


def to_html(record: Record, *, language: Language) -> str:
    """Return the report of one run in one language; the same record gives the same bytes."""
    words = Words.of(language)
    template = _environment(language).get_template("report.html.j2")
    return template.render(w=words, page=_page(record, words))


@cache
def _environment(language: Language) -> Environment:
    words = Words.of(language)

    def finalize(value: object) -> object:
        """Make whatever a template prints fit to print."""
        return value if isinstance(value, Markup) else _fit_to_print(str(value), words)

    return Environment(
        loader=FileSystemLoader(content.root("reports") / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _fit_to_print(text: str, words: Words) -> str:
    shown, left_out = shorten(text, MOST_CHARACTERS)
    note = f" {words.count('left_out', left_out)}" if left_out else ""
    return visible(shown) + note


# --- what the page shows ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """One estimate, as it is printed; `value` is None where there is no number."""

    value: Amount | None
    low: Amount | None
    high: Amount | None
    worst: Amount | None
    best: Amount | None
    unit: str
    level: str
    n: str
    unscored: str
    method: Phrase
    status: str
    reason: Phrase
    flags: tuple[str, ...]
    basis: str
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class FindingShown:
    """What one finding says, with its sign and colour."""

    kind: str
    sign: str
    label: str
    because: Phrase
    criterion: str


@dataclass(frozen=True, slots=True)
class Row:
    """One result in a table."""

    result: str
    group: str
    estimate: Shown
    findings: tuple[FindingShown, ...]


@dataclass(frozen=True, slots=True)
class MetricRows:
    """The results of one metric of one task."""

    metric: str
    name: str
    explain: str
    better: str
    scale: tuple[str, str] | None
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ControlRow:
    """One control in a table."""

    control: str
    label: str
    metric: str
    group: str
    expected: Phrase
    estimate: Shown
    landed: bool | None


@dataclass(frozen=True, slots=True)
class Example:
    """One item with what was asked and what was answered."""

    item: str
    groups: str
    language: str
    exchanges: tuple[tuple[str, str], ...]
    score: str
    parts: str
    why_unscored: Phrase | None
    kind: str


@dataclass(frozen=True, slots=True)
class Card:
    """One task in a few sentences."""

    findings: tuple[FindingShown, ...]
    headline: str
    sentences: tuple[str, ...]
    estimate: Shown | None
    scale: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class TaskShown:
    """One task of the run."""

    anchor: str
    name: str
    theme: str
    title: str
    description: str
    version: int
    items: str
    licence: str
    source: str
    items_sha256: str
    card: Card
    caveats: tuple[str, ...]
    metrics: tuple[MetricRows, ...]
    has_bars: bool
    unscored_lead: str
    unscored: tuple[str, ...]
    controls: tuple[ControlRow, ...]
    controls_lead: str
    cost: tuple[tuple[str, str], ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class CriterionShown:
    """One registered criterion with its finding."""

    id: str
    title: str
    finding: FindingShown
    sentence: Phrase
    limit: str
    least_items: str
    measured: Shown | None
    rationale: str
    basis: str
    result: str
    task: TaskShown | None
    metric: str


@dataclass(frozen=True, slots=True)
class RequirementShown:
    """One article and the estimates that bear on it."""

    urn: str
    article: str
    title: str
    applies_from: Phrase
    source: str
    checked_on: str
    binds: str
    later: str
    can_show: str
    cannot_show: str
    rows: tuple[tuple[TaskShown, str, Row], ...]
    by_group: int


@dataclass(frozen=True, slots=True)
class SessionsShown:
    """Sessions with the same versions on the same machine."""

    at: str
    versions: tuple[tuple[str, str], ...]
    machine: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template prints."""

    title: str
    candidate: str
    candidate_name: str
    candidate_notes: str
    first_answer: str
    last_session: str
    asked: str
    asked_titles: str
    profile: str
    purpose: str
    notices: tuple[str, ...]
    follows: tuple[str, ...]
    criteria_lead: str
    criteria: tuple[CriterionShown, ...]
    requirements: tuple[RequirementShown, ...]
    standards: str
    tasks: tuple[TaskShown, ...]
    run: tuple[tuple[str, str], ...]
    card: tuple[tuple[str, str], ...]
    sessions: tuple[SessionsShown, ...]
    version: str


def _page(record: Record, words: Words) -> Page:
    profile = record["profile"]
    tasks = tuple(
        _task(task, f"task-{i}", record, words) for i, task in enumerate(record["tasks"])
    )
    criteria = tuple(_criteria(record, tasks, words))
    started = _day(record["started"])
    candidate = record["candidate"]
    return Page(
        title=words.say(
            "page_title",
            candidate=candidate["title"],
            date=words.day(started) if started else words["unknown"],
        ),
        candidate=candidate["title"],
        candidate_name=candidate["name"],
        candidate_notes=_in(candidate.get("notes"), words),
        first_answer=words.moment(record["started"]) if record["started"] else words["unknown"],
        last_session=_last_session(record["sessions"], words),
        asked=_asked(record["tasks"], words),
        asked_titles=_titles(tasks, words),
        profile=words["no_profile"] if profile is None else _in(profile["title"], words),
        purpose="" if profile is None else _in(profile["intended_purpose"], words),
        notices=tuple(_notices(record, started, words)),
        follows=tuple(_follows(criteria, words)),
        criteria_lead="" if profile is None else _criteria_lead(profile, words),
        criteria=criteria,
        requirements=tuple(_requirements(record, tasks, started, words)),
        standards=_standards(record, started, words),
        tasks=tasks,
        run=tuple(_run(record, words)),
        card=tuple(_flat(candidate, words)),
        sessions=tuple(_sessions(record["sessions"], words)),
        version=record["toetssteen"],
    )


def _in(text: Mapping[str, str] | None, words: Words) -> str:
    """Return a text of the record in the report's language."""
    return "" if text is None else text[words.language]


def _day(at: str | None) -> date | None:
    try:
        return None if at is None else datetime.fromisoformat(at).date()
    except ValueError:
        return None


def _last_session(sessions: Sequence[Record], words: Words) -> str:
    if len(sessions) < 2:
        return ""
    return words.say("last_session", date=words.moment(sessions[-1]["at"]))


def _asked(tasks: Sequence[Record], words: Words) -> str:
    items = words.count("items", sum(task["items"] for task in tasks))
    return f"{words.count('tasks', len(tasks))}, {items}"


def _titles(tasks: Sequence[TaskShown], words: Words) -> str:
    titles = [f"{task.title} ({task.theme.lower()})" for task in tasks[:MOST_TITLES]]
    if more := len(tasks) - len(titles):
        titles.append(words.say("and_others", n=more))
    return "; ".join(titles)


# --- notices, and what follows ----------------------------------------------------------------


def _notices(record: Record, started: date | None, words: Words) -> Iterator[str]:
    """Say whatever makes the numbers weigh less than they seem to."""
    yield from _profile_notices(record["profile"], started, words)
    if record["limit"] is not None:
        yield words.say("notice_limit", items=words.count("items", record["limit"]))
    missed = {
        (control["task"], control["control"])
        for task in record["tasks"]
        for control in task["controls"]
        if control["landed"] is False
    }
    if missed:
        yield words.count("notice_controls", len(missed))


def _profile_notices(profile: Record | None, started: date | None, words: Words) -> Iterator[str]:
    if profile is None:
        yield words["notice_no_profile"]
        return
    registered = _day(profile["registered_on"])
    if registered is None:
        yield words.say("notice_not_registered", profile=_in(profile["title"], words))
    elif started is not None and registered > started:
        yield words.say(
            "notice_registered_late",
            registered=words.day(registered),
            started=words.day(started),
        )


def _follows(criteria: Sequence[CriterionShown], words: Words) -> Iterator[str]:
    """Say what the findings come down to; an open criterion is never counted as met."""
    if not criteria:
        yield words["follows_no_criteria"]
        return
    kinds = [criterion.finding.kind for criterion in criteria]
    fails = kinds.count(Says.DOES_NOT_MEET)
    unsettled = kinds.count(Says.INCONCLUSIVE) + kinds.count(Says.NOT_MEASURED)
    people = kinds.count(Says.NEEDS_HUMAN_EVIDENCE)
    yield words.count("follows_criteria", len(kinds))
    if fails:
        yield words.count("follows_fails", fails)
    if unsettled == len(kinds) > 1:
        yield words["follows_open_all"]
    elif unsettled:
        yield words.count("follows_open", unsettled)
    if people:
        yield words.count("follows_people", people)
    if not fails + unsettled + people:
        met = Says.MEETS in kinds
        yield words["follows_all_met" if met else "follows_only_reported"]


# --- estimates --------------------------------------------------------------------------------


def _shown(
    estimate: Record,
    metric: MetricWords,
    words: Words,
    *,
    scale: Scale | None = None,
    limit: float | None = None,
) -> Shown:
    """Return an estimate as it is printed.

    Args:
        estimate: as the record has it.
        metric: what is known of its metric.
        words: the language.
        scale: of the picture beside it; None for no picture.
        limit: of the criterion registered for it.
    """

    def amount(name: str) -> Amount | None:
        value = estimate[name]
        return None if value is None else words.amount(value, percent=metric.percent)

    reason = words.phrase(estimate["reason"], percent=metric.percent)
    return Shown(
        value=amount("value"),
        low=amount("low"),
        high=amount("high"),
        worst=amount("if_worst"),
        best=amount("if_best"),
        unit="" if metric.percent else words.unit(estimate["unit"]),
        level=words.amount(estimate["level"], percent=True).text,
        n=words.integer(estimate["n"]),
        unscored=words.integer(estimate["unscored"]),
        method=words.phrase(estimate["method"]),
        status=words.label("statuses", estimate["status"]),
        reason=reason if estimate["reason"] else Phrase(words["no_reason"]),
        flags=tuple(words.label("flags", flag) for flag in estimate["flags"]),
        basis=words.label("bases", estimate["basis"]) if estimate["basis"] else "",
        bar=None if scale is None else _bar(estimate, metric, words, scale=scale, limit=limit),
    )


def _bar(
    estimate: Record, metric: MetricWords, words: Words, *, scale: Scale, limit: float | None
) -> Bar | None:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None or low is None or high is None or not isfinite(value + low + high):
        return None
    worst, best = estimate["if_worst"], estimate["if_best"]
    bounds = None
    if worst is not None and best is not None:
        bounds = (scale.place(min(worst, best)), scale.place(max(worst, best)))
    return Bar(
        value=scale.place(value),
        low=scale.place(low),
        high=scale.place(high),
        bounds=bounds,
        limit=None if limit is None else scale.place(limit),
        zero=scale.place(0.0) if scale.low < 0 else None,
        text=_bar_text(estimate, metric, words, scale=scale, limit=limit),
    )


def _bar_text(
    estimate: Record, metric: MetricWords, words: Words, *, scale: Scale, limit: float | None
) -> str:
    """Return the picture in words, for those who do not see it."""

    def said(value: float) -> str:
        return words.amount(value, percent=metric.percent).text

    sentences = [
        words.say(
            "bar_text",
            value=said(estimate["value"]),
            level=words.amount(estimate["level"], percent=True).text,
            low=said(estimate["low"]),
            high=said(estimate["high"]),
            **{"from": said(scale.low), "to": said(scale.high)},
        )
    ]
    if estimate["if_worst"] is not None and estimate["if_best"] is not None:
        bounds = {"worst": said(estimate["if_worst"]), "best": said(estimate["if_best"])}
        sentences.append(words.say("bar_bounds", **bounds))
    if limit is not None:
        sentences.append(words.say("bar_limit", limit=said(limit)))
    return " ".join(sentences)


def _finding(finding: Record, metric: MetricWords, words: Words) -> FindingShown:
    return FindingShown(
        kind=finding["says"],
        sign=SIGNS.get(finding["says"], "·"),
        label=words.label("findings", finding["says"]),
        because=words.phrase(finding["because"], percent=metric.percent),
        criterion=finding["criterion"],
    )


def _limits(record: Record) -> Mapping[str, float]:
    """Return the registered limit of each result that has one."""
    criteria = record["profile"]["criteria"] if record["profile"] is not None else ()
    return {
        criterion["result"]: criterion["comparator"]["value"]
        for criterion in criteria
        if criterion["comparator"]["value"] is not None
    }


# --- tasks ------------------------------------------------------------------------------------


def _task(task: Record, anchor: str, record: Record, words: Words) -> TaskShown:
    metrics = tuple(_metrics(task, _limits(record), words))
    theme = task["name"].partition("/")[0]
    controls = tuple(_control(control, words) for control in task["controls"])
    return TaskShown(
        anchor=anchor,
        name=task["name"],
        theme=words.label("themes", theme),
        title=_in(task["title"], words),
        description=_in(task["description"], words),
        version=task["version"],
        items=words.integer(task["items"]),
        licence=task["licence"],
        source=task["source"],
        items_sha256=task["items_sha256"],
        card=_card(task, metrics, words),
        caveats=tuple(_in(caveat, words) for caveat in task["caveats"]),
        metrics=metrics,
        has_bars=any(row.estimate.bar for metric in metrics for row in metric.rows),
        unscored_lead=_unscored_lead(task, words),
        unscored=tuple(_unscored_kinds(task, words)),
        controls=controls,
        controls_lead=_controls_lead(controls, words),
        cost=tuple(_cost(task["cost"], words)),
        examples=tuple(_example(example, words) for example in task["examples"]),
    )


def _metrics(task: Record, limits: Mapping[str, float], words: Words) -> Iterator[MetricRows]:
    by_metric: dict[str, list[Record]] = {}
    for result in task["results"]:
        by_metric.setdefault(result["metric"], []).append(result)
    for metric_id, results in by_metric.items():
        metric = words.metric(metric_id)
        scale = _scale(results, metric, limits)
        yield MetricRows(
            metric=metric_id,
            name=metric.name[words.language],
            explain="" if metric.explain is None else metric.explain[words.language],
            better=words[f"better_{results[0]['better']}"],
            scale=None if scale is None else _scale_ends(scale, metric, words),
            rows=tuple(
                Row(
                    result=result["name"],
                    group=words.group(result["group"]),
                    estimate=_shown(
                        result["estimate"],
                        metric,
                        words,
                        scale=scale,
                        limit=limits.get(result["name"]),
                    ),
                    findings=tuple(_finding(f, metric, words) for f in result["findings"]),
                )
                for result in results
            ),
        )


def _scale(
    results: Sequence[Record], metric: MetricWords, limits: Mapping[str, float]
) -> Scale | None:
    """Return one scale for all groups of a metric, or None where there is nothing to draw."""
    estimates = [result["estimate"] for result in results]
    drawn = [
        estimate[name]
        for estimate in estimates
        for name in ("value", "low", "high", "if_worst", "if_best")
        if estimate[name] is not None
    ]
    if not any(estimate["low"] is not None for estimate in estimates):
        return None
    drawn += [limits[result["name"]] for result in results if result["name"] in limits]
    return scale_of(
        drawn,
        share=metric.percent or not estimates[0]["unit"],
        around_zero=results[0]["better"] == "near_zero",
    )


def _scale_ends(scale: Scale, metric: MetricWords, words: Words) -> tuple[str, str]:
    low = words.amount(scale.low, percent=metric.percent).text
    return low, words.amount(scale.high, percent=metric.percent).text


def _unscored_lead(task: Record, words: Words) -> str:
    missing = sum(task["unscored"].values())
    if not missing:
        # A task that was never asked has no score to lack.
        return words["unscored_none"] if task["examples"] else words["examples_none"]
    return words.count("unscored_lead", missing, items=words.integer(task["items"]))


def _unscored_kinds(task: Record, words: Words) -> Iterator[str]:
    for kind, count in task["unscored"].items():
        yield f"{words.integer(count)} {words.label('answered', kind)}"


def _control(control: Record, words: Words) -> ControlRow:
    metric = words.metric(control["metric"])
    status = words.label("statuses", control["expected"])
    known = control["expected"] in set(Status)
    return ControlRow(
        control=control["control"],
        label=words.label("controls", control["control"]),
        metric=metric.name[words.language],
        group=words.group(control["group"]),
        expected=Phrase(status)
        if known
        else words.phrase(control["expected"], percent=metric.percent),
        estimate=_shown(control["estimate"], metric, words),
        landed=control["landed"],
    )


def _controls_lead(controls: Sequence[ControlRow], words: Words) -> str:
    """Say how many controls landed; one that missed a single metric did not land."""
    judged: dict[str, bool] = {}
    for control in controls:
        if control.landed is not None:
            judged[control.control] = judged.get(control.control, True) and control.landed
    if not judged:
        return words["controls_none"]
    landed = sum(judged.values())
    pieces = {"n": words.integer(len(judged)), "landed": words.integer(landed)}
    return words.say("controls_all" if landed == len(judged) else "controls_some", **pieces)


def _cost(cost: Record, words: Words) -> Iterator[tuple[str, str]]:
    yield words["requests"], words.integer(cost["requests"])
    yield words["seconds"], words.number(cost["seconds"])
    if cost["joules"] is None:
        reason = words.phrase(cost["reason"]).text if cost["reason"] else words["no_reason"]
        yield words["joules"], words.say("joules_unknown", reason=reason)
        return
    joules = words.say(
        "joules_text",
        joules=words.number(cost["joules"]),
        watt_hours=words.number(cost["joules"] / 3600),
    )
    yield words["joules"], f"{joules}, {words.label('bases', cost['basis'])}"
    yield words["scopes"], words.listing([words.label("scopes", s) for s in cost["scopes"]])


def _example(example: Record, words: Words) -> Example:
    spoken = example["groups"].get("language", "")
    scored = example["value"] is not None
    return Example(
        item=example["item"],
        groups=", ".join(words.group(f"{k}={v}") for k, v in example["groups"].items()),
        language=spoken if spoken in {"nl", "en"} else "",
        exchanges=tuple((one["asked"], one["answered"]) for one in example["exchanges"]),
        score=words.number(example["value"]) if scored else "",
        parts="; ".join(
            f"{name.replace('_', ' ')} {words.number(part)}"
            for name, part in example["parts"].items()
        ),
        why_unscored=None if scored else words.phrase(example["why_unscored"]),
        kind=words.label("answered", example["kind"]),
    )


# --- one task in a few sentences --------------------------------------------------------------


def _card(task: Record, metrics: Sequence[MetricRows], words: Words) -> Card:
    result = _key_result(task)
    if result is None:
        return Card((), words["no_result"], (), None, None)
    metric = words.metric(result["metric"])
    rows = next(rows for rows in metrics if rows.metric == result["metric"])
    shown = next(row.estimate for row in rows.rows if row.result == result["name"])
    return Card(
        findings=tuple(_finding(f, metric, words) for f in result["findings"]),
        headline=_headline(result, metric, shown, words),
        sentences=tuple(_supporting(task, result, metric, shown, words)),
        estimate=shown,
        scale=rows.scale,
    )


def _key_result(task: Record) -> Record | None:
    """Return the result that a board should see first.

    Where criteria were registered, the one with the worst finding; else the task's first metric.
    """
    registered = [
        (WORST_FIRST.index(Says(finding["says"])), place)
        for place, result in enumerate(task["results"])
        for finding in result["findings"]
        if finding["criterion"]
    ]
    if registered:
        key: Record = task["results"][min(registered)[1]]
        return key
    return next((r for r in task["results"] if not r["group"]), None)


def _headline(result: Record, metric: MetricWords, shown: Shown, words: Words) -> str:
    """Return the one sentence about a task that a board member remembers."""
    estimate = result["estimate"]
    if shown.value is None:
        said = f" ({shown.reason.text})" if estimate["reason"] else ""
        sentence = words.say("no_number", status=shown.status, reason=said)
        return f"{metric.name[words.language]}. {sentence}"
    direction = _direction(estimate) if result["better"] == "near_zero" else ""
    chosen = metric.sentence
    if estimate["value"] == 0 and metric.at_zero is not None:
        chosen = metric.at_zero
    elif direction == "above" and metric.above is not None:
        chosen = metric.above
    elif direction == "below" and metric.below is not None:
        chosen = metric.below
    value = f"{shown.value.text} {shown.unit}".rstrip()
    name = metric.name[words.language]
    if result["group"]:
        name = f"{name} ({words.group(result['group'])})"
    if chosen is None or result["group"]:
        return words.say("generic_sentence", name=name, value=value)
    high = shown.high.text if shown.high is not None else words["unknown"]
    return chosen[words.language].format(value=value, n=shown.n, high=high)


def _direction(estimate: Record) -> str:
    """Say on which side of 0 the whole interval lies, if it lies on one."""
    if estimate["low"] is not None and estimate["low"] > 0:
        return "above"
    if estimate["high"] is not None and estimate["high"] < 0:
        return "below"
    return ""


def _supporting(
    task: Record, result: Record, metric: MetricWords, shown: Shown, words: Words
) -> Iterator[str]:
    if shown.value is not None:
        yield _range(shown, words)
    if task["name"].partition("/")[0] == "bias" and result["better"] == "near_zero":
        yield from _bias(task, result, metric, words)
    yield from _scored(task, result, shown, words)


def _range(shown: Shown, words: Words) -> str:
    if shown.low is None or shown.high is None:
        return words["no_range"]
    return words.say("range", level=shown.level, low=shown.low.text, high=shown.high.text)


def _bias(task: Record, result: Record, metric: MetricWords, words: Words) -> Iterator[str]:
    """Say whether a difference was found; one group that differs is never passed over."""
    estimate = result["estimate"]
    if estimate["low"] is None or estimate["high"] is None:
        return
    differing = [
        words.group(other["group"])
        for other in task["results"]
        if other["metric"] == result["metric"] and other["group"] and _direction(other["estimate"])
    ]
    if _direction(estimate):
        yield words["fixed_bias_found"]
        return
    largest = words.amount(
        max(abs(estimate["low"]), abs(estimate["high"])), percent=metric.percent
    )
    with_unit = f"{largest.text} {words.unit(estimate['unit'])}".rstrip()
    yield words.say("fixed_bias_not_found", largest=with_unit)
    if differing:
        groups = words.listing(differing)
        yield words.count("group_differs", len(differing), groups=groups)


def _scored(task: Record, result: Record, shown: Shown, words: Words) -> Iterator[str]:
    n, missing = result["estimate"]["n"], result["estimate"]["unscored"]
    if not n + missing:
        return
    if not missing:
        yield words.count("scored_all", n)
        return
    kinds = "" if result["group"] else ", ".join(_unscored_kinds(task, words))
    yield words.say(
        "scored_some",
        n=shown.n,
        asked=words.integer(n + missing),
        unscored=shown.unscored,
        kinds=f" ({kinds})" if kinds else "",
    )
    if shown.worst is not None and shown.best is not None:
        yield words.say("if_counted", worst=shown.worst.text, best=shown.best.text)


# --- criteria and requirements ----------------------------------------------------------------


def _criteria_lead(profile: Record, words: Words) -> str:
    return words.say(
        "findings_criteria_lead",
        profile=_in(profile["title"], words),
        version=profile["version"],
        registered=_registered(profile, words),
    )


def _registered(profile: Record, words: Words) -> str:
    day = _day(profile["registered_on"])
    if day is None:
        return words["not_registered"]
    return words.say("registered_on", date=words.day(day))


def _criteria(
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
        shown = _finding(finding, metric, words)
        yield CriterionShown(
            id=criterion["id"],
            title=_in(criterion["title"], words),
            finding=shown,
            sentence=_finding_sentence(shown, finding, _registered(profile, words), words),
            limit=_limit(criterion, metric, words),
            least_items=words.integer(criterion["min_n"]),
            measured=row.estimate if row is not None else None,
            rationale=_in(criterion["rationale"], words),
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


def _finding_sentence(
    shown: FindingShown, finding: Record, registered: str, words: Words
) -> Phrase:
    """Return the fixed wording of a finding, or else its reason."""
    if finding["says"] == Says.MEETS:
        pieces = {"criterion": shown.criterion, "registered": registered}
        return Phrase(words.say("fixed_meets", **pieces))
    if finding["says"] == Says.INCONCLUSIVE and "lies on both sides" in finding["because"]:
        return Phrase(words["fixed_inconclusive"])
    return Phrase("")


def _limit(criterion: Record, metric: MetricWords, words: Words) -> str:
    kind, value = criterion["comparator"]["kind"], criterion["comparator"]["value"]
    limit = "" if value is None else words.amount(value, percent=metric.percent).text
    return words.label("comparators", kind).format(limit=limit)


def _requirements(
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
        title=_in(requirement["title"], words),
        applies_from=Phrase(words.terms(applies)) if said.text == applies else said,
        source=words.terms(requirement["applies_source"]),
        checked_on=words.terms(requirement["checked_on"]),
        binds=words.listing([words.label("roles", role) for role in requirement["binds"]]),
        later=_later(applies, started, words),
        can_show=_in(requirement["can_show"], words),
        cannot_show=_in(requirement["cannot_show"], words),
        rows=rows,
        by_group=by_group,
    )


def _later(applies_from: str, started: date | None, words: Words) -> str:
    """Say that a duty does not apply yet, where every date it names is after the run."""
    days = [day for word in applies_from.replace("(", " ").split() if (day := _iso(word[:10]))]
    if not days or started is None or min(days) <= started:
        return ""
    return words.say("fixed_later", date=words.day(min(days)))


def _iso(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _standards(record: Record, started: date | None, words: Words) -> str:
    """Say that no harmonised standard was applied, as of the day the requirements were checked."""
    checked = [day for r in record["requirements"] if (day := _iso(r.get("checked_on") or ""))]
    day = max(checked, default=started)
    return words.say("fixed_standards", date=words.day(day) if day else words["unknown"])


# --- annex ------------------------------------------------------------------------------------


def _run(record: Record, words: Words) -> Iterator[tuple[str, str]]:
    limit = record["limit"]
    yield words["fingerprint"], record["fingerprint"]
    yield words["seed"], str(record["seed"])
    yield words["item_limit"], words["no_limit"] if limit is None else words.integer(limit)
    yield words["identity"], record["candidate"]["identity"]
    if record["profile"] is not None:
        yield words["profile_sha256"], record["profile"]["sha256"]
    yield words["tool_version"], record["toetssteen"]
    yield words["schema"], str(record["schema"])


def _flat(card: Mapping[str, Any], words: Words, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return a card's fields with their paths: `weights.sha256`."""
    for name, value in card.items():
        path = f"{prefix}{name}"
        if path == "notes":
            yield path, _in(value, words) or words["not_given"]
        elif isinstance(value, Mapping) and path != "adapter.args":
            yield from _flat(value, words, f"{path}.")
        else:
            yield path, _plain(value, words)


def _plain(value: object, words: Words) -> str:
    match value:
        case None | [] | {}:
            return words["not_given"]
        case bool():
            return words["yes" if value else "no"]
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _sessions(sessions: Sequence[Record], words: Words) -> Iterator[SessionsShown]:
    """Put together the sessions that differ in nothing but the time."""
    alike: dict[str, list[Record]] = {}
    for session in sessions:
        same = json.dumps([session["candidate"], session["machine"]], sort_keys=True)
        alike.setdefault(same, []).append(session)
    for group in alike.values():
        first = group[0]
        yield SessionsShown(
            at="; ".join(words.moment(session["at"]) for session in group),
            versions=tuple(first["candidate"].items()),
            machine=tuple(first["machine"].items()),
        )
