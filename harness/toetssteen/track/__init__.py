"""Results into MLflow: the run folder is the truth, MLflow shows it."""

from importlib import import_module
from pathlib import Path

from toetssteen.mlflow_settings import set_up
from toetssteen.records import Record


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
    set_up()
    run_id: str = import_module("toetssteen.track.mlflow").log_run(
        record, folder, uri=uri, experiment=experiment
    )
    return run_id
