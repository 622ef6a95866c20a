"""Asks an MLflow server which model is meant, and downloads it; loads and runs nothing.

`mlflow.*.load_model` runs code that lies in the model, so none of those is called here.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from toetssteen.errors import RunError
from toetssteen.mlflow_settings import without_password

# What MLflow's client puts beside a model when it downloads it.
ADDED = "registered_model_meta"


class UnknownModelError(RunError):
    """The server answers, and has no such model, version, alias or run."""


def resolve(uri: str, address: str) -> str:
    """Return the version that an alias stands for now, as `models:/NAME/VERSION`.

    Raises:
        UnknownModelError: there is no such model or alias.
        RunError: the server cannot be reached or refuses.
    """
    with _in_one_line(uri, address):
        name, _, alias = uri.removeprefix("models:/").rpartition("@")
        found = _client(address).get_model_version_by_alias(name, alias)
        return f"models:/{name}/{found.version}"


def download(uri: str, address: str, target: Path) -> Path:
    """Download a version, a logged model or a run's model; return the folder it lies in.

    Raises:
        UnknownModelError: there is no such thing.
        RunError: the server cannot be reached or refuses, or the disk is full.
    """
    with _in_one_line(uri, address):
        place = download_artifacts(
            artifact_uri=_place(uri, address), dst_path=str(target), tracking_uri=address
        )
        for added in Path(place).glob(ADDED):
            added.unlink()
        return Path(place)


def _place(uri: str, address: str) -> str:
    """Return where the server keeps the files.

    MLflow's own way to follow `runs:/` forgets which server was meant.
    """
    client, name = _client(address), uri.removeprefix("models:/")
    if uri.startswith("runs:/"):
        run_id, _, path = uri.removeprefix("runs:/").partition("/")
        run = client.get_run(run_id)
        for output in run.outputs.model_outputs if run.outputs else ():
            model = client.get_logged_model(output.model_id)
            if model.name == path:
                return str(model.artifact_location)
        return f"{run.info.artifact_uri}/{path}"
    if "/" not in name:
        return str(client.get_logged_model(name).artifact_location)
    return str(client.get_model_version_download_uri(*name.rsplit("/", 1)))


def _client(address: str) -> Any:  # noqa: ANN401 - MLflow's types are not followed
    # Alembic tells at length how it looks at a database.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=address)


@contextmanager
def _in_one_line(uri: str, address: str) -> Iterator[None]:
    try:
        yield
    except (MlflowException, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        said = without_password(address, first)
        server = without_password(address, address)
        code = getattr(error, "error_code", "")
        if code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}:
            raise UnknownModelError(
                f"{uri}: is not in MLflow at {server} ({said}); see there which models, versions "
                "and aliases it has"
            ) from None
        raise RunError(f"{uri}: MLflow at {server} gave no model: {said}") from None
