"""`toets list`: what there is."""

from pathlib import Path

import click

from toetssteen import registry
from toetssteen.candidates import load_adapter
from toetssteen.candidates.access import access
from toetssteen.catalog import Catalog
from toetssteen.cli import options
from toetssteen.errors import ContentError, UsageError
from toetssteen.spec import CandidateSpec, HubWeights

PLUGINS: tuple[registry.Kind, ...] = ("adapters", "scorers", "metrics", "meters", "items")


@click.command("list")
@options.path
@click.option("--candidates", is_flag=True, help="List only the candidates, and how to reach in.")
@click.option("--plugins", is_flag=True, help="List the plugins too, with where they come from.")
def command(paths: tuple[Path, ...], *, candidates: bool, plugins: bool) -> None:
    """List suites, tasks and candidates. A file that cannot be read is listed with its fault."""
    catalog = options.open_catalog(paths)
    if candidates:
        _section("Candidates", {n: _reach(catalog, n) for n in catalog.candidate_files})
        return
    _section("Suites", {name: _suite(catalog, name) for name in catalog.suite_files})
    _section("Tasks", {name: _task(catalog, name) for name in catalog.task_files})
    _section("Candidates", {name: _candidate(catalog, name) for name in catalog.candidate_files})
    if plugins:
        for kind in PLUGINS:
            _section(kind.capitalize(), dict(registry.names(kind)))


def _section(title: str, rows: dict[str, str]) -> None:
    click.echo(click.style(title, bold=True))
    width = max((len(name) for name in rows), default=0)
    for name, text in rows.items():
        click.echo(f"  {name:<{width}}  {text}")
    click.echo()


def _suite(catalog: Catalog, name: str) -> str:
    try:
        spec = catalog.suite(name).spec
    except ContentError as error:
        return _fault(error)
    return f"{spec.title.en} ({len(spec.tasks)} tasks)"


def _task(catalog: Catalog, name: str) -> str:
    try:
        spec = catalog.task(name).spec
    except ContentError as error:
        return _fault(error)
    return f"{spec.title.en} / {spec.title.nl} (v{spec.version}, {spec.licence})"


def _candidate(catalog: Catalog, name: str) -> str:
    try:
        spec = catalog.candidate(name).spec
    except ContentError as error:
        return _fault(error)
    verified = "" if spec.verified else ", not verified here"
    return f"{spec.title} ({spec.adapter.name}, {spec.licence}{verified})"


def _reach(catalog: Catalog, name: str) -> str:
    """Say of a candidate what it lets us see, and under which licence it comes."""
    try:
        card = catalog.candidate(name)
        adapter = load_adapter(card)
    except UsageError as error:
        return _fault(error)
    spec = card.spec
    verified = "yes" if spec.verified else "no"
    return (
        f"{spec.title}: adapter {spec.adapter.name}, access {access(spec, adapter)}, licence "
        f"{spec.licence}, verified {verified}{unpinned(spec)}"
    )


def unpinned(spec: CandidateSpec) -> str:
    """Say of a card that it cannot be run as it is."""
    weights = (spec.weights, spec.lora)
    open_ended = any(isinstance(w, HubWeights) and w.revision is None for w in weights)
    return ", revision not pinned" if open_ended else ""


def _fault(error: UsageError) -> str:
    return click.style(f"cannot be read: {str(error).splitlines()[0]}", fg="red")
