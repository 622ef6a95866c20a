"""Time whole processes of ours and of the peers, turn by turn; run by `make bench`.

    python tests/bench/engine_speed.py --find-batch     the peer's best batch size, once; with
                                                        --limit 40 on some items, which is sooner
    python tests/bench/engine_speed.py                  five rounds of every work

Every process that has finished is kept in `.bench/engine.jsonl`. The same command continues what
was interrupted and repeats nothing, unless our code has changed since. Items must be there
(`make_items.py`). All sides read the same weights, in float32, with the threads torch takes.
"""

import argparse
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from sides import (
    INSPECT_ROWS,
    OFFLINE,
    Asked,
    Inspect,
    LmEval,
    Side,
    Toetssteen,
    compare,
    versions,
)
from timed import Journal, Record, Timed, most_items, timed
from works import BENCH, WORKS, items_file, say, source_digest, weights_folder, write_card

BATCHES = (1, 8, 32)
PEERS = ("lm-eval", "inspect")
STARTING = "crows"  # the work of which one item is asked to see what starting takes


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared with what, and the journal of it."""

    ours: Toetssteen
    peers: tuple[Side, ...]
    weights: Path
    rows: int | None  # of our card; None: as a card that says nothing
    peer_batch: str
    limit: int | None
    journal: Journal
    source: str
    versions: dict[str, str]

    def find_batch(self, work: str, peer: Side) -> None:
        """Let the peer do the work once at each batch size."""
        tried = [
            {"step": "batch", "work": work, "side": peer.name, "batch": batch, "limit": self.limit}
            for batch in BATCHES
        ]
        missing = [what for what in tried if not any(self.journal.find(**what))]
        if missing:
            self._warm(work, [peer])
        for what in missing:
            self._time(what, peer, self._asked("batch", work, peer, what["batch"], self.limit))

    def time_work(self, work: str, rounds: int) -> None:
        """Time the rounds of a work and compare the answers of the last."""
        self._rounds("pair", work, rounds, self.limit)
        ours = self._turn("pair", work, self.ours, self.limit)
        for peer in (side for side in self.peers if work in side.works):
            theirs = self._turn("pair", work, peer, self.limit)
            if not (ours.out.is_dir() and theirs.out.is_dir()):
                say(f"{work}: the answers of {peer.name} or ours are gone; not compared")
                continue
            found = compare(self.ours.answers(ours), peer.answers(theirs))
            say(f"{work}: answers beside {peer.name}: {found}")
            what = {"step": "answers", "work": work, "side": peer.name, "source": self.source}
            self.journal.add({**what, "limit": self.limit, **found})

    def time_starts(self, rounds: int) -> None:
        """Time a work of one item."""
        self._rounds("start", STARTING, rounds, 1)

    def _rounds(self, step: str, work: str, rounds: int, limit: int | None) -> None:
        """Each round lets every side do the work once, the peers first."""
        sides = [*(side for side in self.peers if work in side.works), self.ours]
        missing = [
            number
            for number in range(rounds)
            if not all(self._is_done(step, work, side, number, limit) for side in sides)
        ]
        if missing:
            self._warm(work, sides)
        for number in missing:  # a round that was broken off is done again, whole
            for side in sides:
                what = self._what(step, work, side, number, limit)
                self._time(what, side, self._turn(step, work, side, limit))

    def _is_done(self, step: str, work: str, side: Side, number: int, limit: int | None) -> bool:
        return any(self.journal.find(**self._what(step, work, side, number, limit)))

    def _what(self, step: str, work: str, side: Side, number: int, limit: int | None) -> Record:
        what = {"step": step, "work": work, "side": side.name, "round": number}
        what |= {"batch": self._batch(step, work, side), "limit": limit}
        return what | {"source": self.source, "rows": self.rows}

    def _warm(self, work: str, sides: list[Side]) -> None:
        for side in sides:
            say(f"{work}: warming {side.name}")
            self._run(side, self._turn("warm", work, side, 1))

    def _batch(self, step: str, work: str, side: Side) -> int | None:
        if isinstance(side, Toetssteen):
            return self.rows
        if isinstance(side, Inspect):
            return INSPECT_ROWS
        if step != "pair":  # one item
            return 1
        if self.peer_batch != "best":
            return int(self.peer_batch)
        found = list(self.journal.find(step="batch", work=work, side=side.name))
        tried = most_items(found)
        if len(tried) < len(BATCHES):
            raise SystemExit(f"{work}: the best batch size is not known; run --find-batch first")
        best: int = min(tried, key=lambda record: record["wall_seconds"])["batch"]
        return best

    def _turn(self, step: str, work: str, side: Side, limit: int | None) -> Asked:
        return self._asked(step, work, side, self._batch(step, work, side), limit)

    def _asked(
        self, step: str, work: str, side: Side, batch: int | None, limit: int | None
    ) -> Asked:
        return Asked(work, BENCH / "out" / step / work / side.name, self.weights, batch, limit)

    def _time(self, what: Record, side: Side, asked: Asked) -> None:
        took = self._run(side, asked)
        known = {"versions": self.versions}
        extras = side.extras(asked) if isinstance(side, Toetssteen) else known
        self.journal.add({**what, **extras}, took)
        turn = f" {what['round'] + 1}" if "round" in what else ""
        say(
            f"{what['work']}: {what['step']}{turn}, {side.name}, batch {asked.batch or 'own'}: "
            f"{took.wall_seconds:.1f} s, cpu {took.cpu_seconds:.1f} s, {took.peak_mib:.0f} MiB, "
            f"load before {took.load_before:.2f}"
        )

    def _run(self, side: Side, asked: Asked) -> Timed:
        rmtree(asked.out, ignore_errors=True)
        asked.out.mkdir(parents=True)
        log = BENCH / "logs" / f"{asked.work}-{side.name}.log"
        return timed(side.command(asked), cwd=BENCH, env=OFFLINE, log=log)


def main() -> None:
    """Do what was asked for."""
    chosen = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the child is ended with us
    for work in chosen.work:
        items_file(work)
    weights = weights_folder(chosen.weights)
    write_card("bench", weights, **({} if chosen.rows is None else {"batch_size": chosen.rows}))
    venv = chosen.peer_venv.absolute()
    lm_eval = LmEval(venv)
    sides: dict[str, Side] = {"lm-eval": lm_eval, "inspect": Inspect(venv)}
    comparison = Comparison(
        ours=Toetssteen(chosen.toets.absolute()),
        peers=tuple(sides[name] for name in chosen.peers),
        weights=weights,
        rows=chosen.rows,
        peer_batch=chosen.peer_batch,
        limit=chosen.limit,
        journal=Journal(BENCH / "engine.jsonl"),
        source=source_digest(),
        versions=versions(venv),
    )
    try:
        for work in chosen.work:
            if chosen.find_batch:
                comparison.find_batch(work, lm_eval)
            else:
                comparison.time_work(work, chosen.pairs)
        if not chosen.find_batch:
            comparison.time_starts(chosen.starts)
    except KeyboardInterrupt:
        raise SystemExit(
            "stopped; what was finished is kept, the same command continues"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--pairs", type=int, default=5, help="rounds of every work (5)")
    parser.add_argument("--starts", type=int, default=5, help="rounds of one item; 0: none (5)")
    parser.add_argument("--find-batch", action="store_true", help="only time the peer at 1, 8, 32")
    parser.add_argument("--peer-batch", choices=["best", *map(str, BATCHES)], default="best")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS[:1], help="(lm-eval)")
    parser.add_argument(
        "--rows", type=int, help="batch_size of our card; its default unless given"
    )
    parser.add_argument("--limit", type=int, help="only so many items, to try this script")
    parser.add_argument("--weights", type=Path, help="folder; the embedded model unless given")
    parser.add_argument("--toets", type=Path, default=Path(sys.executable).parent / "toets")
    parser.add_argument("--peer-venv", type=Path, default=BENCH / "venv")
    return parser


if __name__ == "__main__":
    main()
