"""Is the label right that a classifier or a table model gives to a text or row?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from toetssteen.errors import ArgumentError, ContentError
from toetssteen.records import (
    Answered,
    Capability,
    Cell,
    Classification,
    Classify,
    Item,
    Request,
    Response,
    Score,
)
from toetssteen.scorers import failed


@dataclass(frozen=True, slots=True)
class LabelScorer:
    """Gives a text or a row to the candidate and compares the label with the true one.

    `value` is 1 for the true label and 0 for another. Parts: `selected` is 1 where the decision
    was for the positive label, `probability` is the one of the positive label where the candidate
    gives it, `positive` is 1 where the true label is the positive one.

    Args:
        labels: all labels of the task.
        truth: the item's field with the true label.
        positive: the label that matters to the person concerned, such as *investigate*.
        text: the item's field that holds the text; for a text classifier.
        columns: the item's fields that make the row; for a table model.
    """

    labels: tuple[str, ...]
    truth: str
    positive: str
    text: str | None = None
    row: tuple[str, ...] = ()
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.CLASSIFY})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be asked.

        Raises:
            ArgumentError: labels repeat, the positive one is none of them, or there is not one
                thing to give.
        """
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise ArgumentError("labels", "should be at least two different labels")
        if self.positive not in self.labels:
            raise ArgumentError("positive", f"should be one of {', '.join(self.labels)}")
        if (self.text is None) == (not self.row):
            raise ArgumentError("text", "is given, or row is: one of the two")

    @property
    def columns(self) -> frozenset[str]:
        """The item fields that are read."""
        return frozenset({self.truth, *self._given.values()})

    @property
    def _given(self) -> Mapping[str, str]:
        """What the candidate reads: its name there, and the item's field."""
        if self.text is not None:
            return {"text": self.text}
        return {name: name for name in self.row}

    def requests(self, item: Item) -> Sequence[Request]:
        """Ask once.

        Raises:
            ContentError: the true label is none of the task's, or a cell holds a list.
        """
        self._true_label(item)
        return (Classify({name: _cell(item, field) for name, field in self._given.items()}),)

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        """Compare the decision with the truth."""
        if (failure := failed(item, responses)) is not None:
            return failure
        (response,) = responses
        if not isinstance(response, Classification):
            raise TypeError(f"expected a classification, got {response.kind}")
        if response.label not in self.labels:
            return Score.unscored(
                item,
                Answered.OFF_FORMAT,
                f"the label {response.label!r} is none of the task's ({', '.join(self.labels)}); "
                "a card can rename labels under `labels`",
            )
        truth = self._true_label(item)
        parts = {
            "selected": float(response.label == self.positive),
            "positive": float(truth == self.positive),
        }
        if self.positive in response.probabilities:
            parts["probability"] = response.probabilities[self.positive]
        return Score.of(item, float(response.label == truth), parts=parts, said=response.label)

    def _true_label(self, item: Item) -> str:
        truth = item.text(self.truth)
        if truth not in self.labels:
            raise ContentError(
                f"item {item.id}",
                f"{self.truth}: {truth!r} is none of the labels {', '.join(self.labels)}",
            )
        return truth


def _cell(item: Item, field: str) -> Cell:
    held = item.fields[field]
    if held is None or isinstance(held, str | int | float | bool):
        return held
    raise ContentError(f"item {item.id}", f"{field}: should be one text or number")
