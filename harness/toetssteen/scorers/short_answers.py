"""Short answers to questions on a text: exact match and token F1, abstention judged too."""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from toetssteen.records import (
    Answered,
    Capability,
    Generate,
    Generation,
    Item,
    Message,
    Request,
    Response,
    Score,
)
from toetssteen.scorers import failed
from toetssteen.scorers.phrases import NOT_IN_THE_TEXT, REFUSALS, says

ARTICLES = {"nl": ("de", "het", "een", "'t", "'n"), "en": ("the", "a", "an")}
# A point or comma inside a number is part of it: 16.30 is not 1630.
MARK = f"[{re.escape(string.punctuation)}]"
PUNCTUATION = re.compile(rf"(?<!\d){MARK}|{MARK}(?!\d)")


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
        """Ask the question once."""
        filled = self.prompt[item.text("language")].format(
            text=item.text("text"), question=item.text("question")
        )
        return (Generate((Message("user", filled),), self.max_tokens, stop=self.stop),)

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        """Compare what was said with what is accepted."""
        if (failure := failed(item, responses)) is not None:
            return failure
        (response,) = responses
        if not isinstance(response, Generation):
            raise TypeError(f"expected a generation, got {response.kind}")
        said = response.text.strip()
        if not said:
            return Score.unscored(item, Answered.EMPTY, "the answer is empty")
        if says(said, REFUSALS):
            return Score.unscored(item, Answered.REFUSED, "the answer is a refusal")
        abstains = says(said, NOT_IN_THE_TEXT)
        if response.finish == "length" and not abstains:
            return Score.unscored(
                item, Answered.TRUNCATED, f"no end within {self.max_tokens} tokens"
            )
        exact, f1 = self._compare(item, said, abstains=abstains)
        kind = Answered.ABSTAINED if abstains else Answered.VALID
        return Score.of(item, exact, answered=kind, parts={"exact": exact, "f1": f1}, said=said)

    def _compare(self, item: Item, said: str, *, abstains: bool) -> tuple[float, float]:
        if item.fields["answerable"] == "no":
            return (1.0, 1.0) if abstains else (0.0, 0.0)
        if abstains:
            return 0.0, 0.0
        language = item.text("language")
        words = normalise(said, language)
        accepted = [normalise(str(a), language) for a in _listed(item.fields["answers"])]
        return float(words in accepted), max(token_f1(words, answer) for answer in accepted)


def normalise(text: str, language: str) -> tuple[str, ...]:
    """Return the words that count: lower case, without articles and loose punctuation."""
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("€", " ")
    words = (PUNCTUATION.sub("", word) for word in plain.split() if word not in ARTICLES[language])
    return tuple(word for word in words if word and word not in ARTICLES[language])


def token_f1(said: tuple[str, ...], accepted: tuple[str, ...]) -> float:
    """Return the harmonic mean of precision and recall over shared words."""
    shared = sum((Counter(said) & Counter(accepted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(accepted)
    return 2 * precision * recall / (precision + recall)


def _listed(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"answers should be a list of at least one text, not {value!r}")
    return value
