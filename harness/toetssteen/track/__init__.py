"""Results into MLflow: the run folder is the truth, MLflow shows it."""

import os
from importlib import import_module
from pathlib import Path

from toetssteen.records import Record

# Set before MLflow is imported, and only where the user has not chosen otherwise. Telemetry:
# DO_NOT_TRACK=1 does not switch it off. Retries: by default an unreachable server is noticed
# after four minutes.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def track(record: Record, folder: Path, *, uri: str, experiment: str) -> str:
    """Log a run, or bring the one that is there up to date; return its MLflow run id.

    Args:
        record: the results.
        folder: the run folder, whose results and reports become artifacts.
        uri: the MLflow tracking URI.
        experiment: name of the experiment, made if it does not exist.

    Raises:
        TrackingError: MLflow could not be reached or refused; nothing in the folder changes.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    run_id: str = import_module("toetssteen.track.mlflow").log_run(
        record, folder, uri=uri, experiment=experiment
    )
    return run_id
