"""How far the engine is from the plain computation; run by `make bench`, without any peer.

    python tests/bench/fidelity.py

Three comparisons: likelihoods with a loop in double precision, on 200 requests of each work;
verdicts with our own plain engine (`engine: plain` on the card), on all items; texts with
`generate` of transformers, one prompt at a time. Items must be there (`make_items.py`). What was
computed is kept: the reference in `.bench/reference`, our answers as long as our code is the same.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from reference import Reference
from sides import OFFLINE, Asked, Said, Toetssteen, compare
from timed import Record, timed
from works import (
    BENCH,
    MAX_TOKENS,
    TEXTS,
    WORKS,
    items_file,
    say,
    source_digest,
    spread,
    weights_folder,
    write_card,
)

REQUESTS = 200
CARDS = {"shipped": "bench-shipped", "plain": "bench-plain"}


def main() -> None:
    """Compare, print a table and write `.bench/fidelity.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, help="only so many items, to try this script")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="to score in double (200)")
    parser.add_argument("--weights", type=Path, help="folder; the embedded model unless given")
    parser.add_argument("--toets", type=Path, default=Path(sys.executable).parent / "toets")
    chosen = parser.parse_args()
    weights = weights_folder(chosen.weights)
    write_card(CARDS["shipped"], weights)
    write_card(CARDS["plain"], weights, engine="plain")
    reference = Reference(weights)
    source = source_digest()
    folder = BENCH / "out" / "fidelity" / f"{source}-{chosen.limit or 'all'}"
    likelihoods, texts = [], []
    for work in WORKS:
        ours = {
            engine: _ask(
                Toetssteen(chosen.toets.absolute(), card),
                Asked(work, folder / card / work, weights, limit=chosen.limit),
            )
            for engine, card in CARDS.items()
        }
        done = _Done(work, ours, _Kept(work, ours["shipped"]), reference)
        if work in TEXTS:
            texts.append(_texts(done))
        else:
            likelihoods.append(_likelihoods(done, chosen.requests))
    found = {
        "limit": chosen.limit,
        "source": source,
        "engines": {engine: side.engine for engine, side in ours.items()},
        "likelihoods": likelihoods,
        "texts": texts,
    }
    (BENCH / "fidelity.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


class _Answered:
    """What one of our engines says of a work."""

    def __init__(self, side: Toetssteen, asked: Asked) -> None:
        described = side.extras(asked)["engine"]
        self.engine: str = described["engine"]
        self.weights: str = described["weights_sha256"]
        self.answers: dict[str, Said] = side.answers(asked)


class _Kept:
    """What the reference said before, about these items and weights."""

    def __init__(self, work: str, ours: _Answered) -> None:
        of = sha256(items_file(work).read_bytes() + ours.weights.encode()).hexdigest()[:12]
        self._file = BENCH / "reference" / f"{work}-{of}.json"
        there = self._file.is_file()
        self._said: dict[str, Any] = json.loads(self._file.read_text()) if there else {}

    def get(self, name: str, compute: Callable[..., Any], *arguments: object) -> Any:
        if name not in self._said:
            self._said[name] = compute(*arguments)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._said), encoding="utf-8")
        return self._said[name]


@dataclass(frozen=True, slots=True)
class _Done:
    """A work that our engines have done, and what there is to compare it with."""

    work: str
    ours: Mapping[str, _Answered]
    kept: _Kept
    reference: Reference

    @property
    def rows(self) -> list[Record]:
        """The items that were asked."""
        asked = self.ours["shipped"].answers
        lines = items_file(self.work).read_text(encoding="utf-8").splitlines()
        return [row for row in map(json.loads, lines) if str(row["id"]) in asked]


def _ask(side: Toetssteen, asked: Asked) -> _Answered:
    """Ask one of our engines; `toets run` itself sees what was answered before."""
    items_file(asked.work)
    asked.out.mkdir(parents=True, exist_ok=True)
    say(f"{asked.work}: asking {side.card}")
    log = BENCH / "logs" / f"fidelity-{asked.work}-{side.card}.log"
    timed(side.command(asked), cwd=BENCH, env=OFFLINE, log=log)
    return _Answered(side, asked)


def _likelihoods(done: _Done, requests: int) -> Record:
    asked = [
        (str(row["id"]), place, request)
        for row in done.rows
        for place, request in enumerate(_requests(row))
    ]
    chosen = [asked[number] for number in spread(len(asked), requests)]
    largest = dict.fromkeys(done.ours, 0.0)
    for item, place, request in chosen:
        exact = done.kept.get(f"{item}#{place}", done.reference.likelihood, *request)
        for engine, said in done.ours.items():
            gap = abs(said.answers[item][place] - exact)
            largest[engine] = max(largest[engine], gap)
    beside = compare(done.ours["shipped"].answers, done.ours["plain"].answers)
    say(
        f"{done.work}: {len(chosen)} requests beside double precision: at most "
        f"{largest['shipped']:.1e} nats (plain engine: {largest['plain']:.1e}); "
        f"{beside['flips']} of {beside['compared']} verdicts differ from the plain engine"
    )
    return {
        "work": done.work,
        "requests": len(chosen),
        "largest_nats": largest,
        "items": beside["compared"],
        "flips": beside["flips"],
        "largest_nats_between": beside["largest_nats"],
    }


def _requests(row: Record) -> list[tuple[str, str]]:
    """Return what is asked about an item, as context and continuation."""
    if "choices" in row:
        context = f"{row['context']}\n\nQ: {row['question']}\nA:"
        return [(context, f" {choice}") for choice in row["choices"]]
    return [("", row["sent_more"]), ("", row["sent_less"])]


def _texts(done: _Done) -> Record:
    same = dict.fromkeys(done.ours, 0)
    for row in done.rows:
        item = str(row["id"])
        text = done.kept.get(item, done.reference.text, row["prompt"], MAX_TOKENS)
        for engine, said in done.ours.items():
            same[engine] += said.answers[item] == text
    say(
        f"{done.work}: of {len(done.rows)} texts {same['shipped']} are those of transformers' "
        f"generate (plain engine: {same['plain']})"
    )
    return {"work": done.work, "texts": len(done.rows), "identical": same}


if __name__ == "__main__":
    main()
