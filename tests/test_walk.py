"""One datum through the whole walk, from YAML to MLflow and report, and what goes wrong on it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from toetssteen.cli import main

ROOT = Path(__file__).parents[1]

# A candidate that knows the answers to three questions and abstains from the rest.
KNOWS = """
title: Knows three answers
adapter:
  name: scripted
  args:
    says: {"Tot hoe laat": 12.00 uur, "How many days": two days, "Until what time": "17.00"}
    otherwise: not in the text
licence: EUPL-1.2
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with a candidate card in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "knows.yaml").write_text(KNOWS)
    return tmp_path


def toets(*words: str) -> Result:
    return CliRunner().invoke(main, words, catch_exceptions=False)


def run_of(folder: Path) -> Path:
    (run,) = [path for path in (folder / "runs").iterdir() if path.is_dir()]
    return run


def test_a_new_task_is_checked_run_and_reported_without_python(here: Path) -> None:
    """`toets new` gives YAML and JSON Lines; `check` accepts them; `run` answers by hand: 4 of 6.

    Of the six skeleton questions the candidate answers 1a and 4a right and 3a wrong, abstains
    rightly on 1b and 3b, and wrongly on 2a: 4 of 6 exact.
    """
    assert toets("new", "lab/waterschap").exit_code == 0
    checked = toets("check", "--path", ".", "lab/waterschap")
    assert checked.exit_code == 0, checked.output
    assert "6 items, 4 controls land" in checked.output
    ran = toets("run", "--path", ".", "lab/waterschap", "-c", "knows", "--no-tracking")
    assert ran.exit_code == 0, ran.output
    record = json.loads((run_of(here) / "results.json").read_text())
    whole = record["tasks"][0]["results"][0]
    assert whole["name"] == "lab/waterschap/exact_match"
    assert whole["estimate"]["value"] == pytest.approx(4 / 6)
    assert (whole["estimate"]["n"], whole["estimate"]["unscored"]) == (6, 0)
    assert whole["findings"][0]["says"] == "reported"
    assert (run_of(here) / "report.nl.html").is_file()
    assert (run_of(here) / "report.en.html").is_file()


def test_a_second_run_asks_nothing_and_says_so(here: Path) -> None:
    toets("new", "lab/waterschap")
    words = ("run", "--path", ".", "lab/waterschap", "-c", "knows", "--no-tracking")
    toets(*words)
    answers = (run_of(here) / "answers.jsonl").read_bytes()
    results = (run_of(here) / "results.json").read_bytes()
    again = toets(*words)
    assert "All 6 items were answered before; nothing was asked." in again.output
    assert (run_of(here) / "answers.jsonl").read_bytes() == answers
    assert (run_of(here) / "results.json").read_bytes() == results


def test_marking_again_asks_nothing_and_gives_the_same_bytes(here: Path) -> None:
    toets("new", "lab/waterschap")
    toets("run", "--path", ".", "lab/waterschap", "-c", "knows", "--no-tracking")
    results = (run_of(here) / "results.json").read_bytes()
    marked = toets("mark", str(run_of(here)))
    assert marked.exit_code == 0, marked.output
    assert (run_of(here) / "results.json").read_bytes() == results


def test_a_corrected_scoring_marks_the_old_answers(here: Path) -> None:
    """Accepting one more answer changes the item's digest, not the question: nothing is asked."""
    toets("new", "lab/waterschap")
    toets("run", "--path", ".", "lab/waterschap", "-c", "knows", "--no-tracking")
    items = here / "suites" / "lab" / "waterschap.jsonl"
    items.write_text(items.read_text().replace('["12.00", "12:00"', '["17.00", "12:00"', 1))
    yaml = here / "suites" / "lab" / "waterschap.yaml"
    yaml.write_text(yaml.read_text().replace("field: wrong", "field: id"))
    marked = toets("mark", str(run_of(here)))
    assert "The tasks have changed" in marked.output
    record = json.loads((run_of(here) / "results.json").read_text())
    assert record["tasks"][0]["results"][0]["estimate"]["value"] == pytest.approx(5 / 6)


def test_every_shipped_task_walks_with_a_scripted_candidate(here: Path) -> None:
    """The suite quick on a candidate that always says the same: nothing informs, nothing is 0."""
    ran = toets("run", "quick", "--path", ".", "-c", "knows", "--no-tracking")
    assert ran.exit_code == 0, ran.output
    record = json.loads((run_of(here) / "results.json").read_text())
    assert [task["name"] for task in record["tasks"]] == [
        "quality/reading",
        "bias/decision_pairs",
        "privacy/identifiers",
        "energy/requests",
    ]
    controls = [control for task in record["tasks"] for control in task["controls"]]
    assert controls
    assert all(control["landed"] is not False for control in controls)
    by_name = {r["name"]: r["estimate"] for t in record["tasks"] for r in t["results"]}
    assert by_name["bias/decision_pairs/origin_gap"]["status"] == "uninformative"
    assert by_name["privacy/identifiers/identifier_rate"]["status"] == "uninformative"
    energy = by_name["energy/requests/energy_per_1000_requests"]
    assert energy["value"] is None or energy["basis"] == "measured"


def test_a_limit_is_part_of_the_plan(here: Path) -> None:
    """A run on some of the items is another run, and says so."""
    toets("new", "lab/waterschap")
    words = ("run", "--path", ".", "lab/waterschap", "-c", "knows", "--no-tracking")
    toets(*words)
    toets(*words, "--limit", "3")
    records = [json.loads((run / "results.json").read_text()) for run in (here / "runs").iterdir()]
    assert {record["limit"] for record in records} == {None, 3}
    assert len({record["fingerprint"] for record in records}) == 2


def test_planning_says_what_would_be_asked(here: Path) -> None:
    toets("new", "lab/waterschap")
    planned = toets("plan", "--path", ".", "lab/waterschap", "-c", "knows")
    assert "to ask       6 of 6 items" in planned.output
    assert not (here / "runs").exists()
    toets("run", "--path", ".", "lab/waterschap", "-c", "knows", "--no-tracking")
    planned = toets("plan", "--path", ".", "lab/waterschap", "-c", "knows")
    assert "to ask       0 of 6 items" in planned.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("run", "quik", "--path", ".", "-c", "knows"),
            "unknown task 'quik'; did you mean 'quick'?",
        ),
        (("run", "quick", "-c", "smollm"), "unknown candidate 'smollm'"),
        (("run", "quick", "-c", "nothere.yaml"), "nothere.yaml: cannot be read"),
        (("check", "--path", "nowhere"), "holds no folder suites or models"),
        (("new", "Lab/X"), "is not a task name"),
        (("run", "quick", "--path", ".", "-c", "knows", "--profile", "x.yaml"), "x.yaml"),
    ],
)
@pytest.mark.usefixtures("here")
def test_wrong_usage_is_one_line_and_exit_code_2(words: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("here")
def test_weights_that_were_not_fetched_say_what_to_type() -> None:
    result = toets("run", "quick", "-c", "smollm2-135m-instruct", "--no-tracking")
    assert result.exit_code == 2
    assert "run `toets fetch --candidate" in result.output


@pytest.mark.usefixtures("here")
def test_new_never_overwrites() -> None:
    toets("new", "lab/waterschap")
    again = toets("new", "lab/waterschap")
    assert again.exit_code == 2
    assert "is there already; nothing was written" in again.output


def test_the_bundled_example_profile_gives_findings(here: Path) -> None:
    profile = ROOT / "reports" / "profiles" / "voorbeeld.yaml"
    toets("run", "quick", "--path", ".", "-c", "knows", "--no-tracking", "--profile", str(profile))
    record = json.loads((run_of(here) / "results.json").read_text())
    judged = {f["criterion"]: f["says"] for f in record["findings"] if f["criterion"]}
    assert set(judged) == {"Q-01", "P-01", "E-01"}
    assert "meets" not in judged.values()
    assert record["profile"]["id"] == "voorbeeld/eerste-ronde"
    assert (run_of(here) / "profile.yaml").read_bytes() == profile.read_bytes()
