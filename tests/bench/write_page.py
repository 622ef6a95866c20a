"""Put what was measured into docs/performance.md, between its markers; run by `make bench`.

    python tests/bench/write_page.py            prints the tables
    python tests/bench/write_page.py --write    and puts them into the page

Run it on the machine that was measured: it says which that is. What there is no figure of is not
measured, and says so.
"""

import argparse
import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from timed import Journal, Record, most_items
from works import BENCH, LIKELIHOODS, ROOT, TEXTS, WORKS, say, source_digest

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NOT_MEASURED = "not measured"
SAME = ("source", "rows")  # what rounds that are taken together have in common
OURS = "toetssteen"
PEERS = {work: ("lm-eval", "inspect") if work in TEXTS else ("lm-eval",) for work in WORKS}
TITLES = {
    "crows": "CrowS-Pairs, 1,508 pairs of sentences",
    "bbq500": "BBQ, 500 questions x 3 options",
    "bbq60_header": "BBQ, 60 questions x 3 options behind one header",
    "prompts100": "100 texts of at most 64 tokens",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A peer's process and ours of the same round."""

    theirs: Record
    ours: Record

    @property
    def ratio(self) -> float:
        """How many times as long the peer takes."""
        ratio: float = self.theirs["wall_seconds"] / self.ours["wall_seconds"]
        return ratio


class Measured:
    """The journal, seen as the latest figures of each work: one state of our code a work."""

    def __init__(self, journal: Journal, limit: int | None) -> None:
        """Read the journal; with `limit`, a trial."""
        self._limit = limit
        self._journal = journal

    def pairs(self, work: str, peer: str, step: str = "pair") -> list[Pair]:
        """Return the whole rounds, each as it was last measured."""
        of = {"step": step, "work": work, **self._state(work, step)}
        theirs = list(self._journal.find(side=peer, **of))
        by_round = {r["round"]: r for r in theirs if r["batch"] == theirs[-1]["batch"]}
        ours = {r["round"]: r for r in self._journal.find(side=OURS, **of)}
        return [Pair(by_round[n], ours[n]) for n in sorted(by_round.keys() & ours.keys())]

    def batches(self, work: str) -> list[Record]:
        """Return the search for the peer's best batch size; it may rest on some of the items."""
        return most_items(self._journal.find(step="batch", work=work))

    def answers(self, work: str, peer: str) -> Record | None:
        """Return how the last answers differ."""
        state = self._state(work, "pair")
        of = {"step": "answers", "work": work, "limit": self._limit, "source": state["source"]}
        return next(iter(list(self._journal.find(side=peer, **of))[-1:]), None)

    @property
    def sessions(self) -> list[Record]:
        """Every process that the tables rest on."""
        pairs = [p for work in WORKS for peer in PEERS[work] for p in self.pairs(work, peer)]
        return [record for pair in pairs for record in (pair.theirs, pair.ours)]

    def _state(self, work: str, step: str) -> Record:
        """Return how much was asked of which code, when this was last measured."""
        limit = 1 if step == "start" else self._limit
        ours = list(self._journal.find(step=step, work=work, side=OURS, limit=limit))
        return {"limit": limit, **{name: ours[-1][name] if ours else None for name in SAME}}


def main() -> None:
    """Print the tables; with --write, put them into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="fill docs/performance.md")
    parser.add_argument("--limit", type=int, help="show a trial with so many items; never written")
    chosen = parser.parse_args()
    if chosen.write and chosen.limit is not None:
        raise SystemExit("a trial is shown, not written: leave out --limit or --write")
    measured = Measured(Journal(BENCH / "engine.jsonl"), chosen.limit)
    fidelity = _read(BENCH / "fidelity.json")
    fidelity = fidelity if fidelity.get("limit") == chosen.limit else {}
    text = "\n\n".join(tables(measured, fidelity, _read(BENCH / "raw.json")))
    say(text)
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def tables(measured: Measured, fidelity: Record, raw: Record) -> Iterator[str]:
    """Give every heading and table."""
    yield "### Whole processes"
    yield _table(
        ["work", "beside", "batch", "rounds", "theirs, s", "ours, s", "theirs / ours"],
        (_times(measured, work, peer) for work in WORKS for peer in PEERS[work]),
    )
    yield "### What they take"
    yield _table(
        ["work", "side", "CPU, s", "asking, s", "peak, MiB", "tokens a second"],
        (row for work in WORKS for row in _costs(measured, work)),
    )
    yield "### The peer's batch size"
    yield _table(
        ["work", "items", "1: s", "8: s", "32: s"], (_batches(measured, work) for work in WORKS)
    )
    yield "### Starting: the whole process for one item"
    yield _table(["beside", "rounds", "theirs, s", "ours, s", "theirs / ours"], _starts(measured))
    yield "### The same answers?"
    yield _table(
        ["work", "beside", "items", "largest difference", "verdicts that differ"],
        (_answers(measured, work, "lm-eval") for work in LIKELIHOODS),
    )
    yield _table(
        ["work", "beside", "texts", "identical"],
        (_said(measured, work, peer) for work in TEXTS for peer in PEERS[work]),
    )
    yield "### Beside the plain computation"
    yield _table(
        [
            *("work", "requests", "as shipped, beside double", "plain engine, beside double"),
            *("items", "verdicts that differ between the two"),
        ],
        _fidelity(fidelity),
    )
    yield _table(
        ["work", "texts", "as shipped, identical", "plain engine, identical"],
        _identical(fidelity),
    )
    yield "### The bare transformer body"
    yield _table(["rows x length", "bare, tokens/s", "ours, tokens/s", "ours / bare"], _raw(raw))
    yield "### On what"
    yield _table(["", ""], _machine(measured, fidelity, raw))


# --- rows ------------------------------------------------------------------------------------


def _times(measured: Measured, work: str, peer: str) -> list[str]:
    pairs = measured.pairs(work, peer)
    if not pairs:
        return [TITLES[work], peer, *[NOT_MEASURED] * 5]
    last = pairs[-1]
    batch = f"{last.theirs['batch']}; ours {last.ours['engine']['batch_size']}"
    return [TITLES[work], peer, batch, *_ratio(pairs)]


def _ratio(pairs: Sequence[Pair]) -> list[str]:
    return [
        str(len(pairs)),
        _range([pair.theirs["wall_seconds"] for pair in pairs], 1),
        _range([pair.ours["wall_seconds"] for pair in pairs], 1),
        f"**{_range([pair.ratio for pair in pairs], 2)}**",
    ]


def _costs(measured: Measured, work: str) -> Iterator[list[str]]:
    found = {peer: measured.pairs(work, peer) for peer in PEERS[work]}
    for peer, pairs in found.items():
        yield [TITLES[work], peer, *_cost(pairs, lambda pair: pair.theirs)]
    ours = max(found.values(), key=len)
    yield [TITLES[work], OURS, *_cost(ours, lambda pair: pair.ours)]


def _cost(pairs: Sequence[Pair], side: Callable[[Pair], Record]) -> list[str]:
    if not pairs:
        return [NOT_MEASURED] * 4
    records = [side(pair) for pair in pairs]
    asking = [record["asking_seconds"] for record in records if "asking_seconds" in record]
    rates = [_tokens(pair) / side(pair)["wall_seconds"] for pair in pairs]
    return [
        _range([record["cpu_seconds"] for record in records], 1),
        _range(asking, 1) if asking else NOT_MEASURED,
        _range([record["peak_mib"] for record in records], 0),
        _range(rates, 0),
    ]


def _tokens(pair: Pair) -> int:
    """Return the tokens of a work: said, or asked about with what stands before them."""
    tokens: int = pair.ours["tokens"]
    if pair.ours["work"] in LIKELIHOODS:
        tokens += pair.ours["prompt_tokens"]
    return tokens


def _batches(measured: Measured, work: str) -> list[str]:
    records = measured.batches(work)
    found = {record["batch"]: record["wall_seconds"] for record in records}
    shown = (f"{found[size]:.1f}" if size in found else NOT_MEASURED for size in (1, 8, 32))
    items = {str(record["limit"] or "all") for record in records}
    return [TITLES[work], items.pop() if items else NOT_MEASURED, *shown]


def _starts(measured: Measured) -> Iterator[list[str]]:
    pairs = measured.pairs("crows", "lm-eval", "start")
    yield ["lm-eval", *(_ratio(pairs) if pairs else [NOT_MEASURED] * 4)]


def _answers(measured: Measured, work: str, peer: str) -> list[str]:
    found = measured.answers(work, peer)
    if found is None:
        return [TITLES[work], peer, *[NOT_MEASURED] * 3]
    nats = _nats(found["largest_nats"])
    return [TITLES[work], peer, str(found["compared"]), nats, str(found["flips"])]


def _said(measured: Measured, work: str, peer: str) -> list[str]:
    found = measured.answers(work, peer)
    if found is None:
        return [TITLES[work], peer, *[NOT_MEASURED] * 2]
    return [TITLES[work], peer, str(found["compared"]), str(found["identical"])]


def _fidelity(fidelity: Record) -> Iterator[list[str]]:
    known = {found["work"]: found for found in fidelity.get("likelihoods", ())}
    for work in LIKELIHOODS:
        if (found := known.get(work)) is None:
            yield [TITLES[work], *[NOT_MEASURED] * 5]
            continue
        largest = found["largest_nats"]
        yield [
            *(TITLES[work], str(found["requests"])),
            *(_nats(largest["shipped"]), _nats(largest["plain"])),
            *(str(found["items"]), str(found["flips"])),
        ]


def _identical(fidelity: Record) -> Iterator[list[str]]:
    known = {found["work"]: found for found in fidelity.get("texts", ())}
    for work in TEXTS:
        if (found := known.get(work)) is None:
            yield [TITLES[work], *[NOT_MEASURED] * 3]
            continue
        same = found["identical"]
        yield [TITLES[work], str(found["texts"]), str(same["shipped"]), str(same["plain"])]


def _raw(raw: Record) -> Iterator[list[str]]:
    for rate in raw.get("rates", ()):
        yield [
            f"{rate['rows']} x {rate['length']}",
            f"{rate['median_tokens_per_second']:.0f}",
            f"{rate['ours_median_tokens_per_second']:.0f}",
            f"**{rate['median_ratio']:.2f}**",
        ]
    if not raw:
        yield ["all", *[NOT_MEASURED] * 3]


def _machine(measured: Measured, fidelity: Record, raw: Record) -> Iterator[list[str]]:
    sessions = measured.sessions
    engines = [record["engine"] for record in sessions if "engine" in record]
    versions = [record["versions"] for record in sessions if "versions" in record]
    yield ["processor", f"{_processor()}, {psutil.cpu_count()} cores"]
    yield ["memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"]
    yield ["system", f"{platform.system()} {platform.release()}"]
    loads = [record["load_before"] for record in sessions]
    yield ["load before a process", _range(loads, 2) if loads else NOT_MEASURED]
    yield ["load before the bare body", f"{raw['load_before']:.2f}" if raw else NOT_MEASURED]
    yield ["ours", _pick(engines, ("engine", "tokens_per_batch", "dtype"))]
    yield ["under ours", _pick(engines, ("torch", "transformers", "tokenizers", "threads"))]
    yield ["peers", _pick(versions, ("lm-eval", "inspect-ai", "torch", "transformers", "python"))]
    yield ["our code", _codes({record["source"] for record in sessions})]
    yield ["our code, for fidelity", _codes({fidelity["source"]} if fidelity else set())]
    yield ["GPU", NOT_MEASURED]
    yield ["energy", NOT_MEASURED]


# --- words -----------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _range(numbers: Sequence[float], digits: int) -> str:
    """Return the median with lowest and highest."""
    low, middle, high = (f"{n:.{digits}f}" for n in (min(numbers), median(numbers), max(numbers)))
    return f"{middle} ({low}-{high})"


def _nats(number: float) -> str:
    return f"{number:.1e} nats"


def _pick(records: Sequence[Record], names: Sequence[str]) -> str:
    if not records:
        return NOT_MEASURED
    return ", ".join(f"{name} {records[-1][name]}" for name in names if name in records[-1])


def _codes(digests: set[str]) -> str:
    """Name code by digest, and say where it is not what stands here now."""
    here = source_digest()
    said = (name if name == here else f"{name} (older)" for name in sorted(digests))
    return " and ".join(said) or NOT_MEASURED


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(r"model name\s*: (.*)", text)
    return found[1] if found else platform.processor() or "unknown"


def _read(file: Path) -> Record:
    found: Record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


if __name__ == "__main__":
    main()
