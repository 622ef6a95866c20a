"""Candidates behind an OpenAI-compatible address: conversations, and texts that are continued."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from toetssteen.candidates import Candidate, not_offered, one_for_all
from toetssteen.candidates.asking import Remote, cut_at_stop
from toetssteen.candidates.given_text import Given, echoed, prompted, token_logprobs
from toetssteen.candidates.service import Reply, Service, Unreadable, Unusable
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


class _Compatible(Remote):
    """What both interfaces share: who answered, and how words are chosen."""

    def __init__(self, card: CandidateSpec, spec: EndpointSpec, service: Service) -> None:
        super().__init__(spec, service)
        self._card = card
        self._spec = spec
        self._sampling = card.sampling.record if card.sampling else None
        self._models: Counter[str] = Counter()
        self._fingerprints: Counter[str] = Counter()
        self._lock = Lock()

    @abstractmethod
    def probe(self) -> None:
        """Ask one small thing, as the tasks will, and look whether it is all there.

        Raises:
            CandidateError: it is not, or nobody answers.
        """

    def describe(self) -> Mapping[str, str]:
        """Say who answered, under which name, and what it took."""
        described = {
            "adapter": self._card.adapter.name,
            "url": self._spec.url,
            "model": self._spec.model,
            "model_reported": ", ".join(sorted(self._models)) or "nothing",
            "system_fingerprint": ", ".join(sorted(self._fingerprints)) or "nothing",
            **self._describe_asking(),
        }
        if len(self._models) > 1 or len(self._fingerprints) > 1:
            described["warning"] = "the service answered under more than one name or fingerprint"
        return described

    def _ask(
        self, path: str, body: Mapping[str, Any], read: Callable[[Reply], Response]
    ) -> Response:
        reply = self._service.post(path, {"model": self._spec.model, **body})
        if isinstance(reply, Failure):
            return reply
        self._note(reply)
        try:
            return read(reply)
        except Unreadable as error:
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
        self._service.pay(prompt_tokens, tokens)

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
        if self._service.counts_euros and None in _usage(reply):
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
        if refused := one_for_all(request):
            return refused
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
        except Unreadable as error:
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
    """A service that continues a text, and says how likely every token of a text was."""

    def probe(self) -> None:
        """Ask how likely a text is that is certainly several tokens long."""
        # With a letter that takes more than one byte: some count bytes, and we count letters.
        reply = self._probed("completions", self._given("Eén café drie vier"))
        try:
            self._likelihood(reply, "Eén café", " drie vier")
        except Unreadable as error:
            wanted = "prompt_logprobs" if self._spec.prompt_logprobs else "echo"
            raise self._cannot(
                f"{error}; a service without {wanted} is opened with the adapter chat"
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
            self._given(context + continuation),
            lambda reply: self._likelihood(reply, context, continuation),
        )

    def _given(self, text: str) -> dict[str, Any]:
        """Return a body that asks how likely every token of a text is."""
        # One token more is the least that every service agrees to; nobody looks at it.
        body = {"prompt": text, "max_tokens": 1, "temperature": 0}
        if self._spec.prompt_logprobs:
            # Of the token itself alone, and with it its rank.
            return body | {"prompt_logprobs": 0}
        return body | {"echo": True, "logprobs": 1}

    def _likelihood(self, reply: Reply, context: str, continuation: str) -> Likelihood:
        choice, text = _choice(reply), context + continuation
        read = prompted if self._spec.prompt_logprobs else echoed
        return _sum(read(choice, text), len(context), len(text))

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
        raise Unreadable("the reply has no choices")
    choice: dict[str, Any] = choices[0]
    return choice


def _message(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Unreadable("the first choice has no message")
    return message


def _finish(choice: Mapping[str, Any]) -> Finish:
    said = choice.get("finish_reason")
    if not isinstance(said, str) or said not in FINISHES:
        raise Unreadable(f"it ended with the unknown finish_reason {str(said)[:40]!r}")
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
    said = Generation(
        text=text,
        finish=_finish(choice),
        tokens=tokens,
        prompt_tokens=prompt_tokens,
        logprobs=_logprobs(choice) if request.logprobs else (),
        reasoning="\n\n".join(filter(None, (beside, inside))),
    )
    return _stopped(said, request)


def _stopped(said: Generation, request: Generate) -> Response:
    """Stop where the request says, if the service did not."""
    cut = cut_at_stop(said.text, request.stop)
    if cut is None:
        return said
    if request.logprobs:
        # Which tokens stand behind the stop cannot be told from their number alone.
        return Failure("error", "the service answered, but went on behind the stop text")
    return replace(said, text=cut, finish="stop")


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
            raise Unreadable("its message is no text")


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
        raise Unreadable("no log-probabilities came back though they were asked for")
    try:
        return tuple(float(token["logprob"]) for token in content)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Unreadable("its log-probabilities are no numbers") from None


def _continued(reply: Reply, request: Generate) -> Response:
    choice = _choice(reply)
    text = choice.get("text")
    if not isinstance(text, str):
        raise Unreadable("the first choice has no text")
    tokens, prompt_tokens = _usage(reply)
    logprobs = token_logprobs(choice) if request.logprobs else ()
    said = Generation(text, _finish(choice), tokens, prompt_tokens, logprobs)
    return _stopped(said, request)


def _sum(tokens: Sequence[Given], start: int, end: int) -> Likelihood:
    """Add up the tokens that begin inside the continuation.

    A token that begins in the context and ends in the continuation belongs to the context, as in
    ADR 0004.
    """
    if any(token.begin < start <= token.until for token in tokens):
        raise Unreadable("it cannot be seen which tokens are the continuation's")
    inside = [token for token in tokens if start <= token.begin < end]
    known = [token.logprob for token in inside if token.logprob is not None]
    if not known or len(known) < len(inside):
        raise Unreadable("no log-probabilities of the given text came back")
    likeliest = [token.likeliest for token in inside if token.likeliest is not None]
    return Likelihood(
        total=sum(known),
        tokens=len(known),
        prompt_tokens=sum(token.begin < start for token in tokens),
        greedy=all(likeliest) if len(likeliest) == len(inside) else None,
    )


def _usage(reply: Reply) -> tuple[int | None, int | None]:
    """Return tokens said and tokens read, each None where the service does not count them."""
    usage = reply.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    said, read = counts.get("completion_tokens"), counts.get("prompt_tokens")
    return _count(said), _count(read)


def _count(given: object) -> int | None:
    # True is an int too, and a negative count would lower the bill.
    return given if type(given) is int and given >= 0 else None
