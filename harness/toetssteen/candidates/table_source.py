"""Where a table model is, what kind of file it is, and whether it may be opened.

ONNX holds a computation and no code. Everything else is unpickled or brings code, so it is opened
only where the card says `trusted: true`, and then in a process of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from toetssteen import cache
from toetssteen.candidates import mlmodel
from toetssteen.candidates.rows import CARD_COLUMNS, SIGNATURE_COLUMNS, Column
from toetssteen.errors import ContentError
from toetssteen.spec import CandidateSpec, MlflowWeights, PathWeights, TableSpec

Kind = Literal["onnx", "sklearn", "pyfunc", "pickle"]
PICKLES = (".pkl", ".pickle", ".joblib")


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table model on this machine.

    Args:
        kind: how it is opened.
        place: its file, or the folder of an MLflow model.
        digest: the sha256 it is known by.
        columns: what it reads, where its signature or the card says so; empty where neither does.
        origin: what a registry said of it, for the record.
    """

    kind: Kind
    place: Path
    digest: str
    columns: tuple[Column, ...]
    origin: Mapping[str, str] = field(default_factory=dict)


def find_table(card: CandidateSpec, folder: Path) -> TableSource:
    """Return the model that a card means; nothing of it runs.

    Raises:
        ContentError: not there, of no kind that is understood, or not trusted.
        RunError: MLflow could not be reached.
    """
    match card.weights:
        case MlflowWeights():
            source = _registered(card, card.weights, folder)
        case PathWeights():
            source = _local(card, card.weights, folder)
        case _:
            raise ContentError(
                folder, "weights: the adapter tabular needs them, with source mlflow or path"
            )
    if source.kind != "onnx" and not card.trusted:
        named = source.origin.get("mlflow_uri", source.place)
        raise ContentError(
            folder,
            f"trusted: {named} is a {source.kind} model, and opening it runs whatever its maker "
            "put in it. Ask for ONNX; or, if you trust who made it, write `trusted: true`: it "
            "then runs in a process of its own, and the report says so",
        )
    return source


def settings(card: CandidateSpec) -> TableSpec:
    """Return what the card says of the table."""
    return card.table or TableSpec()


def _local(card: CandidateSpec, weights: PathWeights, folder: Path) -> TableSource:
    place = (folder / Path(weights.path).expanduser()).resolve()
    kinds: Mapping[str, Kind] = {".onnx": "onnx", **dict.fromkeys(PICKLES, "pickle")}
    if place.suffix not in kinds or not place.is_file():
        raise ContentError(
            place, f"weights.path: no such file, or none that ends in {', '.join(kinds)}"
        )
    found = cache.digest(place)
    if weights.sha256 is not None and found != weights.sha256:
        raise ContentError(place, f"sha256 is {found}, the card says {weights.sha256}")
    return TableSource(kinds[place.suffix], place, found, _card_columns(card))


def _registered(card: CandidateSpec, weights: MlflowWeights, folder: Path) -> TableSource:
    model = mlmodel.find(weights, folder)
    columns = _card_columns(card) or tuple(_signature(model))
    kind: Kind
    match model.flavours:
        case {"transformers": _}:
            raise model.refused("is a model of transformers, not of tables; see `adapter`")
        case {"onnx": {"data": str(name)}}:
            kind, place = "onnx", mlmodel.inside(model, name)
        case {"sklearn": _}:
            kind, place = "sklearn", model.folder
        case {"python_function": _}:
            kind, place = "pyfunc", model.folder
        case _:
            raise model.refused(f"has the flavours {', '.join(model.flavours)}; none is a table's")
    return TableSource(kind, place, model.digest, columns, model.origin)


def _card_columns(card: CandidateSpec) -> tuple[Column, ...]:
    named = settings(card).columns or {}
    return tuple(Column(name, kind, CARD_COLUMNS[kind]) for name, kind in named.items())


def _signature(model: mlmodel.MlflowModel) -> Sequence[Column]:
    """Return the columns that the model's signature names; none for a matrix without names."""
    signature = model.described.get("signature")
    try:
        inputs: list[dict[str, Any]] = json.loads(signature["inputs"]) if signature else []
        named = [one for one in inputs if "name" in one and one["type"] != "tensor"]
        columns = [Column(str(one["name"]), *SIGNATURE_COLUMNS[one["type"]]) for one in named]
    except (KeyError, TypeError, ValueError) as error:
        raise model.refused(
            f"has a signature with columns that cannot be filled from a table ({error}); name "
            "them on the card under table.columns"
        ) from None
    return columns if len(columns) == len(inputs) else ()
