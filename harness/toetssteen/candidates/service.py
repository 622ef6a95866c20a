"""A service over HTTP: paced, within a budget, asked again where that may help, never for ever.

What an answer means is not known here. One request ends as the JSON that came back, as a `Failure`
that concerns this request alone, or as `Unusable`: then nothing more can be asked.
"""

import json
import os
import re
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from random import Random
from ssl import SSLCertVerificationError, SSLContext, SSLError, create_default_context
from threading import Event, Lock
from time import monotonic
from typing import Any, Literal
from uuid import uuid4

import httpx

from toetssteen.candidates.pacing import Bucket, Purse, asked_wait, wait_after
from toetssteen.errors import CandidateError
from toetssteen.records import Failure
from toetssteen.spec import EndpointSpec, ServiceSpec

Reply = dict[str, Any]

MOST_BYTES = 32 * 2**20  # of one reply; more is not an answer, and would fill the memory
SHORTEST_KEY = 8  # a shorter one might be part of any text, and could not be kept out of it
LOST_IN_A_ROW = 10  # requests given up one after another: the service is gone
REFUSED_IN_A_ROW = 25  # requests refused one after another: it is not about the requests
PASSING = frozenset({408, 409, 425, 429})  # and every 5xx
# Nobody pays, nothing may be sent there, nothing is there any more; other 4xx are about a request.
ENDING = frozenset({402, 405, 410})
FILTERED = frozenset({"content_filter", "content_policy_violation"})  # of an error, as its code


class Unusable(Exception):  # noqa: N818 - not an error of the code, but an end of the asking
    """Nothing more can be asked; says why."""


class Unreadable(Exception):  # noqa: N818 - becomes a Failure of one request
    """A reply is not what the interface promises; says how."""


@dataclass(frozen=True, slots=True)
class GivenUp(Failure):
    """A request that was tried as often as the card allows."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """An attempt that failed in a way that may pass."""

    kind: Literal["error", "timeout"]
    reason: str
    retry_after: str | None = None


class Service:
    """An address, with its key, its pace and its budget; safe over threads."""

    def __init__(
        self,
        spec: ServiceSpec,
        folder: Path,
        *,
        wait: Callable[[float], object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Read the key and the certificates; nothing is sent yet.

        Args:
            spec: the card's endpoint or route.
            folder: of the card; `ca_file` lies beside it.
            wait: sleeps so many seconds; until then or until `halt` unless given.
            clock: seconds, never back.

        Raises:
            CandidateError: the key is not in the environment, the CA file cannot be read, or the
                proxy that the environment names cannot be used.
        """
        self.purse = Purse(spec.budget, spec.price)
        self.troubles: Counter[str] = Counter()
        self._spec = spec
        key = _key(spec)
        self._traces = re.compile(_traces(key)) if key else None
        self._halted = Event()
        self._why = ""
        self._wait = wait or self._halted.wait
        self._clock = clock
        self._bucket = Bucket(
            spec.requests_per_minute, spec.concurrency, clock=clock, sleep=self._wait
        )
        self._luck = Random()  # noqa: S311 - spreads waiting, protects nothing
        self._ready = clock()  # before this moment the service wants to be left alone
        self._lost_in_a_row = 0
        self._refused_in_a_row = 0
        self._answered = False
        self._lock = Lock()
        self._client = _client(spec, folder, key)

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        attempts: int | None = None,
    ) -> Reply | Failure:
        """Send one request until it is answered or given up.

        Raises:
            Unusable: the budget is spent, the key is refused, there is no such model or address,
                the service has not answered for a while, or somebody called `halt`.
        """
        attempts = attempts or self._spec.attempts
        # Services that know this header do not count a repetition twice.
        headers = {**(headers or {}), "Idempotency-Key": uuid4().hex}
        trouble = _Trouble("error", "not asked")
        ready = self._clock()
        for attempt in range(1, attempts + 1):
            self._bucket.take()
            self._wait_until(ready)
            if self._halted.is_set():
                raise Unusable(self._why)
            if why := self.purse.claim():
                raise Unusable(why)
            found = self._attempt(path, body, headers)
            if not isinstance(found, _Trouble):
                self._note_answer(found)
                return found
            trouble = found
            ready = self._note_trouble(trouble, attempt)
        return self._give_up(trouble, attempts)

    def pay(self, prompt_tokens: int | None, tokens: int | None) -> None:
        """Count what an answer costs; if nobody knows, it was the last one within a budget."""
        self.purse.pay(prompt_tokens or 0, tokens or 0)
        if self.counts_euros and (prompt_tokens is None or tokens is None):
            # This answer is kept, and nobody knows what the next would cost.
            self.halt("it stopped counting tokens, so the budget in euros cannot be kept")

    @property
    def counts_euros(self) -> bool:
        """Is there a budget in euros?"""
        return self._spec.budget is not None and self._spec.budget.euros is not None

    def halt(self, why: str) -> None:
        """Send nothing more, for the first reason that is given; what is under way still comes."""
        with self._lock:
            self._why = self._why or why
        self._halted.set()

    def _wait_until(self, ready: float) -> None:
        """Wait until then, and as long as the service wants to be left alone.

        It may say so to one thread while another waits; what was waited for is not waited again.
        """
        waited = float("-inf")
        while (until := max(ready, self._ready)) > waited and not self._halted.is_set():
            if (seconds := until - self._clock()) > 0:
                self._wait(seconds)
            waited = until

    def _note_answer(self, found: Reply | Failure) -> None:
        with self._lock:
            self._lost_in_a_row = 0
            if not isinstance(found, Failure):
                self._answered, self._refused_in_a_row = True, 0
                return
            # A long text or a filtered one says nothing about the next.
            self._refused_in_a_row += found.why == "error"
            refused = self._refused_in_a_row
        if refused >= REFUSED_IN_A_ROW:
            self.halt(f"{refused} requests in a row were refused, the last: {found.reason}")

    def _note_trouble(self, trouble: _Trouble, attempt: int) -> float:
        """Count what went wrong; return the moment at which this request may be sent again."""
        now, moment = self._clock(), datetime.now(UTC)
        with self._lock:
            # Without what the service says, which may differ each time.
            self.troubles[trouble.reason.partition(":")[0]] += 1
            # What it asks of one thread holds for all: it is one candidate that is too fast.
            self._ready = max(self._ready, now + asked_wait(trouble.retry_after, moment))
            luck = self._luck.random()
        return now + wait_after(attempt, trouble.retry_after, luck, now=moment)

    def _give_up(self, trouble: _Trouble, attempts: int) -> Failure:
        with self._lock:
            self._lost_in_a_row += 1
            lost = self._lost_in_a_row
        if lost >= LOST_IN_A_ROW:
            raise Unusable(f"{lost} requests in a row were given up, the last: {trouble.reason}")
        times = "once" if attempts == 1 else f"{attempts} times"
        return GivenUp(trouble.kind, f"asked {times}: {trouble.reason}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _attempt(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Reply | Failure | _Trouble:
        try:
            status, text, retry_after = self._send(path, body, headers)
        except _TooLargeError:
            return Failure("error", f"the reply is larger than {MOST_BYTES // 2**20} MiB")
        except httpx.RequestError as error:
            return self._lost(error)
        reply = self._cleaned(_parsed(text))
        said = _said(reply) if reply is not None else _start(self._cleaned(text))
        if not 200 <= status < 300:
            return self._refusal(status, reply, said, retry_after)
        if not isinstance(reply, dict):
            return _Trouble("error", f"the reply is not a JSON object: {said}")
        # Elsewhere a key of that name may mean anything.
        compatible = isinstance(self._spec, EndpointSpec)
        if compatible and "error" in reply and not reply.get("choices"):
            return _Trouble("error", f"the service reports an error: {said}")
        return reply

    def _lost(self, error: httpx.RequestError) -> _Trouble:
        """Say why no answer came in."""
        if why := _no_tls(error):
            raise Unusable(why) from None
        match error:
            case httpx.TimeoutException():
                seconds = self._spec.timeout_seconds
                return _Trouble("timeout", f"no answer within {seconds:g} seconds")
            case httpx.DecodingError():
                return _Trouble("error", "the answer cannot be unpacked")
            case httpx.ConnectError():
                return _Trouble(
                    "error", "no connection: is the address right, and does the service run?"
                )
            case httpx.RemoteProtocolError():
                return _Trouble("error", "the answer was cut off")
            case _:
                return _Trouble("error", f"the connection was lost ({type(error).__name__})")

    def _refusal(
        self, status: int, reply: object, said: str, retry_after: str | None
    ) -> Failure | _Trouble:
        code = _code(reply)
        # Some services refuse a prompt with the status of a refused key.
        if code in FILTERED or (status == 403 and self._answered):
            return Failure("refused", f"HTTP {status}: {said}")
        if status in {401, 403}:
            key = self._spec.key_env
            held = f"the key in {key}" if key else "a call without a key"
            raise Unusable(f"{held} is refused (HTTP {status}): {said}")
        if status == 404:
            raise Unusable(f"there is no such address or model (HTTP 404): {said}")
        if status in PASSING or status >= 500:
            return _Trouble("error", f"HTTP {status}: {said}", retry_after)
        if 400 <= status < 500 and status not in ENDING:
            long = status == 413 or code == "context_length_exceeded" or _is_too_long(reply)
            return Failure("too_long" if long else "error", f"HTTP {status}: {said}")
        raise Unusable(f"HTTP {status}: {said}")

    def _send(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, str, str | None]:
        """Return status, text and Retry-After."""
        # Piece for piece as it drips in: the client's own limit is on the time between two.
        until = self._clock() + self._spec.timeout_seconds
        raw, late = bytearray(), False
        url = f"{self._spec.url.rstrip('/')}/{path}" if path else self._spec.url
        with self._client.stream("POST", url, json=body, headers=dict(headers)) as response:
            for piece in response.iter_bytes():
                if late:
                    raise httpx.ReadTimeout("too slow")
                raw += piece
                if len(raw) > MOST_BYTES:
                    raise _TooLargeError
                late = self._clock() > until  # what is whole by now still counts: it is paid for
        self._client.cookies.clear()  # no request should know of another
        text = raw.decode("utf-8", errors="replace")
        return response.status_code, text, response.headers.get("retry-after")

    def _cleaned(self, value: Any) -> Any:  # noqa: ANN401 - what JSON holds
        """Return a reply without the key, and without torn characters, which no file can hold.

        Some services repeat the key in what they say about it; nobody may read it there.
        """
        match value:
            case str():
                whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                return self._traces.sub("[key]", whole) if self._traces else whole
            case list():
                return [self._cleaned(one) for one in value]
            case dict():
                return {self._cleaned(name): self._cleaned(one) for name, one in value.items()}
            case _:
                return value


class _TooLargeError(Exception):
    pass


def _key(spec: ServiceSpec) -> str:
    if spec.key_env is None:
        return ""
    key = os.environ.get(spec.key_env, "").strip()
    if not key:
        raise CandidateError(
            f"{spec.url}: the environment variable {spec.key_env} is not set; it should hold the "
            "key"
        )
    if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable():
        raise CandidateError(
            f"{spec.url}: what {spec.key_env} holds is no key: it should be {SHORTEST_KEY} or "
            "more plain characters; a service that needs none is asked without key_env"
        )
    return key


def _client(spec: ServiceSpec, folder: Path, key: str) -> httpx.Client:
    headers = {"Accept-Encoding": "identity"}
    if key and spec.key_header is None:
        headers["Authorization"] = f"Bearer {key}"
    elif key and spec.key_header is not None:
        headers[spec.key_header] = key
    most = spec.concurrency
    try:
        return httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(spec.timeout_seconds, connect=min(spec.timeout_seconds, 10)),
            verify=_certificates(spec, folder),
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
            # A proxy is not this machine: what is meant for a neighbour would leave it.
            trust_env=not spec.near,
        )
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise CandidateError(
            f"{spec.url}: cannot be asked through the proxy that the environment names: "
            f"{type(error).__name__}"
        ) from None


def _certificates(spec: ServiceSpec, folder: Path) -> SSLContext:
    if spec.ca_file is None:
        return create_default_context()
    file = folder / spec.ca_file
    try:
        return create_default_context(cafile=file)
    except (OSError, SSLError):
        raise CandidateError(f"{file}: is no file with PEM certificates") from None


def _no_tls(error: BaseException | None) -> str:
    """Return why no private connection can be made, if that is so and will remain so."""
    said = ""
    while error is not None:  # httpx wraps what ssl says, more than once
        said += f" {error}"
        if isinstance(error, SSLCertVerificationError):
            said += " CERTIFICATE_VERIFY"
        error = error.__cause__ or error.__context__
    if "WRONG_VERSION_NUMBER" in said:
        return "no TLS is spoken there; is it plain http, or another port?"
    if "CERTIFICATE_VERIFY" not in said:
        return ""
    if "mismatch" in said:
        return "its certificate is for another name; is the address right?"
    if "has expired" in said:
        return "its certificate has expired"
    return "its certificate is not trusted; a CA file of your own can be named in ca_file"


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _said(reply: object) -> str:
    """Return what an error reply says, in one short line."""
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return _start(str(message or json.dumps(reply)))


def _code(reply: object) -> str:
    error = reply.get("error") if isinstance(reply, dict) else None
    return str(error.get("code") or "") if isinstance(error, dict) else ""


def _is_too_long(reply: object) -> bool:
    """Do the words say that the context is too small? Not every service has a code for it."""
    words = json.dumps(reply).lower()
    return "context" in words and ("length" in words or "size" in words)


def _traces(key: str) -> str:
    """Return a pattern of the ways in which a key may stand in a text.

    As it is; escaped in whole or in part, as JSON, an address or HTML does it; and in base64,
    where what stands before it decides which of three ways it is written.
    """
    coded = []
    for shift in range(3):
        # The letters at both ends also hold bits of what stands beside the key.
        first, last = (8 * shift + 5) // 6, 8 * (shift + len(key)) // 6
        held = bytes(shift) + key.encode()
        coded += [encode(held).decode()[first:last] for encode in (b64encode, urlsafe_b64encode)]
    return "|".join(["".join(map(_escaped, key)), *map(re.escape, coded)])


def _escaped(letter: str) -> str:
    """Return a pattern of a letter and of its escapes."""
    plain, code = re.escape(letter), ord(letter)
    in_html = rf"&#(?:0*{code}|[xX]0*(?i:{code:02x}));|{re.escape(escape(letter))}"
    return rf"(?:\\*{plain}|%(?i:{code:02x})|\\+u(?i:{code:04x})|{in_html})"


def _start(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 120 else line[:119] + "…") if line else "empty"
