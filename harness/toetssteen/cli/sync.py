"""`toets sync`: send a run that is kept here to MLflow."""

import json
from pathlib import Path

import click

from toetssteen.cli import options
from toetssteen.cli.finish import RESULTS
from toetssteen.errors import ContentError
from toetssteen.track import track


@click.command("sync")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@options.tracking
def command(folder: Path, tracking: str, experiment: str) -> None:
    """Send the run in FOLDER to MLflow; a run that is there already is brought up to date."""
    try:
        record = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        raise ContentError(
            folder / RESULTS, f"cannot be read; run `toets mark {folder}` first"
        ) from None
    run_id = track(record, folder, uri=tracking, experiment=experiment)
    click.echo(f"MLflow run {run_id} in experiment {experiment!r} at {tracking}")
