"""Asks what is not answered yet, block by block, and reads the meters around each block.

While a block is asked, the one before it is written; neither waits for the other, and no more
than those two are in memory.
"""

import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from time import monotonic

import psutil

from toetssteen.candidates import Candidate, CandidateStoppedError
from toetssteen.meters import Meter
from toetssteen.records import (
    Answer,
    Block,
    Classification,
    Failure,
    Generation,
    Item,
    Likelihood,
    Request,
    Response,
    TokenStatistics,
)
from toetssteen.run.plan import LoadedTask, Plan, answer_key
from toetssteen.run.store import Partial, Session, Store

# Items answered together: enough to sort by length and fill batches, few enough to lose.
ITEMS_PER_BLOCK = 64
# More items than this are cut in two at least: what one block cost shows no spread.
ITEMS_IN_ONE_BLOCK = 16

Progress = Callable[[str, int, int], None]  # task, items done, items in all


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    item: Item
    requests: tuple[Request, ...]
    known: tuple[Response | None, ...] = ()  # answered before the candidate stopped


@dataclass(frozen=True, slots=True)
class _Pending:
    id: str
    task: str
    asked: tuple[_Asked, ...]
    after: int  # items of the task up to the end of the block


@dataclass(frozen=True, slots=True)
class _Told:
    answers: tuple[Answer, ...]
    partials: tuple[Partial, ...]
    block: Block

    @property
    def anything(self) -> bool:
        """Is there something to keep?"""
        return bool(self.answers or self.partials)


def count_pending(plan: Plan, store: Store, *, retry_failed: bool = False) -> tuple[int, int]:
    """Return how many items are still to be asked, and how many there are."""
    tasks = [task for task in plan.tasks if not plan.not_measurable(task)]
    whole = sum(len(task.items) for task in tasks)
    if not store.answers.blocks:
        return whole, whole
    blocks = (b for task in tasks for b in _blocks(plan, task, store, retry_failed=retry_failed))
    return sum(len(block.asked) for block in blocks), whole


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
        store: entered; every block is on disk before the next but one is asked, and all of them
            when this returns or raises.
        meter: read at both edges of every block.
        on_progress: told before and after every block.
        retry_failed: ask again what failed in a way that may pass (errors, timeouts).

    Raises:
        RunError: the store cannot be written any more.
        CandidateStoppedError: the candidate answers no more; what it answered is kept.
    """
    session = _session(candidate)
    store.start(session)
    try:
        with _Writer(store) as writer:
            for task in plan.tasks:
                if plan.not_measurable(task):
                    continue
                size, after = len(task.items), 0
                for block in _blocks(plan, task, store, retry_failed=retry_failed):
                    after = block.after
                    on_progress(task.name, after - len(block.asked), size)
                    told, stopped = _ask(block, candidate, meter)
                    if told.anything:
                        writer.write(told)
                    if stopped is not None and stopped.interrupted:
                        raise KeyboardInterrupt
                    if stopped is not None:
                        raise stopped
                    on_progress(task.name, after, size)
                if 0 < after < size:  # the rest was answered before
                    on_progress(task.name, size, size)
    finally:
        # Memory that ran out on the way has made batches smaller; the record says so.
        ended = _session(candidate)
        if ended.candidate != session.candidate:
            store.start(ended)


class _Writer(AbstractContextManager["_Writer"]):
    """Writes a block while the next one is asked; never more than one waits to be written.

    What writing costs in energy falls to the block that is asked meanwhile: a few milliseconds.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._written: Future[None] | None = None

    def write(self, told: _Told) -> None:
        self._wait()
        self._written = self._thread.submit(
            self._store.append, told.answers, told.block, told.partials
        )

    def __exit__(self, *_: object) -> None:
        """Finish what is being written, also where the asking was broken off."""
        try:
            self._wait()
        finally:
            self._thread.shutdown()

    def _wait(self) -> None:
        """Wait until the last block is on disk; raise what went wrong with it."""
        if self._written is not None:
            self._written.result()


def cut(size: int) -> Iterator[range]:
    """Cut so many items into blocks that are as good as equal.

    The whole list is cut, never what is left of it: a run that was interrupted asks the same
    requests side by side as one that was not.
    """
    blocks = max(-(-size // ITEMS_PER_BLOCK), 2 if size > ITEMS_IN_ONE_BLOCK else 1)
    for number in range(blocks):
        yield range(number * size // blocks, (number + 1) * size // blocks)


def _blocks(
    plan: Plan, task: LoadedTask, store: Store, *, retry_failed: bool
) -> Iterator[_Pending]:
    for number, places in enumerate(cut(len(task.items))):
        asked = tuple(
            replace(one, known=tuple(store.partial(one.key, retry_failed=retry_failed)))
            for item in task.items[places.start : places.stop]
            if not store.has((one := _asked(plan, task, item)).key, retry_failed=retry_failed)
        )
        if asked:
            yield _Pending(f"{task.name}#{number}", task.name, asked, places.stop)


def _asked(plan: Plan, task: LoadedTask, item: Item) -> _Asked:
    requests = tuple(task.scorer.requests(item))
    return _Asked(answer_key(plan.identity, task.name, item, requests), item, requests)


def _ask(
    block: _Pending, candidate: Candidate, meter: Meter
) -> tuple[_Told, CandidateStoppedError | None]:
    """Ask a block; with what was answered, also why the candidate answers no more, if so."""
    known = [given for one in block.asked for given in one.known or [None] * len(one.requests)]
    whole = [request for one in block.asked for request in one.requests]
    requests = [request for request, given in zip(whole, known, strict=True) if given is None]
    meter.open()
    started = monotonic()
    stopped: CandidateStoppedError | None = None
    try:
        responses: Sequence[Response | None] = candidate.answer(requests)
    except CandidateStoppedError as error:
        stopped, responses = error, error.responses or [None] * len(requests)
    seconds = monotonic() - started
    readings = meter.close()
    if len(responses) != len(requests):
        raise ValueError(f"asked {len(requests)} requests, got {len(responses)} responses")
    answered = sum(response is not None for response in responses)
    new = iter([None if response is None else finite(response) for response in responses])
    said = [next(new) if given is None else given for given in known]
    told = _Told(
        tuple(_answers(block, said)),
        tuple(_partials(block, said)),
        Block(block.id, block.task, answered, seconds, readings),
    )
    return told, stopped


def _answers(block: _Pending, said: Sequence[Response | None]) -> Iterator[Answer]:
    """Give the answer of every item all of whose requests were answered."""
    for one, given in _by_item(block, said):
        whole = tuple(response for response in given if response is not None)
        if len(whole) == len(given):
            yield Answer(one.key, block.task, one.item.id, one.requests, whole)


def _partials(block: _Pending, said: Sequence[Response | None]) -> Iterator[Partial]:
    """Give what was answered of every other item: it was paid for."""
    for one, given in _by_item(block, said):
        if None in given and any(given) and given != one.known:
            yield Partial(one.key, given)


def _by_item(
    block: _Pending, said: Sequence[Response | None]
) -> Iterator[tuple[_Asked, tuple[Response | None, ...]]]:
    start = 0
    for one in block.asked:
        end = start + len(one.requests)
        yield one, tuple(said[start:end])
        start = end


def finite(response: Response) -> Response:
    """Return the response, unless it holds a number that is none: overflow, or all ruled out."""
    match response:
        case Likelihood():
            numbers = (response.total, *(n for t in response.per_token for n in _numbers(t)))
        case Generation():
            numbers = response.logprobs
        case Classification():
            numbers = tuple(response.probabilities.values())
        case Failure():
            return response
    if all(map(isfinite, numbers)):
        return response
    return Failure("error", "a probability or its logarithm is not a finite number")


def _numbers(token: TokenStatistics) -> tuple[float, ...]:
    return token.logprob, token.mean, token.variance


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
