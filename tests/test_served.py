"""The embedded model behind an address answers as it does from its weights.

The service is `transformers serve`, with the weights that our own conversion of the GGUF file has
made. Everything that decides an answer is the same on both sides: the chat template of the
tokenizer, `float32`, the likeliest token each time (`temperature: 0`), and the task's own
`max_tokens`. So the answers have to be equal, letter for letter, and they are. Where they are not,
two likeliest tokens lie closer together than single precision can tell apart.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from toetssteen.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("openai") is None, reason="`transformers serve` needs openai: make dev"
    ),
]

ITEMS = "8"
SERVED = """
title: SmolLM2 behind an address
adapter: {{name: chat}}
licence: Apache-2.0
endpoint: {{url: "http://127.0.0.1:{port}/v1", model: {model}, timeout_seconds: 300}}
"""


def toets(*words: str) -> Result:
    return CliRunner().invoke(main, words, catch_exceptions=False)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


@pytest.fixture
def served(embedded: Path, tmp_path: Path) -> Iterator[int]:
    """Return the port at which the embedded model is served while the test runs."""
    port = free_port()
    words = ["serve", str(embedded), "--device", "cpu", "--dtype", "float32"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "serve.log"
    with log.open("w") as out:
        service = subprocess.Popen(
            [str(Path(sys.executable).with_name("transformers")), *words],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", service, log)
            yield port
        finally:
            service.terminate()
            service.wait(timeout=30)


def wait_for(address: str, service: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert service.poll() is None, log.read_text()
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    pytest.fail(f"no answer within five minutes: {log.read_text()}")


def test_weights_and_the_service_of_the_same_weights_answer_alike(
    served: int, embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same quality task by both routes, the check of equivalence, and what `compare` says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    card = SERVED.format(port=served, model=json.dumps(str(embedded)))
    (tmp_path / "models" / "served.yaml").write_text(card)
    names = ("smollm2-135m-instruct", "served")
    said, runs = {}, {}
    for name in names:
        words = ("quality/reading", "--path", ".", "-c", name, "--limit", ITEMS)
        ran = toets("run", *words, "--no-tracking")
        assert ran.exit_code == 0, ran.output
        (runs[name],) = [p for p in Path("runs").iterdir() if f"--{name}--" in p.name]
        said[name] = texts(runs[name])
    assert len(said["served"]) == int(ITEMS)
    assert said["served"] == said["smollm2-135m-instruct"]
    assert estimates(runs["served"]) == estimates(runs["smollm2-135m-instruct"])

    kept = runs["served"] / "equivalence.json"
    words = (*names, "quality/reading", "--path", ".", "--limit", ITEMS, "--json", str(kept))
    found = toets("check", "--equivalence", *words)
    assert found.exit_code == 0, found.output
    (kind,) = json.loads(kept.read_text())["kinds"]
    assert (kind["kind"], kind["compared"], kind["equal"]) == ("generate", int(ITEMS), 1.0)
    compared = toets("compare", *(str(runs[name]) for name in names))
    assert "comparable as one" in " ".join(compared.output.split())


def texts(run: Path) -> dict[str, str]:
    """Return what was answered to every item."""
    lines = [json.loads(line) for line in (run / "answers.jsonl").read_text().splitlines()]
    answers = [line["answer"] for line in lines if line["line"] == "answer"]
    return {answer["item"]: answer["responses"][0]["text"] for answer in answers}


def estimates(run: Path) -> list[object]:
    record = json.loads((run / "results.json").read_text())
    return [result["estimate"] for task in record["tasks"] for result in task["results"]]
