"""`toets report`: the reports of a run, from its results."""

import json
from pathlib import Path

import click

from toetssteen.cli.finish import RESULTS, write_reports
from toetssteen.errors import ContentError
from toetssteen.report.results import SCHEMA
from toetssteen.run.store import Store


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def command(folder: Path) -> None:
    """Write the Dutch and English report of a run FOLDER from its results.json."""
    file = folder / RESULTS
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise ContentError(file, f"cannot be read; run `toets mark {folder}` first") from None
    except json.JSONDecodeError as error:
        raise ContentError(file, f"not valid JSON: {error.msg}", line=error.lineno) from None
    if record.get("schema") != SCHEMA:
        found = record.get("schema")
        raise ContentError(
            file, f"has schema {found}, expected {SCHEMA}; run `toets mark {folder}`"
        )
    for written in write_reports(record, Store(folder)):
        click.echo(written)
