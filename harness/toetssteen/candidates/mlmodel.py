"""A model that MLflow holds: which one is meant, its files in our cache, and what they may be.

Nothing of a model runs here. It is found again by the digest of its files, described by its
`MLmodel`, inspected, and only then laid out for transformers to read.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from toetssteen import cache
from toetssteen.candidates.files import DESCRIBING, PICKLED
from toetssteen.errors import ContentError, RunError
from toetssteen.mlflow_settings import set_up, without_password
from toetssteen.spec import MlflowWeights

DESCRIPTION = "MLmodel"


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """The files of a model that MLflow holds, on this machine.

    Args:
        folder: in our cache, under the digest.
        digest: sha256 over the names and digests of all files.
        described: what its `MLmodel` says.
        origin: which version it was, for the record.
    """

    folder: Path
    digest: str
    described: Mapping[str, Any]
    origin: Mapping[str, str]

    @property
    def flavours(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the ways in which MLflow can load it, with their settings."""
        flavours: Mapping[str, Mapping[str, Any]] = self.described["flavors"]
        return flavours

    @property
    def is_transformers(self) -> bool:
        """Was it logged by `mlflow.transformers`?"""
        return "transformers" in self.flavours

    def refused(self, why: str) -> ContentError:
        """Return the error that says, of this model, why it is not loaded."""
        return ContentError(self.origin["mlflow_uri"], why)


def find(weights: MlflowWeights, folder: Path) -> MlflowModel:
    """Return the model, downloaded where it is not in the cache yet.

    An alias is looked up at the server each time. What cannot move (a version, a logged model, a
    run's model) is asked for once and then works without the server.

    Args:
        weights: what the card says.
        folder: of the card, for messages.

    Raises:
        ContentError: no tracking URI, no model, or another digest than the card says.
        RunError: the server cannot be reached; says what works without it.
    """
    address = _address(weights, folder)
    fixed = _resolved(weights, address) if weights.moves else weights.uri
    digest = _noted(_note(fixed, address))
    place = None if digest is None else _folder(digest)
    if digest is None or place is None or not place.is_dir():
        digest = _fetch(fixed, address)
    _check(digest, weights, folder)
    return _read(digest, weights, fixed)


def _address(weights: MlflowWeights, folder: Path) -> str:
    address = weights.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        raise ContentError(
            folder,
            f"weights.tracking_uri: {weights.uri} is in an MLflow that nobody named; give "
            "tracking_uri on the card, or set MLFLOW_TRACKING_URI",
        )
    file = Path(address.removeprefix("sqlite:///"))
    # MLflow would make an empty database there.
    if address.startswith("sqlite:///") and not file.is_file():
        raise ContentError(folder, f"weights.tracking_uri: {file}: no such file")
    return address


def _edge() -> Any:  # noqa: ANN401 - a module
    set_up()
    return import_module("toetssteen.candidates.registered")


def _resolved(weights: MlflowWeights, address: str) -> str:
    """Return what an alias stands for; where the server is away, say what it stood for."""
    note = _note(weights.uri, address)
    try:
        fixed: str = _edge().resolve(weights.uri, address)
    except RunError as error:
        known = _noted(note)
        if known is None or type(error) is not RunError:
            raise
        raise RunError(
            f"{error}. What an alias stands for only the server knows; it was {known}, and with "
            "that on the card the server is not needed"
        ) from None
    _write(note, fixed)
    return fixed


def _fetch(fixed: str, address: str) -> str:
    with TemporaryDirectory(prefix=".part-", dir=cache.made_folder(_home())) as scratch:
        target = Path(scratch) / "model"
        target.mkdir()
        place: Path = _edge().download(fixed, address, target)
        digest = _digest(place)
        if not _folder(digest).is_dir():  # two versions may hold the same files
            place.rename(_folder(digest))
    _write(_note(fixed, address), digest)
    return digest


def _check(digest: str, weights: MlflowWeights, folder: Path) -> None:
    if weights.sha256 is not None and digest != weights.sha256:
        raise ContentError(
            folder, f"weights: sha256 of {weights.uri} is {digest}, the card says {weights.sha256}"
        )
    if (found := _digest(_folder(digest))) != digest:
        raise ContentError(
            _folder(digest),
            f"sha256 is {found}, not that of its name; changed since it was fetched: delete it "
            "and run `toets fetch --candidate NAME`",
        )


def _read(digest: str, weights: MlflowWeights, fixed: str) -> MlflowModel:
    folder = _folder(digest)
    try:
        described = yaml.safe_load((folder / DESCRIPTION).read_text(encoding="utf-8"))
        flavours = described["flavors"]
        readable = all(isinstance(flavour, dict) for flavour in flavours.values())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        readable = False
    if not readable:
        raise ContentError(weights.uri, f"has no {DESCRIPTION} that can be read; is it a model?")
    return MlflowModel(folder, digest, described, _origin(digest, weights, fixed, described))


def _origin(
    digest: str, weights: MlflowWeights, fixed: str, described: Mapping[str, Any]
) -> dict[str, str]:
    said = {"mlflow_uri": weights.uri}
    if fixed.count("/") > 1 and fixed.startswith("models:/"):
        said["mlflow_version"] = fixed.rpartition("/")[2]
    if described.get("model_id"):  # older servers have none
        said["mlflow_model_id"] = str(described["model_id"])
    return said | {"mlflow_files_sha256": digest}


# --- in the cache ------------------------------------------------------------------------------


def _home() -> Path:
    return cache.folder() / "mlflow"


def _folder(digest: str) -> Path:
    return _home() / digest


def _digest(folder: Path) -> str:
    total = sha256()
    for file in _files(folder):
        total.update(f"{file.relative_to(folder).as_posix()} {cache.digest(file)}\n".encode())
    return total.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _note(uri: str, address: str) -> Path:
    """Return the file that says what a name at a server stood for when it was last asked."""
    named = f"{without_password(address, address)}\n{uri}"
    return _home() / "named" / sha256(named.encode()).hexdigest()


def _noted(note: Path) -> str | None:
    return note.read_text(encoding="utf-8") if note.is_file() else None


def _write(note: Path, text: str) -> None:
    with cache.writing(note) as part:
        part.write_text(text, encoding="utf-8")


# --- a model of transformers -------------------------------------------------------------------


def assemble(model: MlflowModel) -> Path:
    """Return a folder that transformers can read: weights and tokenizer side by side.

    Raises:
        ContentError: the model is none of transformers, or brings anything that could run.
    """
    inspect(model)
    target = _home() / "laid_out" / model.digest
    if not target.is_dir():
        with TemporaryDirectory(prefix=".part-", dir=cache.made_folder(target.parent)) as scratch:
            laid_out = Path(scratch) / "model"
            laid_out.mkdir()
            for file in _wanted(model):
                _link(file, laid_out / file.name)
            laid_out.rename(target)
    return target


def inspect(model: MlflowModel) -> None:
    """Refuse what is not weights, tokenizer and settings alone.

    Raises:
        ContentError: says what was found.
    """
    if not model.is_transformers:
        raise model.refused(
            f"has the flavours {', '.join(model.flavours)} and no transformers; a table model is "
            "opened with `adapter: {name: tabular}`"
        )
    for file in _files(model.folder):
        name = file.relative_to(model.folder).as_posix()
        if file.suffix == ".py":
            raise model.refused(f"brings code ({name}), which is not run; register it without")
        if any(file.match(pattern) for pattern in PICKLED):
            raise model.refused(
                f"brings a pickle ({name}): reading it can run any code; register safetensors"
            )
        if file.suffix == ".json" and _asks_for_code(file):
            raise model.refused(f"asks for code of its own (auto_map in {name}), which is not run")
    for name, flavour in model.flavours.items():
        if flavour.get("code"):
            raise model.refused(f"brings code (flavors.{name}.code), which is not run")
    flavour = model.flavours["transformers"]
    if flavour.get("peft_adaptor"):
        raise model.refused("is an adapter on a base; register the merged model")
    if not any(_weights_folder(model).glob("*.safetensors")):
        raise model.refused(
            "holds no *.safetensors; a model that was logged by name only is opened with `source: "
            "hub`"
        )
    if not _tokenizer_folder(model).is_dir():
        raise model.refused("holds no tokenizer (components/tokenizer)")


def _asks_for_code(file: Path) -> bool:
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False  # whoever reads it later says that it is no JSON
    return any("auto_map" in part for part in _mappings(settings))


def _mappings(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - what JSON holds
    """Give every mapping in what a JSON file holds, however deep."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            left += part.values()
        elif isinstance(part, list):
            left += part


def _weights_folder(model: MlflowModel) -> Path:
    return inside(model, str(model.flavours["transformers"].get("model_binary") or "model"))


def _tokenizer_folder(model: MlflowModel) -> Path:
    return model.folder / "components" / "tokenizer"


def inside(model: MlflowModel, name: str) -> Path:
    """Return a file or folder of the model.

    Raises:
        ContentError: its `MLmodel` points outside the model.
    """
    place = (model.folder / name).resolve()
    if not place.is_relative_to(model.folder.resolve()):
        raise model.refused(f"{DESCRIPTION} points outside the model ({name})")
    return place


def _wanted(model: MlflowModel) -> Iterator[Path]:
    """Give weights, settings and tokenizer; where both have a file, that of the model counts."""
    chosen: dict[str, Path] = {}
    for folder in (_tokenizer_folder(model), _weights_folder(model)):
        for pattern in ("*.safetensors", *DESCRIBING):
            chosen |= {file.name: file for file in folder.glob(pattern)}
    yield from chosen.values()


def _link(file: Path, target: Path) -> None:
    try:
        target.hardlink_to(file)
    except OSError:  # another disk, or one without links
        shutil.copy2(file, target)
