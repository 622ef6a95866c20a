"""One flat MLflow run per run folder, readable in the stock UI.

Metric keys have two levels, `theme/metric`, then `ci/…` and `n/…`; where there is no number there
is no key. Logging the same results again finds the same run and repeats the same points, which
MLflow drops; other results of the same plan are a new run, and the old one is tagged.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from toetssteen.errors import TrackingError
from toetssteen.records import Record

log = logging.getLogger(__name__)

SCHEMA = "1"
FINGERPRINT = "toetssteen.fingerprint"
RESULTS = "toetssteen.results_sha256"
ARTIFACTS = ("results.json", "report.nl.html", "report.en.html")
SIGNIFICANT_DIGITS = 4
LONGEST_NOTE = 8000  # MLflow cuts silently behind it


def log_run(record: Record, folder: Path, *, uri: str, experiment: str) -> str:
    """Log a record and its files; see `toetssteen.track.track`."""
    # Alembic tells at length how it makes a new database.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment_id = _experiment(client, experiment)
        run_id = _run(client, experiment_id, record, folder)
        client.log_batch(
            run_id,
            metrics=_metrics(record),
            params=[Param(key, value) for key, value in _params(record).items()],
            tags=[RunTag(key, value) for key, value in _tags(record, folder).items()],
            synchronous=True,
        )
        for name in ARTIFACTS:
            client.log_artifact(run_id, str(folder / name))
        client.set_terminated(run_id, "FINISHED", end_time=_milliseconds(_ended(record)))
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {uri}: {_first_line(error)}") from None
    return run_id


def results_digest(folder: Path) -> str:
    """Return the sha256 of the results: the key under which a logged run is found again.

    Other results are another run. MLflow keeps the largest of two values logged for one moment
    and never forgets a metric, so a corrected or withheld number cannot replace an old one.
    """
    return sha256((folder / "results.json").read_bytes()).hexdigest()


def _experiment(client: MlflowClient, name: str) -> str:
    """Return the experiment's id; never `set_experiment`, which races into Default."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:
        # Another job made it in between.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _run(client: MlflowClient, experiment_id: str, record: Record, folder: Path) -> str:
    digest = results_digest(folder)
    same_plan = client.search_runs(
        [experiment_id],
        filter_string=f"tags.`{FINGERPRINT}` = '{record['fingerprint']}'",
    )
    for run in same_plan:
        if run.data.tags.get(RESULTS) == digest:
            return str(run.info.run_id)
    made = client.create_run(
        experiment_id,
        start_time=_milliseconds(record["started"]),
        run_name=record["candidate"]["name"],
        tags={FINGERPRINT: record["fingerprint"], RESULTS: digest},
    )
    for run in same_plan:
        client.set_tag(run.info.run_id, "superseded by", made.info.run_id)
    return str(made.info.run_id)


# --- what is logged ----------------------------------------------------------------------------


def _metrics(record: Record) -> list[Metric]:
    at = _milliseconds(_ended(record))
    values = dict(_values(record))
    ordered = sorted(values, key=lambda key: key.startswith(("ci/", "n/")))
    return [Metric(key, values[key], at, 0) for key in ordered]


def _values(record: Record) -> Iterator[tuple[str, float]]:
    clashing = _clashing(record)
    for task in record["tasks"]:
        theme, _, short = task["name"].partition("/")
        for result in task["results"]:
            if result["group"]:
                continue
            metric, estimate = result["metric"], result["estimate"]
            if (theme, metric) in clashing:
                metric = f"{short}_{metric}"
            yield f"n/{theme}.{metric}", float(estimate["n"])
            yield f"n/{theme}.{metric}_unscored", float(estimate["unscored"])
            if estimate["value"] is not None:
                yield f"{theme}/{metric}", _rounded(estimate["value"])
            for end, short_end in (("low", "lo"), ("high", "hi")):
                if estimate[end] is not None:
                    yield f"ci/{theme}.{metric}_{short_end}", _rounded(estimate[end])


def _clashing(record: Record) -> set[tuple[str, str]]:
    """Return the metrics that two tasks of one theme both have."""
    counted = Counter(
        (task["name"].partition("/")[0], result["metric"])
        for task in record["tasks"]
        for result in task["results"]
        if not result["group"]
    )
    return {key for key, count in counted.items() if count > 1}


def _params(record: Record) -> dict[str, str]:
    candidate = record["candidate"]
    session = record["sessions"][-1]["candidate"] if record["sessions"] else {}
    params = {
        "candidate": candidate["name"],
        "candidate_sha256": candidate["identity"][:16],
        "adapter": candidate["adapter"]["name"],
        "dtype": candidate["dtype"],
        "device": candidate["device"],
        "seed": str(record["seed"]),
        "limit": str(record["limit"] or "none"),
        "fingerprint": record["fingerprint"][:16],
    }
    versions = ("torch", "transformers")
    return params | {name: session[name] for name in versions if name in session}


def _tags(record: Record, folder: Path) -> dict[str, str]:
    says = Counter(f["says"] for f in record["findings"] if f["criterion"])
    profile = record["profile"]
    return {
        "findings": " · ".join(f"{count} {name}" for name, count in sorted(says.items()))
        or "no criteria registered",
        "tasks": " ".join(task["name"] for task in record["tasks"])[:250],
        "profile": f"{profile['id']} {profile['version']}" if profile else "none",
        "toetssteen.schema": SCHEMA,
        "toetssteen.version": record["toetssteen"],
        FINGERPRINT: record["fingerprint"],
        RESULTS: results_digest(folder),
        "mlflow.note.content": _note(record),
        "mlflow.source.name": f"toetssteen {record['toetssteen']}",
        "mlflow.source.type": "LOCAL",
    }


def _note(record: Record) -> str:
    """Return the run's note: findings first, then a table with intervals."""
    lines = [
        *(
            f"**{f['criterion']}** {f['result']}: {f['says']} ({f['because']})"
            for f in record["findings"]
            if f["criterion"]
        ),
        "",
        "These are measurements. They support, but do not prove, that a system meets the AI Act.",
        "",
        "| result | estimate | 95 % interval | n | unscored | status |",
        "|---|---|---|---|---|---|",
    ]
    for task in record["tasks"]:
        lines += [_row(task["name"], result) for result in task["results"] if not result["group"]]
    return _cut("\n".join(lines))


def _row(task: str, result: Mapping[str, Any]) -> str:
    e = result["estimate"]
    value, interval = "none", e["reason"].replace("|", "/")
    if e["value"] is not None:
        value = f"{e['value']:.4g} {e['unit']}".strip()
        interval = _between(e)
    name = f"{task}/{result['metric']}"
    return f"| {name} | {value} | {interval} | {e['n']} | {e['unscored']} | {e['status']} |"


def _between(estimate: Mapping[str, Any]) -> str:
    if estimate["low"] is not None:
        return f"{estimate['low']:.4g} … {estimate['high']:.4g}"
    if estimate["null_95"] is not None:
        return f"chance: at most {estimate['null_95']:.4g}"
    return "no interval"


def _cut(note: str) -> str:
    if len(note) <= LONGEST_NOTE:
        return note
    rest = "\n\nCut here; the whole stands in report.en.html."
    kept = note[: LONGEST_NOTE - len(rest)]
    return kept[: kept.rindex("\n")] + rest


def _rounded(value: float) -> float:
    """Round to what the tables of MLflow can show; exact values are in results.json."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _ended(record: Record) -> str | None:
    return record["sessions"][-1]["at"] if record["sessions"] else None


def _milliseconds(moment: str | None) -> int | None:
    return None if moment is None else int(datetime.fromisoformat(moment).timestamp() * 1000)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
