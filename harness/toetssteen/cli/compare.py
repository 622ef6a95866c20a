"""`toets compare`: candidates side by side on the same items."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from toetssteen.cli import options
from toetssteen.cli.folders import kept_equivalence, plan_of, recorded
from toetssteen.errors import RunError, UsageError
from toetssteen.evidence.comparison import PairedDifference, compare
from toetssteen.evidence.footing import Footing, Recorded, footing
from toetssteen.records import Record
from toetssteen.run.mark import Outcome, mark
from toetssteen.run.store import Store


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a run folder holds of a run."""

    outcome: Outcome
    candidate: Recorded
    check: Record | None


@click.command("compare")
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False)
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the differences to this file too, with all digits.",
)
def command(folders: tuple[Path, ...], json_file: Path | None) -> None:
    """Compare the runs in FOLDERS with the first of them, item by item.

    Runs whose questions differ (task version, items, prompt) are refused, naming the difference.
    p-values are corrected by Holm over all differences shown. Under the table stands what the
    candidates do not have in common, as far as their runs recorded it.
    """
    kept = [_kept(folder) for folder in folders]
    differences = compare([one.outcome for one in kept])
    checks = [one.check for one in kept if one.check is not None]
    footings = [footing(kept[0].candidate, one.candidate, checks) for one in kept[1:]]
    console = options.open_console()
    _show(differences, console)
    for one in footings:
        console.print(f"{one.says}.", markup=False, highlight=False)
    if json_file is not None:
        _write(differences, footings, json_file)


def _kept(folder: Path) -> _Kept:
    store = Store.reading(folder)
    plan, same = plan_of(store)
    if not same:
        raise UsageError(
            f"{folder}: its tasks have changed since it was run; run it again, or `toets mark` it "
            "and compare the reports by eye"
        )
    outcome = mark(plan, store.answers)
    return _Kept(outcome, recorded(plan, store), kept_equivalence(store))


def _show(differences: Sequence[PairedDifference], console: Console) -> None:
    columns = ("task and metric", r"difference \[95% interval]", "n", "p (Holm)", "says")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    heading = ""
    for one in differences:
        pair = f"[bold]{one.other} minus {one.reference}[/bold]"
        if pair != heading:
            table.add_row(pair)
            heading = pair
        table.add_row(f"  {one.task}/{one.metric}", *_cells(one))
    console.print(table)
    console.print(
        "Paired on the items that both have scored. 'inconclusive' is not 'no difference'."
    )


def _cells(one: PairedDifference) -> tuple[str, ...]:
    e = one.estimate
    if e.value is None or one.p_adjusted is None:
        return e.reason, str(e.n), "-", one.says
    bounds = "(no spread, so no interval)"
    if e.low is not None and e.high is not None:
        bounds = f"\\[{e.low:+.3g}, {e.high:+.3g}]"
    text = f"{e.value:+.3g} {e.unit} {bounds}".replace("  ", " ")
    return text, str(e.n), f"{one.p_adjusted:.3g}", one.says


def _write(
    differences: Sequence[PairedDifference], footings: Sequence[Footing], file: Path
) -> None:
    rows = [
        {
            **asdict(one),
            "says": one.says,
            "footing": "; ".join(f.says for f in footings if f.other == one.other),
        }
        for one in differences
    ]
    try:
        file.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{file}: cannot be written: {error.strerror}") from None
