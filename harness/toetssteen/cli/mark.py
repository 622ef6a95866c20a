"""`toets mark`: score stored answers again."""

from pathlib import Path

import click

from toetssteen.cli import options
from toetssteen.cli.finish import finish, show
from toetssteen.cli.folders import keep_profile, plan_of
from toetssteen.run.store import Store


@click.command("mark")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@options.profile
@options.mirror
def command(folder: Path, profile_file: Path | None) -> None:
    """Mark the answers in a run FOLDER again, and weigh and report; asks nothing."""
    console = options.open_console()
    with Store(folder) as store:
        plan, same = plan_of(store)
        if not same:
            console.print(
                "[yellow]The tasks have changed since this run was planned; answers to questions "
                "that are still the same are marked.[/yellow]"
            )
        if profile_file is not None:
            keep_profile(store, profile_file)
        show(finish(plan, store), console)
