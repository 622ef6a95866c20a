"""`toets fetch`: weights and external items, into the cache."""

from pathlib import Path

import click

from toetssteen import cache
from toetssteen.candidates.weights import fetch
from toetssteen.catalog import Catalog
from toetssteen.cli import options
from toetssteen.errors import ContentError


@click.command("fetch")
@click.argument("names", nargs=-1)
@click.option("-c", "--candidate", "candidate_name", help="Fetch the weights of this candidate.")
@options.path
@options.mirror
def command(names: tuple[str, ...], candidate_name: str | None, paths: tuple[Path, ...]) -> None:
    """Fetch what the NAMED tasks and suites, and a candidate, need; checked by sha256."""
    catalog = options.open_catalog(paths)
    if not names and candidate_name is None:
        raise click.UsageError("name a task, a suite or --candidate")
    for task in catalog.tasks(names):
        _items(catalog, task.name)
    if candidate_name is not None:
        card = catalog.candidate(candidate_name)
        wanted = [w for w in (card.spec.weights, card.spec.lora) if w is not None]
        if not wanted:
            click.echo(f"{card.name}: has no weights to fetch")
        for weights in wanted:
            found = fetch(weights, card.file.parent)
            click.echo(f"{card.name}: {found.folder} sha256 {found.digest[:12]}…")


def _items(catalog: Catalog, name: str) -> None:
    spec = catalog.task(name).spec
    sources = [spec.items, *(c.items for c in spec.controls if c.items is not None)]
    remote = [source for source in sources if "url" in source.args]
    for source in remote:
        if "sha256" not in source.args:
            raise ContentError(catalog.task_files[name], "items.args: a url needs the sha256")
        file = cache.fetch(str(source.args["url"]), str(source.args["sha256"]))
        click.echo(f"{name}: {file}")
    if not remote:
        click.echo(f"{name}: nothing to fetch, the items travel with the task")
