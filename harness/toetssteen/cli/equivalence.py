"""`toets check --equivalence A B`: two routes to the same weights, asked the same."""

import json
from contextlib import closing
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from toetssteen.catalog import Catalog
from toetssteen.errors import RunError
from toetssteen.records import Response
from toetssteen.run.equivalence import (
    Agreement,
    Asked,
    Equivalence,
    Route,
    answers,
    compare_routes,
    route,
    shared_requests,
)
from toetssteen.run.plan import Plan, make_plan

TASKS = ("quick",)
ITEMS = 8


def check(
    catalog: Catalog,
    candidates: tuple[str, str],
    names: tuple[str, ...],
    *,
    limit: int,
    tolerance: float,
) -> Equivalence:
    """Ask both candidates the same, one after the other, so that one is in memory at a time.

    Args:
        catalog: where tasks and cards are.
        candidates: two, by name or by the path of a card.
        names: of tasks and suites; `TASKS` where there are none.
        limit: items a task, spread over it.
        tolerance: see `compare_routes`.
    """
    tasks = catalog.tasks(names or TASKS)
    one, other = (
        # Nothing is drawn: the items are spread evenly, so there is nothing for a seed to do.
        make_plan(catalog.candidate(name), tasks, seed=0, limit=limit)
        for name in candidates
    )
    asked = shared_requests(one, other)
    first, first_route = _ask(one, asked)
    second, second_route = _ask(other, asked)
    return compare_routes(
        asked,
        first,
        second,
        plans=(one, other),
        routes=(first_route, second_route),
        tolerance=tolerance,
    )


def show(found: Equivalence, console: Console) -> None:
    """Print what was compared, kind by kind, and what it says."""
    one, other = (route.name for route in found.routes)
    columns = ("request", "asked", "compared", "only one", "largest", "median", "equal", "")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for kind in found.kinds:
        table.add_row(kind.kind, *_cells(kind))
    console.print(table)
    for kind in found.kinds:
        if kind.first_difference:
            console.print(
                f"first difference of {kind.kind}: {kind.first_difference}",
                markup=False,
                highlight=False,
            )
    tolerance = f"within {found.tolerance:g}, equal texts and labels"
    if found.agrees:
        console.print(f"{one} and {other} agree ({tolerance}).", highlight=False)
    else:
        console.print(
            f"{one} and {other} do not agree ({tolerance}): their results are not comparable as "
            "those of the same candidate.",
            highlight=False,
        )


def write(found: Equivalence, file: Path) -> None:
    """Write the record.

    Raises:
        RunError: it cannot be written.
    """
    try:
        text = json.dumps(found.record(), indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{file}: cannot be written: {error.strerror}") from None


def _ask(plan: Plan, asked: tuple[Asked, ...]) -> tuple[list[Response], Route]:
    with closing(plan.adapter.open(plan.card.spec, plan.card.file.parent)) as candidate:
        return answers(candidate, asked), route(plan, candidate)


def _cells(kind: Agreement) -> tuple[str, ...]:
    unit = " nats" if kind.kind == "loglikelihood" else ""
    return (
        str(kind.asked),
        str(kind.compared),
        str(kind.answered_by_one),
        "-" if kind.largest is None else f"{kind.largest:.2g}{unit}",
        "-" if kind.median is None else f"{kind.median:.2g}{unit}",
        "-" if kind.equal is None else f"{kind.equal:.0%}",
        kind.reason or ("agrees" if kind.agrees else "differs"),
    )
