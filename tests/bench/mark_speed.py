"""How long `mark` takes for 60,000 scores in clusters with 30 contrasts; run by `make bench`.

Prints one line for ours. Writes the scores to a file, so that the peer's bootstrap of the same
scores can be timed in its own environment (`peer_bootstrap.py`).
"""

import json
import sys
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from toetssteen.catalog import Card, Catalog
from toetssteen.meters import NoMeter
from toetssteen.run.collect import collect
from toetssteen.run.mark import Outcome, mark
from toetssteen.run.plan import Plan, make_plan
from toetssteen.run.store import Store
from toetssteen.spec import CandidateSpec, parse

SCORES, TEMPLATES, CONTRASTS, REPEATS = 60_000, 96, 30, 5

YAML = """
version: 1
title: {nl: Snelheid, en: Speed}
licence: EUPL-1.2
source: bench
items: {name: jsonl, args: {file: speed.jsonl}}
scorer: {name: answered, args: {max_tokens: 4}}
metrics: [{name: mean, id: tokens, args: {part: tokens}}]
groups: [contrast]
clusters: [template]
"""


def main() -> None:
    """Build the task, answer it once, and time marking it."""
    with TemporaryDirectory() as scratch:
        plan = _plan(Path(scratch))
        with Store(Path(scratch) / "run") as store:
            candidate = plan.adapter.open(plan.card.spec, Path(scratch))
            quiet = NoMeter()
            collect(plan, candidate, store, meter=quiet, on_progress=lambda *_: None)
            seconds, outcome = _timed(plan, store)
    scores = [score.parts["tokens"] for score in outcome.tasks[0].scores]
    Path(sys.argv[1]).write_text(json.dumps(scores), encoding="utf-8")
    estimates = len(outcome.results)
    print(  # noqa: T201
        f"toetssteen mark: {SCORES} scores, {TEMPLATES} clusters, {estimates} estimates: "
        f"median {median(seconds):.2f} s of {REPEATS} (from {min(seconds):.2f} to "
        f"{max(seconds):.2f}), scoring and intervals together, one process"
    )


def _timed(plan: Plan, store: Store) -> tuple[list[float], Outcome]:
    seconds = []
    outcome = mark(plan, store.answers)
    for _ in range(REPEATS):
        started = perf_counter()
        outcome = mark(plan, store.answers)
        seconds.append(perf_counter() - started)
    return seconds, outcome


def _plan(folder: Path) -> Plan:
    luck = Random(1)  # noqa: S311
    suite = folder / "suites" / "bench"
    suite.mkdir(parents=True)
    rows = (
        {
            "id": str(i),
            "template": f"t{i // CONTRASTS % TEMPLATES}",
            "contrast": f"c{i % CONTRASTS:02d}",
            "prompt": f"vraag {luck.randrange(40)}.",
        }
        for i in range(SCORES)
    )
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (suite / "speed.jsonl").write_text(text, encoding="utf-8")
    (suite / "speed.yaml").write_text(YAML, encoding="utf-8")
    says = {f"vraag {i}.": "ja " * (1 + i) for i in range(40)}
    raw = {
        "title": "Scripted",
        "licence": "EUPL-1.2",
        "adapter": {"name": "scripted", "args": {"says": says}},
    }
    card = Card("scripted", folder / "scripted.yaml", parse(CandidateSpec, raw, "scripted"))
    return make_plan(card, [Catalog([folder]).task("bench/speed")], seed=1)


if __name__ == "__main__":
    main()
