"""Into MLflow: one run, flat, found again; nothing is lost when the server is away."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from toetssteen.cli import main
from toetssteen.errors import TrackingError
from toetssteen.track import track

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run with a scripted candidate, not yet tracked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "knows.yaml").write_text(
        "title: Knows\nlicence: EUPL-1.2\nadapter:\n  name: scripted\n"
        '  args: {says: {"Tot hoe laat": 12.00 uur}, otherwise: not in the text}\n'
    )
    runner = CliRunner()
    runner.invoke(main, ["new", "lab/one"], catch_exceptions=False)
    words = ["run", "lab/one", "energy/requests", "--path", ".", "-c", "knows", "--no-tracking"]
    result = runner.invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def record_of(folder: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((folder / "results.json").read_text())
    return record


def test_a_run_is_logged_flat_and_only_once(run: Path, tmp_path: Path) -> None:
    """Twice the same record: one experiment, one run, every metric once."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first = track(record_of(run), run, uri=uri, experiment="Proef")
    second = track(record_of(run), run, uri=uri, experiment="Proef")
    assert first == second
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("Proef")
    (logged,) = client.search_runs([experiment.experiment_id])
    metrics = logged.data.metrics
    assert metrics["lab/exact_match"] == 0.5
    assert metrics["n/lab.exact_match"] == 6
    assert metrics["n/lab.exact_match_unscored"] == 0
    assert metrics["ci/lab.exact_match_lo"] <= 0.5 <= metrics["ci/lab.exact_match_hi"]
    assert len(client.get_metric_history(first, "lab/exact_match")) == 1
    assert {file.path for file in client.list_artifacts(first)} == {
        "results.json",
        "report.nl.html",
        "report.en.html",
    }
    assert logged.info.status == "FINISHED"


def test_where_there_is_no_number_there_is_no_key(run: Path, tmp_path: Path) -> None:
    """Energy that is unknown is no metric, not even a zero or a NaN."""
    record = record_of(run)
    for task in record["tasks"]:  # type: ignore[attr-defined]
        for result in task["results"]:
            if result["metric"] == "energy_per_1000_requests":
                result["estimate"] |= {"value": None, "low": None, "high": None}
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run_id = track(record, run, uri=uri, experiment="Proef")
    metrics = mlflow.MlflowClient(tracking_uri=uri).get_run(run_id).data.metrics
    assert "energy/energy_per_1000_requests" not in metrics
    assert not [key for key in metrics if key.startswith("ci/energy.energy_per")]
    assert metrics["n/energy.energy_per_1000_requests"] == 24


def test_a_server_that_is_away_leaves_the_run_and_says_what_to_type(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is complete without MLflow; the message is the command that sends it later."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    away = "http://127.0.0.1:9"
    with pytest.raises(TrackingError, match="MLflow at http://127"):
        track(record_of(run), run, uri=away, experiment="Proef")
    words = ["run", "lab/one", "energy/requests", "--path", ".", "-c", "knows", "--tracking", away]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert f"toets sync {run.relative_to(tmp_path)} --tracking {away}" in result.output
    assert "Traceback" not in result.output
    uri = f"sqlite:///{tmp_path / 'later.db'}"
    sent = CliRunner().invoke(main, ["sync", str(run), "--tracking", uri])
    assert sent.exit_code == 0, sent.output


def test_the_note_begins_with_the_findings_and_fits(run: Path, tmp_path: Path) -> None:
    """MLflow cuts a note behind 8,000 characters without a word; we cut it ourselves."""
    record = record_of(run)
    task = record["tasks"][0]  # type: ignore[index]
    task["results"] = task["results"] * 200
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run_id = track(record, run, uri=uri, experiment="Proef")
    tags = mlflow.MlflowClient(tracking_uri=uri).get_run(run_id).data.tags
    assert len(tags["mlflow.note.content"]) <= 8000
    assert "report.en.html" in tags["mlflow.note.content"][-60:]
    assert tags["findings"] == "no criteria registered"


def test_a_corrected_number_is_a_new_run_and_the_old_one_says_so(
    run: Path, tmp_path: Path
) -> None:
    """MLflow keeps the largest of two values of one moment: a lower one could never replace it."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    record = record_of(run)
    old = track(record, run, uri=uri, experiment="Proef")
    task = record["tasks"][0]  # type: ignore[index]
    task["results"][0]["estimate"] |= {"value": 0.1, "low": 0.0, "high": 0.2}
    (run / "results.json").write_text(json.dumps(record))
    new = track(record, run, uri=uri, experiment="Proef")
    client = mlflow.MlflowClient(tracking_uri=uri)
    assert new != old
    assert client.get_run(new).data.metrics["lab/exact_match"] == 0.1
    assert client.get_run(old).data.tags["superseded by"] == new
    assert track(record, run, uri=uri, experiment="Proef") == new
