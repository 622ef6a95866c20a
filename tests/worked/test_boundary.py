"""Where the context ends and the continuation begins, worked on token ids (docs/adr/0004)."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from toetssteen.candidates.encoding import Encoder
from toetssteen.candidates.engines.reading import Scored
from toetssteen.errors import CandidateError
from toetssteen.records import Generate, Loglikelihood, Message, Sampling
from toetssteen.spec import CandidateSpec, parse

# A word with the blank before it is one token, as in most vocabularies.
WORDS = {
    "De": 10,
    " gemeente": 11,
    " gemeentehuis": 12,
    "beslist": 13,
    " beslist": 14,
    " ": 15,
    "\n": 16,
    "[user]": 17,
    "[assistant]": 18,
    "Ja?": 19,
    "Ja": 20,
    " Ja": 21,
    "Antwoord:": 22,
    "[system]": 23,
    "Kort.": 24,
}
START, END = 0, 1


class Words:
    """A tokenizer that can be followed by hand; a text begins with token 0."""

    bos_token_id: int | None = START
    eos_token_id: int | None = END

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> dict[str, Any]:
        """Cut at blanks and brackets."""
        start = [START] if add_special_tokens else []
        cut = [re.findall(r"\[\w+\]|\n| ?[^\s\[]+| ", text) for text in texts]
        return {"input_ids": [start + [WORDS[word] for word in words] for words in cut]}

    def apply_chat_template(self, turns: list[dict[str, str]], **_: object) -> str:
        """Put the role before each turn."""
        return "".join(f"[{t['role']}]{t['content']}\n" for t in turns) + "[assistant]"


def encoder(**settings: Any) -> Encoder:
    raw = {"title": "Words", "adapter": {"name": "causal"}, "licence": "EUPL-1.2"}
    return Encoder(Words(), parse(CandidateSpec, raw | settings, "words.yaml"))


ASKED = (Message("user", "Ja?"),)


@pytest.mark.parametrize(
    ("request_", "context", "continuation"),
    [
        # Encoded together, cut behind the context's own three tokens.
        (Loglikelihood(" beslist", context="De gemeente"), (START, 10, 11), (14,)),
        # The blank goes with the word that follows: the same ids, never a lone blank.
        (Loglikelihood("beslist", context="De gemeente "), (START, 10, 11), (14,)),
        # Two blanks: one is a token of its own, and is scored.
        (Loglikelihood(" beslist", context="De gemeente "), (START, 10, 11), (15, 14)),
        # Where the vocabulary joins both, nothing is left to score; the candidate says so.
        (Loglikelihood("huis", context="De gemeente"), (START, 10, 12), ()),
        # Nothing before it: from the start token.
        (Loglikelihood("De gemeente"), (START,), (10, 11)),
        # White space is nothing to read from either.
        (Loglikelihood("beslist", context=" "), (START,), (14,)),
        (Loglikelihood(""), (START,), ()),
    ],
)
def test_plain_text(
    request_: Loglikelihood, context: tuple[int, ...], continuation: tuple[int, ...]
) -> None:
    """Together, cut by the number of tokens of the context alone."""
    assert encoder().likelihoods([request_]) == [Scored(context, continuation)]


@pytest.mark.parametrize(
    ("request_", "context", "continuation"),
    [
        # [user] Ja? \n [assistant], and a turn that begins with the continuation.
        (Loglikelihood("Ja", ASKED), (17, 19, 16, 18), (20,)),
        # A turn may begin with a blank; it is the continuation's own.
        (Loglikelihood(" Ja", ASKED), (17, 19, 16, 18), (21,)),
        # With the beginning of an answer given, both are encoded together again.
        (Loglikelihood(" Ja", ASKED, context="Antwoord:"), (17, 19, 16, 18, 22), (21,)),
        (Loglikelihood("Ja", ASKED, context="Antwoord: "), (17, 19, 16, 18, 22), (21,)),
        # Without a conversation the template is not used: plain text, from its start token.
        (Loglikelihood(" beslist", context="De"), (START, 10), (14,)),
    ],
)
def test_a_conversation_in_the_template(
    request_: Loglikelihood, context: tuple[int, ...], continuation: tuple[int, ...]
) -> None:
    """The template writes its own start: the tokenizer's is not put before it."""
    assert encoder(chat_template=True).likelihoods([request_]) == [Scored(context, continuation)]


def test_a_conversation_without_a_template() -> None:
    """Turns as plain text with a blank line behind each, which goes with the continuation."""
    (found,) = encoder().likelihoods([Loglikelihood("Ja", ASKED)])
    assert found == Scored((START, 19), (16, 16, 20))


def test_the_system_prompt_comes_first() -> None:
    """The card's own turn, before what was asked; not before loose text."""
    told = encoder(chat_template=True, system_prompt="Kort.")
    found = told.likelihoods([Loglikelihood("Ja", ASKED), Loglikelihood("De")])
    assert found == [
        Scored((23, 24, 16, 17, 19, 16, 18), (20,)),
        Scored((START,), (10,)),
    ]


def test_requests_keep_their_order_and_what_they_ask_for() -> None:
    """Equal texts are encoded once, and asked as often as they are."""
    asked = [
        Loglikelihood("De gemeente"),
        Loglikelihood(" beslist", context="De", per_token=True),
        Loglikelihood("De gemeente"),
    ]
    one, two, three = encoder().likelihoods(asked)
    assert one == three == Scored((START,), (10, 11))
    assert two == Scored((START, 10), (14,), per_token=True)


def test_prompts_to_be_continued() -> None:
    """Rendered with the template or as they are; nothing at all begins at the start token."""
    chat = encoder(chat_template=True)
    (said,) = chat.prompts([Generate(ASKED, 5, context="Antwoord:")])
    assert said.tokens == (17, 19, 16, 18, 22)
    (text,) = chat.prompts([Generate((), 5, context="De gemeente")])
    assert text.tokens == (START, 10, 11)
    (nothing,) = chat.prompts([Generate((), 5)])
    assert nothing.tokens == (START,)


def test_the_request_decides_how_words_are_drawn_and_else_the_card() -> None:
    """Neither: the likeliest each time."""
    mine = Sampling(temperature=0.2, seed=9)
    card = encoder(sampling={"temperature": 0.7, "top_k": 40, "top_p": 0.9, "seed": 3})
    own, other = card.prompts([Generate(ASKED, 5, sampling=mine), Generate(ASKED, 5)])
    assert own.sampling == mine
    assert other.sampling == Sampling(0.7, 40, 0.9, 3)
    (greedy,) = encoder().prompts([Generate(ASKED, 5)])
    assert greedy.sampling is None


def test_a_vocabulary_without_a_start() -> None:
    """The end token of the text before it; and where there is neither, that is said."""
    tokenizer = Words()
    tokenizer.bos_token_id = None
    card = SimpleNamespace(chat_template=False, system_prompt=None, sampling=None)
    found = Encoder(tokenizer, card).likelihoods([Loglikelihood("De")])  # type: ignore[arg-type]
    assert found == [Scored((END,), (10,))]
    tokenizer.eos_token_id = None
    with pytest.raises(CandidateError, match="no start or end token"):
        Encoder(tokenizer, card).likelihoods([Loglikelihood("De")])  # type: ignore[arg-type]
