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
from threading import Lock
from time import monotonic, sleep
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


class Unusable(Exception):  # noqa: N818 - not an error of the code, but an end of the asking
    """Nothing more can be asked; says why."""


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
        wait: Callable[[float], object] = sleep,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Read the key and the certificates; nothing is sent yet.

        Args:
            spec: the card's endpoint.
            folder: of the card; `ca_file` lies beside it.
            wait: sleeps so many seconds.
            clock: seconds, never back.

        Raises:
            CandidateError: the key is not in the environment, or the CA file cannot be read.
        """
        self.purse = Purse(spec.budget, spec.price)
        self.troubles: Counter[str] = Counter()
        self._spec = spec
        self._key = _key(spec)
        self._wait = wait
        self._clock = clock
        self._bucket = Bucket(spec.requests_per_minute, spec.concurrency, clock=clock, sleep=wait)
        self._luck = Random(0)  # noqa: S311 - spreads waiting, protects nothing
        self._lost_in_a_row = 0
        self._lock = Lock()
        self._client = httpx.Client(
            base_url=spec.url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=spec.timeout_seconds,
            verify=_certificates(spec, folder),
            limits=httpx.Limits(
                max_connections=spec.concurrency, max_keepalive_connections=spec.concurrency
            ),
        )

    def post(
        self, path: str, body: Mapping[str, Any], *, attempts: int | None = None
    ) -> Reply | Failure:
        """Send one request until it is answered or given up.

        Raises:
            Unusable: the budget is spent, the key is refused, there is no such model or address,
                or the service has not answered for a while.
        """
        attempts = attempts or self._spec.attempts
        # Services that know this header do not count a repetition twice.
        headers = {"Idempotency-Key": uuid4().hex}
        trouble = _Trouble("error", "not asked")
        for attempt in range(1, attempts + 1):
            if why := self.purse.claim():
                raise Unusable(why)
            self._bucket.take()
            found = self._attempt(path, body, headers)
            if not isinstance(found, _Trouble):
                self._lost_in_a_row = 0
                return found
            trouble = found
            luck = self._note(trouble)
            if attempt < attempts:
                now = datetime.now(UTC)
                self._wait(wait_after(attempt, trouble.retry_after, luck, now=now))
        return self._give_up(trouble, attempts)

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
        return Failure(trouble.kind, f"asked {times}: {trouble.reason}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _attempt(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Reply | Failure | _Trouble:
        try:
            status, text, retry_after = self._send(path, body, headers)
        except httpx.TimeoutException:
            return _Trouble("timeout", f"no answer within {self._spec.timeout_seconds:g} seconds")
        except httpx.TransportError as error:
            if _is_certificate(error):
                raise Unusable(
                    "its certificate is not trusted; a CA file of your own can be named in ca_file"
                ) from None
            return _Trouble("error", _transport(error))
        except _TooLargeError:
            return Failure("error", f"the reply is larger than {MOST_BYTES // 2**20} MiB")
        if status == 200:
            try:
                reply = json.loads(text)
            except ValueError:
                reply = None
            if isinstance(reply, dict):
                return reply
            return _Trouble("error", f"the reply is not a JSON object: {_start(text)}")
        return self._refusal(status, text, retry_after)

    def _refusal(self, status: int, text: str, retry_after: str | None) -> Failure | _Trouble:
        said = _said(text)
        if status in {401, 403}:
            key = self._spec.key_env
            held = f"the key in {key}" if key else "a call without a key"
            raise Unusable(f"{held} is refused (HTTP {status}): {said}")
        if status == 404:
            raise Unusable(f"there is no such address or model (HTTP 404): {said}")
        if status in PASSING or status >= 500:
            return _Trouble("error", f"HTTP {status}: {said}", retry_after)
        if status in OURS:
            long = "context" in said.lower() and "length" in said.lower()
            return Failure("too_long" if long else "error", f"HTTP {status}: {said}")
        raise Unusable(f"HTTP {status}: {said}")

    def _send(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, str, str | None]:
        """Return status, text without the key, and Retry-After."""
        # Byte for byte as it drips in: the client's own limit is on the time between two bytes.
        until = self._clock() + self._spec.timeout_seconds
        raw = bytearray()
        with self._client.stream("POST", path, json=body, headers=dict(headers)) as response:
            for piece in response.iter_bytes():
                raw += piece
                if len(raw) > MOST_BYTES:
                    raise _TooLargeError
                if self._clock() > until:
                    raise httpx.ReadTimeout("too slow")
        text = raw.decode("utf-8", errors="replace")
        # Some services repeat the key in what they say about it; nobody may read it there.
        hidden = text.replace(self._key, "[key]") if self._key else text
        return response.status_code, hidden, response.headers.get("retry-after")


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


def _transport(error: httpx.TransportError) -> str:
    match error:
        case httpx.ConnectError():
            return "no connection: is the address right, and does the service run?"
        case httpx.RemoteProtocolError():
            return "the answer was cut off"
        case _:
            return f"the connection was lost ({type(error).__name__})"


def _said(text: str) -> str:
    """Return what an error reply says, in one short line."""
    try:
        reply = json.loads(text)
    except ValueError:
        return _start(text)
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return _start(str(message or text))


def _start(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 120 else line[:119] + "…") if line else "empty"
