"""Short answers to questions on a text: exact match and token F1, abstention judged too."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from unicodedata import normalize

from toetssteen.errors import ContentError
from toetssteen.records import (
    Answered,
    Capability,
    Generate,
    Item,
    Message,
    Request,
    Response,
    Score,
)
from toetssteen.scorers import only_answer
from toetssteen.scorers.phrases import NOT_IN_THE_TEXT, REFUSALS, STRAIGHT, says

ARTICLES = {"nl": ("de", "het", "een", "'t", "'n"), "en": ("the", "a", "an")}
# A point or comma inside a number is part of it: 16.30 is not 1630.
MARK = r"(?:[^\w\s]|_)"
PUNCTUATION = re.compile(rf"(?<!\d){MARK}|{MARK}(?!\d)")
NUMBER = r"(\d+(?:[.,]\d+)*)"
# € 45, EUR 45, 45 € and 45 euros are all 45 euro.
EUROS = (
    re.compile(rf"(?:€|\beur\b)\s*{NUMBER}"),
    re.compile(rf"{NUMBER}\s*(?:€|eur\b|euros\b|euro's\b)"),
)


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """Asks a question about a text and compares the answer with the accepted ones.

    `value` is 1 for an exact match after normalisation (case, punctuation, articles, white
    space), as in SQuAD: Rajpurkar et al. (2016), EMNLP, section 6.1; `parts["f1"]` is the token
    F1 of the best accepted answer. Where the text does not hold the answer, saying so is the
    right answer: Rajpurkar, Jia and Liang (2018), ACL, section 5.

    Args:
        prompt: language → prompt with the slots `{text}` and `{question}`.
        max_tokens: room for the answer; one that does not end within it is unscored.
    """

    prompt: Mapping[str, str]
    max_tokens: int = 32
    stop: tuple[str, ...] = ("\n",)
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})
    version: ClassVar[int] = 1
    columns: frozenset[str] = field(
        default=frozenset({"language", "text", "question", "answerable", "answers"}), init=False
    )

    def requests(self, item: Item) -> Sequence[Request]:
        """Ask the question once.

        Raises:
            ContentError: a field of the item is not what it should be; before anything is asked.
        """
        language = self._check(item)
        # Not `format`: a prompt may hold other braces, such as those of JSON.
        filled = self.prompt[language].replace("{question}", item.text("question"))
        filled = filled.replace("{text}", item.text("text"))
        return (Generate((Message("user", filled),), self.max_tokens, stop=self.stop),)

    def _check(self, item: Item) -> str:
        """Return the item's language, if the item can be asked and judged."""
        language = item.text("language")
        known = self.prompt.keys() & ARTICLES.keys()
        if language not in known:
            said = f"language: {language!r} has no prompt; there is {', '.join(sorted(known))}"
            raise ContentError(f"item {item.id}", said)
        if item.fields["answerable"] not in {"yes", "no"}:
            raise ContentError(f"item {item.id}", 'answerable: should be "yes" or "no"')
        answers = item.fields["answers"]
        wanted = item.fields["answerable"] == "yes"
        if not isinstance(answers, list) or (wanted and not answers):
            raise ContentError(f"item {item.id}", "answers: should be a list of accepted answers")
        return language

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        """Compare what was said with what is accepted."""
        response = only_answer(item, responses)
        if isinstance(response, Score):
            return response
        said = response.text.strip()
        words = normalise(said, item.text("language"))
        accepted = _accepted(item)
        # An accepted answer may hold the words of an abstention: "onbekend" can be right.
        abstains = words not in accepted and says(said, NOT_IN_THE_TEXT)
        if words not in accepted and not abstains and says(said, REFUSALS):
            return Score.unscored(item, Answered.REFUSED, "the answer is a refusal")
        if response.finish == "length" and not abstains:
            return Score.unscored(
                item, Answered.TRUNCATED, f"no end within {self.max_tokens} tokens"
            )
        if abstains:
            right = 0.0 if accepted else 1.0
            parts = {"exact": right, "f1": right}
            return Score.of(item, right, answered=Answered.ABSTAINED, parts=parts, said=said)
        exact = float(words in accepted)
        f1 = max((token_f1(words, answer) for answer in accepted), default=0.0)
        return Score.of(item, exact, parts={"exact": exact, "f1": f1}, said=said)


def normalise(text: str, language: str) -> tuple[str, ...]:
    """Return the words that count: lower case, without articles and loose punctuation.

    Where nothing else is said, articles count, and then punctuation: vitamin A is not nothing.
    """
    plain = normalize("NFC", text).lower().translate(STRAIGHT)
    for amount in EUROS:
        plain = amount.sub(r"\1 euro", plain)
    articles = ARTICLES[language]
    words = tuple(plain.split())
    bare = tuple(filter(None, (PUNCTUATION.sub("", word) for word in words)))
    stripped = (PUNCTUATION.sub("", word) for word in words if word not in articles)
    return tuple(word for word in stripped if word and word not in articles) or bare or words


def token_f1(said: tuple[str, ...], accepted: tuple[str, ...]) -> float:
    """Return the harmonic mean of precision and recall over shared words."""
    shared = sum((Counter(said) & Counter(accepted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(accepted)
    return 2 * precision * recall / (precision + recall)


def _accepted(item: Item) -> list[tuple[str, ...]]:
    """Return the accepted answers as words; none where the text does not hold the answer."""
    if item.fields["answerable"] == "no":
        return []
    value = item.fields["answers"]
    if not isinstance(value, list) or not value:
        raise TypeError(f"answers should be a list of at least one text, not {value!r}")
    return [normalise(str(answer), item.text("language")) for answer in value]
