"""A user's own application: its HTTP route, or a function; with all that stands before its model.

It is asked as its users ask it: in words, by a tenant, within a session. What it decides itself
(its prompt, how words are drawn, how much it says) is not sent and not known here.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from inspect import iscoroutinefunction, signature
from pathlib import Path
from traceback import extract_tb
from typing import Any

from toetssteen.candidates import Candidate, CandidateStoppedError, not_offered
from toetssteen.candidates.adapters import application_file
from toetssteen.candidates.asking import (
    UNASKED,
    Remote,
    cut_at_stop,
    goes_unheard,
    session_of,
    settled,
    stopped,
)
from toetssteen.candidates.service import (
    LOST_IN_A_ROW,
    GivenUp,
    Reply,
    Service,
    Unreadable,
    Unusable,
)
from toetssteen.errors import CandidateError, ContentError, ToetsError
from toetssteen.records import Failure, Generate, Generation, Message, Request, Response
from toetssteen.registry import load
from toetssteen.spec import CandidateSpec, RouteSpec, is_plain

PROBE_ATTEMPTS = 3
PROBE = Generate((Message("user", "Ja?"),), 16)

Application = Callable[..., object]


# --- a route ---------------------------------------------------------------------------------


def open_route(card: CandidateSpec, folder: Path, *, service: Service | None = None) -> Candidate:
    """Open an application at its route, and see that an answer is where the card says.

    Raises:
        CandidateError: it cannot be reached, or its answer is not there.
    """
    if card.route is None:
        raise ContentError(folder, "route: is required, with url and answer")
    route = Route(card.route, service or Service(card.route, folder))
    try:
        route.probe()
    except BaseException:
        route.close()
        raise
    return route


class Route(Remote):
    """An application at an address."""

    def __init__(self, spec: RouteSpec, service: Service) -> None:
        """Take a route as the card has it, and a service made of it."""
        super().__init__(spec, service)
        self._spec = spec

    def probe(self) -> None:
        """Ask something small, as the tasks will.

        Raises:
            CandidateError: no answer came, or not where the card says.
        """
        try:
            response = self._ask(PROBE, attempts=PROBE_ATTEMPTS)
        except Unusable as error:
            raise CandidateError(f"{self._spec.url}: {error}") from None
        if isinstance(response, Failure):
            raise CandidateError(f"{self._spec.url}: {response.reason}")

    def describe(self) -> Mapping[str, str]:
        """Say which route was asked, and what it took."""
        return {"adapter": "system", "url": self._spec.url, **self._describe_asking()}

    def _answer(self, request: Request) -> Response:
        if not isinstance(request, Generate):
            return not_offered("an application", request)
        return self._refuses(request) or self._ask(request)

    def _refuses(self, request: Generate) -> Failure | None:
        if refused := _beyond_an_application(request):
            return refused
        spec = self._spec
        for name, value, header in (
            ("tenant", request.tenant, spec.tenant_header),
            ("session", request.session, spec.session_header),
        ):
            if value and header is None:
                return Failure("error", f"the card names no {name}_header")
            if not is_plain(value):
                return Failure("error", f"the {name} does not fit in a header: {value[:40]!r}")
        turns = _turns(request)
        if spec.prompt is not None and (len(turns) != 1 or turns[0]["role"] != "user"):
            return Failure("error", "the application takes one question (prompt), no conversation")
        return None

    def _ask(self, request: Generate, *, attempts: int | None = None) -> Response:
        reply = self._service.post(
            "", self._body(request), headers=self._headers(request), attempts=attempts
        )
        if isinstance(reply, Failure):
            return reply
        tokens, read = _count(reply, self._spec.tokens), _count(reply, self._spec.prompt_tokens)
        self._service.pay(read, tokens)
        try:
            return _stopped(self._read(reply, tokens, read), request)
        except Unreadable as error:
            return Failure("error", f"the application answered, but {error}")

    def _body(self, request: Generate) -> Reply:
        turns = _turns(request)
        body = deepcopy(self._spec.body)
        if self._spec.messages is not None:
            _put(body, self._spec.messages, turns)
        elif self._spec.prompt is not None:
            _put(body, self._spec.prompt, turns[0]["content"])
        return body

    def _headers(self, request: Generate) -> dict[str, str]:
        spec, headers = self._spec, dict(self._spec.headers)
        if spec.tenant_header and (tenant := request.tenant or spec.tenant):
            headers[spec.tenant_header] = tenant
        if spec.session_header and request.session:
            headers[spec.session_header] = request.session
        return headers

    def _read(self, reply: Reply, tokens: int | None, read: int | None) -> Generation:
        filtered = self._spec.filtered is not None and bool(_find(reply, self._spec.filtered))
        text = _find(reply, self._spec.answer)
        if text is None and filtered:
            text = ""
        if not isinstance(text, str):
            raise Unreadable(f"there is no text at {self._spec.answer}")
        return Generation(text, "filtered" if filtered else "stop", tokens, read)


def _find(reply: Reply, path: str) -> object:
    """Return what stands at a place in the JSON; None where there is nothing."""
    found: Any = reply
    for name in path.split("."):
        match found:
            case dict():
                found = found.get(name)
            case list() if name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            case _:
                return None
    return found


def _put(body: Reply, path: str, value: object) -> None:
    *way, last = path.split(".")
    for name in way:
        body = body.setdefault(name, {})
    body[last] = value


def _count(reply: Reply, path: str | None) -> int | None:
    found = None if path is None else _find(reply, path)
    return found if type(found) is int and found >= 0 else None


# --- a function ------------------------------------------------------------------------------


def open_function(card: CandidateSpec, folder: Path) -> Candidate:
    """Load an application that is a function.

    Raises:
        ContentError: it is not in the file, or cannot be called as it will be.
    """
    file = application_file(card, folder)
    if card.function is None:
        raise ContentError(folder, "function: is required, with file and name")
    try:
        function: Application = load("adapters", card.function.name, file=file)
    except ToetsError:
        raise
    except Exception as error:  # noqa: BLE001 - what its own code does while it is loaded
        raise ContentError(file, f"cannot be loaded: it raised {_where(error, file)}") from None
    if iscoroutinefunction(function):
        raise ContentError(file, f"{card.function.name}: should be a plain function, not async")
    try:
        signature(function).bind([], tenant="", session="")
    except TypeError as error:
        raise ContentError(
            file, f"{card.function.name}: should take (messages, *, tenant, session): {error}"
        ) from None
    return Function(function, file, tenant=card.function.tenant)


class Function:
    """An application in this process, asked one question after another."""

    def __init__(self, function: Application, file: Path, *, tenant: str = "") -> None:
        """Take a function that was loaded from a file.

        Args:
            function: called as (messages, *, tenant, session), returns text.
            file: where it stands.
            tenant: who asks, where a request does not say.
        """
        self._function = function
        self._file = file
        self._tenant = tenant
        self._raised_in_a_row = 0

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer in order.

        Raises:
            CandidateStoppedError: it raised over and over, or was interrupted; holds what it said.
        """
        said: list[Response | None] = [None] * len(requests)
        unheard = set[object]()
        try:
            for place, request in enumerate(requests):
                session = session_of(request)
                response = UNASKED if session in unheard else self._answer(request)
                said[place] = response
                if session is not None and goes_unheard(response):
                    unheard.add(session)
                if self._raised_in_a_row >= LOST_IN_A_ROW:
                    raise self._stop(f"it failed {LOST_IN_A_ROW} times in a row", said)
        except KeyboardInterrupt:
            raise self._stop("interrupted", said, interrupted=True) from None
        return settled(said)

    def _stop(
        self, why: str, said: Sequence[Response | None], *, interrupted: bool = False
    ) -> CandidateStoppedError:
        last = next((r.reason for r in reversed(said) if isinstance(r, GivenUp)), "")
        reason = f", the last: {last}" if last and not interrupted else ""
        return stopped(self._file, why + reason, said, interrupted=interrupted)

    def _answer(self, request: Request) -> Response:
        if not isinstance(request, Generate):
            return not_offered("an application", request)
        if refused := _beyond_an_application(request):
            return refused
        tenant = request.tenant or self._tenant
        try:
            text = self._function(_turns(request), tenant=tenant, session=request.session)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it does is its answer
            self._raised_in_a_row += 1
            return GivenUp("error", f"the application raised {_where(error, self._file)}")
        self._raised_in_a_row = 0
        if not isinstance(text, str):
            return Failure("error", f"the application returned {type(text).__name__}, not text")
        # Half a character can be in a text of Python, and in no file.
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return _stopped(Generation(whole, "stop", None, None), request)

    def describe(self) -> Mapping[str, str]:
        """Say which file was executed."""
        return {"adapter": "system", "file": self._file.name}

    def close(self) -> None:
        """Nothing to give back."""


def _where(error: BaseException, file: Path) -> str:
    """Return what was raised and where; not what it says, which may hold a secret."""
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename == str(file)]
    line = f" ({file.name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{line}"


# --- both ------------------------------------------------------------------------------------


def _beyond_an_application(request: Generate) -> Failure | None:
    if request.logprobs:
        return Failure("error", "an application does not say how likely its words were")
    if request.context and request.messages:
        return Failure("error", "the beginning of an answer cannot be given to an application")
    return None


def _turns(request: Generate) -> list[dict[str, str]]:
    messages = request.messages or (Message("user", request.context),)
    return [{"role": message.role, "content": message.content} for message in messages]


def _stopped(said: Generation, request: Generate) -> Generation:
    """Stop where the request says: the application was not told."""
    cut = cut_at_stop(said.text, request.stop)
    return said if cut is None else replace(said, text=cut)
