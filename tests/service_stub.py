"""A service that does as a test says, and the candidates that ask it."""

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from time import sleep
from typing import Any

import pytest

from toetssteen.candidates import Candidate
from toetssteen.candidates.openai import open_chat, open_completions
from toetssteen.candidates.service import Service
from toetssteen.records import Generate, Message
from toetssteen.spec import CandidateSpec, parse

KEY = "sk/geheim+0123456789="
Raw = dict[str, Any]
OPEN: list[Candidate] = []  # what a test opened, closed behind it


def said(text: str, **more: Any) -> Raw:
    """Return the body of a chat reply."""
    return {
        "model": "stub-1",
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        **more,
    }


def echoed(prompt: str) -> Raw:
    """Return a completion that repeats the prompt: every word a token, worth minus its length."""
    words = [(found.start(), found[0]) for found in re.finditer(r"\s*\S+", prompt)]
    numbers: list[float | None] = [-float(len(word.strip())) for _, word in words]
    return {
        "model": "stub-1",
        "choices": [
            {
                "text": prompt + " en",
                "finish_reason": "length",
                "logprobs": {
                    "tokens": [*(word for _, word in words), " en"],
                    "token_logprobs": [None, *numbers[1:], -0.5],
                    "text_offset": [*(at for at, _ in words), len(prompt)],
                },
            }
        ],
        "usage": {"prompt_tokens": len(words), "completion_tokens": 1},
    }


@dataclass
class Stub:
    """A service that does as the test says, and remembers what it was asked."""

    act: Callable[[Raw, "Handler"], None]
    url: str = ""
    bodies: list[Raw] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class Handler(BaseHTTPRequestHandler):
    """One request to the stub."""

    protocol_version = "HTTP/1.1"
    stub: Stub

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.stub.lock:
            self.stub.bodies.append(body)
            self.stub.headers.append(dict(self.headers))
        self.stub.act(body, self)

    def reply(self, status: int, body: Any, **headers: str) -> None:
        """Send a whole reply; a text as it is, anything else as JSON."""
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def cut_off(self) -> None:
        """Promise more than is sent."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.close_connection = True

    def reset(self) -> None:
        """Break the connection off."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()

    def drip(self, seconds: float) -> None:
        """Send a byte now and then."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        try:
            for _ in range(int(seconds / 0.02)):
                self.wfile.write(b" ")
                sleep(0.02)
        except OSError:
            pass  # the other side has had enough
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A connection that was broken off on purpose is no error."""


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Raw, Handler], None]], Stub]]:
    """Return a function that starts a stub on the loopback."""
    servers: list[Server] = []

    def start(act: Callable[[Raw, Handler], None]) -> Stub:
        stub = Stub(act)
        server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"stub": stub}))
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        return stub

    yield start
    while OPEN:
        OPEN.pop().close()
    for server in servers:
        server.shutdown()
        server.server_close()


Serve = Callable[[Callable[[Raw, Handler], None]], Stub]


def card(
    url: str, adapter: str = "chat", *, more: Raw | None = None, **endpoint: Any
) -> CandidateSpec:
    raw = {
        "title": "Dienst",
        "adapter": {"name": adapter},
        "licence": "onbekend",
        "endpoint": {"url": url, "model": "model-x"} | endpoint,
        **(more or {}),
    }
    return parse(CandidateSpec, raw, "dienst.yaml")


def opened(spec: CandidateSpec, tmp_path: Path, waits: list[float] | None = None) -> Candidate:
    """Open a candidate that does not really wait between attempts."""
    assert spec.endpoint is not None
    kept = [] if waits is None else waits
    service = Service(spec.endpoint, tmp_path, wait=kept.append)
    make = open_chat if spec.adapter.name == "chat" else open_completions
    candidate = make(spec, tmp_path, service=service)
    OPEN.append(candidate)
    return candidate


def ask(text: str, **more: Any) -> Generate:
    return Generate((Message("user", text),), 8, **more)


def parrot(body: Raw, handler: Handler) -> None:
    """Repeat the last message, or the prompt with its log-probabilities."""
    if "prompt" in body:
        handler.reply(200, echoed(body["prompt"]))
    else:
        handler.reply(200, said(body["messages"][-1]["content"].upper()))
