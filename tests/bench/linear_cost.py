"""What planning and collecting cost per item at 1, 4 and 16 times as many items.

Each size is measured in processes of its own, with a scripted candidate, so that only the harness
counts, and after a task of one item, so that what is done once does not. Prints microseconds per
item, on the clock and of the processor, and the most memory that was held. Collecting waits for
the disk, once a block: what the clock says depends on it.
"""

import json
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from toetssteen.catalog import Catalog
from toetssteen.meters import NoMeter
from toetssteen.run.collect import collect, count_pending
from toetssteen.run.plan import make_plan
from toetssteen.run.store import Store

SIZES, REPEATS = (20_000, 80_000, 320_000), 3

TASK = """
version: 1
title: {nl: Snelheid, en: Speed}
licence: EUPL-1.2
source: bench
items: {name: jsonl, args: {file: many.jsonl}}
scorer: {name: answered, args: {max_tokens: 4}}
metrics: [{name: mean, id: tokens, args: {part: tokens}}]
clusters: [template]
"""
CARD = "title: One\nlicence: EUPL-1.2\nadapter: {name: scripted, args: {otherwise: Ja}}\n"


def main() -> None:
    """Measure every size some times, in turn, and print the medians."""
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for _ in range(REPEATS):
        for size in sizes:
            done = subprocess.run(
                [sys.executable, __file__, "--one", str(size)],
                check=True,
                capture_output=True,
                text=True,
            )
            found[size].append(json.loads(done.stdout))
    first = found[sizes[0]]
    for size, measured in found.items():
        said = [f"{size:>9} items"]
        for name in measured[0]:
            value = median(one[name] for one in measured)
            times = value / median(one[name] for one in first)
            said.append(f"{name} {value:.4g} ({times:.2f}x)")
        print("; ".join(said))  # noqa: T201


def measure(size: int) -> dict[str, float]:
    """Plan and collect so many items; return what one item took."""
    with TemporaryDirectory() as scratch:
        _plan_and_collect(Path(scratch) / "first", 1)
        took = _plan_and_collect(Path(scratch) / "measured", size)
    each = {name: seconds / size * 1e6 for name, seconds in took.items()}
    return {**each, "MiB held at most": getrusage(RUSAGE_SELF).ru_maxrss / 1024}


def _plan_and_collect(folder: Path, size: int) -> dict[str, float]:
    _write(folder, size)
    catalog = Catalog([folder])
    clock, began = perf_counter(), process_time()
    plan = make_plan(catalog.candidate("one"), catalog.tasks(["bench/many"]), seed=1)
    planned = process_time()
    with Store(folder / "run") as store:
        count_pending(plan, store)
        candidate = plan.adapter.open(plan.card.spec, folder)
        collect(plan, candidate, store, meter=NoMeter(), on_progress=lambda *_: None)
    collected = process_time()
    return {
        "us on the clock": perf_counter() - clock,
        "us of processor to plan": planned - began,
        "us of processor to collect": collected - planned,
    }


def _write(folder: Path, size: int) -> None:
    suite, models = folder / "suites" / "bench", folder / "models"
    suite.mkdir(parents=True)
    models.mkdir()
    (suite / "many.yaml").write_text(TASK, encoding="utf-8")
    with (suite / "many.jsonl").open("w", encoding="utf-8") as stream:
        for i in range(size):
            row = {"id": f"{i:07}", "template": f"t{i % 96:02}", "prompt": f"Vraag {i:07}?"}
            stream.write(json.dumps(row) + "\n")
    (models / "one.yaml").write_text(CARD, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))  # noqa: T201
    else:
        main()
