"""What a plan can find before it is asked: named assumptions, real pilots, no dead ends."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from toetssteen.cli import main

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a candidate that knows some answers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "some.yaml").write_text(
        "title: Some\nlicence: EUPL-1.2\nadapter:\n  name: scripted\n"
        "  args: {says: {Vraag: de gemeente, Question: two weeks}, likes: {Ja: -1.0}}\n"
    )
    return tmp_path


def plan(*words: str) -> Result:
    command = ["plan", *words, "--path", ".", "-c", "some"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def line(result: Result, start: str) -> str:
    (found,) = [one for one in result.output.splitlines() if one.strip().startswith(start)]
    return " ".join(found.split())


@pytest.mark.usefixtures("here")
def test_a_rate_is_planned_on_the_worst_case_and_says_so() -> None:
    """72 items in 24 passages of 3, icc .1: worth 72 / 1.2 = 60 of p = .5; 5 % two-sided, 80 %.

    d = (1.96 * .5 + .8416 * sqrt(.25 - d^2)) / sqrt(60). With d = .1773 the root is .4675, and
    (.98 + .3935) / 7.746 = .1773.
    """
    found = line(plan("quality/reading"), "quality/reading/exact_match")
    assert "24 clusters 0.177" in found
    assert "rate 0.5 assumed, icc 0.1" in found


@pytest.mark.usefixtures("here")
def test_a_margin_and_the_smallest_effect_invert_each_other() -> None:
    """What 24 clusters just find needs 24 clusters."""
    found = line(plan("quality/reading", "--margin", "0.1774"), "quality/reading/exact_match")
    assert "24 clusters" in found.partition("0.177")[2]


@pytest.mark.parametrize("limit", ["1", "2", "3"])
@pytest.mark.usefixtures("here")
def test_a_handful_of_items_finds_nothing_and_says_so(limit: str) -> None:
    found = line(plan("privacy/identifiers", "--limit", limit), "privacy/identifiers/bsn")
    assert f"{limit} items - -" in found


@pytest.mark.usefixtures("here")
def test_calibrating_asks_a_few_and_keeps_nothing() -> None:
    result = plan("quality/reading", "--limit", "12", "--calibrate")
    assert "whole run:" in result.output
    assert "energy unknown" in result.output or "Wh" in result.output
    assert "memory with the candidate loaded" in result.output
    assert not Path("runs").exists()


def test_a_pilot_with_a_limit_plans_the_whole(here: Path) -> None:
    """The spread of 36 answers serves the plan for 72, though they are two runs."""
    run = ["run", "quality/reading", "--path", ".", "-c", "some", "--no-tracking"]
    CliRunner().invoke(main, [*run, "--limit", "36"], catch_exceptions=False)
    (pilot,) = (here / "runs").iterdir()
    without = line(plan("quality/reading"), "quality/reading/token_f1")
    assert "spread unknown; run a pilot" in without
    planned = line(plan("quality/reading", "--pilot", str(pilot)), "quality/reading/token_f1")
    assert "spread unknown" not in planned


@pytest.mark.usefixtures("here")
def test_a_criterion_that_no_answer_could_meet_is_warned_about() -> None:
    """0 of 32, Clopper-Pearson two-sided: 1 - .025^(1/32) = .1089, far above .01."""
    profile = ROOT / "reports" / "profiles" / "voorbeeld.yaml"
    result = plan("quick", "--profile", str(profile))
    said = " ".join(result.output.split())
    assert "P-01: asks for at least 400 items, the plan has 32" in said
    assert "P-01: even if every answer were right, 32 items only show at most 0.109" in said
    assert "Q-01" not in said
    assert "E-01" not in said
    result = plan("quality/reading", "--profile", str(profile))
    assert "this plan does not ask for privacy/identifiers" in " ".join(result.output.split())
