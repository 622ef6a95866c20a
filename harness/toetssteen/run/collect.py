"""Asks what is not answered yet, block by block, and reads the meters around each block."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import psutil

from toetssteen.candidates import Candidate
from toetssteen.meters import Meter
from toetssteen.records import Answer, Block, Item, Request, Response
from toetssteen.run.plan import LoadedTask, Plan, answer_key
from toetssteen.run.store import Session, Store

# Items answered together: enough to sort by length and fill batches, few enough to lose.
ITEMS_PER_BLOCK = 16

Progress = Callable[[str, int, int], None]  # task, items done, items in all


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    item: Item
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class _Pending:
    id: str
    task: str
    asked: tuple[_Asked, ...]


def count_pending(plan: Plan, store: Store, *, retry_failed: bool = False) -> tuple[int, int]:
    """Return how many items are still to be asked, and how many there are."""
    pending = sum(len(block.asked) for block in _blocks(plan, store, retry_failed=retry_failed))
    return pending, sum(len(t.items) for t in plan.tasks if not plan.not_measurable(t))


def collect(
    plan: Plan,
    candidate: Candidate,
    store: Store,
    *,
    meter: Meter,
    on_progress: Progress,
    retry_failed: bool = False,
) -> None:
    """Ask the candidate everything that the store does not hold yet.

    Blocks are cut from the task's whole list of items, not from what is left of it: a run that
    was interrupted asks the same requests side by side as one that was not.

    Args:
        plan: what to ask.
        candidate: whom.
        store: entered; every block is on disk before the next is asked.
        meter: read at both edges of every block.
        on_progress: told after every block.
        retry_failed: ask again what failed in a way that may pass (errors, timeouts).

    Raises:
        RunError: the store cannot be written any more.
    """
    store.start(_session(candidate))
    sizes = {task.name: len(task.items) for task in plan.tasks}
    done = dict(sizes)
    pending = list(_blocks(plan, store, retry_failed=retry_failed))
    for block in pending:
        done[block.task] -= len(block.asked)
    for block in pending:
        on_progress(block.task, done[block.task], sizes[block.task])
        _ask(block, candidate, store, meter)
        done[block.task] += len(block.asked)
        on_progress(block.task, done[block.task], sizes[block.task])


def _blocks(plan: Plan, store: Store, *, retry_failed: bool) -> Iterator[_Pending]:
    for task in plan.tasks:
        if plan.not_measurable(task):
            continue
        for number, start in enumerate(range(0, len(task.items), ITEMS_PER_BLOCK)):
            asked = tuple(
                one
                for item in task.items[start : start + ITEMS_PER_BLOCK]
                if not store.has((one := _asked(plan, task, item)).key, retry_failed=retry_failed)
            )
            if asked:
                yield _Pending(f"{task.name}#{number}", task.name, asked)


def _asked(plan: Plan, task: LoadedTask, item: Item) -> _Asked:
    requests = tuple(task.scorer.requests(item))
    return _Asked(answer_key(plan.identity, task.name, item, requests), item, requests)


def _ask(block: _Pending, candidate: Candidate, store: Store, meter: Meter) -> None:
    requests = [request for one in block.asked for request in one.requests]
    meter.open()
    started = monotonic()
    responses = candidate.answer(requests)
    seconds = monotonic() - started
    readings = meter.close()
    if len(responses) != len(requests):
        raise ValueError(f"asked {len(requests)} requests, got {len(responses)} responses")
    store.append(
        _answers(block, responses),
        Block(block.id, block.task, len(requests), seconds, readings),
    )


def _answers(block: _Pending, responses: Sequence[Response]) -> Iterator[Answer]:
    start = 0
    for one in block.asked:
        end = start + len(one.requests)
        given = tuple(responses[start:end])
        yield Answer(one.key, block.task, one.item.id, one.requests, given)
        start = end


def _session(candidate: Candidate) -> Session:
    return Session(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        candidate=dict(candidate.describe()),
        machine={
            "python": platform.python_version(),
            "system": platform.system(),
            "machine": platform.machine(),
            "cores": str(psutil.cpu_count(logical=False) or "unknown"),
            "memory_gib": f"{psutil.virtual_memory().total / 2**30:.0f}",
        },
    )
