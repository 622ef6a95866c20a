"""Do two routes to the same weights answer alike? The same requests, answer beside answer.

The weights behind an address, in a GGUF file and in a folder have three digests or none; that they
are the same can only be seen in what they answer. What agreeing means is said beforehand, in a
tolerance, and whatever was not answered by one of the two is no agreement (ADR 0012).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import toetssteen
from toetssteen.candidates import Candidate
from toetssteen.errors import UsageError
from toetssteen.identifiers import find_identifiers, mask
from toetssteen.records import (
    Capability,
    Classification,
    Failure,
    Generation,
    Likelihood,
    Record,
    Request,
    Response,
)
from toetssteen.run.collect import finite
from toetssteen.run.plan import Plan

# Raise when a reader of the record has to change.
SCHEMA = 1
# Ten times what we allow ourselves against double precision (ADR 0008): two routes round each in
# their own way, and a route that reads other tokens or another template is off by far more.
TOLERANCE = 1e-3
EXCERPT = 24


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that both candidates are asked, and where it comes from."""

    task: str
    item: str
    request: Request


@dataclass(frozen=True, slots=True)
class Route:
    """One of the two: who it is, which settings it had, and what it said of itself."""

    name: str
    identity: str
    card: Mapping[str, Any]
    candidate: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two candidates answer one kind of request alike.

    Args:
        kind: of request.
        asked: how many of both.
        compared: how many both answered.
        unanswered: how many neither answered.
        answered_by_one: how many only one of the two answered.
        largest: difference of a log-likelihood (nats) or of a probability; None for texts.
        median: of those differences.
        equal: share of equal texts or labels among the compared; None for likelihoods.
        first_difference: where the first answer stands that is not alike, and both answers.
        reason: why nothing could be compared, if so.
        agrees: all that either answered was answered by both, and within the tolerance.
    """

    kind: str
    asked: int
    compared: int
    unanswered: int
    answered_by_one: int
    largest: float | None
    median: float | None
    equal: float | None
    first_difference: str
    reason: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two routes, and how far they agree on every kind of request."""

    routes: tuple[Route, Route]
    kinds: tuple[Agreement, ...]
    tasks: tuple[Mapping[str, Any], ...]
    limit: int
    tolerance: float
    at: str

    @property
    def agrees(self) -> bool:
        """Do they agree on every kind that was asked, and was anything compared at all?"""
        asked = [kind for kind in self.kinds if kind.asked]
        return bool(asked) and all(kind.agrees for kind in asked)

    def record(self) -> Record:
        """Return it as JSON, for a file beside a run."""
        return {
            "schema": SCHEMA,
            "toetssteen": toetssteen.__version__,
            **asdict(self),
            "agrees": self.agrees,
        }


def shared_requests(one: Plan, other: Plan) -> tuple[Asked, ...]:
    """Return what can be asked of both, in the order of the plan.

    Raises:
        UsageError: nothing can.
    """
    both = one.adapter.capabilities & other.adapter.capabilities
    asked = tuple(a for a in _requests(one) if Capability(a.request.kind) in both)
    if not asked:
        offered = " and ".join(
            f"{plan.card.name} offers {', '.join(sorted(plan.adapter.capabilities)) or 'nothing'}"
            for plan in (one, other)
        )
        raise UsageError(f"nothing can be asked of both: {offered}; name tasks that both can do")
    return asked


def answers(candidate: Candidate, asked: Sequence[Asked]) -> list[Response]:
    """Ask a candidate everything, task by task; a number that is none is a failure."""
    found: list[Response] = []
    for task in dict.fromkeys(one.task for one in asked):
        requests = [one.request for one in asked if one.task == task]
        found += [finite(response) for response in candidate.answer(requests)]
    return found


def route(plan: Plan, candidate: Candidate) -> Route:
    """Return who answers, as the record keeps it."""
    known = plan.record()["candidate"]
    return Route(known["name"], known["identity"], known["card"], dict(candidate.describe()))


def compare_routes(
    asked: Sequence[Asked],
    one: Sequence[Response],
    other: Sequence[Response],
    *,
    plans: tuple[Plan, Plan],
    routes: tuple[Route, Route],
    tolerance: float,
) -> Equivalence:
    """Hold answers beside answers, kind by kind.

    Args:
        asked: of both, in this order.
        one: what the first answered.
        other: what the second answered.
        plans: of both, with the same tasks.
        routes: who answered.
        tolerance: nats of a log-likelihood, or difference of a probability; texts and labels
            have to be equal.
    """
    tasks, limit = plans[0].record()["tasks"], plans[0].limit
    triples = list(zip(asked, one, other, strict=True))
    unshared = {a.request.kind for plan in plans for a in _requests(plan)}
    kinds = sorted(unshared | {a.request.kind for a in asked})
    return Equivalence(
        routes=routes,
        kinds=tuple(
            _agreement(kind, [t for t in triples if t[0].request.kind == kind], plans, tolerance)
            for kind in kinds
        ),
        tasks=tuple({k: task[k] for k in ("name", "version", "items_sha256")} for task in tasks),
        limit=limit or 0,
        tolerance=tolerance,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _requests(plan: Plan) -> Iterator[Asked]:
    for task in plan.tasks:
        for item in task.items:
            for request in task.scorer.requests(item):
                yield Asked(task.name, item.id, request)


def _agreement(
    kind: str,
    triples: Sequence[tuple[Asked, Response, Response]],
    plans: tuple[Plan, Plan],
    tolerance: float,
) -> Agreement:
    lacking = [p.card.name for p in plans if Capability(kind) not in p.adapter.capabilities]
    failed = [(isinstance(one, Failure), isinstance(other, Failure)) for _, one, other in triples]
    compared = [t for t, (a, b) in zip(triples, failed, strict=True) if not a and not b]
    by_one = sum(a != b for a, b in failed)
    distances = [d for _, one, other in compared if (d := _distance(one, other)) is not None]
    same = [_same(one, other) for _, one, other in compared if not isinstance(one, Likelihood)]
    unlike = [t for t in triples if not _alike(t[1], t[2], tolerance)]
    return Agreement(
        kind=kind,
        asked=len(triples),
        compared=len(compared),
        unanswered=sum(a and b for a, b in failed),
        answered_by_one=by_one,
        largest=max(distances, default=None),
        median=median(distances) if distances else None,
        equal=sum(same) / len(same) if same else None,
        first_difference=_told(*unlike[0]) if unlike else "",
        reason=_reason(lacking, triples, compared),
        agrees=bool(compared) and not unlike,
    )


def _reason(lacking: Sequence[str], asked: Sequence[object], compared: Sequence[object]) -> str:
    if lacking:
        return f"not offered by {' and '.join(lacking)}"
    if asked and not compared:
        return "neither answered, or only one did"
    return ""


def _alike(one: Response, other: Response, tolerance: float) -> bool:
    """Is it the same answer, or no answer by either?"""
    if isinstance(one, Failure) or isinstance(other, Failure):
        return isinstance(one, Failure) and isinstance(other, Failure)
    distance = _distance(one, other)
    return _same(one, other) and (distance is None or distance <= tolerance)


def _distance(one: Response, other: Response) -> float | None:
    """Return how far two answers lie apart, where both have numbers of one kind."""
    match one, other:
        case Likelihood(), Likelihood() if one.pseudo == other.pseudo:
            return abs(one.total - other.total)
        case Classification(), Classification() if one.probabilities and other.probabilities:
            names = one.probabilities.keys() | other.probabilities.keys()
            ours, theirs = one.probabilities, other.probabilities
            return max(abs(ours.get(name, 0.0) - theirs.get(name, 0.0)) for name in names)
    return None


def _same(one: Response, other: Response) -> bool:
    """Are two answers the same, numbers aside?"""
    match one, other:
        case Generation(), Generation():
            return one.text == other.text
        case Classification(), Classification():
            return one.label == other.label
        case Likelihood(), Likelihood():
            return one.pseudo == other.pseudo
    return False


# --- the first difference, in words ------------------------------------------------------------


def _told(asked: Asked, one: Response, other: Response) -> str:
    where = f"{asked.task}, item {asked.item}"
    match one, other:
        case Generation(), Generation():
            place = next(
                (i for i, (a, b) in enumerate(zip(one.text, other.text, strict=False)) if a != b),
                min(len(one.text), len(other.text)),
            )
            ours, theirs = _excerpt(one.text, place), _excerpt(other.text, place)
            return f"{where}, from character {place}: {ours} and {theirs}"
        case _:
            return f"{where}: {_answered(one)} and {_answered(other)}"


def _excerpt(text: str, place: int) -> str:
    masked = mask(text, find_identifiers(text))
    if len(masked) != len(text):
        return "(not shown: holds what looks like a person's details)"
    begin = max(0, place - EXCERPT // 2)
    return repr(masked[begin : begin + EXCERPT])


def _answered(response: Response) -> str:
    match response:
        case Likelihood(total=total, tokens=tokens, pseudo=pseudo):
            return f"{total:.6f} nats over {tokens} tokens{' (pseudo)' if pseudo else ''}"
        case Classification(label=label, probabilities=probabilities):
            return f"{label!r} ({probabilities.get(label, float('nan')):.6f})"
        case Failure(why=why, reason=reason):
            return f"no answer ({why}: {reason[:80]})"
        case Generation():
            return "a text"
