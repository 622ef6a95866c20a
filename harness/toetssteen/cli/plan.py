"""`toets plan`: what a run would ask, what it can find, and what it will cost."""

from collections.abc import Sequence
from contextlib import closing
from math import fsum
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from toetssteen.cli import options
from toetssteen.cli.folders import plan_of, run_folder
from toetssteen.evidence.planning import ASSUMED_ICC, Reach, reach, warnings
from toetssteen.meters.powercap import best_meter
from toetssteen.run.collect import count_pending
from toetssteen.run.forecast import Pace, calibrate, memory_bytes, pace_of
from toetssteen.run.mark import mark
from toetssteen.run.plan import Plan, make_plan
from toetssteen.run.store import Store
from toetssteen.spec import ProfileSpec, read
from toetssteen.statistics.planning import Demands


@click.command("plan")
@click.argument("names", nargs=-1, required=True)
@options.candidate
@options.path
@options.mirror
@options.runs
@options.seed_and_limit
@options.profile
@click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True),
    help="The smallest effect that matters: says how many items find it.",
)
@click.option(
    "--power",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=0.8,
    show_default=True,
    help="The chance to find an effect that is there.",
)
@click.option(
    "--icc",
    type=click.FloatRange(0, 1),
    default=ASSUMED_ICC,
    show_default=True,
    help="How alike items of one cluster are assumed to answer, for rates.",
)
@click.option(
    "--pilot",
    "pilot_folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A run of the same tasks, such as one with --limit, whose spread is used.",
)
@click.option("--calibrate", "calibrated", is_flag=True, help="Ask a few items to time the rest.")
def command(  # noqa: PLR0913, PLR0917 - click hands over every option
    names: tuple[str, ...],
    candidate_name: str,
    paths: tuple[Path, ...],
    runs_folder: Path,
    seed: int,
    limit: int | None,
    profile_file: Path | None,
    margin: float | None,
    power: float,
    icc: float,
    pilot_folder: Path | None,
    *,
    calibrated: bool,
) -> None:
    """Say what a run of the NAMED tasks and suites would ask, and what it could find.

    Answers that are there already serve as the pilot: what they can detect, and how many items
    a margin needs. Only --calibrate asks the candidate anything.
    """
    console = options.open_console()
    catalog = options.open_catalog(paths)
    card = catalog.candidate(candidate_name)
    plan = make_plan(card, catalog.tasks(names), seed=seed, limit=limit)
    folder = run_folder(runs_folder, names, plan)
    store = Store.reading(folder) if (folder / "plan.json").is_file() else Store(folder)
    pilot = mark(plan, store.answers) if store.answers.blocks else None
    if pilot_folder is not None:
        kept = Store.reading(pilot_folder)
        pilot = mark(plan_of(kept)[0], kept.answers)
    demands = Demands(power=power)
    console.print(_asked(plan))
    console.print(_found(tuple(reach(plan, pilot, margin=margin, demands=demands, icc=icc))))
    if profile_file is not None:
        for warning in warnings(plan, read(ProfileSpec, profile_file)):
            console.print(f"warning: {warning}", style="yellow", markup=False)
    if calibrated:
        _calibrate(plan, console)
    elif store.answers.blocks:
        _cost(tuple(pace_of(plan, store.answers)), console)
    pending, whole = count_pending(plan, store)
    console.print(f"fingerprint  {plan.fingerprint}", highlight=False)
    console.print(f"folder       {folder}", highlight=False)
    console.print(f"to ask       {pending} of {whole} items", highlight=False)


def _asked(plan: Plan) -> Table:
    table = Table("task", "version", "items", "requests", "clusters", "note", box=SIMPLE_HEAD)
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


def _found(reached: Sequence[Reach]) -> Table:
    table = Table("metric", "planned", "finds from", "margin needs", "based on", box=SIMPLE_HEAD)
    for one in reached:
        table.add_row(
            f"{one.task}/{one.metric}",
            f"{one.planned} {one.unit}",
            "-" if one.detectable is None else f"{one.detectable:.3g}",
            "-" if one.needed is None else f"{one.needed} {one.unit}",
            one.basis,
        )
    return table


def _calibrate(plan: Plan, console: Console) -> None:
    """Ask a few items; memory is read while the candidate is still loaded."""
    card = plan.card
    with closing(plan.adapter.open(card.spec, card.file.parent)) as candidate:
        paces = tuple(calibrate(plan, candidate, meter=best_meter()))
        memory = memory_bytes()
    _cost(paces, console)
    console.print(f"memory with the candidate loaded: {memory / 2**30:.2f} GiB", highlight=False)


def _cost(paces: Sequence[Pace], console: Console) -> None:
    """Print what a whole run takes: time with its range, and energy where it is known."""
    for pace in paces:
        seconds, joules = pace.whole(), pace.whole_joules()
        energy = "energy unknown"
        if joules is not None:
            energy = (
                f"{joules.value / 3600:.3g} Wh ({joules.low / 3600:.3g}-{joules.high / 3600:.3g})"
            )
        console.print(
            f"{pace.task}: {seconds.value:.0f} s ({seconds.low:.0f}-{seconds.high:.0f}), {energy}",
            highlight=False,
        )
    total = fsum(pace.whole().value for pace in paces)
    low, high = (fsum(getattr(p.whole(), end) for p in paces) for end in ("low", "high"))
    console.print(f"whole run: {total:.0f} s ({low:.0f}-{high:.0f})", highlight=False)
