"""One run as one HTML page that needs nothing else: no script, no network, no fonts.

A page is built from the record alone, so the same record gives the same bytes. What a candidate
said is text and never markup: Jinja2 escapes every value, and `visible` shows what is invisible.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toetssteen import content
from toetssteen.records import Record, Says
from toetssteen.report.contrasts import untested
from toetssteen.report.page import CriterionShown, Page, SessionsShown, TaskShown
from toetssteen.report.safe_text import shorten, visible
from toetssteen.report.show_findings import (
    criteria_lead,
    show_criteria,
    show_requirements,
    standards,
)
from toetssteen.report.show_tasks import show_task
from toetssteen.report.words import Words, day_of
from toetssteen.spec import Language

# Of any one text; what lies beyond is counted, not shown.
MOST_CHARACTERS = 3000
MOST_TITLES = 8


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


def _page(record: Record, words: Words) -> Page:
    profile = record["profile"]
    tasks = tuple(
        show_task(task, f"task-{i}", record, words) for i, task in enumerate(record["tasks"])
    )
    criteria = tuple(show_criteria(record, tasks, words))
    started = day_of(record["started"])
    candidate = record["candidate"]
    return Page(
        title=words.say(
            "page_title",
            candidate=candidate["title"],
            date=words.day(started) if started else words["unknown"],
        ),
        candidate=candidate["title"],
        candidate_name=candidate["name"],
        candidate_notes=words.told(candidate.get("notes")),
        first_answer=words.moment(record["started"]) if record["started"] else words["unknown"],
        last_session=_last_session(record["sessions"], words),
        asked=_asked(record["tasks"], words),
        asked_titles=_titles(tasks, words),
        profile=words["no_profile"] if profile is None else words.told(profile["title"]),
        purpose="" if profile is None else words.told(profile["intended_purpose"]),
        notices=tuple(_notices(record, started, words)),
        follows=tuple(_follows(criteria, words)),
        criteria_lead="" if profile is None else criteria_lead(profile, words),
        criteria=criteria,
        requirements=tuple(show_requirements(record, tasks, started, words)),
        standards=standards(record, started, words),
        tasks=tasks,
        run=tuple(_run(record, words)),
        card=tuple(_flat(candidate, words)),
        sessions=tuple(_sessions(record["sessions"], words)),
        version=record["toetssteen"],
    )


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
    if (dtype := record["candidate"]["dtype"]) != "float32":
        yield words.say("notice_half_precision", dtype=dtype)
    for name, said in record.get("changed_names", {}).items():
        yield words.say("notice_changed_names", name=name, said=words.listing(said))
    # What an older record does not say was not there to be said.
    if bits := record["candidate"].get("quantisation"):
        yield words.say("notice_quantised", bits=bits.removesuffix("bit"))
    if any(s["candidate"].get("chat_template") == "unused" for s in record["sessions"]):
        yield words["notice_template_unused"]
    check = record.get("equivalence")
    if check is not None and not check["agrees"]:
        one, other = (route["name"] for route in check["routes"])
        yield words.say("notice_not_equivalent", one=one, other=other)
    missed = {
        (control["task"], control["control"])
        for task in record["tasks"]
        for control in task["controls"]
        if control["landed"] is False
    }
    if missed:
        yield words.count("notice_controls", len(missed))
    if grounds := untested(record, words):
        yield words.say("fixed_untested", grounds=", ".join(grounds))


def _profile_notices(profile: Record | None, started: date | None, words: Words) -> Iterator[str]:
    if profile is None:
        yield words["notice_no_profile"]
        return
    registered = day_of(profile["registered_on"])
    if registered is None:
        yield words.say("notice_not_registered", profile=words.told(profile["title"]))
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


# --- annex ------------------------------------------------------------------------------------


def _run(record: Record, words: Words) -> Iterator[tuple[str, str]]:
    limit = record["limit"]
    yield words["fingerprint"], record["fingerprint"]
    yield words["seed"], str(record["seed"])
    yield words["item_limit"], words["no_limit"] if limit is None else words.integer(limit)
    yield words["identity"], record["candidate"]["identity"]
    if (check := record.get("equivalence")) is not None and check["agrees"]:
        one, other = (route["name"] for route in check["routes"])
        yield words["equivalence"], words.say("equivalent", one=one, other=other)
    if record["profile"] is not None:
        yield words["profile_sha256"], record["profile"]["sha256"]
    yield words["tool_version"], record["toetssteen"]
    yield words["schema"], str(record["schema"])


def _flat(card: Mapping[str, Any], words: Words, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return a card's fields with their paths: `weights.sha256`."""
    for name, value in card.items():
        path = f"{prefix}{name}"
        if path == "notes":
            yield path, words.told(value) or words["not_given"]
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
