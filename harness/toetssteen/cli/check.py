"""`toets check`: YAML, items and controls; and whether two routes answer alike."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np

from toetssteen.candidates import load_adapter
from toetssteen.candidates.adapters import application_file
from toetssteen.catalog import Catalog, Task
from toetssteen.cli import equivalence, options
from toetssteen.cli.list_names import unpinned
from toetssteen.errors import NotFetchedError, ToetsError
from toetssteen.run.controls import run_control
from toetssteen.run.equivalence import TOLERANCE
from toetssteen.run.plan import LoadedTask, load_task


@click.command("check")
@click.argument("names", nargs=-1)
@options.path
@options.mirror
@click.option(
    "--equivalence",
    "candidates",
    nargs=2,
    metavar="A B",
    help="Ask two candidates the same items (of `quick`, without names), and see if they agree.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"With --equivalence: items a task, spread evenly; {equivalence.ITEMS} unless given.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="With --equivalence: nats of a log-likelihood, or difference of a probability, that "
    f"still agree; {TOLERANCE:g} unless given. Texts and labels have to be equal.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --equivalence: write the record here; in a run folder as equivalence.json, "
    "reports and `toets compare` read it.",
)
def command(
    names: tuple[str, ...],
    paths: tuple[Path, ...],
    candidates: tuple[str, str] | None,
    limit: int | None,
    tolerance: float | None,
    json_file: Path | None,
) -> None:
    """Check the NAMED tasks, suites and candidates; without names, all that `toets list` lists.

    Reads the YAML and the items, makes the plugins, and sees whether every control lands. Without
    names, a task whose items come from others and were not fetched is named and is no fault. Asks
    a model nothing, except with --equivalence; then the exit code is 0 if the two agree and 1 if
    they do not.
    """
    catalog = options.open_catalog(paths)
    if candidates is not None:
        found = equivalence.check(
            catalog,
            candidates,
            names,
            limit=limit or equivalence.ITEMS,
            tolerance=TOLERANCE if tolerance is None else tolerance,
        )
        equivalence.show(found, options.open_console())
        if json_file is not None:
            equivalence.write(found, json_file)
        raise click.exceptions.Exit(0 if found.agrees else 1)
    if (limit, tolerance, json_file) != (None, None, None):
        raise click.UsageError("--limit, --tolerance and --json belong to --equivalence")
    faults = 0
    for name, step in _steps(catalog, names):
        try:
            said = step()
        except NotFetchedError as error:
            faults += bool(names)
            marked = "fault " if names else "absent"
            click.echo(f"{click.style(marked, fg='yellow')} {name}: {error}")
        except ToetsError as error:
            faults += 1
            click.echo(f"{click.style('fault', fg='red')}  {name}: {error}")
        else:
            click.echo(f"{click.style('ok', fg='green')}     {name}: {said}")
    if faults:
        raise click.exceptions.Exit(2)


def _steps(catalog: Catalog, names: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], str]]]:
    everything = (*catalog.suite_files, *catalog.task_files, *catalog.candidate_files)
    for name in names or everything:
        if name in catalog.suite_files:
            yield name, partial(_suite, catalog, name)
            # Without names, its tasks come by themselves.
            for task in catalog.tasks([name]) if names else ():
                yield task.name, partial(_task, catalog, task.name)
        elif name in catalog.candidate_files and name not in catalog.task_files:
            yield name, partial(_card, catalog, name)
        else:
            yield name, partial(_task, catalog, name)


def _suite(catalog: Catalog, name: str) -> str:
    tasks = catalog.tasks([name])
    return f"{len(tasks)} tasks"


def _task(catalog: Catalog, name: str) -> str:
    task = catalog.task(name)
    loaded = load_task(task)
    missed = list(_missed(loaded))
    if missed:
        raise ToetsError(f"{task.file}: " + "; ".join(missed))
    code = sorted(_code(task))
    executed = f"; executes {', '.join(code)}" if code else ""
    return f"{len(loaded.items)} items, {len(loaded.controls)} controls land{executed}"


def _missed(loaded: LoadedTask) -> Iterator[str]:
    for control in loaded.controls:
        rng = np.random.default_rng(1)
        for result in run_control(
            control, task=loaded.name, scorer=loaded.scorer, metrics=loaded.metrics, rng=rng
        ):
            if result.landed is False:
                got = result.estimate.value
                said = result.estimate.status.value if got is None else f"{got:.4g}"
                yield (
                    f"controls.{result.control}: {result.metric} should be {result.expected}, "
                    f"is {said}"
                )


def _code(task: Task) -> Iterator[str]:
    spec = task.spec
    sources = [control.items for control in spec.controls if control.items is not None]
    for ref in (spec.items, spec.scorer, *spec.metrics, *sources):
        if ref.file is not None:
            yield str(task.file.parent / ref.file)


def _card(catalog: Catalog, name: str) -> str:
    card = catalog.candidate(name)
    load_adapter(card)
    said = f"{card.spec.adapter.name} card"
    if card.spec.adapter.file is not None:
        said += f"; executes {card.file.parent / card.spec.adapter.file}"
    if card.spec.function is not None:
        said += f"; executes {application_file(card.spec, card.file.parent)}"
    if card.spec.trust_remote_code:
        said += "; executes code from the checkpoint"
    if card.spec.trusted:
        said += "; executes code of the model, in a process of its own"
    said += unpinned(card.spec)
    return said
