"""How long a run will take, and what it will need, from a short calibration or from its start."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from time import monotonic

import psutil

from toetssteen.candidates import Candidate
from toetssteen.meters import Meter
from toetssteen.records import Block, Item
from toetssteen.run.plan import LoadedTask, Plan
from toetssteen.run.store import Answers
from toetssteen.statistics import Interval
from toetssteen.statistics.means import student

PROBES = 3
ITEMS_PER_PROBE = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """What some items of a task took.

    Args:
        task: its name.
        seconds: of each probe or block, for one request.
        joules: of each, for one request; None where the counters cannot be read.
        requests: that the whole task asks.
    """

    task: str
    seconds: tuple[float, ...]
    joules: tuple[float, ...] | None
    requests: int

    def whole(self) -> Interval:
        """Return the seconds of the whole task with their 95 % interval, never below 0."""
        return _scaled(self.seconds, self.requests)

    def whole_joules(self) -> Interval | None:
        """Return the joules of the whole task, or None where they are unknown."""
        return None if self.joules is None else _scaled(self.joules, self.requests)


def calibrate(plan: Plan, candidate: Candidate, *, meter: Meter) -> Iterator[Pace]:
    """Ask a few items of every task, spread over it, and time them; nothing is kept."""
    for task in plan.tasks:
        if plan.not_measurable(task):
            continue
        probes = [items for items in _probes(task) if items]
        if len(probes) > 1:
            yield _pace(task, [_ask(task, items, candidate, meter) for items in probes])


def pace_of(plan: Plan, answers: Answers) -> Iterator[Pace]:
    """Return the pace of the tasks of which at least two blocks are answered."""
    for task in plan.tasks:
        blocks = [block for block in answers.blocks if block.task == task.name]
        if len(blocks) >= 2:
            yield _pace(task, blocks)


def memory_bytes() -> int:
    """Return the memory this process holds."""
    return int(psutil.Process().memory_info().rss)


def _probes(task: LoadedTask) -> Iterator[Sequence[Item]]:
    """Give a few groups of items, each spread over the task."""
    step = max(1, len(task.items) // (PROBES * ITEMS_PER_PROBE))
    for number in range(PROBES):
        yield task.items[number * step :: PROBES * step][:ITEMS_PER_PROBE]


def _ask(task: LoadedTask, items: Sequence[Item], candidate: Candidate, meter: Meter) -> Block:
    requests = [request for item in items for request in task.scorer.requests(item)]
    meter.open()
    started = monotonic()
    candidate.answer(requests)
    seconds = monotonic() - started
    return Block("probe", task.name, len(requests), seconds, meter.close())


def _pace(task: LoadedTask, blocks: Sequence[Block]) -> Pace:
    return Pace(
        task=task.name,
        seconds=tuple(block.seconds / block.requests for block in blocks),
        joules=_joules(blocks),
        requests=sum(len(task.scorer.requests(item)) for item in task.items),
    )


def _joules(blocks: Sequence[Block]) -> tuple[float, ...] | None:
    found = []
    for block in blocks:
        known = [reading.joules for reading in block.readings if reading.joules is not None]
        if not known or len(known) < len(block.readings):
            return None
        found.append(fsum(known) / block.requests)
    return tuple(found)


def _scaled(each: Sequence[float], requests: int) -> Interval:
    one = student(each)
    return Interval(
        one.value * requests, max(0.0, one.low) * requests, one.high * requests, one.method
    )
