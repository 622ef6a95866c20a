"""Which label does a classifier or a table model give to a text or row, and is it the true one?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

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
    """Gives a text or a row to the candidate and notes its decision beside the truth.

    `value` is 1 where the decision was for the positive label and 0 for another. Parts:
    `probability` is the one of the positive label where the candidate gives it; where the truth is
    known, `positive` is 1 where the true label is the positive one and `correct` where it was
    decided on. Of cases that somebody picked, `positive` is called `positive_if_picked`: what is
    true of them is not true of all, and no metric can mistake the one for the other.

    Args:
        labels: all labels of the task.
        truth: the item's field with the true label.
        positive: the label that matters to the person concerned, such as *investigate*.
        known_of: whose true label is known: of everyone, of a random sample, or of cases that
            somebody picked (such as those that were investigated). Else the field is empty.
        text: the item's field that holds the text; for a text classifier.
        row: the item's fields that make the row; for a table model.
    """

    labels: tuple[str, ...]
    truth: str
    positive: str
    known_of: Literal["everyone", "sample", "picked"] = "everyone"
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
        truth = self._true_label(item)
        parts = self._of_the_truth(truth)
        if (failure := failed(item, responses)) is not None:
            return replace(failure, parts=parts)
        (response,) = responses
        if not isinstance(response, Classification):
            raise TypeError(f"expected a classification, got {response.kind}")
        if response.label not in self.labels:
            return Score.unscored(
                item,
                Answered.OFF_FORMAT,
                f"the label {response.label!r} is none of the task's ({', '.join(self.labels)}); "
                "a card can rename labels under `labels`",
                parts=parts,
            )
        if "positive" in parts:
            parts["correct"] = float(response.label == truth)
        if self.positive in response.probabilities:
            parts["probability"] = response.probabilities[self.positive]
        selected = float(response.label == self.positive)
        return Score.of(item, selected, parts=parts, said=response.label)

    def _of_the_truth(self, truth: str | None) -> dict[str, float]:
        """Return what is known of the case itself, also where its answer cannot be scored."""
        if truth is None:
            return {}
        name = "positive_if_picked" if self.known_of == "picked" else "positive"
        return {name: float(truth == self.positive)}

    def _true_label(self, item: Item) -> str | None:
        truth = item.fields[self.truth]
        if truth in (None, "") and self.known_of != "everyone":
            return None
        if truth not in self.labels:
            raise ContentError(
                f"item {item.id}",
                f"{self.truth}: {truth!r} is none of the labels {', '.join(self.labels)}; where "
                "it is not known of everyone, say so in known_of",
            )
        return str(truth)


def _cell(item: Item, field: str) -> Cell:
    held = item.fields[field]
    if held is None or isinstance(held, str | int | float | bool):
        return held
    raise ContentError(f"item {item.id}", f"{field}: should be one text or number")
