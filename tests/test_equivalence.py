"""Two routes to the same weights: whether they agree, and when two runs are of one candidate."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from toetssteen.catalog import Card, Catalog
from toetssteen.cli import main
from toetssteen.evidence.footing import Recorded, footing
from toetssteen.records import (
    Classification,
    Failure,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Response,
)
from toetssteen.run.equivalence import (
    Agreement,
    Asked,
    Equivalence,
    Route,
    compare_routes,
)
from toetssteen.run.plan import Plan, make_plan
from toetssteen.spec import CandidateSpec, parse

HERE = Path()


def toets(*words: str) -> Result:
    return CliRunner().invoke(main, words, catch_exceptions=False)


def plan(name: str, *, limit: int = 2) -> Plan:
    raw = {"title": name, "adapter": {"name": "scripted"}, "licence": "EUPL-1.2"}
    card = Card(name, HERE / f"{name}.yaml", parse(CandidateSpec, raw, f"{name}.yaml"))
    return make_plan(card, [Catalog().task("quality/reading")], seed=0, limit=limit)


def compared(
    one: list[Response], other: list[Response], *, tolerance: float = 1e-3
) -> Equivalence:
    """Hold answers beside answers; the kind of request follows from the kind of answer."""
    kinds = [a if not isinstance(a, Failure) else b for a, b in zip(one, other, strict=True)]
    asked = [
        Asked(
            "lab/task",
            str(place),
            Loglikelihood("x") if answer.kind == "likelihood" else Generate((), 4),
        )
        for place, answer in enumerate(kinds)
    ]
    routes = (Route("a", "1", {}, {}), Route("b", "2", {}, {}))
    plans = (plan("a"), plan("b"))
    return compare_routes(asked, one, other, plans=plans, routes=routes, tolerance=tolerance)


def kind(found: Equivalence, name: str) -> Agreement:
    (one,) = [agreement for agreement in found.kinds if agreement.kind == name]
    return one


def test_likelihoods_differ_by_their_largest_and_their_median() -> None:
    """By hand: 1.0004 less 1, 2 less 2, 3.002 less 3: largest .002, median .0004."""
    ours = [Likelihood(-1.0, 2), Likelihood(-2.0, 2), Likelihood(-3.0, 2)]
    theirs = [Likelihood(-1.0004, 2), Likelihood(-2.0, 2), Likelihood(-3.002, 3)]
    found = kind(compared(ours, theirs), "loglikelihood")
    assert found.largest == pytest.approx(0.002)
    assert found.median == pytest.approx(0.0004)
    assert found.equal is None
    assert not found.agrees
    assert found.first_difference == (
        "lab/task, item 2: -3.000000 nats over 2 tokens and -3.002000 nats over 3 tokens"
    )
    assert kind(compared(ours, theirs, tolerance=0.003), "loglikelihood").agrees


def test_texts_agree_only_if_all_are_equal_and_the_first_difference_is_shown() -> None:
    ours = [Generation("drie dagen", "stop", 2), Generation("het loket op de markt", "stop", 5)]
    theirs = [Generation("drie dagen", "stop", 2), Generation("het loket in de hal", "stop", 5)]
    found = kind(compared(ours, theirs), "generate")
    assert found.equal == 0.5
    assert (found.largest, found.median) == (None, None)
    assert found.first_difference == (
        "lab/task, item 1, from character 10: 'het loket op de markt' and 'het loket in de hal'"
    )
    assert not found.agrees
    assert kind(compared(ours, ours), "generate").agrees


def test_a_text_that_only_stops_sooner_is_another_text() -> None:
    ours, theirs = [Generation("drie", "length", 1)], [Generation("drie dagen", "stop", 2)]
    assert "from character 4" in kind(compared(ours, theirs), "generate").first_difference


def test_details_of_a_person_are_not_shown() -> None:
    ours = [Generation("Mail jan.devries@gemeente.nl vandaag", "stop", 5)]
    theirs = [Generation("Mail jan.devries@gemeente.nl morgen", "stop", 5)]
    said = kind(compared(ours, theirs), "generate").first_difference
    assert "devries" not in said
    assert "not shown" in said


def test_an_answer_of_only_one_is_no_agreement() -> None:
    """Fails closed: what the other would have said nobody knows."""
    ours = [Likelihood(-1.0, 2), Likelihood(-2.0, 2)]
    theirs: list[Response] = [Likelihood(-1.0, 2), Failure("timeout", "gave up")]
    found = kind(compared(ours, theirs), "loglikelihood")
    assert (found.compared, found.answered_by_one, found.agrees) == (1, 1, False)
    assert found.first_difference.endswith("and no answer (timeout: gave up)")


def test_what_neither_answers_is_counted_and_does_not_disagree() -> None:
    failed = Failure("too_long", "needs 900 tokens")
    found = kind(
        compared([Likelihood(-1.0, 2), failed], [Likelihood(-1.0, 2), failed]), "generate"
    )
    assert (found.asked, found.compared, found.unanswered) == (1, 0, 1)
    assert not found.agrees  # nothing was compared: that is no agreement
    assert found.reason == "neither answered, or only one did"


def test_a_pseudo_likelihood_is_never_compared_with_one_that_is() -> None:
    found = compared([Likelihood(-1.0, 2, pseudo=True)], [Likelihood(-1.0, 2)])
    assert not kind(found, "loglikelihood").agrees
    assert kind(found, "loglikelihood").largest is None


def test_labels_have_to_be_equal_and_probabilities_near() -> None:
    """By hand: the labels are equal; ja .7 and .69, nee .3 and .31: the largest difference .01."""
    ours: list[Response] = [Classification("ja", {"ja": 0.7, "nee": 0.3})]
    theirs: list[Response] = [Classification("ja", {"ja": 0.69, "nee": 0.31})]
    found = compare_routes(
        [Asked("lab/task", "0", Generate((), 4))],  # the kind of request decides nothing here
        ours,
        theirs,
        plans=(plan("a"), plan("b")),
        routes=(Route("a", "1", {}, {}), Route("b", "2", {}, {})),
        tolerance=0.02,
    )
    (agreement,) = [one for one in found.kinds if one.asked]
    assert agreement.largest == pytest.approx(0.01)
    assert agreement.equal == 1.0
    assert agreement.agrees


# --- the command -------------------------------------------------------------------------------

SAYS = "title: {name}\nlicence: EUPL-1.2\nadapter: {{name: scripted, args: {args}}}\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two routes that say the same and one that knows something else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    for name, says in (("one", "twee"), ("same", "twee"), ("other", "twaalf")):
        args = json.dumps({"says": {"Tot hoe laat": says}, "otherwise": "niet in de tekst"})
        (tmp_path / "models" / f"{name}.yaml").write_text(SAYS.format(name=name, args=args))
    return tmp_path


def check(one: str, other: str, *more: str) -> Result:
    return toets("check", "--equivalence", one, other, "quality/reading", "--path", ".", *more)


@pytest.mark.usefixtures("lab")
def test_two_that_answer_alike_agree_with_exit_code_0() -> None:
    found = check("one", "same", "--json", "same.json")
    assert found.exit_code == 0, found.output
    assert "one and same agree (within 0.001, equal texts and labels)." in found.output
    record = json.loads(Path("same.json").read_text())
    assert record["agrees"] is True
    assert [route["name"] for route in record["routes"]] == ["one", "same"]
    assert record["limit"] == 8
    (generate,) = record["kinds"]
    assert (generate["asked"], generate["compared"], generate["equal"]) == (8, 8, 1.0)


@pytest.mark.usefixtures("lab")
def test_two_that_do_not_agree_give_exit_code_1_and_the_place() -> None:
    found = check("one", "other", "--limit", "60")
    assert found.exit_code == 1, found.output
    said = " ".join(found.output.split())
    assert "from character 2: 'twee' and 'twaalf'" in said
    assert "their results are not comparable as those of the same candidate" in said


@pytest.mark.usefixtures("lab")
def test_what_belongs_to_equivalence_is_refused_without_it() -> None:
    for words in (("--limit", "3"), ("--tolerance", "0.1"), ("--json", "x.json")):
        refused = toets("check", "quality/reading", *words)
        assert refused.exit_code == 2
        assert "belong to --equivalence" in refused.output


ECHO_LESS = """
title: Balie
adapter: {name: chat}
licence: EUPL-1.2
endpoint: {url: "http://127.0.0.1:9/v1", model: balie}
"""


def test_what_only_one_of_them_can_do_is_said_before_anything_is_asked(lab: Path) -> None:
    """A conversation offers no likelihoods; of decision pairs nothing can be asked of both."""
    (lab / "models" / "balie.yaml").write_text(ECHO_LESS)
    words = ("--equivalence", "one", "balie", "bias/decision_pairs", "--path", ".")
    found = CliRunner().invoke(main, ["check", *words])
    assert found.exit_code == 2
    assert "nothing can be asked of both: one offers" in found.output
    assert "balie offers generate" in found.output


def test_two_engines_and_a_copy_of_the_weights_agree(tiny_model: Path, lab: Path) -> None:
    """Likelihoods and texts of the tiny Llama: packed and plain rows, within the tolerance."""
    card = (
        f"title: T\nadapter: {{name: causal}}\nweights: {{source: path, path: {tiny_model}}}\n"
        "licence: EUPL-1.2\nchat_template: true\n"
    )
    (lab / "models" / "packed.yaml").write_text(card + "context_length: 256\n")
    (lab / "models" / "plain.yaml").write_text(card + "engine: plain\n")
    (lab / "models" / "bare.yaml").write_text(card.replace("template: true", "template: false"))
    # Short: the tiny model holds 256 tokens.
    (lab / "suites" / "lab").mkdir(parents=True)
    (lab / "suites" / "lab" / "short.jsonl").write_text(SHORT_ITEMS)
    (lab / "suites" / "lab" / "short.yaml").write_text(SHORT_TASK)
    task = ("lab/short", "--path", ".")
    found = toets("check", "--equivalence", "packed", "plain", *task, "--json", "found.json")
    assert found.exit_code == 0, found.output
    (kind,) = json.loads(Path("found.json").read_text())["kinds"]
    assert kind["kind"] == "loglikelihood"
    assert kind["largest"] < 1e-4
    # The same weights, asked without their template: another candidate, and it shows.
    found = toets("check", "--equivalence", "packed", "bare", *task)
    assert found.exit_code == 1
    assert "nats over" in found.output


SHORT_ITEMS = "".join(
    json.dumps(
        {
            "id": str(i),
            "prompt": f"{{name}} vraagt {what}. Toekennen?",
            "reference": "Jan",
            "other": "Fatima",
            "yes": "Ja",
            "no": "Nee",
            "favourable": "yes",
        }
    )
    + "\n"
    for i, what in enumerate(("huurtoeslag", "een parkeervergunning"))
)
SHORT_TASK = """
version: 1
title: {nl: Kort, en: Short}
licence: EUPL-1.2
source: test
items: {name: jsonl, args: {file: short.jsonl}}
scorer: {name: decision_gap}
metrics: [{name: gap, id: gap}]
"""


# --- on what footing two runs stand ------------------------------------------------------------


def recorded(name: str, identity: str, **card: Any) -> Recorded:
    settings = {"adapter": {"name": "causal"}, "dtype": "float32"} | card
    return Recorded(name, identity, settings, {"torch": "2.13.0", "weights_sha256": identity})


def record_of(one: Recorded, other: Recorded, *, agrees: bool) -> dict[str, Any]:
    routes = [{"name": r.name, "identity": r.identity, "card": r.card} for r in (one, other)]
    return {"routes": routes, "agrees": agrees, "tolerance": 1e-3}


def test_the_same_weights_with_other_settings_are_named_with_the_settings() -> None:
    ours, theirs = recorded("a", "1"), recorded("b", "1", dtype="bfloat16")
    said = footing(ours, theirs).says
    assert "have the same weights, and differ in dtype (float32 and bfloat16)" in said
    assert "`toets check --equivalence a b` asks both" in said
    assert footing(ours, ours).says == "a and a are the same candidate"


def test_other_weights_are_said_with_whatever_else_differs() -> None:
    ours, theirs = recorded("a", "1"), recorded("b", "2", chat_template=True)
    said = footing(ours, theirs).says
    assert said.startswith("a and b are not the same weights by their digests; they also differ")
    assert "chat_template (none and True)" in said
    assert "sha256" not in said
    assert footing(ours, recorded("b", "2")).says.endswith("by their digests")


def test_a_check_counts_only_for_the_settings_it_was_made_with() -> None:
    ours, theirs = recorded("a", "1"), recorded("b", "2", adapter={"name": "chat"})
    good, bad = (record_of(theirs, ours, agrees=agrees) for agrees in (True, False))
    assert footing(ours, theirs, [good]).says.endswith("comparable as one")
    assert "not comparable as the same candidate" in footing(ours, theirs, [bad]).says
    assert footing(ours, theirs, [good, bad]).agree is False
    halved = recorded("b", "2", adapter={"name": "chat"}, dtype="float16")
    assert footing(ours, halved, [good]).agree is None


@pytest.mark.usefixtures("lab")
def test_a_check_kept_in_a_run_folder_is_read_by_the_report_and_by_compare() -> None:
    runs = {}
    for name in ("one", "other"):
        toets("run", "quality/reading", "--path", ".", "-c", name, "--no-tracking")
        (runs[name],) = [str(p) for p in Path("runs").iterdir() if f"--{name}--" in p.name]
    before = toets("compare", runs["one"], runs["other"], "--json", "out.json")
    assert "differ in adapter" in " ".join(before.output.split())
    file = f"{runs['one']}/equivalence.json"
    assert check("one", "other", "--limit", "60", "--json", file).exit_code == 1
    after = toets("compare", runs["one"], runs["other"], "--json", "out.json")
    assert "not comparable as the same candidate" in " ".join(after.output.split())
    assert all(
        "not comparable" in row["footing"] for row in json.loads(Path("out.json").read_text())
    )
    toets("mark", runs["one"])
    assert "zijn daarom niet vergelijkbaar" in Path(runs["one"], "report.nl.html").read_text()
    assert "not comparable as those of one" in Path(runs["one"], "report.en.html").read_text()
    # Of two other candidates it says nothing about this run.
    Path(runs["other"], "equivalence.json").write_text(
        Path(file).read_text().replace('"identity": "', '"identity": "x')
    )
    toets("mark", runs["other"])
    assert "niet vergelijkbaar als" not in Path(runs["other"], "report.nl.html").read_text()
    Path(file).write_text("{}")
    broken = toets("mark", runs["one"])
    assert broken.exit_code == 2
    assert "is no record of `toets check --equivalence`" in broken.output
