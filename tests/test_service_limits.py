"""How far a service is trusted, how long it is left alone, and when it is asked no more."""

import json
import ssl
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service_stub import Handler, Raw, Serve, Server, Stub, ask, card, opened, parrot, said
from toetssteen.candidates import CandidateStoppedError
from toetssteen.candidates.service import REFUSED_IN_A_ROW, Service, _Trouble
from toetssteen.cli import main
from toetssteen.errors import CandidateError
from toetssteen.records import Failure, Generation
from toetssteen.run.sessions import changed_names

# --- TLS -------------------------------------------------------------------------------------


def certificate(folder: Path, *, name: str = "127.0.0.1", days: int = 9) -> Path:
    """Write a key with a certificate that it signed itself; return the file that holds both."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dienst")])
    known = x509.IPAddress(ip_address(name)) if name[0].isdecimal() else x509.DNSName(name)
    until = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=30))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([known]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / f"{name}-{days}.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def serve_tls(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Return a function that serves the parrot over TLS, and gives its address."""

    def start(file: Path) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"stub": Stub(parrot)}))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        request.addfinalizer(server.server_close)
        request.addfinalizer(server.shutdown)
        return f"https://127.0.0.1:{server.server_address[1]}/v1"

    return start


def test_a_certificate_of_ones_own_is_trusted_where_the_card_names_it(
    serve_tls: Callable[[Path], str], tmp_path: Path
) -> None:
    file = certificate(tmp_path)
    url = serve_tls(file)
    with pytest.raises(CandidateError, match="is not trusted; a CA file of your own"):
        opened(card(url), tmp_path)
    (answer,) = opened(card(url, ca_file=file.name), tmp_path).answer([ask("ja?")])
    assert isinstance(answer, Generation)
    assert answer.text == "JA?"


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ({"name": "elders.nl"}, "is for another name; is the address right"),
        ({"name": "127.0.0.2"}, "is for another name; is the address right"),
        ({"days": -1}, "has expired"),
    ],
    ids=["other name", "other address", "expired"],
)
def test_a_certificate_that_does_not_fit_is_refused_though_it_is_trusted(
    serve_tls: Callable[[Path], str], tmp_path: Path, made: Raw, problem: str
) -> None:
    file = certificate(tmp_path, **made)
    with pytest.raises(CandidateError, match=f"its certificate {problem}") as caught:
        opened(card(serve_tls(file), ca_file=file.name), tmp_path)
    assert "\n" not in str(caught.value)


def test_no_tls_where_the_card_expects_it(serve: Serve, tmp_path: Path) -> None:
    url = serve(parrot).url.replace("http:", "https:")
    with pytest.raises(CandidateError, match="no TLS is spoken there; is it plain http"):
        opened(card(url), tmp_path)


# --- left alone, and asked no more -----------------------------------------------------------


def test_one_retry_after_is_for_all_requests(serve: Serve, tmp_path: Path) -> None:
    """The first is refused and given up; the second waits, and longer if the service asks for it.

    A third, behind all that, does not wait.
    """
    count = iter(range(100))

    def busy(body: Raw, handler: Handler) -> None:
        if next(count) == 0:
            handler.reply(429, {"error": "te druk"}, Retry_After="4")
        else:
            parrot(body, handler)

    now, waits = [100.0], list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds
        if len(waits) == 1:  # meanwhile another thread hears that it is to be longer
            service._note_trouble(_Trouble("error", "te druk", "10"), 1)

    spec = card(serve(busy).url, attempts=1).endpoint
    assert spec is not None
    service = Service(spec, tmp_path, wait=wait, clock=lambda: now[0])
    body = {"messages": [{"content": "ja?"}]}
    assert isinstance(service.post("chat/completions", body), Failure)
    assert isinstance(service.post("chat/completions", body), dict)
    assert waits == [4.0, 10.0]
    assert isinstance(service.post("chat/completions", body), dict)
    assert waits == [4.0, 10.0]
    service.close()


def test_a_service_that_refuses_everything_is_not_asked_for_ever(
    serve: Serve, tmp_path: Path
) -> None:
    """What is too long or filtered says nothing about the next question."""

    def refusing(body: Raw, handler: Handler) -> None:
        match body["messages"][-1]["content"]:
            case "Ja?":
                parrot(body, handler)
            case "lang":
                handler.reply(413, "")
            case "vies":
                handler.reply(400, {"error": {"message": "nee", "code": "content_filter"}})
            case _:
                handler.reply(400, {"error": {"message": "temperature is niet toegestaan"}})

    stub = serve(refusing)
    spec = card(stub.url, concurrency=1)
    candidate = opened(spec, tmp_path)
    assert len(candidate.answer([ask("lang")] * 15 + [ask("vies")] * 15)) == 30
    with pytest.raises(CandidateStoppedError) as caught:
        candidate.answer([ask(f"vraag {n}") for n in range(60)])
    assert "25 requests in a row were refused, the last: HTTP 400: 'temp" in str(caught.value)
    assert len(stub.bodies) == 1 + 30 + REFUSED_IN_A_ROW
    kept = [response for response in caught.value.responses if response is not None]
    assert len(kept) == REFUSED_IN_A_ROW
    assert all(isinstance(response, Failure) for response in kept)


@pytest.mark.parametrize("status", [402, 405, 410])
def test_some_refusals_end_it_at_once(serve: Serve, tmp_path: Path, status: int) -> None:
    def ending(body: Raw, handler: Handler) -> None:
        if body["messages"][-1]["content"] == "Ja?":
            parrot(body, handler)
        else:
            handler.reply(status, {"error": {"message": "het houdt op"}})

    candidate = opened(card(serve(ending).url), tmp_path)
    with pytest.raises(CandidateStoppedError, match=f"HTTP {status}: 'het houdt op'"):
        candidate.answer([ask("vraag")] * 9)


# --- another name ----------------------------------------------------------------------------


def test_a_name_that_changed_is_seen_over_sessions() -> None:
    def told(model: str, fingerprint: str = "nothing") -> dict[str, str]:
        return {"model_reported": model, "system_fingerprint": fingerprint}

    assert changed_names([{}, {"adapter": "causal"}]) == {}
    assert changed_names([told("nothing"), told("m-1"), told("m-1")]) == {}
    assert changed_names([told("m-1", "f"), told("m-1", "g, f")]) == {
        "system_fingerprint": ["f", "g"]
    }
    assert changed_names([told("m-2"), told("m-1")]) == {"model_reported": ["m-1", "m-2"]}


CARD = """\
title: Dienst
adapter: {{name: chat}}
licence: onbekend
endpoint: {{url: '{url}', model: model-x, concurrency: 1, budget: {{requests: {budget}}}}}
"""


def test_another_model_in_a_second_call_is_a_warning_in_run_and_report(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call spends its budget on m-1; by the second the supplier has moved on to m-2."""
    monkeypatch.chdir(tmp_path)
    names = ["m-1"]
    stub = serve(lambda _, h: h.reply(200, said("Ja.", model=names[-1])))
    file = tmp_path / "lab" / "models" / "dienst.yaml"
    file.parent.mkdir(parents=True)

    def run(budget: int) -> Result:
        file.write_text(CARD.format(url=stub.url, budget=budget), encoding="utf-8")
        words = ["run", "privacy/identifiers", "-c", "dienst", "--path", "lab", "--no-tracking"]
        return CliRunner().invoke(main, words)

    assert "the budget of 12 requests is spent" in run(12).output
    names.append("m-2")
    second = run(100)
    assert second.exit_code == 0, second.output
    warning = "warning: the service answered under more than one model_reported: m-1, m-2"
    # Before anything is asked, and behind the numbers.
    assert " ".join(second.output.split()).count(warning) == 2
    (folder,) = (tmp_path / "runs").iterdir()
    record: dict[str, Any] = json.loads((folder / "results.json").read_text())
    assert record["changed_names"] == {"model_reported": ["m-1", "m-2"]}
    english = (folder / "report.en.html").read_text()
    dutch = (folder / "report.nl.html").read_text()
    assert "under more than one name during this run (model_reported: m-1 and m-2)" in english
    assert "onder meer dan één naam (model_reported: m-1 en m-2)" in dutch


# --- nothing is asked twice ------------------------------------------------------------------


def test_what_was_said_of_an_item_before_a_stop_is_not_asked_again(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four requests an item, and a budget that never ends where an item does."""
    monkeypatch.chdir(tmp_path)
    stub = serve(parrot)
    file = tmp_path / "lab" / "models" / "dienst.yaml"
    file.parent.mkdir(parents=True)
    words = ["run", "bias/decision_pairs", "-c", "dienst", "--path", "lab", "--limit", "5"]

    def run(budget: int, runs: str) -> Result:
        text = CARD.replace("chat", "completions").format(url=stub.url, budget=budget)
        file.write_text(text, encoding="utf-8")
        return CliRunner().invoke(main, [*words, "--no-tracking", "--runs", runs])

    def asked() -> Counter[str]:
        prompts = Counter(body["prompt"] for body in stub.bodies)
        prompts.pop("Eén café drie vier")  # each call tries it out
        stub.bodies.clear()
        return prompts

    def results(runs: str) -> list[Any]:
        (folder,) = (tmp_path / runs).iterdir()
        record = json.loads((folder / "results.json").read_text())
        return [result["estimate"] for result in record["tasks"][0]["results"]]

    assert run(100, "at once").exit_code == 0
    undisturbed = asked()
    calls = 1
    while run(4, "in parts").exit_code == 1:
        calls += 1
    assert asked() == undisturbed
    assert calls == -(-undisturbed.total() // 3)
    assert results("in parts") == results("at once")
