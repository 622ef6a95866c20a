"""Nowhere is the key: not in a file, not in MLflow, not in a log, not on the screen."""

import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from click.testing import CliRunner, Result

from service_stub import KEY, Handler, Raw, Serve, ask, card, opened, said
from toetssteen.cli import main
from toetssteen.records import Failure, Generation

CARD = """\
title: Dienst
adapter: {{name: chat}}
licence: onbekend
endpoint:
  url: {url}
  model: model-x
  key_env: DIENST_SLEUTEL
  concurrency: 1
  attempts: 2
  budget: {{requests: {budget}}}
"""


def written(key: str) -> list[str]:
    """Return the ways in which a key could stand somewhere; of base64 what is always the same."""
    forms = {key, quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1]}
    forms |= {quote(key, safe="").lower(), key.replace("/", "\\/")}
    for before in ("", "B", "Be"):
        for encode in (b64encode, urlsafe_b64encode):
            # Four letters hold three bytes; the outer ones are mixed with what stands beside.
            forms.add(encode((before + key).encode()).decode()[4:-4])
    return sorted(forms)


def indiscreet(count: list[int]) -> object:
    """Return a service that repeats the key in every way, in answers and in refusals."""

    def act(body: Raw, handler: Handler) -> None:
        count[0] += 1
        bearer = handler.headers["Authorization"]
        coded = b64encode(bearer.encode()).decode()
        leak = f"{bearer} {quote(KEY, safe='')} {coded} {b64encode(KEY.encode()).decode()}"
        if body["messages"][-1]["content"] == "Ja?":
            handler.reply(200, said(leak, system_fingerprint=leak))
        elif count[0] % 5 == 1:
            escaped = json.dumps({"error": {"message": leak}}).replace("/", "\\/")
            handler.reply(400, escaped)
        elif count[0] % 5 == 2:
            handler.reply(500, f"<html>{leak}")
        elif count[0] % 5 == 3:
            handler.reply(422, {"detail": leak, "headers": {"Authorization": bearer}})
        else:
            handler.reply(200, said(leak, model=f"model {leak}"))

    return act


def test_a_run_with_failures_leaves_no_trace_of_the_key(
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Two calls, the first of which runs out of budget, tracked to a local MLflow."""
    monkeypatch.setenv("DIENST_SLEUTEL", KEY)
    monkeypatch.setattr("toetssteen.candidates.service.wait_after", lambda *_, **__: 0.0)
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    stub = serve(indiscreet([0]))  # type: ignore[arg-type]
    file = tmp_path / "lab" / "models" / "dienst.yaml"
    file.parent.mkdir(parents=True)

    def run(budget: int) -> Result:
        file.write_text(CARD.format(url=stub.url, budget=budget), encoding="utf-8")
        words = ["run", "privacy/identifiers", "-c", "dienst", "--path", "lab", "--runs", "runs"]
        return CliRunner().invoke(main, [*words, "--tracking", "sqlite:///mlflow.db"])

    first = run(12)
    assert first.exit_code == 1
    assert "the budget of 12 requests is spent" in first.output
    second = run(100)
    assert second.exit_code == 0, second.output

    # Nothing that was answered or refused was asked twice; what broke off was, and once more.
    asked = Counter(json.dumps(body["messages"]) for body in stub.bodies)
    assert asked.pop('[{"role": "user", "content": "Ja?"}]') == 2  # each call tries it out
    assert len(asked) == 32
    assert set(asked.values()) == {1, 2}
    (folder,) = (tmp_path / "runs").iterdir()
    answers = (folder / "answers.jsonl").read_text()
    assert "[key]" in answers
    assert answers.count("HTTP 400") > 4
    assert answers.count("HTTP 422") > 4

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    kinds = {path.name for path in files}
    assert {"answers.jsonl", "results.json", "report.nl.html", "mlflow.db"} <= kinds
    assert sum(path.name == "results.json" for path in files) == 2  # and as an artifact of MLflow
    out, err = capfd.readouterr()
    said_aloud = first.output + second.output + caplog.text + out + err
    assert "httpx" in caplog.text  # the log of the library itself was looked at too
    for form in written(KEY):
        assert not [path for path in files if form.encode() in path.read_bytes()], form
        assert form not in said_aloud, form


@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_a_key_is_found_however_it_is_written(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """What stands before a key decides how base64 writes it."""
    monkeypatch.setenv("DIENST_SLEUTEL", KEY)
    coded = b64encode(f"{before}{KEY} en meer".encode()).decode()
    mixed = f"{quote(KEY)} {KEY.replace('/', '%2f')} {KEY.replace('+', '&#43;')}"
    stub = serve(lambda _, h: h.reply(200, said(f"{coded} {mixed} {KEY}")))
    (answer,) = opened(card(stub.url, key_env="DIENST_SLEUTEL"), tmp_path).answer([ask("ja?")])
    assert isinstance(answer, Generation)
    assert answer.text.count("[key]") == 5
    assert not [form for form in written(KEY) if form in answer.text]


def test_a_key_goes_in_the_header_that_the_card_names(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIENST_SLEUTEL", KEY)
    stub = serve(
        lambda _, h: (
            h.reply(400, {"error": h.headers["X-Sleutel"]})
            if _["messages"][-1]["content"] == "fout"
            else h.reply(200, said("ja"))
        )
    )
    spec = card(stub.url, key_env="DIENST_SLEUTEL", key_header="X-Sleutel")
    (refused,) = opened(spec, tmp_path).answer([ask("fout")])
    assert stub.headers[-1]["X-Sleutel"] == KEY
    assert "Authorization" not in stub.headers[-1]
    assert refused == Failure("error", "HTTP 400: '[key]'")
