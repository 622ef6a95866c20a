"""`toets check`: YAML, items and controls, without asking a model anything."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np

from toetssteen.candidates import load_adapter
from toetssteen.candidates.adapters import application_file
from toetssteen.catalog import Catalog, Task
from toetssteen.cli import options
from toetssteen.errors import NotFetchedError, ToetsError
from toetssteen.run.controls import run_control
from toetssteen.run.plan import LoadedTask, load_task


@click.command("check")
@click.argument("names", nargs=-1)
@options.path
@options.mirror
def command(names: tuple[str, ...], paths: tuple[Path, ...]) -> None:
    """Check the NAMED tasks and suites; without names, everything that `toets list` lists.

    Reads the YAML and the items, makes the plugins, and sees whether every control lands. Without
    names, a task whose items come from others and were not fetched is named and is no fault.
    """
    catalog = options.open_catalog(paths)
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
    wanted = names or (*catalog.suite_files, *catalog.task_files)
    for name in wanted:
        if name in catalog.suite_files:
            yield name, partial(_suite, catalog, name)
            if names:
                for task in catalog.tasks([name]):
                    yield task.name, partial(_task, catalog, task.name)
        else:
            yield name, partial(_task, catalog, name)
    if not names:
        for name in catalog.candidate_files:
            yield name, partial(_card, catalog, name)


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
    return said
