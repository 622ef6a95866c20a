"""What a service can say of a text, in the two ways there are, and how far its words are taken."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_stub import Handler, Raw, Serve, ask, card, echoed, opened, said
from toetssteen.candidates.adapters import ChatAdapter
from toetssteen.candidates.given_text import prompted
from toetssteen.candidates.service import Unreadable
from toetssteen.errors import CandidateError, ContentError
from toetssteen.records import Failure, Generation, Likelihood, Loglikelihood


def entry(token: str, logprob: float, rank: int = 1) -> Raw:
    """Return one entry of prompt_logprobs, with the likeliest token beside a token that is not."""
    told = {"17": {"logprob": logprob, "rank": rank, "decoded_token": token}}
    if rank > 1:
        told["4"] = {"logprob": -0.1, "rank": 1, "decoded_token": " anders"}
    return told


def words(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def vllm(prompt: str, *, start: bool = True) -> Raw:
    """Return a completion as vLLM makes it: every word a token, worth minus its length."""
    tokens = words(prompt) if start else words(prompt)[1:]
    return {
        "model": "stub-1",
        "choices": [
            {
                "text": " en",
                "finish_reason": "length",
                "prompt_logprobs": [
                    None,
                    *(entry(t, -float(len(t.strip())), 1 + (len(t) > 5)) for t in tokens),
                ],
            }
        ],
        "usage": {"prompt_tokens": 1 + len(tokens), "completion_tokens": 1},
    }


# --- prompt_logprobs -------------------------------------------------------------------------


@pytest.mark.parametrize("start", [True, False], ids=["start token", "no start token"])
def test_a_prompt_is_scored_without_echo(serve: Serve, tmp_path: Path, *, start: bool) -> None:
    """The same sums as by echo: " het loket" is -3 - 5, and six letters are not the likeliest."""
    stub = serve(lambda body, h: h.reply(200, vllm(body["prompt"], start=start)))
    candidate = opened(card(stub.url, "completions", prompt_logprobs=True), tmp_path)
    assert "echo" not in stub.bodies[-1]
    assert stub.bodies[-1]["prompt_logprobs"] == 0
    first, likely = candidate.answer(
        [Loglikelihood(" het loket", context="Ga naar"), Loglikelihood(" het", context="Ga naar")]
    )
    assert first == Likelihood(-8.0, tokens=2, prompt_tokens=2, greedy=False)
    assert likely == Likelihood(-3.0, tokens=1, prompt_tokens=2, greedy=True)


def test_both_ways_give_the_same_likelihood(serve: Serve, tmp_path: Path) -> None:
    def either(body: Raw, handler: Handler) -> None:
        make = vllm if "prompt_logprobs" in body else echoed
        handler.reply(200, make(body["prompt"]))

    url = serve(either).url
    asked = [
        Loglikelihood(" zes uur.", context="Het loket sluit om"),
        Loglikelihood("é! ja", context="Eén caf"),
    ]
    totals = []
    for told in (False, True):
        answers = opened(card(url, "completions", prompt_logprobs=told), tmp_path).answer(asked)
        totals.append([(a.total, a.tokens) for a in answers if isinstance(a, Likelihood)])
    assert totals[0] == totals[1] == [(-7.0, 2), (-2.0, 1)]


def test_what_was_the_likeliest_is_known_where_the_service_says_it(
    serve: Serve, tmp_path: Path
) -> None:
    def telling(body: Raw, handler: Handler) -> None:
        reply = echoed(body["prompt"])
        found = reply["choices"][0]["logprobs"]
        found["top_logprobs"] = [
            None if n is None else {token: n} if n > -4 else {" anders": -1.0}
            for token, n in zip(found["tokens"], found["token_logprobs"], strict=True)
        ]
        handler.reply(200, reply)

    candidate = opened(card(serve(telling).url, "completions"), tmp_path)
    likely, not_so = candidate.answer(
        [Loglikelihood(" het", context="Ga naar"), Loglikelihood(" het loket", context="Ga naar")]
    )
    assert isinstance(likely, Likelihood)
    assert isinstance(not_so, Likelihood)
    assert (likely.greedy, not_so.greedy) == (True, False)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda choice: choice.pop("prompt_logprobs"), "no prompt_logprobs came back"),
        (lambda choice: choice.update(prompt_logprobs=[None, 5]), "have no decoded_token"),
        (lambda choice: choice["prompt_logprobs"].pop(), "do not fit the text"),
        (lambda choice: choice["prompt_logprobs"].pop(1), "do not fit the text"),
        (
            lambda choice: choice["prompt_logprobs"][1]["17"].update(logprob="veel"),
            "are no numbers",
        ),
    ],
    ids=["none", "no token", "last lacks", "one lacks", "no number"],
)
def test_a_service_without_them_is_found_at_the_start(
    serve: Serve, tmp_path: Path, change: Any, problem: str
) -> None:
    def lacking(body: Raw, handler: Handler) -> None:
        reply = vllm(body["prompt"], start=False)
        change(reply["choices"][0])
        handler.reply(200, reply)

    with pytest.raises(CandidateError, match=problem) as caught:
        opened(card(serve(lacking).url, "completions", prompt_logprobs=True), tmp_path)
    assert "without prompt_logprobs is opened with the adapter chat" in str(caught.value)


def test_a_token_that_is_ruled_out_has_no_logarithm(serve: Serve, tmp_path: Path) -> None:
    """Where JSON has no infinity vLLM writes -9999, which is no number to add up."""

    def ruling_out(body: Raw, handler: Handler) -> None:
        reply = vllm(body["prompt"])
        for told in reply["choices"][0]["prompt_logprobs"][1:]:
            if " nooit" in told["17"].values():
                told["17"]["logprob"] = -9999.0
        handler.reply(200, reply)

    url = serve(ruling_out).url
    candidate = opened(card(url, "completions", prompt_logprobs=True), tmp_path)
    never, elsewhere = candidate.answer(
        [Loglikelihood(" nooit", context="Dit zegt"), Loglikelihood(" iets", context="Zeg nooit")]
    )
    assert isinstance(never, Failure)
    assert elsewhere == Likelihood(-4.0, tokens=1, prompt_tokens=2, greedy=True)


def test_a_conversation_is_not_scored(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="what a chat template makes of a text cannot be seen"):
        ChatAdapter().identify(card("https://dienst.nl/v1", prompt_logprobs=True), tmp_path)


# --- where a token stands --------------------------------------------------------------------


def laid(tokens: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Return where each token begins at the earliest and at the latest."""
    choice: Mapping[str, Any] = {"prompt_logprobs": [None, *(entry(t, -1.0) for t in tokens)]}
    return [(found.begin, found.until) for found in prompted(choice, text)]


@given(st.lists(st.text("ab é\n", min_size=1, max_size=4), min_size=1, max_size=8))
def test_whole_tokens_stand_one_behind_the_other(tokens: list[str]) -> None:
    begins = [sum(map(len, tokens[:n])) for n in range(len(tokens))]
    assert [begin for begin, _ in laid(tokens, "".join(tokens))] == begins


def test_a_space_that_is_left_out_goes_with_the_word_behind_it() -> None:
    """Some tokenizers write a token without the space that it begins with."""
    assert laid(["Ga", "naar", "het"], "Ga naar het") == [(0, 0), (2, 2), (7, 7)]
    with pytest.raises(Unreadable):
        laid(["Ga", "naar", "het"], "Ga  naar het")


def test_parts_of_a_character_fill_the_gap_between_whole_tokens() -> None:
    """Four bytes of one sign stand at its place; of two signs each part may belong to either."""
    assert laid(["Ha", "\ufffd", "\ufffd", "!"], "Ha😀!") == [(0, 0), (2, 2), (2, 2), (3, 3)]
    parts = ["\ufffd"] * 3
    assert laid(["Ha", *parts, "!"], "Ha😀😀!") == [(0, 0), *[(2, 3)] * 3, (4, 4)]
    assert laid(["Ha", *parts], "Ha😀😀") == [(0, 0), *[(2, 3)] * 3]


def test_a_boundary_among_parts_of_characters_is_not_guessed(serve: Serve, tmp_path: Path) -> None:
    def torn(body: Raw, handler: Handler) -> None:
        reply = vllm(body["prompt"])
        if "😀" in body["prompt"]:
            tokens = ["Ha", *["\ufffd"] * 3]
            told = [None, *(entry(token, -1.0) for token in tokens)]
            reply["choices"][0]["prompt_logprobs"] = told
        handler.reply(200, reply)

    candidate = opened(
        card(serve(torn).url, "completions", prompt_logprobs=True),
        tmp_path,
    )
    between, before = candidate.answer(
        [Loglikelihood("😀", context="Ha😀"), Loglikelihood("😀😀", context="Ha")]
    )
    assert isinstance(between, Failure)
    assert "cannot be seen which tokens are the continuation's" in between.reason
    assert before == Likelihood(-3.0, tokens=3, prompt_tokens=1, greedy=True)


# --- where to stop ---------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", ["chat", "completions"])
def test_a_service_that_does_not_stop_is_cut(serve: Serve, tmp_path: Path, adapter: str) -> None:
    """It was cut at its limit; up to the stop text it is an answer that is whole."""

    def going_on(body: Raw, handler: Handler) -> None:
        if body.get("echo"):
            handler.reply(200, echoed(body["prompt"]))
            return
        text = "Ja.\nVraag: en nu?"
        reply = said(text)
        reply["choices"][0] |= {"text": text, "finish_reason": "length"}
        handler.reply(200, reply)

    candidate = opened(card(serve(going_on).url, adapter), tmp_path)
    cut, whole = candidate.answer([ask("?", stop=("Vraag:", "\n")), ask("?", stop=("Nee", ""))])
    assert cut == Generation("Ja.", "stop", tokens=3, prompt_tokens=7)
    assert whole == Generation("Ja.\nVraag: en nu?", "length", tokens=3, prompt_tokens=7)
