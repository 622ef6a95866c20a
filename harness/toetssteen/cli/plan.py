"""`toets plan`: what a run would ask, and what is answered already."""

from pathlib import Path

import click
from rich.table import Table

from toetssteen.cli import options
from toetssteen.cli.folders import run_folder
from toetssteen.run.collect import count_pending
from toetssteen.run.plan import Plan, make_plan
from toetssteen.run.store import Store


@click.command("plan")
@click.argument("names", nargs=-1, required=True)
@options.candidate
@options.path
@options.mirror
@options.runs
@options.seed_and_limit
def command(
    names: tuple[str, ...],
    candidate_name: str,
    paths: tuple[Path, ...],
    runs_folder: Path,
    seed: int,
    limit: int | None,
) -> None:
    """Say what a run of the NAMED tasks and suites would ask; asks nothing."""
    catalog = options.open_catalog(paths)
    card = catalog.candidate(candidate_name)
    plan = make_plan(card, catalog.tasks(names), seed=seed, limit=limit)
    options.open_console().print(_table(plan))
    folder = run_folder(runs_folder, names, plan)
    store = Store.reading(folder) if (folder / "plan.json").is_file() else Store(folder)
    pending, whole = count_pending(plan, store)
    click.echo(f"fingerprint  {plan.fingerprint}")
    click.echo(f"folder       {folder}")
    click.echo(f"to ask       {pending} of {whole} items")


def _table(plan: Plan) -> Table:
    table = Table("task", "version", "items", "requests", "clusters", "note", box=None)
    for task in plan.tasks:
        requests = sum(len(task.scorer.requests(item)) for item in task.items)
        clusters = {tuple(item.clusters.values()) for item in task.items if item.clusters}
        table.add_row(
            task.name,
            str(task.task.spec.version),
            str(len(task.items)),
            str(requests),
            str(len(clusters) or "-"),
            plan.not_measurable(task),
        )
    return table
