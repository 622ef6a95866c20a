"""A model of table rows: it decides on a label, and mostly says how probable it holds each.

ONNX is computed here (`onnx_table.py`); what brings code runs in a process of its own
(`isolated.py`). What goes in is checked against the model's columns, what comes out against what
probabilities and labels are.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from math import fsum, isfinite
from typing import Any, Protocol

from toetssteen.candidates import CandidateStoppedError, not_offered
from toetssteen.candidates.rows import CellError, Column, RowError, cast, check_names
from toetssteen.candidates.table_source import TableSource, settings
from toetssteen.errors import CandidateError
from toetssteen.records import (
    Cell,
    Classification,
    Classify,
    Failure,
    Request,
    Response,
)
from toetssteen.spec import CandidateSpec

ADD_UP = 1e-3  # how far probabilities may be from adding up to 1: float32, and rounding


class TableModel(Protocol):
    """A loaded model."""

    classes: tuple[str, ...]  # empty where it does not say
    gives_probabilities: bool

    def predict(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], /
    ) -> Sequence[Mapping[str, Any] | Failure]:
        """Return `label` (or None) and `probabilities` for every row, or why there are none."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Say in what it runs."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def open_tabular(card: CandidateSpec, source: TableSource) -> "Tabular":
    """Load the model, and see that card and model agree.

    Raises:
        CandidateError: it cannot be loaded, names no columns, has other classes than the card
            renames, or gives no probabilities where a threshold is to decide.
    """
    said = settings(card)
    columns = source.columns
    model: Any
    if source.kind == "onnx":
        edge = import_module("toetssteen.candidates.onnx_table")
        model = edge.OnnxTable(source, classes=said.classes, threads=card.threads)
        columns = model.columns
    else:
        edge = import_module("toetssteen.candidates.isolated")
        model = edge.Isolated(
            source, classes=said.classes, seconds=said.timeout_seconds, threads=card.threads
        )
        columns = columns or tuple(Column(name, "number", "float64") for name in model.columns)
    opened = Tabular(model, columns, card=card, source=source)
    try:
        opened.check()
    except CandidateError:
        opened.close()
        raise
    return opened


class Tabular:
    """A table model, opened."""

    def __init__(
        self,
        model: TableModel,
        columns: tuple[Column, ...],
        *,
        card: CandidateSpec,
        source: TableSource,
    ) -> None:
        """Wrap a loaded model; use `open_tabular` to load one from a card."""
        self._model = model
        self._columns = columns
        self._card = card
        self._source = source
        self._settings = settings(card)

    def check(self) -> None:
        """See that the card fits the model.

        Raises:
            CandidateError: says what does not fit.
        """
        if not self._columns:
            raise CandidateError(
                f"{self._source.place}: the model does not say which columns it reads; name them "
                "on the card under table.columns"
            )
        if self._settings.threshold is not None and not self._model.gives_probabilities:
            raise CandidateError(
                f"{self._source.place}: the card sets table.threshold, but the model gives no "
                "probabilities"
            )
        for label in self._model.classes:
            self._renamed(label)
        positive = self._settings.positive
        known = [self._renamed(label) for label in self._model.classes]
        if positive is not None and known and positive not in known:
            raise CandidateError(
                f"{self._source.place}: table.positive is {positive}, the model's labels are "
                f"{', '.join(known)}"
            )

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer every request, in order; a row that cannot be read or judged is a `Failure`.

        Raises:
            CandidateStoppedError: the rows do not fit the model, or it cannot answer any more.
        """
        answers: dict[int, Response] = {}
        asked: dict[int, list[Cell]] = {}
        try:
            for place, request in enumerate(requests):
                if not isinstance(request, Classify):
                    answers[place] = not_offered("a table model", request)
                    continue
                try:
                    asked[place] = self._row(request)
                except CellError as error:
                    answers[place] = Failure("error", str(error))
            if asked:
                given = self._model.predict(self._columns, list(asked.values()))
                for place, one in zip(asked, given, strict=True):
                    answers[place] = one if isinstance(one, Failure) else self._judged(one)
        except (RowError, CandidateError) as error:
            raise CandidateStoppedError(str(error)) from None
        return [answers[place] for place in range(len(requests))]

    def describe(self) -> Mapping[str, str]:
        """Say what answered, whether code of its own ran, and how it decides."""
        said = {
            "adapter": self._card.adapter.name,
            "weights_sha256": self._source.digest,
            "model": self._source.kind,
            "trusted": "no; the model brings no code that runs"
            if self._source.kind == "onnx"
            else "yes; the model's own code ran, in a process of its own",
            "columns": ", ".join(f"{c.name} ({c.dtype})" for c in self._columns),
            "classes": ", ".join(self._model.classes) or "not known beforehand",
            "decides": self._rule(),
        }
        return {**said, **self._source.origin, **self._model.describe()}

    def close(self) -> None:
        """Let go of the model, or end its process."""
        self._model.close()

    def _row(self, request: Classify) -> list[Cell]:
        check_names(request.fields, self._columns)
        return [cast(request.fields[column.name], column) for column in self._columns]

    def _judged(self, given: Mapping[str, Any]) -> Response:
        """Return the decision, in the labels of the task."""
        held: dict[str, float] = {}
        for label, probability in given["probabilities"].items():
            # Two labels of the model may be one of the task's.
            renamed = self._renamed(label)
            held[renamed] = held.get(renamed, 0.0) + probability
        if held and (fault := _no_probabilities(tuple(held.values()))):
            return Failure("error", fault)
        return Classification(self._decision(given["label"], held), held)

    def _decision(self, label: str | None, held: Mapping[str, float]) -> str:
        if self._settings.threshold is None or self._settings.positive is None:
            return self._likeliest(held) if label is None else self._renamed(label)
        positive = self._settings.positive
        if positive not in held:
            raise CandidateError(
                f"{self._source.place}: table.positive is {positive}, and the model gives "
                f"probabilities of {', '.join(held) or 'nothing'}"
            )
        others = {name: value for name, value in held.items() if name != positive}
        if held[positive] >= self._settings.threshold or not others:
            return positive
        return self._likeliest(others)

    def _likeliest(self, held: Mapping[str, float]) -> str:
        if not held:
            raise CandidateError(f"{self._source.place}: gives neither labels nor probabilities")
        return max(held, key=lambda name: held[name])

    def _renamed(self, label: str) -> str:
        if not self._card.labels:
            return label
        if label not in self._card.labels:
            raise CandidateError(
                f"{self._source.place}: the model has the label {label}, which the card does not "
                f"rename; under labels stand {', '.join(self._card.labels)}"
            )
        return self._card.labels[label]

    def _rule(self) -> str:
        if self._settings.threshold is None:
            return "as the model does"
        return f"{self._settings.positive} from a probability of {self._settings.threshold:g}"


def _no_probabilities(held: Sequence[float]) -> str:
    """Say why these are no probabilities, or nothing if they are."""
    if not all(map(isfinite, held)):
        return "a probability is not a finite number"
    if min(held) < 0 or max(held) > 1 + ADD_UP:
        return f"a probability lies outside 0 to 1 ({min(held):g} to {max(held):g})"
    if abs(fsum(held) - 1) > ADD_UP:
        return f"the probabilities add up to {fsum(held):g}, not to 1"
    return ""
