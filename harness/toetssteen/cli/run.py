"""`toets run`: the whole walk, from plan to report."""

from contextlib import closing
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from toetssteen.cli import options
from toetssteen.cli.finish import finish, report_file, show, show_changed
from toetssteen.cli.folders import keep_profile, remember, run_folder
from toetssteen.errors import TrackingError
from toetssteen.meters import Meter, NoMeter
from toetssteen.meters.powercap import best_meter
from toetssteen.records import Record
from toetssteen.run.collect import collect, count_pending
from toetssteen.run.plan import Plan, make_plan
from toetssteen.run.sessions import changed_names
from toetssteen.run.store import Store
from toetssteen.track import track


@click.command("run")
@click.argument("names", nargs=-1, required=True)
@options.candidate
@options.path
@options.mirror
@options.runs
@options.seed_and_limit
@options.profile
@options.tracking
@click.option("--no-tracking", is_flag=True, help="Do not log to MLflow.")
@click.option("--retry-failed", is_flag=True, help="Ask again what failed with error or timeout.")
def command(  # noqa: PLR0913, PLR0917 - click hands over every option
    names: tuple[str, ...],
    candidate_name: str,
    paths: tuple[Path, ...],
    runs_folder: Path,
    seed: int,
    limit: int | None,
    profile_file: Path | None,
    tracking: str,
    experiment: str,
    *,
    no_tracking: bool,
    retry_failed: bool,
) -> None:
    """Ask a candidate the NAMED tasks and suites, then mark, weigh, track and report.

    What is answered is kept at once. The same command continues a run that was interrupted, and
    asks nothing twice.
    """
    console = options.open_console()
    catalog = options.open_catalog(paths)
    card = catalog.candidate(candidate_name)
    plan = make_plan(card, catalog.tasks(names), seed=seed, limit=limit)
    with Store(run_folder(runs_folder, names, plan)) as store:
        remember(store, plan, names, catalog)
        if profile_file is not None:
            keep_profile(store, profile_file)
        ask(plan, store, console, retry_failed=retry_failed)
        record = finish(plan, store)
        show(record, console)
        if not no_tracking:
            _track(record, store, tracking, experiment, console)
        _next(store, tracking, console, tracked=not no_tracking)


def ask(plan: Plan, store: Store, console: Console, *, retry_failed: bool) -> None:
    """Ask what is not answered yet; open the candidate only if there is something to ask."""
    pending, whole = count_pending(plan, store, retry_failed=retry_failed)
    if not pending:
        console.print(f"All {whole} items were answered before; nothing was asked.")
        return
    if pending < whole:
        console.print(f"Continuing: {whole - pending} of {whole} items were answered before.")
    console.print(f"Opening {plan.card.spec.title} …")
    with closing(plan.adapter.open(plan.card.spec, plan.card.file.parent)) as candidate:
        warning = candidate.describe().get("warning")
        if warning:
            console.print(f"[yellow]{warning}[/yellow]")
        before = [session.candidate for session in store.answers.sessions]
        show_changed(changed_names([*before, candidate.describe()]), console)
        with _progress(console) as progress:
            bars: dict[str, TaskID] = {}

            def on_progress(task: str, done: int, size: int) -> None:
                if task not in bars:
                    bars[task] = progress.add_task(task, total=size)
                progress.update(bars[task], completed=done)

            try:
                collect(
                    plan,
                    candidate,
                    store,
                    meter=meter_of(plan),
                    on_progress=on_progress,
                    retry_failed=retry_failed,
                )
            except KeyboardInterrupt:
                progress.stop()
                console.print(f"Stopped. What was answered is kept in {store.folder};")
                console.print("the same command continues.")
                raise click.exceptions.Exit(130) from None


def meter_of(plan: Plan) -> Meter:
    """Return the meter of the machine on which the candidate computes, if that is this one."""
    spec = plan.card.spec
    if spec.route is not None or spec.function is not None:
        return NoMeter("nobody can see from here where the application has its model computed")
    if spec.endpoint is None or spec.endpoint.near:
        return best_meter()
    return NoMeter("the candidate runs elsewhere; only who runs it can read its counters")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("items"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def _track(record: Record, store: Store, uri: str, experiment: str, console: Console) -> None:
    try:
        track(record, store.folder, uri=uri, experiment=experiment)
    except TrackingError as error:
        raise TrackingError(
            f"{error}\nThe run is complete and kept in {store.folder}. Send it later with:\n"
            f"  toets sync {store.folder} --tracking {uri}"
        ) from None
    console.print(f"Logged to MLflow at {uri}, experiment {experiment!r}.")


def _next(store: Store, uri: str, console: Console, *, tracked: bool) -> None:
    console.print("\nNext:")
    console.print(f"  open {store.folder / report_file('nl')}  (or {report_file('en')})")
    if tracked and uri.startswith("sqlite:///"):
        console.print("  make ui  (or: mlflow server --backend-store-uri " + uri + ")")
    console.print(f"  toets mark {store.folder}")
    console.print("  toets list")
