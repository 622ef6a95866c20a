"""Candidates behind an OpenAI-compatible address: conversations, and texts that are continued."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from toetssteen.candidates import Candidate, CandidateStoppedError, not_offered
from toetssteen.candidates.service import GivenUp, Reply, Service, Unusable
from toetssteen.errors import CandidateError
from toetssteen.records import (
    Classify,
    Failure,
    Finish,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Message,
    Request,
    Response,
    Sampling,
)
from toetssteen.spec import CandidateSpec, EndpointSpec

FINISHES: Mapping[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "content_filter": "filtered",
}
THINKING = ("<think>", "</think>")
PROBE_ATTEMPTS = 3
PROBE_TOKENS = 16  # the least that every service accepts
# A service may name itself anew each time: no more names than this are kept, and no longer ones.
MOST_NAMES, MOST_LETTERS = 20, 200


class _Unreadable(Exception):  # noqa: N818 - becomes a Failure, never leaves this module
    """A reply is not what the interface promises; says how."""


def open_chat(card: CandidateSpec, folder: Path, *, service: Service | None = None) -> Candidate:
    """Open a service for conversations, and see that it does what the card says.

    Raises:
        CandidateError: it cannot be reached, or does not do what the card says.
    """
    return _opened(Chat(card, _spec(card), service or Service(_spec(card), folder)))


def open_completions(
    card: CandidateSpec, folder: Path, *, service: Service | None = None
) -> Candidate:
    """Open a service that continues texts, and see that it says how likely they were.

    Raises:
        CandidateError: it cannot be reached, or does not do what the card says.
    """
    return _opened(Completions(card, _spec(card), service or Service(_spec(card), folder)))


class _Compatible(ABC):
    """What both interfaces share: asking side by side, and keeping the books."""

    def __init__(self, card: CandidateSpec, spec: EndpointSpec, service: Service) -> None:
        self._card = card
        self._spec = spec
        self._service = service
        self._sampling = card.sampling.record if card.sampling else None
        self._models: Counter[str] = Counter()
        self._fingerprints: Counter[str] = Counter()
        self._lock = Lock()

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer side by side, in order.

        Raises:
            CandidateStoppedError: the service can or may be asked no more; holds what it said.
        """
        responses: list[Response | None] = [None] * len(requests)
        reasons: list[str] = []

        def one(place: int) -> None:
            try:
                responses[place] = self._answer(requests[place])
            except Unusable as error:
                self._service.halt(str(error))
                reasons.append(str(error))

        with ThreadPoolExecutor(self._spec.concurrency, thread_name_prefix="service") as pool:
            try:
                for asked in [pool.submit(one, place) for place in range(len(requests))]:
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
            # Who was given up while the service went down may be asked again.
            kept = [None if isinstance(r, GivenUp) else r for r in responses]
            why = "interrupted" if interrupted else reasons[0]
            raise CandidateStoppedError(
                f"{self._spec.url}: {why}; what was answered is kept, and the same command "
                "continues",
                kept,
                interrupted=interrupted,
            )
        return [Failure(r.why, r.reason) if isinstance(r, GivenUp) else r for r in responses if r]

    @abstractmethod
    def probe(self) -> None:
        """Ask one small thing, as the tasks will, and look whether it is all there.

        Raises:
            CandidateError: it is not, or nobody answers.
        """

    def describe(self) -> Mapping[str, str]:
        """Say who answered, under which name, and what it took."""
        purse = self._service.purse
        described = {
            "adapter": self._card.adapter.name,
            "url": self._spec.url,
            "model": self._spec.model,
            "model_reported": ", ".join(sorted(self._models)) or "nothing",
            "system_fingerprint": ", ".join(sorted(self._fingerprints)) or "nothing",
            "requests_sent": str(purse.requests),
        }
        if purse.price is not None:
            described["euros_spent"] = f"{purse.euros:.4f}"
        if troubles := self._service.troubles:
            said = (f"{count} x {what}" for what, count in sorted(troubles.items()))
            described["asked_again_after"] = "; ".join(said)
        if len(self._models) > 1 or len(self._fingerprints) > 1:
            described["warning"] = "the service answered under more than one name or fingerprint"
        return described

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    @abstractmethod
    def _answer(self, request: Request) -> Response: ...

    def _ask(
        self, path: str, body: Mapping[str, Any], read: Callable[[Reply], Response]
    ) -> Response:
        reply = self._service.post(path, {"model": self._spec.model, **body})
        if isinstance(reply, Failure):
            return reply
        self._note(reply)
        try:
            return read(reply)
        except _Unreadable as error:
            return Failure("error", f"the service answered, but {error}")

    def _note(self, reply: Reply) -> None:
        """Keep the books: who answered, and what it costs, whatever the answer is worth."""
        with self._lock:
            for name, seen in (
                ("model", self._models),
                ("system_fingerprint", self._fingerprints),
            ):
                said = str(reply.get(name) or "")[:MOST_LETTERS]
                if said and (said in seen or len(seen) < MOST_NAMES):
                    seen[said] += 1
        tokens, prompt_tokens = _usage(reply)
        self._service.purse.pay(prompt_tokens or 0, tokens or 0)
        budget = self._spec.budget
        uncounted = tokens is None or prompt_tokens is None
        if budget is not None and budget.euros is not None and uncounted:
            # This answer is kept, and nobody knows what the next would cost.
            self._service.halt("it stopped counting tokens, so the budget in euros cannot be kept")

    def _probed(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Send a probe and return its reply.

        Raises:
            CandidateError: no usable reply.
        """
        try:
            reply = self._service.post(
                path, {"model": self._spec.model, **body}, attempts=PROBE_ATTEMPTS
            )
        except Unusable as error:
            raise self._cannot(str(error)) from None
        if isinstance(reply, Failure):
            raise self._cannot(reply.reason)
        budget = self._spec.budget
        if budget is not None and budget.euros is not None and None in _usage(reply):
            raise self._cannot("it counts no tokens (usage), so a budget in euros cannot be kept")
        self._note(reply)
        return reply

    def _cannot(self, why: str) -> CandidateError:
        return CandidateError(f"{self._spec.url}: {why}")

    def _settings(self, request: Generate) -> dict[str, Any]:
        """Return how words are chosen, and when to stop."""
        chosen: dict[str, Any] = {self._spec.limit_key: request.max_tokens}
        sampling = request.sampling or self._sampling
        if sampling is None:
            chosen["temperature"] = 0
        else:
            chosen |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
            chosen["seed"] = sampling.seed
        if request.stop:
            chosen["stop"] = list(request.stop)
        return chosen

    def _refuses(self, request: Generate) -> Failure | None:
        """Return why a request cannot be put to this interface, if so."""
        sampling: Sampling | None = request.sampling or self._sampling
        if request.max_tokens < 1:
            return Failure("error", "max_tokens should be at least 1")
        if sampling is not None and sampling.top_k is not None:
            return Failure("error", "an OpenAI-compatible service has no top_k")
        if request.logprobs and not self._spec.logprobs:
            return Failure("error", "the card does not say that the service gives logprobs")
        return None


class Chat(_Compatible):
    """A service for conversations."""

    def probe(self) -> None:
        """Ask something small with all settings of the card, as the tasks will."""
        asked = Generate((Message("user", "Ja?"),), PROBE_TOKENS, logprobs=self._spec.logprobs)
        reply = self._probed("chat/completions", self._body(asked))
        try:
            choice = _choice(reply)
            _message(choice)
            if self._spec.logprobs:
                _logprobs(choice)
        except _Unreadable as error:
            raise self._cannot(str(error)) from None

    def _answer(self, request: Request) -> Response:
        if not isinstance(request, Generate):
            return not_offered("a conversation", request)
        if request.context and request.messages:
            return Failure("error", "the beginning of an answer cannot be given to a conversation")
        if refused := self._refuses(request):
            return refused
        return self._ask(
            "chat/completions", self._body(request), lambda reply: _said(reply, request)
        )

    def _body(self, request: Generate) -> dict[str, Any]:
        asked = {"logprobs": True} if request.logprobs else {}
        return {"messages": self._turns(request), **self._settings(request), **asked}

    def _turns(self, request: Generate) -> list[dict[str, str]]:
        messages = request.messages or (Message("user", request.context),)
        system = self._card.system_prompt
        first = [] if system is None else [{"role": "system", "content": system}]
        return [*first, *({"role": m.role, "content": m.content} for m in messages)]


class Completions(_Compatible):
    """A service that continues a text, and repeats it with the log-probability of every token."""

    def probe(self) -> None:
        """Ask how likely a text is that is certainly several tokens long."""
        # With a letter that takes more than one byte: some count bytes, and we count letters.
        reply = self._probed("completions", _echo("Eén café drie vier"))
        try:
            _likelihood(reply, "Eén café", " drie vier")
        except _Unreadable as error:
            raise self._cannot(
                f"{error}; a service without echo is opened with the adapter chat"
            ) from None

    def _answer(self, request: Request) -> Response:
        if isinstance(request, Classify):
            return not_offered("a service that continues texts", request)
        text = self._text(request)
        if isinstance(request, Loglikelihood):
            return self._score(request, text)
        if refused := self._refuses(request):
            return refused
        body = {"prompt": text, **self._settings(request)}
        if request.logprobs:
            body["logprobs"] = 1
        return self._ask("completions", body, lambda reply: _continued(reply, request))

    def _score(self, request: Loglikelihood, text: str) -> Response:
        if request.after or request.shared_with:
            return Failure("error", "a service cannot be asked about what a text has before it")
        if request.per_token:
            return Failure("error", "a service gives no statistics over its vocabulary")
        # White space goes with the word behind it, as tokenizers join them (`encoding.py`).
        context = text.rstrip()
        continuation = text[len(context) :] + request.continuation
        if not context:
            return Failure("error", "a service gives no likelihood from the start of a text")
        return self._ask(
            "completions",
            _echo(context + continuation),
            lambda reply: _likelihood(reply, context, continuation),
        )

    def _text(self, request: Generate | Loglikelihood) -> str:
        """Return conversation and context as plain text, as `encoding.py` does."""
        turns = [m.content for m in request.messages]
        if turns and self._card.system_prompt is not None:
            turns.insert(0, self._card.system_prompt)
        return "".join(turn + "\n\n" for turn in turns) + request.context


def _opened(candidate: Chat | Completions) -> Candidate:
    try:
        candidate.probe()
    except BaseException:
        candidate.close()
        raise
    return candidate


def _spec(card: CandidateSpec) -> EndpointSpec:
    if card.endpoint is None:
        raise CandidateError(f"{card.title}: the card has no endpoint")
    return card.endpoint


# --- reading a reply -------------------------------------------------------------------------


def _choice(reply: Reply) -> dict[str, Any]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _Unreadable("the reply has no choices")
    choice: dict[str, Any] = choices[0]
    return choice


def _message(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _Unreadable("the first choice has no message")
    return message


def _finish(choice: Mapping[str, Any]) -> Finish:
    said = choice.get("finish_reason")
    if not isinstance(said, str) or said not in FINISHES:
        raise _Unreadable(f"it ended with the unknown finish_reason {str(said)[:40]!r}")
    return FINISHES[said]


def _said(reply: Reply, request: Generate) -> Response:
    """Read a chat reply: the answer, and apart from it what was thought aloud."""
    choice = _choice(reply)
    message = _message(choice)
    if message.get("refusal"):
        return Failure("refused", str(message["refusal"])[:200])
    text, inside = _split_thinking(_text_of(message.get("content")))
    beside = str(message.get("reasoning_content") or message.get("reasoning") or "")
    tokens, prompt_tokens = _usage(reply)
    return Generation(
        text=text,
        finish=_finish(choice),
        tokens=tokens,
        prompt_tokens=prompt_tokens,
        logprobs=_logprobs(choice) if request.logprobs else (),
        reasoning="\n\n".join(filter(None, (beside, inside))),
    )


def _text_of(content: object) -> str:
    """Return the text of a message; some services send it in parts."""
    match content:
        case str():
            return content
        case None:
            return ""
        case list() if all(
            isinstance(p, dict) and isinstance(p.get("text"), str) for p in content
        ):
            return "".join(part["text"] for part in content)
        case _:
            raise _Unreadable("its message is no text")


def _split_thinking(text: str) -> tuple[str, str]:
    """Return the answer and what stands before it between think tags, if it begins so.

    A text that is cut off while thinking holds no answer yet.
    """
    begin, end = THINKING
    thought, closed, answer = text.partition(end)
    opened = thought.lstrip().startswith(begin)
    if not opened and (not closed or begin in thought):
        return text, ""  # no thinking, or tags that stand in the middle of an answer
    # The template of some models opens the tag, so that only its end is said.
    thought = thought.lstrip().removeprefix(begin).strip()
    return (answer.lstrip() if closed else "", thought)


def _logprobs(choice: Mapping[str, Any]) -> tuple[float, ...]:
    found = choice.get("logprobs")
    content = found.get("content") if isinstance(found, dict) else None
    if not isinstance(content, list) or not content:
        raise _Unreadable("no log-probabilities came back though they were asked for")
    try:
        return tuple(float(token["logprob"]) for token in content)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _Unreadable("its log-probabilities are no numbers") from None


def _continued(reply: Reply, request: Generate) -> Response:
    choice = _choice(reply)
    text = choice.get("text")
    if not isinstance(text, str):
        raise _Unreadable("the first choice has no text")
    tokens, prompt_tokens = _usage(reply)
    logprobs: tuple[float, ...] = ()
    if request.logprobs:
        logprobs = tuple(_numbers(_token_logprobs(choice).get("token_logprobs")))
    return Generation(text, _finish(choice), tokens, prompt_tokens, logprobs)


def _echo(text: str) -> dict[str, Any]:
    """Return a body that asks for a text back, with the log-probabilities of its tokens."""
    # One token more is the least that every service agrees to; nobody looks at it.
    return {"prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}


def _likelihood(reply: Reply, context: str, continuation: str) -> Likelihood:
    """Add up the tokens that begin inside the continuation.

    A token that begins in the context and ends in the continuation belongs to the context, as in
    ADR 0004.
    """
    start, end = len(context), len(context) + len(continuation)
    echoed = list(_echoed(_choice(reply), context + continuation))
    numbers = [number for offset, number in echoed if start <= offset < end]
    known = [number for number in numbers if number is not None]
    if not known or len(known) < len(numbers):
        raise _Unreadable("no log-probabilities of the given text came back (echo, logprobs)")
    before = sum(offset < start for offset, _ in echoed)
    return Likelihood(total=sum(known), tokens=len(known), prompt_tokens=before)


def _echoed(choice: Mapping[str, Any], text: str) -> Iterator[tuple[int, float | None]]:
    """Give where every token of the text begins, and its log-probability; the first has none.

    Each token has to stand where it is said to stand: some services count a start token that is
    not in the text, or bytes instead of letters, and would be read a little beside the mark.
    """
    found = _token_logprobs(choice)
    tokens, offsets = found.get("tokens"), found.get("text_offset")
    numbers = _numbers(found.get("token_logprobs"), gaps=True)
    if not isinstance(tokens, list) or not isinstance(offsets, list):
        raise _Unreadable("its log-probabilities have no tokens or text_offset")
    if not len(tokens) == len(offsets) == len(numbers):
        raise _Unreadable("it gives another number of tokens than of log-probabilities")
    first = str(tokens[0]) if tokens else ""
    marks = 0 if text.startswith(first) else len(first)
    for token, offset, number in zip(tokens, offsets, numbers, strict=True):
        if type(offset) is not int:
            raise _Unreadable("its text_offset holds no whole numbers")
        if offset < marks or (marks and token == first and number is None):
            continue  # the start token
        place = offset - marks
        torn = "\ufffd" in str(token) or str(token).startswith("bytes:")
        if place < len(text) and not torn and not text.startswith(str(token), place):
            raise _Unreadable("its text_offset does not fit the text it was given")
        yield place, number


def _token_logprobs(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    found = choice.get("logprobs")
    if not isinstance(found, dict):
        raise _Unreadable("no log-probabilities came back though they were asked for")
    return found


def _numbers(given: object, *, gaps: bool = False) -> list[Any]:
    """Return log-probabilities; with `gaps`, None where there is none."""
    if not isinstance(given, list):
        raise _Unreadable("its log-probabilities have no token_logprobs")
    try:
        return [None if gaps and number is None else float(number) for number in given]
    except (TypeError, ValueError, OverflowError):
        raise _Unreadable("its log-probabilities are no numbers") from None


def _usage(reply: Reply) -> tuple[int | None, int | None]:
    """Return tokens said and tokens read, each None where the service does not count them."""
    usage = reply.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    said, read = counts.get("completion_tokens"), counts.get("prompt_tokens")
    return _count(said), _count(read)


def _count(given: object) -> int | None:
    # True is an int too, and a negative count would lower the bill.
    return given if type(given) is int and given >= 0 else None
