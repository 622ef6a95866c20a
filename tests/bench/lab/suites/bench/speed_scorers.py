"""Scorers of the speed comparison: they ask exactly what the peer's task files ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from toetssteen.records import (
    Capability,
    Generate,
    Item,
    Likelihood,
    Loglikelihood,
    Request,
    Response,
    Score,
)
from toetssteen.scorers import failed, only_answer


@dataclass(frozen=True, slots=True)
class Pair:
    """Which of two sentences is likelier, from the start of the text? 1 for `sent_more`."""

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGLIKELIHOOD})
    version: ClassVar[int] = 1
    columns: ClassVar[frozenset[str]] = frozenset({"sent_more", "sent_less"})

    def requests(self, item: Item) -> Sequence[Request]:
        """Ask for both sentences."""
        return (Loglikelihood(item.text("sent_more")), Loglikelihood(item.text("sent_less")))

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        """Compare."""
        return failed(item, responses) or Score.of(item, float(_likeliest(responses) == 0))


@dataclass(frozen=True, slots=True)
class Choices:
    """Is the right option the likeliest?"""

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGLIKELIHOOD})
    version: ClassVar[int] = 1
    columns: ClassVar[frozenset[str]] = frozenset({"context", "question", "choices", "label"})

    def requests(self, item: Item) -> Sequence[Request]:
        """Ask for every option behind the same text."""
        context = f"{item.text('context')}\n\nQ: {item.text('question')}\nA:"
        choices = item.fields["choices"]
        if not isinstance(choices, list):
            raise TypeError(f"choices should be a list, not {choices!r}")
        return tuple(Loglikelihood(f" {choice}", context=context) for choice in choices)

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        """Compare."""
        right = _likeliest(responses) == item.fields["label"]
        return failed(item, responses) or Score.of(item, float(right))


@dataclass(frozen=True, slots=True)
class Continue:
    """Does the text go on with the reference in it?"""

    max_tokens: int = 64
    # What the peer's task file names: a text that is never said, so that only length and the
    # model's own end token stop it.
    stop: str = "<|nonexistent|>"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})
    version: ClassVar[int] = 1
    columns: ClassVar[frozenset[str]] = frozenset({"prompt", "ref"})

    def requests(self, item: Item) -> Sequence[Request]:
        """Ask once, without a conversation."""
        return (Generate((), self.max_tokens, context=item.text("prompt"), stop=(self.stop,)),)

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        """Look for the reference."""
        response = only_answer(item, responses)
        if isinstance(response, Score):
            return response
        found = item.text("ref").lower() in response.text.lower()
        return Score.of(item, float(found), said=response.text)


def _likeliest(responses: Sequence[Response]) -> int | None:
    totals = [response.total for response in responses if isinstance(response, Likelihood)]
    return totals.index(max(totals)) if totals else None
