"""Options that several commands share, and what they open."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from toetssteen.catalog import Catalog

LOG_WIDTH = 110

Command = TypeVar("Command", bound=Callable[..., Any])


def path(command: Command) -> Command:
    """Add `--path`: a lab's own suites and models."""
    return click.option(
        "--path",
        "paths",
        multiple=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder with suites/ and models/ of your own. Plugins in it are executed.",
    )(command)


def mirror(command: Command) -> Command:
    """Add `--mirror`: where to look before the network."""
    return click.option(
        "--mirror",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        expose_value=False,
        callback=_use_mirror,
        is_eager=True,
        help="Folder that holds sha256/<digest>; looked into before the network. [TOETS_MIRROR]",
    )(command)


def candidate(command: Command) -> Command:
    """Add `--candidate`: whom to ask."""
    return click.option(
        "-c",
        "--candidate",
        "candidate_name",
        required=True,
        help="A card in models/ by name, or the path of a card.",
    )(command)


def seed_and_limit(command: Command) -> Command:
    """Add `--seed` and `--limit`, both part of the plan's fingerprint."""
    seed = click.option("--seed", default=1, show_default=True, help="Seed of the run.")
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        help="At most this many items a task, spread evenly; the report says so.",
    )(seed(command))


def runs(command: Command) -> Command:
    """Add `--runs`: where run folders go."""
    return click.option(
        "--runs",
        "runs_folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        help="Folder of run folders.",
    )(command)


def profile(command: Command) -> Command:
    """Add `--profile`: the criteria."""
    return click.option(
        "--profile",
        "profile_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Acceptance profile with the criteria, registered before the run.",
    )(command)


def tracking(command: Command) -> Command:
    """Add `--tracking` and `--experiment`."""
    experiment = click.option(
        "--experiment",
        default="Toetssteen",
        show_default=True,
        help="MLflow experiment: the pilot.",
    )
    return click.option(
        "--tracking",
        envvar="MLFLOW_TRACKING_URI",
        default="sqlite:///mlflow.db",
        show_default=True,
        help="MLflow tracking URI.",
    )(experiment(command))


def open_console() -> Console:
    """Return the console; where nobody looks (a log, CI) tables need not fit a window."""
    console = Console()
    return console if console.is_terminal else Console(width=LOG_WIDTH)


def open_catalog(paths: tuple[Path, ...]) -> Catalog:
    """Return the catalog over bundled content and the given paths."""
    return Catalog(paths)


def _use_mirror(_ctx: click.Context, _option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        os.environ["TOETS_MIRROR"] = str(value.resolve())
