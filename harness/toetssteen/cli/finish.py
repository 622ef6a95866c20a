"""What follows when the answers are in: mark, weigh, write, show."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from toetssteen.cli.folders import kept_equivalence, kept_profile, recorded
from toetssteen.evidence import weigh
from toetssteen.evidence.footing import is_of_this
from toetssteen.records import Record
from toetssteen.report.html import to_html
from toetssteen.report.results import to_record
from toetssteen.run.mark import mark
from toetssteen.run.plan import Plan
from toetssteen.run.store import Store
from toetssteen.spec import Language

LANGUAGES: tuple[Language, ...] = ("nl", "en")
RESULTS = "results.json"

COLOURS: Mapping[str, str] = {
    "meets": "green",
    "does_not_meet": "red",
    "inconclusive": "yellow",
    "not_measured": "yellow",
}


def report_file(language: Language) -> str:
    """Return the name of the report in a language."""
    return f"report.{language}.html"


def finish(plan: Plan, store: Store) -> Record:
    """Mark and weigh the stored answers and write results and reports into the run folder."""
    profile = kept_profile(store)
    outcome = mark(plan, store.answers)
    sessions = store.answers.sessions
    asked_on = datetime.fromisoformat(sessions[0].at).date() if sessions else None
    findings = weigh(outcome, None if profile is None else profile.spec, asked_on=asked_on)
    check = kept_equivalence(store)
    if check is not None and not is_of_this(check, recorded(plan, store)):
        check = None
    record = to_record(outcome, findings, sessions=sessions, profile=profile, equivalence=check)
    store.write_json(RESULTS, record)
    write_reports(record, store)
    return record


def write_reports(record: Record, store: Store) -> list[Path]:
    """Write the report in both languages."""
    return [
        store.write_text(report_file(language), to_html(record, language=language))
        for language in LANGUAGES
    ]


def show(record: Record, console: Console) -> None:
    """Print the table: every metric over all items; groups are in the report."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("task and metric", no_wrap=True)
    for column in (r"estimate \[95% interval]", "n", "unscored", "status"):
        # In a narrow window words are folded, never cut: "inconclu…" could be anything.
        table.add_column(column, overflow="fold")
    table.add_column("finding", no_wrap=True)
    reasons = []
    for task in record["tasks"]:
        table.add_row(f"[bold]{task['name']}[/bold]")
        for result in task["results"]:
            if result["group"]:
                continue
            if result["estimate"]["value"] is None:
                reasons.append(f"{result['name']}: {result['estimate']['reason']}")
            table.add_row(f"  {result['metric']}", *_cells(result, note=len(reasons)))
    console.print(table)
    show_changed(record["changed_names"], console)
    for number, reason in enumerate(reasons, start=1):
        console.print(f"({number}) {reason}", markup=False, highlight=False)
    for task in record["tasks"]:
        for control in task["controls"]:
            if control["landed"] is False:
                console.print(
                    f"[red]control {control['control']} of {task['name']} did not land: "
                    f"{control['metric']} should be {control['expected']}[/red]"
                )


def show_changed(names: Mapping[str, Sequence[str]], console: Console) -> None:
    """Warn of a service that did not answer under one name: it may be another model."""
    for name, said in names.items():
        text = f"warning: the service answered under more than one {name}: {', '.join(said)}"
        console.print(text, style="yellow", markup=False, highlight=False)


def _cells(result: Mapping[str, Any], *, note: int) -> tuple[str, ...]:
    estimate = result["estimate"]
    says = [finding["says"] for finding in result["findings"]]
    coloured = [f"[{COLOURS[s]}]{s}[/]" if s in COLOURS else s for s in says]
    return (
        _interval(estimate, note),
        str(estimate["n"]),
        str(estimate["unscored"]),
        estimate["status"],
        ", ".join(coloured),
    )


def _interval(estimate: Mapping[str, Any], note: int) -> str:
    if estimate["value"] is None:
        return f"none ({note})"
    unit = f" {estimate['unit']}" if estimate["unit"] else ""
    if estimate["low"] is None:
        chance = estimate["null_95"]
        beside = "no interval" if chance is None else f"chance ≤ {chance:.3g}"
        return f"{estimate['value']:.3g}{unit} ({beside})"
    bounds = f"\\[{estimate['low']:.3g}, {estimate['high']:.3g}]"
    return f"{estimate['value']:.3g}{unit} {bounds}"
