"""What a scorer is: it turns an item into requests, and the responses into a score."""

from collections.abc import Sequence
from typing import Protocol

from toetssteen.records import (
    Answered,
    Capability,
    Failure,
    Generation,
    Item,
    Request,
    Response,
    Score,
)


class Scorer(Protocol):
    """Owns its requests, because the pairing (with and without, this name and that) *is* it."""

    needs: frozenset[Capability]
    version: int  # raise it when scores are no longer comparable

    @property
    def columns(self) -> frozenset[str]:
        """The item fields that are read; checked before anything is asked."""
        ...

    def requests(self, item: Item, /) -> Sequence[Request]:
        """Return what to ask about an item."""
        ...

    def score(self, item: Item, responses: Sequence[Response], /) -> Score:
        """Judge the responses to `requests(item)`, in the same order."""
        ...


def failed(item: Item, responses: Sequence[Response]) -> Score | None:
    """Return the unscored score of an item with a failed response, or None if none failed."""
    for response in responses:
        if isinstance(response, Failure):
            kind = Answered.REFUSED if response.why == "refused" else Answered.FAILED
            return Score.unscored(item, kind, f"{response.why}: {response.reason}")
        if isinstance(response, Generation) and response.finish == "filtered":
            return Score.unscored(item, Answered.FILTERED, "a content filter stopped the answer")
    return None


def only_answer(item: Item, responses: Sequence[Response]) -> Generation | Score:
    """Return what was said to the only request of an item, or the score that says why nothing.

    Raises:
        TypeError: the scorer asked something else than one generation.
    """
    if (failure := failed(item, responses)) is not None:
        return failure
    (response,) = responses
    if not isinstance(response, Generation):
        raise TypeError(f"expected a generation, got {response.kind}")
    if not response.text.strip():
        return Score.unscored(item, Answered.EMPTY, "the answer is empty")
    return response
