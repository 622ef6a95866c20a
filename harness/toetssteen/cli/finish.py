"""What follows when the answers are in: mark, weigh, write, show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from toetssteen.cli.folders import kept_profile
from toetssteen.evidence import weigh
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
    findings = weigh(outcome, None if profile is None else profile.spec)
    record = to_record(outcome, findings, sessions=store.answers.sessions, profile=profile)
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
    columns = ("task", "metric", r"estimate \[95% interval]", "n", "unscored", "status", "finding")
    table = Table(*columns)
    for task in record["tasks"]:
        for result in task["results"]:
            if not result["group"]:
                table.add_row(task["name"], result["metric"], *_cells(result))
    console.print(table)
    for task in record["tasks"]:
        for control in task["controls"]:
            if control["landed"] is False:
                console.print(
                    f"[red]control {control['control']} of {task['name']} did not land: "
                    f"{control['metric']} should be {control['expected']}[/red]"
                )


def _cells(result: Mapping[str, Any]) -> tuple[str, ...]:
    estimate = result["estimate"]
    says = [finding["says"] for finding in result["findings"]]
    coloured = [f"[{COLOURS[s]}]{s}[/]" if s in COLOURS else s for s in says]
    return (
        _interval(estimate),
        str(estimate["n"]),
        str(estimate["unscored"]),
        estimate["status"],
        ", ".join(coloured),
    )


def _interval(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return f"none: {estimate['reason']}".replace("[", "\\[")
    unit = f" {estimate['unit']}" if estimate["unit"] else ""
    bounds = f"\\[{estimate['low']:.3g}, {estimate['high']:.3g}]"
    return f"{estimate['value']:.3g}{unit} {bounds}"
