"""Asking goes on while answers are written; a million items take the memory of ten thousand."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toetssteen.candidates.scripted import Scripted
from toetssteen.catalog import Catalog
from toetssteen.errors import RunError
from toetssteen.meters import NoMeter
from toetssteen.records import (
    Answer,
    Block,
    Classification,
    Failure,
    Generation,
    Likelihood,
    Request,
    Response,
    TokenStatistics,
)
from toetssteen.run import kept as kept_module
from toetssteen.run.collect import ITEMS_PER_BLOCK, collect, count_pending, cut
from toetssteen.run.kept import KeyIndex
from toetssteen.run.mark import mark
from toetssteen.run.plan import Plan, make_plan
from toetssteen.run.store import Partial, Store

TASK = """
version: 1
title: {nl: Veel vragen, en: Many questions}
licence: EUPL-1.2
source: test
items: {name: jsonl, args: {file: many.jsonl}}
scorer: {name: answered, args: {max_tokens: 4}}
metrics: [{name: mean, id: mean_tokens, args: {part: tokens}}]
"""
CARD = "title: One\nlicence: EUPL-1.2\nadapter: {name: scripted, args: {otherwise: Ja}}\n"


def planned(folder: Path, n: int, *, limit: int | None = None) -> Plan:
    """Return the plan of a task with n items for a candidate that says yes."""
    suite, models = folder / "suites" / "lab", folder / "models"
    suite.mkdir(parents=True)
    models.mkdir()
    (suite / "many.yaml").write_text(TASK)
    with (suite / "many.jsonl").open("w") as stream:
        stream.writelines(
            json.dumps({"id": str(i), "prompt": f"vraag {i}"}) + "\n" for i in range(n)
        )
    (models / "one.yaml").write_text(CARD)
    catalog = Catalog([folder])
    return make_plan(catalog.candidate("one"), catalog.tasks(["lab/many"]), seed=1, limit=limit)


def ask(plan: Plan, store: Store, candidate: Scripted, *, retry_failed: bool = False) -> list[int]:
    """Collect; return what was said of the progress."""
    done: list[int] = []
    collect(
        plan,
        candidate,
        store,
        meter=NoMeter(),
        on_progress=lambda _task, so_far, _size: done.append(so_far),
        retry_failed=retry_failed,
    )
    return done


# --- blocks -----------------------------------------------------------------------------------


@given(st.integers(0, 5000))
def test_blocks_are_equal_and_hold_every_item_once(n: int) -> None:
    blocks = list(cut(n))
    assert [place for block in blocks for place in block] == list(range(n))
    sizes = {len(block) for block in blocks}
    assert max(sizes) <= ITEMS_PER_BLOCK
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("n", "blocks"), [(1, 1), (16, 1), (17, 2), (24, 2), (64, 2), (128, 2), (129, 3), (4000, 63)]
)
def test_no_more_blocks_than_needed_but_two_for_a_spread(n: int, blocks: int) -> None:
    """The energy of one block has no interval; a task of 24 items must have two."""
    assert len(list(cut(n))) == blocks


def test_an_interrupted_run_asks_the_same_side_by_side(tmp_path: Path) -> None:
    plan = planned(tmp_path, 200)
    with Store(tmp_path / "whole") as store:
        ask(plan, store, Scripted())
        whole = store.answers.blocks
    with Store(tmp_path / "broken") as store, pytest.raises(KeyboardInterrupt):
        ask(plan, store, Interrupted(after=2))
    with Store(tmp_path / "broken") as store:
        assert count_pending(plan, store) == (100, 200)
        assert ask(plan, store, Scripted()) == [100, 150, 150, 200]
        assert [(b.id, b.requests) for b in store.answers.blocks] == [
            (b.id, b.requests) for b in whole
        ]
        assert count_pending(plan, store) == (0, 200)
        assert len(mark(plan, store.answers).tasks[0].answers) == 200


def test_what_failed_is_asked_again_where_it_stood(tmp_path: Path) -> None:
    plan = planned(tmp_path, 250)
    with Store(tmp_path / "run") as store:
        ask(plan, store, Scripted(fails={"vraag 17": "busy"}))  # 17 and 170 to 179
        assert count_pending(plan, store) == (0, 250)
        assert count_pending(plan, store, retry_failed=True) == (11, 250)
        assert ask(plan, store, Scripted(), retry_failed=True) == [61, 62, 177, 187, 250]
        assert count_pending(plan, store, retry_failed=True) == (0, 250)
    with Store(tmp_path / "run") as store:
        assert len(store.answers.by_key) == len(set(store.answers.by_key)) == 250
        assert not any(
            isinstance(said, Failure)
            for answer in store.answers.by_key.values()
            for said in answer.responses
        )


@dataclass(frozen=True, slots=True)
class Overflowing(Scripted):
    """Says numbers that are none, as a model does whose half floats overflow."""

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        odd = TokenStatistics(-1.0, float("-inf"), 0.0, 1)
        return [
            [
                Likelihood(float("nan"), 1),
                Likelihood(-1.0, 1, per_token=(odd,)),
                Generation("Ja", "stop", 1, logprobs=(float("-inf"),)),
                Classification("ja", {"ja": float("nan"), "nee": float("nan")}),
                Generation("Ja", "stop", 1, logprobs=(-0.5,)),
            ][number % 5]
            for number, _ in enumerate(requests)
        ]


def test_a_number_that_is_none_is_a_failure_and_can_be_read_again(tmp_path: Path) -> None:
    plan = planned(tmp_path, 10)
    with Store(tmp_path / "run") as store:
        ask(plan, store, Overflowing())
    with Store(tmp_path / "run") as store:
        kept = [answer.responses[0] for answer in store.answers.by_key.values()]
    assert [said.kind for said in kept] == [*["failure"] * 4, "generation"] * 2
    assert isinstance(kept[0], Failure)
    assert kept[0].reason == "a probability or its logarithm is not a finite number"


@dataclass(frozen=True, slots=True)
class Shrinking(Scripted):
    """Runs out of memory on the way, and describes itself otherwise from then on."""

    asked: list[int] = field(default_factory=list)

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        self.asked.append(len(requests))
        return [Generation("Ja", "stop", 1) for _ in requests]

    def describe(self) -> Mapping[str, str]:
        return {"adapter": "scripted", "tokens_per_batch": str(1024 // (len(self.asked) + 1))}


def test_what_changed_on_the_way_stands_in_the_record(tmp_path: Path) -> None:
    plan = planned(tmp_path, 8)
    with Store(tmp_path / "run") as store:
        ask(plan, store, Shrinking())
        said = [session.candidate["tokens_per_batch"] for session in store.answers.sessions]
    assert said == ["1024", "512"]


# --- writing while asking ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interrupted(Scripted):
    """Is stopped by the user at the request after so many blocks."""

    after: int = 0
    asked: list[int] = field(default_factory=list)

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        if len(self.asked) == self.after:
            raise KeyboardInterrupt
        self.asked.append(len(requests))
        return [Generation("Ja", "stop", 1) for _ in requests]


class SlowStore(Store):
    """Cannot write before it is let, or not at all."""

    def __init__(self, folder: Path, *, full: bool = False) -> None:
        super().__init__(folder)
        self.let = Event()
        self.full = full

    def append(  # type: ignore[override]
        self, answers: Sequence[Answer], block: Block, partials: Sequence[Partial] = ()
    ) -> None:
        self.let.wait(10)
        if self.full:
            raise RunError("the disk is full")
        super().append(answers, block, partials)


def test_the_next_block_is_asked_while_one_is_written(tmp_path: Path) -> None:
    plan = planned(tmp_path, 128)

    class Eager(Scripted):
        def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
            if requests[0].messages[0].content != "vraag 0":
                assert not store.answers.blocks  # the first block is not on disk yet
                store.let.set()
            return super().answer(requests)

    with SlowStore(tmp_path / "run") as store:
        ask(plan, store, Eager())
        assert len(store.answers.blocks) == 2


def test_what_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    """One block is asked in vain at most; nothing is passed over in silence."""
    plan = planned(tmp_path, 640)
    candidate = Interrupted(after=10)
    with SlowStore(tmp_path / "run", full=True) as store:
        store.let.set()
        with pytest.raises(RunError, match="the disk is full"):
            ask(plan, store, candidate)
    assert len(candidate.asked) <= 2
    with Store(tmp_path / "run") as store:
        assert count_pending(plan, store) == (640, 640)


def test_the_last_block_is_seen_to_be_written(tmp_path: Path) -> None:
    plan = planned(tmp_path, 10)
    with SlowStore(tmp_path / "run", full=True) as store:
        store.let.set()
        with pytest.raises(RunError, match="the disk is full"):
            ask(plan, store, Scripted())


# --- where the answers lie --------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=60),
    st.sampled_from([1, 3, 1000]),
)
def test_the_index_knows_every_key_and_the_last_block_first(
    added: list[tuple[int, int]], recent: int
) -> None:
    """Also when most hashes are equal: then it names blocks too many, never too few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_module, "RECENT", recent)
        patch.setattr(kept_module, "hash", lambda key: int(key) % 7, raising=False)
        index, last = KeyIndex(), dict[str, int]()
        for block, (key, _) in enumerate(added):
            index.add(str(key), block)
            last[str(key)] = block
        for key, block in last.items():
            found = list(index.blocks(key))
            assert block in found
            assert found == sorted(found, reverse=True)
            assert {added[other][0] % 7 for other in found} == {int(key) % 7}


# --- a million --------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from pathlib import Path
from toetssteen.meters import NoMeter
sys.path.insert(0, {tests!r})
from test_collect import planned
from toetssteen.run.collect import collect, count_pending
from toetssteen.run.store import Partial, Store

folder, n = Path(sys.argv[1]), int(sys.argv[2])
plan = planned(folder, n)
with Store(folder / "run") as store:
    candidate = plan.adapter.open(plan.card.spec, folder)
    collect(plan, candidate, store, meter=NoMeter(), on_progress=lambda *_: None)
    assert len(store.answers.by_key) == n, len(store.answers.by_key)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_million_items_take_the_memory_of_ten_thousand(tmp_path: Path) -> None:
    """Planned, asked and kept: 8 bytes an answer stay, and a fiftieth of that for the items."""

    def mebibytes(n: int) -> float:
        code = MEASURE.format(tests=str(Path(__file__).parent))
        folder = tmp_path / str(n)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(n)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout) / 1024

    assert mebibytes(1_000_000) - mebibytes(10_000) < 30
