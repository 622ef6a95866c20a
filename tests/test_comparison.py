"""Two candidates on the same items: paired, corrected, and refused where questions differ."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from toetssteen.cli import main

YAML = """
version: 1
title: {nl: Vijftien tegen vijf, en: Fifteen against five}
licence: EUPL-1.2
source: test
items: {name: jsonl, args: {file: pairs.jsonl}}
scorer:
  name: short_answer
  args: {prompt: {en: "{question}"}}
metrics:
  - {name: rate, id: exact_match}
  - {name: mean, id: token_f1, args: {part: f1, bounds: [0, 1]}}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a lab with 100 questions; `old` alone knows 15 of them, `new` alone 5, both 30."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites" / "lab").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    rows = [
        {
            "id": str(i),
            "language": "en",
            "text": "",
            "question": f"question {i:03d}.",
            "answerable": "yes",
            "answers": [f"right {i}"],
        }
        for i in range(100)
    ]
    (tmp_path / "suites" / "lab" / "pairs.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows)
    )
    (tmp_path / "suites" / "lab" / "pairs.yaml").write_text(YAML)
    card(tmp_path, "old", range(45))
    card(tmp_path, "new", [*range(15, 50)])
    return tmp_path


def card(folder: Path, name: str, known: object) -> None:
    says = {f"question {i:03d}.": f"right {i}" for i in known}  # type: ignore[attr-defined]
    says |= {f"question {i:03d}.": f"guess {i}" for i in range(100) if i not in known}  # type: ignore[operator]
    text = json.dumps({"name": "scripted", "args": {"says": says}})
    (folder / "models" / f"{name}.yaml").write_text(
        f"title: {name}\nlicence: EUPL-1.2\nadapter: {text}\n"
    )


def toets(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def run(name: str, *more: str) -> str:
    words = ("run", "lab/pairs", "--path", ".", "-c", name, "--no-tracking", *more)
    result = toets(*words)
    assert result.exit_code == 0, result.output
    (folder,) = [str(p) for p in Path("runs").iterdir() if f"--{name}--" in p.name]
    return folder


def test_fifteen_against_five_is_worse_by_ten_points(lab: Path) -> None:
    """Textbook: 15 pairs one way, 5 the other: McNemar's mid-p is .026604.

    exact_match: (5 - 15) / 100 = -.10. token_f1 of a wrong answer is 1/2 (the number is shared),
    so its mean difference is -.05, its variance (20 * .25 - 100 * .0025) / 99 = .047980, its t
    -.05 / sqrt(.00047980) = -2.2827 with 99 degrees of freedom: p = .0246. Holm over the two:
    2 * .0246 = .0492 for both, because the second may not be smaller than the first.
    """
    compared = toets("compare", run("old"), run("new"), "--json", "out.json")
    assert compared.exit_code == 0, compared.output
    exact, f1 = json.loads((lab / "out.json").read_text())
    assert exact["estimate"]["value"] == pytest.approx(-0.10)
    assert round(exact["p_value"], 6) == 0.026604
    assert exact["estimate"]["method"] == "paired tango"
    assert exact["estimate"]["n"] == 100
    assert f1["estimate"]["value"] == pytest.approx(-0.05)
    smaller, larger = sorted([exact["p_value"], f1["p_value"]])
    adjusted = sorted([exact["p_adjusted"], f1["p_adjusted"]])
    assert adjusted == pytest.approx([2 * smaller, max(2 * smaller, larger)])
    assert round(exact["p_adjusted"], 3) == 0.049
    assert (exact["says"], f1["says"]) == ("worse", "worse")
    assert "'inconclusive' is not 'no difference'" in " ".join(compared.output.split())


def test_swapping_the_runs_flips_every_sign(lab: Path) -> None:
    old, new = run("old"), run("new")
    toets("compare", old, new, "--json", "one.json")
    toets("compare", new, old, "--json", "other.json")
    one = json.loads((lab / "one.json").read_text())
    other = json.loads((lab / "other.json").read_text())
    for a, b in zip(one, other, strict=True):
        assert a["estimate"]["value"] == -b["estimate"]["value"]
        assert a["estimate"]["low"] == pytest.approx(-b["estimate"]["high"])
        assert a["p_value"] == b["p_value"]


def test_a_candidate_differs_in_nothing_from_itself(lab: Path) -> None:
    old = run("old")
    compared = toets("compare", old, old, "--json", "out.json")
    assert compared.exit_code == 0
    exact, f1 = json.loads((lab / "out.json").read_text())
    assert exact["estimate"]["low"] < 0 < exact["estimate"]["high"]  # Tango's, of 100 equal pairs
    assert f1["estimate"]["low"] is None  # t has no spread to go by, and claims no certainty
    assert "no spread, so no interval" in " ".join(compared.output.split())
    for one in (exact, f1):
        assert one["estimate"]["value"] == 0
        assert one["p_value"] == 1
        assert one["says"] == "inconclusive"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("version: 1", "version: 2", "task version differs (1 and 2)"),
        ('"{question}"', '"Q: {question}"', "scorer and prompt differs"),
    ],
)
@pytest.mark.usefixtures("lab")
def test_other_questions_are_refused_and_named(old: str, new: str, named: str) -> None:
    """The prompt changed between two runs: both are still there, but not comparable."""
    first = run("old")
    before = Path("suites/lab/pairs.yaml").read_text()
    Path("suites/lab/pairs.yaml").write_text(before.replace(old, new))
    second = run("new")
    compared = toets("compare", first, second)
    assert compared.exit_code == 2
    assert "its tasks have changed since it was run" in compared.output
    Path("elsewhere/suites/lab").mkdir(parents=True)
    Path("elsewhere/suites/lab/pairs.yaml").write_text(before)
    Path("elsewhere/suites/lab/pairs.jsonl").write_text(Path("suites/lab/pairs.jsonl").read_text())
    plan = json.loads(Path(first, "plan.json").read_text())
    plan["paths"] = [str(Path("elsewhere").resolve())]
    Path(first, "plan.json").write_text(json.dumps(plan))
    compared = toets("compare", first, second)
    assert compared.exit_code == 2
    assert f"lab/pairs: {named}" in compared.output


@pytest.mark.usefixtures("lab")
def test_a_limited_run_is_not_compared_with_a_whole_one() -> None:
    whole = run("old")
    limited = run("new", "--limit", "20")
    compared = toets("compare", whole, limited)
    assert compared.exit_code == 2
    assert "number of items differs (100 and 20)" in compared.output


@pytest.mark.usefixtures("lab")
def test_one_run_alone_is_wrong_usage() -> None:
    compared = toets("compare", run("old"))
    assert compared.exit_code == 2
    assert "at least two runs" in compared.output
