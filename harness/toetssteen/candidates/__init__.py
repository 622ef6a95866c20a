"""What a candidate is: it answers typed requests, in order, and failures are answers too."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from toetssteen.catalog import Card
from toetssteen.errors import CandidateError, UsageError
from toetssteen.records import Capability, Failure, Generate, Request, Response
from toetssteen.registry import load
from toetssteen.spec import CandidateSpec, beside


class CandidateStoppedError(CandidateError):
    """The candidate can or may answer no more: a spent budget, a refused key, a dead endpoint.

    Args:
        message: why, and what to do.
        responses: what was answered of the requests in flight, in their order; None for the rest.
        interrupted: by whoever sits at the keyboard.
    """

    def __init__(
        self,
        message: str,
        responses: Sequence[Response | None] = (),
        *,
        interrupted: bool = False,
    ) -> None:
        """Keep what was answered: it was paid for."""
        super().__init__(message)
        self.responses = responses
        self.interrupted = interrupted


class Candidate(Protocol):
    """The system under test, opened."""

    def answer(self, requests: Sequence[Request], /) -> Sequence[Response]:
        """Answer every request: same length, same order; trouble with one is a `Failure`.

        Raises:
            CandidateStoppedError: no more can be answered; holds what was.
        """
        ...

    def describe(self) -> Mapping[str, str]:
        """Say what answered: weights digest, dtype, library versions, template, warnings."""
        ...

    def close(self) -> None:
        """Give back memory and connections."""
        ...


class Adapter(Protocol):
    """Knows one kind of candidate; says what it can do before anything is loaded."""

    capabilities: frozenset[Capability]

    def identify(self, card: CandidateSpec, folder: Path, /) -> str:
        """Return a digest of what will answer: the weights, or what takes their place.

        Raises:
            ContentError: the card's weights are not there or are not what the card says.
        """
        ...

    def open(self, card: CandidateSpec, folder: Path, /) -> Candidate:
        """Open the candidate that a card describes; `folder` is where the card lies.

        Raises:
            CandidateError: it cannot be opened; says why.
        """
        ...


def not_offered(kind: str, request: Request) -> Failure:
    """Return the answer to a request that a kind of candidate cannot take.

    A plan asks none of those; a plugin's own code may.
    """
    return Failure("error", f"{kind} answers no {request.kind} request")


def one_for_all(request: Request) -> Failure | None:
    """Return the answer to a tenant or session, of a candidate that serves all the same.

    Without it such a candidate would seem to keep apart what it never held.
    """
    if isinstance(request, Generate) and (request.tenant or request.session):
        return Failure("error", "this candidate cannot tell one tenant or session from another")
    return None


def load_adapter(card: Card) -> Adapter:
    """Return the adapter that a card names.

    Raises:
        UsageError: there is none of that name, or its file does not define it.
    """
    ref = card.spec.adapter
    made = load("adapters", ref.name, file=beside(card.file, ref), where=f"{card.file}: adapter")
    return cast("Adapter", made())


def base_card(card: Card) -> Card:
    """Return the card of the base that a LoRA stands on, with all else as it was.

    A second candidate: attacks on what a LoRA has learnt need to know what its base knew already.

    Raises:
        UsageError: the card has no LoRA, so it has no base.
    """
    if card.spec.lora is None:
        raise UsageError(f"{card.file}: has no lora, and so no base to compare with")
    base = {"lora": None, "title": f"{card.spec.title} (base)", "verified": False}
    return Card(f"{card.name}-base", card.file, card.spec.model_copy(update=base))
