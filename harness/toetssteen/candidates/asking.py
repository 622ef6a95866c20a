"""Asking a service side by side, in order where that matters, and stopping with what it said."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from toetssteen.candidates import CandidateStoppedError
from toetssteen.candidates.service import GivenUp, Service, Unusable
from toetssteen.records import Failure, Generate, Request, Response
from toetssteen.spec import ServiceSpec

UNASKED = GivenUp("error", "not asked: the question before it in its session got no answer")


class Remote(ABC):
    """A candidate behind an address; what is asked and how it is read is for who knows it."""

    def __init__(self, spec: ServiceSpec, service: Service) -> None:
        """Take a service that was made of the spec."""
        self._service = service
        self._url = spec.url
        self._concurrency = spec.concurrency

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer side by side, those of one session after another; in order.

        Raises:
            CandidateStoppedError: the service can or may be asked no more; holds what it said.
        """
        responses: list[Response | None] = [None] * len(requests)
        reasons: list[str] = []

        def in_turn(places: Iterable[int]) -> None:
            unheard = False
            try:
                for place in places:
                    said = UNASKED if unheard else self._answer(requests[place])
                    responses[place], unheard = said, goes_unheard(said)
            except Unusable as error:
                self._service.halt(str(error))
                reasons.append(str(error))

        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="service") as pool:
            try:
                for asked in [pool.submit(in_turn, places) for places in lanes(requests)]:
                    asked.result()
            except KeyboardInterrupt:
                # What is under way still comes in: it will be charged.
                self._service.halt("interrupted")
                interrupted = True
            except BaseException:
                self._service.halt("ended by an error")
                raise
            else:
                interrupted = False
        if reasons or interrupted:
            why = "interrupted" if interrupted else reasons[0]
            raise stopped(self._url, why, responses, interrupted=interrupted)
        return settled(responses)

    @abstractmethod
    def _answer(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            Unusable: nothing more can be asked.
        """

    def _describe_asking(self) -> dict[str, str]:
        """Say what the asking took."""
        purse = self._service.purse
        described = {"requests_sent": str(purse.requests)}
        if purse.price is not None:
            described["euros_spent"] = f"{purse.euros:.4f}"
        if troubles := self._service.troubles:
            said = (f"{count} x {what}" for what, count in sorted(troubles.items()))
            described["asked_again_after"] = "; ".join(said)
        return described

    def close(self) -> None:
        """Close the connections."""
        self._service.close()


def stopped(
    whose: object, why: str, responses: Sequence[Response | None], *, interrupted: bool
) -> CandidateStoppedError:
    """Return the end of the asking, with what was answered."""
    # Who was given up while the candidate went down may be asked again.
    kept = [None if isinstance(r, GivenUp) else r for r in responses]
    return CandidateStoppedError(
        f"{whose}: {why}; what was answered is kept, and the same command continues",
        kept,
        interrupted=interrupted,
    )


def settled(responses: Sequence[Response | None]) -> list[Response]:
    """Return what came of all requests, where the asking went on to the end."""
    return [Failure(r.why, r.reason) if isinstance(r, GivenUp) else r for r in responses if r]


def lanes(requests: Sequence[Request]) -> list[list[int]]:
    """Return the places of requests that are asked one after another: those of one session."""
    found: dict[object, list[int]] = {}
    for place, request in enumerate(requests):
        found.setdefault(session_of(request) or place, []).append(place)
    return list(found.values())


def session_of(request: Request) -> tuple[str, str] | None:
    """Return tenant and session of a request that is asked within one."""
    if not isinstance(request, Generate) or not request.session:
        return None
    return request.tenant, request.session


def goes_unheard(response: Response) -> bool:
    """Did no answer come, so that what follows in the session would be another question?"""
    return isinstance(response, Failure) and response.why in {"error", "timeout"}


def cut_at_stop(text: str, stop: Sequence[str]) -> str | None:
    """Return a text up to the first stop string; None if there is none in it.

    Not every service stops where it is told to.
    """
    found = [at for one in stop if one and (at := text.find(one)) >= 0]
    return text[: min(found)] if found else None
