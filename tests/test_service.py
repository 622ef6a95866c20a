"""Candidates behind an address: asked again, never charged twice, and silent about the key."""

import re
import signal
import socket
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from threading import Lock
from time import sleep
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from service_stub import (
    KEY,
    Handler,
    Raw,
    Serve,
    ask,
    card,
    echoed,
    opened,
    parrot,
    said,
)
from toetssteen.candidates import CandidateStoppedError
from toetssteen.candidates.adapters import ChatAdapter, CompletionsAdapter
from toetssteen.candidates.pacing import Bucket, wait_after
from toetssteen.candidates.service import Service
from toetssteen.catalog import Card
from toetssteen.cli import main
from toetssteen.errors import CandidateError, ContentError
from toetssteen.records import (
    Failure,
    Generation,
    Likelihood,
    Loglikelihood,
    Message,
    Sampling,
)
from toetssteen.run.plan import make_plan
from toetssteen.spec import PACING, CandidateSpec, EndpointSpec

# --- what is asked, and what comes back ------------------------------------------------------


def test_a_conversation_is_asked_as_the_card_says(serve: Serve, tmp_path: Path) -> None:
    stub = serve(parrot)
    spec = card(stub.url, more={"system_prompt": "Antwoord kort."})
    (answer,) = opened(spec, tmp_path).answer([ask("ja?", stop=("\n",))])
    assert answer == Generation("JA?", "stop", tokens=3, prompt_tokens=7)
    assert stub.bodies[-1] == {
        "model": "model-x",
        "messages": [
            {"role": "system", "content": "Antwoord kort."},
            {"role": "user", "content": "ja?"},
        ],
        "max_tokens": 8,
        "temperature": 0,
        "stop": ["\n"],
    }
    assert "Authorization" not in stub.headers[-1]


def test_sampling_and_the_newer_name_of_the_limit(serve: Serve, tmp_path: Path) -> None:
    stub = serve(parrot)
    spec = card(stub.url, limit_key="max_completion_tokens")
    opened(spec, tmp_path).answer([ask("ja?", sampling=Sampling(0.7, None, 0.9, 5))])
    body = stub.bodies[-1]
    assert (body["max_completion_tokens"], body["temperature"]) == (8, 0.7)
    assert (body["top_p"], body["seed"]) == (0.9, 5)
    assert "max_tokens" not in body


def test_a_hundred_answers_come_back_in_order(serve: Serve, tmp_path: Path) -> None:
    def slow_when_even(body: Raw, handler: Handler) -> None:
        if body["messages"][-1]["content"].endswith(("0", "4", "8")):
            sleep(0.01)
        parrot(body, handler)

    candidate = opened(card(serve(slow_when_even).url, concurrency=8), tmp_path)
    answers = candidate.answer([ask(f"vraag {n}") for n in range(100)])
    assert [a.text for a in answers if isinstance(a, Generation)] == [
        f"VRAAG {n}" for n in range(100)
    ]


def test_who_answers_is_written_down_and_so_is_a_change(serve: Serve, tmp_path: Path) -> None:
    turn = iter(range(100))

    def changing(_: Raw, handler: Handler) -> None:
        handler.reply(
            200, said("ja", model=f"m-{min(next(turn), 2) // 2}", system_fingerprint="f")
        )

    candidate = opened(card(serve(changing).url, concurrency=1), tmp_path)
    assert "warning" not in candidate.describe()
    candidate.answer([ask("ja?")] * 3)
    described = candidate.describe()
    assert (described["model_reported"], described["system_fingerprint"]) == ("m-0, m-1", "f")
    assert described["warning"] == "the service answered under more than one name or fingerprint"
    assert described["requests_sent"] == "4"  # with the one that tried it out


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "Ja.", "reasoning_content": "Even denken."}, "Ja.", "Even denken."),
        ({"content": "Ja.", "reasoning": "Even denken."}, "Ja.", "Even denken."),
        ({"content": "<think>Even denken.</think>\n\nJa."}, "Ja.", "Even denken."),
        ({"content": "<think>Even denk"}, "", "Even denk"),
        ({"content": "Even denken.</think>\n\nJa."}, "Ja.", "Even denken."),
        ({"content": "<think>b</think>Ja.", "reasoning": "a"}, "Ja.", "a\n\nb"),
        ({"content": "Ja, <think> is een tag."}, "Ja, <think> is een tag.", ""),
        ({"content": [{"type": "text", "text": "J"}, {"type": "text", "text": "a"}]}, "Ja", ""),
        ({"content": None}, "", ""),
    ],
)
def test_what_is_thought_aloud_is_no_part_of_the_answer(
    serve: Serve, tmp_path: Path, message: Raw, text: str, reasoning: str
) -> None:
    reply = said("")
    reply["choices"][0]["message"] = message
    stub = serve(lambda _, handler: handler.reply(200, reply))
    (answer,) = opened(card(stub.url), tmp_path).answer([ask("ja?")])
    assert isinstance(answer, Generation)
    assert (answer.text, answer.reasoning) == (text, reasoning)


def test_tokens_that_are_not_counted_are_not_zero(serve: Serve, tmp_path: Path) -> None:
    stub = serve(lambda _, handler: handler.reply(200, said("ja", usage=None)))
    (answer,) = opened(card(stub.url), tmp_path).answer([ask("ja?")])
    assert isinstance(answer, Generation)
    assert (answer.tokens, answer.prompt_tokens) == (None, None)


def test_a_likelihood_is_the_sum_over_the_tokens_of_the_continuation(
    serve: Serve, tmp_path: Path
) -> None:
    """Tokens are words here, worth minus their letters: " het loket" is -3 - 5."""
    candidate = opened(card(serve(parrot).url, "completions"), tmp_path)
    asked = [
        Loglikelihood(" het loket", context="Ga naar"),
        Loglikelihood("het loket", context="Ga naar "),  # the space goes with the word behind it
        Loglikelihood(" ja", messages=(Message("user", "Mag het?"),)),
        Loglikelihood("ja"),
        Loglikelihood(" ja", context="Mag het?", per_token=True),
    ]
    first, same, third, *refused = candidate.answer(asked)
    assert first == Likelihood(-8.0, tokens=2, prompt_tokens=2)
    assert same == first
    assert isinstance(third, Likelihood)
    assert third.total == -2.0
    assert [r.reason for r in refused if isinstance(r, Failure)] == [
        "a service gives no likelihood from the start of a text",
        "a service gives no statistics over its vocabulary",
    ]


def test_a_token_across_the_boundary_belongs_to_the_context(serve: Serve, tmp_path: Path) -> None:
    """Of lo-ket, one token, nothing begins behind the boundary."""
    candidate = opened(card(serve(parrot).url, "completions"), tmp_path)
    torn, whole = candidate.answer(
        [Loglikelihood("ket", context="Ga naar lo"), Loglikelihood("ket nu", context="Ga naar lo")]
    )
    assert isinstance(torn, Failure)
    assert whole == Likelihood(-2.0, tokens=1, prompt_tokens=3)


# --- abilities are tried, not believed -------------------------------------------------------


def test_promised_log_probabilities_that_do_not_come_are_found_at_the_start(
    serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(CandidateError, match="no log-probabilities came back though"):
        opened(card(serve(parrot).url, logprobs=True), tmp_path)

    def without_echo(body: Raw, handler: Handler) -> None:
        reply = echoed(body["prompt"])
        reply["choices"][0]["logprobs"] = None
        handler.reply(200, reply)

    with pytest.raises(CandidateError, match="is opened with the adapter chat"):
        opened(card(serve(without_echo).url, "completions"), tmp_path)


def test_log_probabilities_come_with_the_answer(serve: Serve, tmp_path: Path) -> None:
    def telling(body: Raw, handler: Handler) -> None:
        reply = said("Ja.")
        if body.get("logprobs"):
            content = [{"token": "Ja", "logprob": -0.5}, {"token": ".", "logprob": -0.25}]
            reply["choices"][0]["logprobs"] = {"content": content}
        handler.reply(200, reply)

    url = serve(telling).url
    (answer,) = opened(card(url, logprobs=True), tmp_path).answer([ask("ja?", logprobs=True)])
    assert isinstance(answer, Generation)
    assert answer.logprobs == (-0.5, -0.25)
    (refused,) = opened(card(url), tmp_path).answer([ask("ja?", logprobs=True)])
    assert isinstance(refused, Failure)
    assert "the card does not say" in refused.reason


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda _, h: h.reply(200, "<html>Welkom</html>"), "not a JSON object: '<html>Welkom"),
        (lambda _, h: h.reply(200, {"hello": 1}), "the reply has no choices"),
        (lambda _, h: h.reply(200, "[" * 100_000), "the reply is not a JSON object"),
        (lambda _, h: h.reply(200, {"error": {"message": "stuk"}}), "reports an error: 'stuk'"),
        (lambda _, h: h.reply(200, "geen gzip", Content_Encoding="gzip"), "cannot be unpacked"),
        (lambda _, h: h.reply(401, {"error": {"message": "bad key"}}), "a call without a key is"),
        (lambda _, h: h.reply(404, {"error": "no model-x"}), "no such address or model"),
        (lambda _, h: h.reply(302, "", Location="https://elders.nl"), "HTTP 302"),
        (lambda _, h: h.reply(500, ""), "asked 3 times: HTTP 500: empty"),
        (lambda _, h: h.cut_off(), "asked 3 times: the answer was cut off"),
    ],
)
def test_what_is_no_such_service_is_one_clear_line(
    serve: Serve, tmp_path: Path, act: Callable[[Raw, Handler], None], problem: str
) -> None:
    stub = serve(act)
    with pytest.raises(CandidateError, match=re.escape(problem)) as caught:
        opened(card(stub.url), tmp_path)
    assert str(caught.value).startswith(stub.url)
    assert "\n" not in str(caught.value)


def test_nobody_there_and_no_trusted_certificate(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(CandidateError, match="no connection: is the address right"):
        opened(card(url), tmp_path)
    (tmp_path / "ca.pem").write_text("geen certificaat", encoding="utf-8")
    with pytest.raises(CandidateError, match=r"ca\.pem: is no file with PEM certificates"):
        opened(card("https://127.0.0.1:1/v1", ca_file="ca.pem"), tmp_path)


# --- trouble ---------------------------------------------------------------------------------


def failing_first(
    times: int, trouble: Callable[[Handler], None]
) -> Callable[[Raw, Handler], None]:
    """Answer a question at the attempt after `times` that went wrong."""
    seen: Counter[str] = Counter()

    def act(body: Raw, handler: Handler) -> None:
        question = body["messages"][-1]["content"]
        seen[question] += 1
        if question != "Ja?" and seen[question] <= times:
            trouble(handler)
        else:
            parrot(body, handler)

    return act


@pytest.mark.parametrize(
    "trouble",
    [
        lambda h: h.reply(429, {"error": "te druk"}),
        lambda h: h.reply(503, ""),
        lambda h: h.reply(200, "<html>"),
        lambda h: h.cut_off(),
        lambda h: h.reset(),
        lambda h: h.drip(3),
    ],
    ids=["429", "503", "html", "cut off", "reset", "drip"],
)
def test_what_may_pass_is_asked_again(
    serve: Serve, tmp_path: Path, trouble: Callable[[Handler], None]
) -> None:
    stub = serve(failing_first(2, trouble))
    candidate = opened(card(stub.url, attempts=3, timeout_seconds=0.3), tmp_path)
    (answer,) = candidate.answer([ask("nu dan?")])
    assert isinstance(answer, Generation)
    assert answer.text == "NU DAN?"
    assert (
        sum(int(n) for n in re.findall(r"(\d+) x ", candidate.describe()["asked_again_after"]))
        == 2
    )
    keys = [h["Idempotency-Key"] for h in stub.headers]
    assert len(set(keys)) == 2  # the probe's, and one for all attempts at the question


def test_what_does_not_pass_is_a_failure_and_the_rest_goes_on(
    serve: Serve, tmp_path: Path
) -> None:
    def act(body: Raw, handler: Handler) -> None:
        match body["messages"][-1]["content"]:
            case "lang":
                handler.reply(400, {"error": {"message": "maximum context length is 4096"}})
            case "fout":
                handler.reply(422, {"detail": "rare vraag"})
            case "nooit":
                handler.reply(500, "")
            case "leeg":
                handler.reply(200, {"choices": []})
            case "anders":
                reply = said("x")
                reply["choices"][0]["finish_reason"] = "tool_calls"
                handler.reply(200, reply)
            case "niet":
                reply = said("")
                reply["choices"][0]["message"]["refusal"] = "Daar help ik niet bij."
                handler.reply(200, reply)
            case _:
                parrot(body, handler)

    candidate = opened(card(serve(act).url, attempts=2), tmp_path)
    asked = ["lang", "fout", "nooit", "leeg", "anders", "niet", "goed"]
    *failures, last = candidate.answer([ask(text) for text in asked])
    assert isinstance(last, Generation)
    assert [(f.why, f.reason) for f in failures if isinstance(f, Failure)] == [
        ("too_long", "HTTP 400: 'maximum context length is 4096'"),
        ("error", "HTTP 422: 'rare vraag'"),
        ("error", "asked 2 times: HTTP 500: empty"),
        ("error", "the service answered, but the reply has no choices"),
        (
            "error",
            "the service answered, but it ended with the unknown finish_reason 'tool_calls'",
        ),
        ("refused", "Daar help ik niet bij."),
    ]


def test_a_service_that_is_gone_ends_the_run_with_what_it_said(
    serve: Serve, tmp_path: Path
) -> None:
    count = iter(range(1000))

    def dying(body: Raw, handler: Handler) -> None:
        if next(count) < 6:
            parrot(body, handler)
        else:
            handler.reply(503, "")

    candidate = opened(card(serve(dying).url, concurrency=1, attempts=1), tmp_path)
    with pytest.raises(
        CandidateStoppedError, match="10 requests in a row were given up"
    ) as caught:
        candidate.answer([ask(f"vraag {n}") for n in range(40)])
    responses = caught.value.responses
    # Those that were given up while it went down are asked again by the same command.
    assert [r is not None for r in responses] == [True] * 5 + [False] * 35


def test_waiting_grows_is_spread_and_obeys_the_service() -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert [wait_after(n, None, 1.0, now=now) for n in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 60.0]
    assert wait_after(3, None, 0.25, now=now) == 0.5
    assert wait_after(1, "7", 1.0, now=now) == 7.0
    assert (
        wait_after(1, format_datetime(now + timedelta(seconds=9), usegmt=True), 0.0, now=now) == 9
    )
    assert wait_after(1, "999999", 0.0, now=now) == 600.0
    for nothing in ("straks", "-3", "nan", ""):
        assert wait_after(1, nothing, 0.5, now=now) == 0.25


def test_retry_after_is_waited_for(serve: Serve, tmp_path: Path) -> None:
    waits: list[float] = []
    stub = serve(failing_first(1, lambda h: h.reply(429, "", Retry_After="4")))
    opened(card(stub.url), tmp_path, waits).answer([ask("nu dan?")])
    assert waits == [pytest.approx(4.0, abs=0.1)]


def test_a_bucket_lets_a_few_go_at_once_and_then_so_many_a_minute() -> None:
    """60 a minute, 3 at once: the fourth waits 1 s, the fifth 2 s; a rest fills it again."""
    now, waits = [0.0], []
    bucket = Bucket(60, 3, clock=lambda: now[0], sleep=waits.append)
    for _ in range(5):
        bucket.take()
    assert waits == [1.0, 2.0]
    now[0] = 100.0
    for _ in range(3):
        bucket.take()
    assert waits == [1.0, 2.0]


# --- money and keys --------------------------------------------------------------------------


def test_a_spent_budget_stops_cleanly(serve: Serve, tmp_path: Path) -> None:
    """7 tokens read at 1,000,000 and 3 said at 2,000,000 euros a million: 13 euros a question."""
    price = {"euros_per_million_prompt_tokens": 1e6, "euros_per_million_tokens": 2e6}
    stub = serve(parrot)
    spec = card(stub.url, concurrency=1, price=price, budget={"euros": 40})
    candidate = opened(spec, tmp_path)  # which costs 13
    with pytest.raises(CandidateStoppedError, match="the budget of 40 euros is spent") as caught:
        candidate.answer([ask(f"vraag {n}") for n in range(9)])
    assert [r is not None for r in caught.value.responses] == [True] * 3 + [False] * 6
    assert candidate.describe()["euros_spent"] == "52.0000"

    few = opened(card(stub.url, concurrency=1, budget={"requests": 3}), tmp_path)
    with pytest.raises(CandidateStoppedError, match="the budget of 3 requests is spent"):
        few.answer([ask("ja?")] * 9)


def test_a_budget_in_euros_needs_tokens_that_are_counted(serve: Serve, tmp_path: Path) -> None:
    stub = serve(lambda _, handler: handler.reply(200, said("ja", usage=None)))
    price = {"euros_per_million_prompt_tokens": 1, "euros_per_million_tokens": 2}
    with pytest.raises(CandidateError, match="it counts no tokens"):
        opened(card(stub.url, price=price, budget={"euros": 1}), tmp_path)


def test_a_service_that_stops_counting_is_not_asked_on(serve: Serve, tmp_path: Path) -> None:
    """The budget in euros could not be kept; the answer that came without a count is kept."""
    count = iter(range(100))

    def forgetful(_: Raw, handler: Handler) -> None:
        handler.reply(200, said("ja", **({"usage": None} if next(count) == 2 else {})))

    price = {"euros_per_million_prompt_tokens": 1, "euros_per_million_tokens": 2}
    spec = card(serve(forgetful).url, concurrency=1, price=price, budget={"euros": 9})
    candidate = opened(spec, tmp_path)
    with pytest.raises(CandidateStoppedError, match="it stopped counting tokens") as caught:
        candidate.answer([ask(f"vraag {n}") for n in range(6)])
    assert [r is not None for r in caught.value.responses] == [True] * 2 + [False] * 4


def test_the_key_is_sent_and_never_repeated(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIENST_SLEUTEL", KEY)

    def indiscreet(body: Raw, handler: Handler) -> None:
        if body["messages"][-1]["content"] == "fout":
            escaped = KEY.replace("/", "\\/").replace("+", "\\u002b")
            handler.reply(400, f'{{"error": {{"message": "wrong with {escaped}"}}}}')
        else:
            handler.reply(200, said(f"uw sleutel is {handler.headers['Authorization']}"))

    stub = serve(indiscreet)
    candidate = opened(card(stub.url, key_env="DIENST_SLEUTEL"), tmp_path)
    answer, failure = candidate.answer([ask("ja?"), ask("fout")])
    assert stub.headers[-1]["Authorization"] == f"Bearer {KEY}"
    assert answer == Generation("uw sleutel is Bearer [key]", "stop", 3, 7)
    assert failure == Failure("error", "HTTP 400: 'wrong with [key]'")

    refusing = serve(lambda _, h: h.reply(401, {"error": {"message": f"Incorrect key: {KEY}"}}))
    with pytest.raises(CandidateError, match=r"the key in DIENST_SLEUTEL is refused") as caught:
        opened(card(refusing.url, key_env="DIENST_SLEUTEL"), tmp_path)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("value", [None, "", "kort", "met een\nregeleinde"])
def test_a_key_that_is_none_is_said_without_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("DIENST_SLEUTEL", raising=False)
    if value is not None:
        monkeypatch.setenv("DIENST_SLEUTEL", value)
    spec = card("https://127.0.0.1:1/v1", key_env="DIENST_SLEUTEL")
    with pytest.raises(CandidateError, match="DIENST_SLEUTEL") as caught:
        opened(spec, tmp_path)
    assert "kort" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ({"url": "dienst.nl/v1"}, "should be an address"),
        ({"url": "https://dienst.nl:99999/v1"}, "should be an address"),
        ({"url": "https://dienst..nl/v1"}, "should be an address"),
        ({"url": "https://ik:geheim@dienst.nl/v1"}, "should hold no user, password or query"),
        ({"url": "https://dienst.nl/v1?key=geheim"}, "should hold no user, password or query"),
        ({"url": "http://dienst.nl/v1", "key_env": "K"}, "only sent over https"),
        ({"url": "https://dienst.nl/v1", "key_env": "sk-123"}, "name of an environment variable"),
        ({"url": "https://dienst.nl/v1", "budget": {"euros": 3}}, "only be counted with a price"),
    ],
)
def test_a_card_that_cannot_be_meant_is_refused(endpoint: Raw, problem: str) -> None:
    with pytest.raises(ContentError, match=problem):
        card(**endpoint)


@pytest.mark.parametrize("adapter", [ChatAdapter(), CompletionsAdapter()])
def test_a_card_for_weights_does_not_open_a_service(
    adapter: ChatAdapter | CompletionsAdapter, tmp_path: Path
) -> None:
    bare = CandidateSpec.model_validate(
        {"title": "x", "adapter": {"name": "chat"}, "licence": "x"}
    )
    with pytest.raises(ContentError, match="endpoint: is required"):
        adapter.identify(bare, tmp_path)
    url = "https://dienst.nl/v1"
    with pytest.raises(ContentError, match="chat_template: is for weights"):
        adapter.identify(card(url, more={"chat_template": True}), tmp_path)
    with pytest.raises(ContentError, match="completions know max_tokens only"):
        adapter.identify(card(url, "completions", limit_key="max_completion_tokens"), tmp_path)
    with pytest.raises(ContentError, match="has no top_k"):
        adapter.identify(card(url, more={"sampling": {"top_k": 5}}), tmp_path)
    one, other = card(url), card(url + "/b")
    assert adapter.identify(one, tmp_path) != adapter.identify(other, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [
        ("key_env", "ANDERE", True),
        ("key_header", "X-Sleutel", True),
        ("ca_file", "ca.pem", True),
        ("concurrency", 9, True),
        ("requests_per_minute", 9, True),
        ("timeout_seconds", 9, True),
        ("attempts", 9, True),
        ("price", {"euros_per_million_prompt_tokens": 1, "euros_per_million_tokens": 1}, True),
        ("budget", {"requests": 9}, True),
        ("logprobs", True, False),
        ("prompt_logprobs", True, False),
        ("limit_key", "max_completion_tokens", False),
        ("model", "model-y", False),
    ],
)
def test_how_a_service_is_paced_is_no_part_of_who_it_is(
    tmp_path: Path,
    key: str,
    value: Any,
    same: bool,  # noqa: FBT001
) -> None:
    """A bigger budget continues the run; another setting that may change an answer does not."""

    def fingerprint(**endpoint: Any) -> str:
        adapter = "completions" if key == "prompt_logprobs" else "chat"
        spec = card("https://dienst.nl/v1", adapter, **{"key_env": "EEN"} | endpoint)
        return make_plan(Card("dienst", tmp_path / "dienst.yaml", spec), [], seed=1).fingerprint

    decides = {"logprobs", "prompt_logprobs", "limit_key", "model", "url"}
    assert PACING | decides == set(EndpointSpec.model_fields)
    assert (fingerprint() == fingerprint(**{key: value})) is same


def test_the_list_says_how_far_one_can_look(tmp_path: Path) -> None:
    """Outside to inside; a card that cannot be read says so and hides nobody."""
    models = tmp_path / "models"
    models.mkdir()
    common = "title: Dienst\nlicence: onbekend\nendpoint: {url: 'https://d.nl/v1', model: m"
    for name, text in {
        "a": f"adapter: {{name: chat}}\n{common}}}\n",
        "b": f"adapter: {{name: chat}}\n{common}, logprobs: true}}\n",
        "c": f"adapter: {{name: completions}}\n{common}}}\n",
        "d": f"adapter: {{name: chatt}}\n{common}}}\n",
    }.items():
        (models / f"{name}.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["list", "--candidates", "--path", str(tmp_path)])
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.output.splitlines() if line.strip()}
    assert "access text, licence onbekend, verified no" in lines["a"]
    assert "access logprobs, licence" in lines["b"]
    assert "access logprobs of given text, licence" in lines["c"]
    assert "did you mean 'chat'?" in lines["d"]
    assert "access weights, licence Apache-2.0, verified yes" in lines["smollm2-135m-instruct"]
    assert lines["bertje"].endswith("verified no, revision not pinned")
    assert lines["qwen3-8b"].endswith("verified no")


def test_a_torn_character_is_kept_as_one_that_can_be_written(serve: Serve, tmp_path: Path) -> None:
    """Half an emoji is valid JSON, and in no file."""
    text = '{"choices": [{"message": {"content": "ja \\ud83d"}, "finish_reason": "stop"}]}'
    stub = serve(lambda _, handler: handler.reply(200, text))
    (answer,) = opened(card(stub.url), tmp_path).answer([ask("ja?")])
    assert isinstance(answer, Generation)
    assert answer.text == "ja \ufffd"


def test_a_start_token_that_is_counted_shifts_nothing(serve: Serve, tmp_path: Path) -> None:
    """VLLM puts the start token before the text and counts its letters too."""

    def counting(body: Raw, handler: Handler) -> None:
        reply = echoed(body["prompt"])
        found = reply["choices"][0]["logprobs"]
        found["tokens"] = ["<s>", *found["tokens"]]
        found["text_offset"] = [0, *(at + 3 for at in found["text_offset"])]
        found["token_logprobs"] = [None, -1.0, *found["token_logprobs"][1:]]
        handler.reply(200, reply)

    candidate = opened(card(serve(counting).url, "completions"), tmp_path)
    (answer,) = candidate.answer([Loglikelihood(" het loket", context="Ga naar")])
    assert answer == Likelihood(-8.0, tokens=2, prompt_tokens=2)


def test_offsets_that_do_not_fit_the_text_are_found_at_the_start(
    serve: Serve, tmp_path: Path
) -> None:
    """Counted in bytes, every place behind an accent is one too far."""

    def in_bytes(body: Raw, handler: Handler) -> None:
        reply = echoed(body["prompt"])
        found = reply["choices"][0]["logprobs"]
        found["text_offset"] = [len(body["prompt"][:at].encode()) for at in found["text_offset"]]
        handler.reply(200, reply)

    with pytest.raises(CandidateError, match="text_offset does not fit the text"):
        opened(card(serve(in_bytes).url, "completions"), tmp_path)


def test_a_flagged_prompt_is_no_refused_key(serve: Serve, tmp_path: Path) -> None:
    """Some services answer a prompt they do not like with 403, others with a code."""

    def moderated(body: Raw, handler: Handler) -> None:
        match body["messages"][-1]["content"]:
            case "403":
                handler.reply(403, {"error": {"message": "flagged"}})
            case "code":
                handler.reply(400, {"error": {"message": "flagged", "code": "content_filter"}})
            case _:
                parrot(body, handler)

    answers = opened(card(serve(moderated).url), tmp_path).answer([ask("403"), ask("code")])
    assert [a.why for a in answers if isinstance(a, Failure)] == ["refused", "refused"]


def test_an_answer_that_is_whole_though_late_is_not_asked_for_again(
    serve: Serve, tmp_path: Path
) -> None:
    times = iter([0.0] * 4 + [99.0] * 99)  # late at the first look after the whole answer
    stub = serve(parrot)
    spec = card(stub.url)
    assert spec.endpoint is not None
    service = Service(spec.endpoint, tmp_path, wait=lambda _: None, clock=lambda: next(times))
    assert isinstance(service.post("chat/completions", {"messages": [{"content": "ja?"}]}), dict)
    assert isinstance(service.post("chat/completions", {"messages": [{"content": "ja?"}]}), dict)
    assert len(stub.bodies) == 2
    service.close()


def test_whoever_presses_ctrl_c_keeps_what_was_answered(serve: Serve, tmp_path: Path) -> None:
    count = iter(range(1000))

    def interrupting(body: Raw, handler: Handler) -> None:
        parrot(body, handler)
        if next(count) == 5:
            signal.raise_signal(signal.SIGINT)

    def raised(*_: object) -> None:
        raise KeyboardInterrupt

    candidate = opened(card(serve(interrupting).url, concurrency=1), tmp_path)
    before = signal.signal(signal.SIGINT, raised)
    try:
        with pytest.raises(CandidateStoppedError) as caught:
            candidate.answer([ask(f"vraag {n}") for n in range(200)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.interrupted
    answered = [r is not None for r in caught.value.responses]
    assert 5 <= sum(answered) < 200
    assert answered == sorted(answered, reverse=True)


def test_a_neighbour_is_not_asked_through_a_proxy(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key for this machine would leave it, and not encrypted."""
    stub = serve(parrot)
    elsewhere = serve(lambda _, handler: handler.reply(200, said("ik luister mee")))
    monkeypatch.setenv("HTTP_PROXY", elsewhere.url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    (answer,) = opened(card(stub.url), tmp_path).answer([ask("ja?")])
    assert isinstance(answer, Generation)
    assert answer.text == "JA?"
    assert elsewhere.bodies == []


# --- a long day ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_soak_of_trouble_loses_nothing_and_pays_nothing_twice(
    serve: Serve, tmp_path: Path
) -> None:
    """2,000 requests, of which three in ten attempts go wrong in one of six ways."""
    luck, lock = Random(4), Lock()  # noqa: S311 - decides what goes wrong
    served: Counter[str] = Counter()

    def troubled(body: Raw, handler: Handler) -> None:
        question = body["messages"][-1]["content"]
        with lock:
            draw, kind = luck.random(), luck.randrange(6)
        if question == "Ja?" or draw >= 0.3:
            with lock:
                served[question] += 1
            parrot(body, handler)
            return
        troubles: list[Callable[[], None]] = [
            lambda: handler.reply(429, {"error": "te druk"}, Retry_After="1"),
            lambda: handler.reply(500, "stuk"),
            lambda: handler.reply(200, "<html>"),
            handler.reset,
            lambda: handler.drip(1.0),
            handler.cut_off,
        ]
        troubles[kind]()

    spec = card(serve(troubled).url, concurrency=16, attempts=12, timeout_seconds=0.4)
    candidate = opened(spec, tmp_path)
    process = psutil.Process()
    questions = [f"vraag {n}" for n in range(2000)]
    sizes = []
    answers: list[Any] = []
    for start in range(0, 2000, 500):
        answers += candidate.answer([ask(q) for q in questions[start : start + 500]])
        sizes.append(process.memory_info().rss)
    assert len(answers) == 2000
    texts = [a.text if isinstance(a, Generation) else None for a in answers]
    assert [t for t in texts if t is not None] == [
        q.upper() for q, t in zip(questions, texts, strict=True) if t is not None
    ]
    assert sum(t is None for t in texts) <= 1  # .3 ** 12 each
    assert {served[q] for q, t in zip(questions, texts, strict=True) if t is not None} == {1}
    assert max(sizes) - sizes[0] < 30 * 2**20
