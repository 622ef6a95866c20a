"""A service over HTTP: paced, within a budget, asked again where that may help, never for ever.

What an answer means is not known here. One request ends as the JSON that came back, as a `Failure`
that concerns this request alone, or as `Unusable`: then nothing more can be asked.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from ssl import SSLCertVerificationError, SSLContext, SSLError, create_default_context
from threading import Event, Lock
from time import monotonic
from typing import Any, Literal
from uuid import uuid4

import httpx

from toetssteen.candidates.pacing import Bucket, Purse, wait_after
from toetssteen.errors import CandidateError
from toetssteen.records import Failure
from toetssteen.spec import EndpointSpec

Reply = dict[str, Any]

MOST_BYTES = 32 * 2**20  # of one reply; more is not an answer, and would fill the memory
SHORTEST_KEY = 8  # a shorter one might be part of any text, and could not be kept out of it
LOST_IN_A_ROW = 10  # requests given up one after another: the service is gone
PASSING = frozenset({408, 409, 425, 429})  # and every 5xx
OURS = frozenset({400, 413, 422})  # something about this one request
FILTERED = frozenset({"content_filter", "content_policy_violation"})  # of an error, as its code


class Unusable(Exception):  # noqa: N818 - not an error of the code, but an end of the asking
    """Nothing more can be asked; says why."""


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
    """An OpenAI-compatible address, with its key, its pace and its budget; safe over threads."""

    def __init__(
        self,
        spec: EndpointSpec,
        folder: Path,
        *,
        wait: Callable[[float], object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Read the key and the certificates; nothing is sent yet.

        Args:
            spec: the card's endpoint.
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
        self._key = _key(spec)
        self._halted = Event()
        self._why = ""
        self._wait = wait or self._halted.wait
        self._clock = clock
        self._bucket = Bucket(
            spec.requests_per_minute, spec.concurrency, clock=clock, sleep=self._wait
        )
        self._luck = Random()  # noqa: S311 - spreads waiting, protects nothing
        self._lost_in_a_row = 0
        self._answered = False
        self._lock = Lock()
        self._client = _client(spec, folder, self._key)

    def post(
        self, path: str, body: Mapping[str, Any], *, attempts: int | None = None
    ) -> Reply | Failure:
        """Send one request until it is answered or given up.

        Raises:
            Unusable: the budget is spent, the key is refused, there is no such model or address,
                the service has not answered for a while, or somebody called `halt`.
        """
        attempts = attempts or self._spec.attempts
        # Services that know this header do not count a repetition twice.
        headers = {"Idempotency-Key": uuid4().hex}
        trouble = _Trouble("error", "not asked")
        for attempt in range(1, attempts + 1):
            self._bucket.take()
            if self._halted.is_set():
                raise Unusable(self._why)
            if why := self.purse.claim():
                raise Unusable(why)
            found = self._attempt(path, body, headers)
            if not isinstance(found, _Trouble):
                with self._lock:
                    self._lost_in_a_row = 0
                    self._answered = self._answered or not isinstance(found, Failure)
                return found
            trouble = found
            luck = self._note(trouble)
            if attempt < attempts:
                now = datetime.now(UTC)
                self._wait(wait_after(attempt, trouble.retry_after, luck, now=now))
        return self._give_up(trouble, attempts)

    def halt(self, why: str) -> None:
        """Send nothing more, for the first reason that is given; what is under way still comes."""
        with self._lock:
            self._why = self._why or why
        self._halted.set()

    def _note(self, trouble: _Trouble) -> float:
        """Count what went wrong; return a draw for the waiting."""
        with self._lock:
            # Without what the service says, which may differ each time.
            self.troubles[trouble.reason.partition(":")[0]] += 1
            return self._luck.random()

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
        if status != 200:
            return self._refusal(status, reply, said, retry_after)
        if not isinstance(reply, dict):
            return _Trouble("error", f"the reply is not a JSON object: {said}")
        if "error" in reply and not reply.get("choices"):
            return _Trouble("error", f"the service reports an error: {said}")
        return reply

    def _lost(self, error: httpx.RequestError) -> _Trouble:
        """Say why no answer came in."""
        if _is_certificate(error):
            raise Unusable(
                "its certificate is not trusted; a CA file of your own can be named in ca_file"
            ) from None
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
        if status in OURS:
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
        with self._client.stream("POST", path, json=body, headers=dict(headers)) as response:
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
                for form in _forms(self._key):
                    whole = whole.replace(form, "[key]")
                return whole
            case list():
                return [self._cleaned(one) for one in value]
            case dict():
                return {self._cleaned(name): self._cleaned(one) for name, one in value.items()}
            case _:
                return value


class _TooLargeError(Exception):
    pass


def _key(spec: EndpointSpec) -> str:
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


def _client(spec: EndpointSpec, folder: Path, key: str) -> httpx.Client:
    headers = {"Accept-Encoding": "identity"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    most = spec.concurrency
    try:
        return httpx.Client(
            base_url=spec.url.rstrip("/") + "/",
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


def _certificates(spec: EndpointSpec, folder: Path) -> SSLContext:
    if spec.ca_file is None:
        return create_default_context()
    file = folder / spec.ca_file
    try:
        return create_default_context(cafile=file)
    except (OSError, SSLError):
        raise CandidateError(f"{file}: is no file with PEM certificates") from None


def _is_certificate(error: BaseException | None) -> bool:
    """Is a certificate the cause? httpx wraps what ssl says, more than once."""
    while error is not None:
        if isinstance(error, SSLCertVerificationError) or "CERTIFICATE_VERIFY" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


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


def _forms(key: str) -> tuple[str, ...]:
    """Return the ways in which a key may stand in a text, also in JSON within a text."""
    escaped = json.dumps(key)[1:-1]
    return (key, escaped, escaped.replace("/", "\\/")) if key else ()


def _start(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 120 else line[:119] + "…") if line else "empty"
