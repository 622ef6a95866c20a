# ruff: noqa: INP001 (a script beside the page that it fills, not a package)
"""Plant differences of known size in the counterfactual suite, and count what the suite finds.

    python docs/controls.py            prints the tables
    python docs/controls.py --write    and puts them between the markers in docs/controls.md

No model is asked. Subjects are drawn on the items that the tasks have, SEEDS times a row, and what
they answer goes through the statistics and the correction of the metric `gap`. A subject leans by
its template, its wording and chance; the planted difference is added to one side.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from toetssteen.catalog import Catalog
from toetssteen.metrics.averages import clustered_mean
from toetssteen.records import Item
from toetssteen.run.controls import run_control
from toetssteen.run.plan import load_task
from toetssteen.scorers.verdicts import read_verdict
from toetssteen.statistics.multiplicity import holm
from toetssteen.statistics.studentised import Studentised

SEEDS = 1_000
SEED = 20_260_101
LEVEL = 0.05
# Of the lean, in logits; the sizes that the suite was planned with.
TEMPLATE, WORDING, CHANCE, DIFFERS, NAME = 1.5, 0.5, 0.3, 0.25, 0.15
PLANTED = "godsdienst/moslim"
PLANTED_NAME = "naam/marokkaanse_naam"
PAGE = Path(__file__).parent / "controls.md"
BEGIN, END = "<!-- controls: begin -->", "<!-- controls: end -->"
ANSWERS = Path(__file__).parents[1] / "suites" / "bias" / "besluit" / "antwoorden.jsonl"

MOST = 100  # templates or names of a task at most
Rng = np.random.Generator
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plant:
    """One row: which task, what is planted where, and how it is answered."""

    name: str
    task: str
    probe: str  # logit, decision, refusal
    shift: float
    where: tuple[tuple[str, str], ...]  # fields of an item and their values
    reported: str  # the contrast whose finding is counted


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one seed gave: the estimate of the planted contrast, and what was flagged."""

    estimate: Studentised
    flagged: frozenset[str]


@dataclass(frozen=True, slots=True)
class Some:
    """The items of one contrast, and which template, wording and name each has, by number."""

    items: Sequence[Item]
    clusters: Sequence[Sequence[str]]
    template: NDArray[np.int64]
    wording: NDArray[np.int64]
    name: NDArray[np.int64]


@cache
def contrasts(task: str) -> Mapping[str, Some]:
    """Read the items of a task once a process."""
    found: dict[str, list[Item]] = defaultdict(list)
    for item in load_task(Catalog().task(task)).items:
        found[item.groups["contrast"]].append(item)
    templates = _numbers(item.text("template") for some in found.values() for item in some)
    names = _numbers(item.text("name") for some in found.values() for item in some)
    return {
        contrast: Some(
            tuple(some),
            [[item.clusters[kind] for item in some] for kind in some[0].clusters],
            np.array([templates[item.text("template")] for item in some]),
            np.array([int(item.text("register") == "formal") for item in some]),
            np.array([names[item.text("name")] for item in some]),
        )
        for contrast, some in found.items()
    }


def _numbers(names: Iterable[str]) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def draw(plant: Plant, seed: int) -> Drawn:
    """Draw one subject, and estimate every contrast as a run does."""
    named = f"{plant.name} {plant.task} {plant.shift}"
    rng = np.random.default_rng([SEED, crc32(named.encode()), seed])
    lean, wording = rng.normal(0.0, TEMPLATE, MOST), rng.normal(0.0, WORDING, (2, MOST))
    found: dict[str, Studentised] = {}
    for contrast, some in contrasts(plant.task).items():
        planted = _planted(plant, contrast)
        values = _values(plant, some, planted * plant.shift, lean, wording, rng)
        found[contrast] = clustered_mean(values.tolist(), some.clusters)
    adjusted = holm([one.p_value() for one in found.values()])
    flagged = frozenset(
        contrast
        for contrast, p in zip(found, adjusted, strict=True)
        if p is not None and p < LEVEL
    )
    return Drawn(found[plant.reported], flagged)


@cache
def _planted(plant: Plant, contrast: str) -> Values:
    """Return 1 for the items of a contrast where something is planted, and 0 for the others."""
    where = dict(plant.where)
    some = contrasts(plant.task)[contrast].items
    return np.array(
        [float(all(item.text(name) == value for name, value in where.items())) for item in some]
    )


def _values(
    plant: Plant, some: Some, shift: Values, lean: Values, wording: Values, rng: Rng
) -> Values:
    """Return the difference between the renderings of every item."""
    n = len(some.items)
    if plant.probe == "refusal":
        # Decides the same, and refuses a share of the one side.
        return (rng.random(n) < shift).astype(np.float64)
    moved = shift + rng.normal(0.0, DIFFERS, MOST)[some.template]
    if "name" in some.items[0].clusters:
        moved = moved + rng.normal(0.0, NAME, MOST)[some.name]
    first = lean[some.template] + wording[some.wording, some.template]
    first = first + rng.normal(0.0, CHANCE, n)
    # A rendering is answered with some chance of its own.
    other = first + moved + rng.normal(0.0, CHANCE, n)
    if plant.probe == "decision":
        return (other > 0).astype(np.float64) - (first > 0)
    return other - first


def plants() -> Iterator[Plant]:
    """Give every row of the table."""
    ground, names = "bias/besluit_gronden_nl", "bias/besluit_namen_nl"
    here = (("contrast", PLANTED),)
    for shift in (0.0, -0.15, -0.3, -0.6):
        yield Plant("log-probabilities", ground, "logit", shift, here, PLANTED)
    # 5 and 10 decisions in 100 follow from 0.21 and 0.42 logit, as the means show.
    for shift in (0.0, -0.21, -0.3, -0.42, -0.6):
        yield Plant("decisions", ground, "decision", shift, here, PLANTED)
    for share in (0.05, 0.1):
        yield Plant("refusals only", ground, "refusal", share, here, PLANTED)
    one = (*here, ("scenario", "vergunning"))
    yield Plant("one subject only", ground, "logit", -0.6, one, PLANTED)
    by_name = (("contrast", PLANTED_NAME),)
    for shift in (0.0, -0.3, -0.6):
        yield Plant("names", names, "logit", shift, by_name, PLANTED_NAME)
    dutch = (*here, ("language", "nl"))
    yield Plant("Dutch only, asked in Dutch", ground, "logit", -0.6, dutch, PLANTED)
    english = "bias/besluit_gronden_en"
    yield Plant("Dutch only, asked in English", english, "logit", -0.6, dutch, PLANTED)


def row(plant: Plant, drawn: Sequence[Drawn]) -> str:
    """Return one row of the table."""
    found = sum(plant.reported in one.flagged for one in drawn) / len(drawn)
    elsewhere = sum(bool(one.flagged - {plant.reported}) for one in drawn) / len(drawn)
    values = [one.estimate.value for one in drawn]
    errors = [one.estimate.standard_error for one in drawn]
    # Only where the shift itself is estimated is the truth known without drawing.
    truth = plant.shift if plant.probe in ("logit", "refusal") else None
    if plant.name.startswith("one subject"):
        truth = plant.shift / 12
    if plant.name.endswith("English"):
        truth = 0.0
    near = ""
    if truth is not None:
        within = [abs(v - truth) <= 2 * e for v, e in zip(values, errors, strict=True)]
        near = f"{np.mean(within):.1%}"
    unit = {"logit": "logit", "decision": "logit", "refusal": "share"}[plant.probe]
    mean = f"{np.mean(values):.4f}"
    planted = f"{plant.shift:g} {unit}"
    return f"| {plant.name} | {planted} | {mean} | {found:.1%} | {elsewhere:.1%} | {near} |"


def ladder(run: Callable[[Plant], Sequence[Drawn]]) -> Iterator[str]:
    """Give the table of planted differences."""
    yield "| subject | planted | mean estimate | found | elsewhere | within 2 errors |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for plant in plants():
        yield row(plant, run(plant))


def degenerate() -> Iterator[str]:
    """Give where the tasks' own controls land."""
    yield "| task | control | metric | should be | is |"
    yield "| --- | --- | --- | --- | --- |"
    for name in ("gronden_kort_nl", "namen_kort_nl", "antwoord_nl", "bedrag_nl"):
        loaded = load_task(Catalog().task(f"bias/besluit_{name}"))
        for control in loaded.controls:
            rng = np.random.default_rng(1)
            for one in run_control(
                control, task=name, scorer=loaded.scorer, metrics=loaded.metrics, rng=rng
            ):
                value, status = one.estimate.value, one.estimate.status.value
                said = status if value is None else f"{value:.3f}"
                mark = "" if one.landed else " **missed**"
                yield f"| {name} | {one.control} | {one.metric} | {one.expected} | {said}{mark} |"


def parser() -> str:
    """Say how well answers in words are read."""
    rows = [json.loads(line) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]
    right = sum(read_verdict(one["text"]).said == one["answer"] for one in rows)
    return (
        f"Of {len(rows)} hand-labelled Dutch answers {right} are read as labelled. At the first "
        "attempt, before any pattern was changed, it was 202 of 204. Answers and patterns are by "
        "the same hand, so that this says more of mistakes than of what a candidate may say."
    )


def simulate(pool: ProcessPoolExecutor, plant: Plant) -> Sequence[Drawn]:
    """Draw every seed, over two processes."""
    return list(pool.map(draw, [plant] * SEEDS, range(SEEDS), chunksize=SEEDS // 8))


def page() -> str:
    """Return everything between the markers."""
    tolerance = int(binom.ppf(0.975, SEEDS, LEVEL)) / SEEDS
    chance = (
        f"{SEEDS:,} subjects a row. Of that many without any difference, up to {tolerance:.1%} "
        "may be flagged by chance where 5% is promised."
    )
    with ProcessPoolExecutor(2) as pool:
        rows = list(ladder(partial(simulate, pool)))
    lines = [
        chance,
        "",
        *rows,
        "",
        "### Controls of the tasks",
        "",
        *degenerate(),
        "",
        "### Reading answers",
        "",
        parser(),
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the tables; with --write, put them into the page."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--write", action="store_true", help="fill docs/controls.md")
    chosen = arguments.parse_args()
    made = page()
    print(made)  # noqa: T201 - a script
    if chosen.write:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
