"""`toets new`: the skeleton of a task, in YAML and JSON Lines, without Python."""

import re
from pathlib import Path

import click

from toetssteen import content
from toetssteen.errors import UsageError

NAME = re.compile(r"^[a-z][a-z0-9_]*/[a-z][a-z0-9_]*$")


@click.command("new")
@click.argument("name")
@click.option(
    "--path",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="here",
    help="Folder in which suites/ is made.",
)
def command(name: str, folder: Path) -> None:
    """Write suites/THEME/TASK.yaml and .jsonl for NAME (theme/task), ready to run and edit."""
    if not NAME.match(name):
        raise UsageError(
            f"{name!r} is not a task name; use theme/task in small letters, digits and _, such as "
            "quality/waterschap"
        )
    theme, _, task = name.partition("/")
    target = folder / "suites" / theme
    files = {target / f"{task}.yaml": "task.yaml", target / f"{task}.jsonl": "task.jsonl"}
    for file in files:
        if file.exists():
            raise UsageError(f"{file} is there already; nothing was written")
    skeletons = content.root("reports") / "templates" / "new"
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file, skeleton in files.items():
            text = (skeletons / skeleton).read_text(encoding="utf-8").replace("@TASK@", task)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from None
    for file in files:
        click.echo(f"written  {file}")
    click.echo(f"\nNow edit them, and then:\n  toets check --path {folder} {name}")
    click.echo(f"  toets run --path {folder} {name} --candidate smollm2-135m-instruct")
