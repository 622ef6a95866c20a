"""What an interval says of a criterion that was registered before the run."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toetssteen.candidates.scripted import ScriptedAdapter
from toetssteen.catalog import Card, Catalog
from toetssteen.evidence import weigh
from toetssteen.metrics.averages import Rate
from toetssteen.records import (
    Answered,
    ControlResult,
    Estimate,
    Finding,
    Item,
    Marked,
    Result,
    Says,
    Score,
    Status,
)
from toetssteen.run.mark import Outcome, TaskOutcome
from toetssteen.run.plan import Plan, load_task
from toetssteen.run.unscored import unscored_gaps
from toetssteen.spec import CandidateSpec, PluginRef, ProfileSpec, parse, read

READING = load_task(Catalog().task("quality/reading"))
NAME = "quality/reading/exact_match"


# One control that landed: without one, no number is trusted.
LANDED = tuple(
    ControlResult(
        "quality/reading",
        "known_good",
        metric,
        "≥ 1",
        Estimate(1.0, 0.9, 1.0, 72, 0, "wilson", Status.MEASURED),
        landed=True,
    )
    for metric in ("exact_match", "token_f1")
)


def outcome(*results: Result, controls: tuple[ControlResult, ...] = LANDED) -> Outcome:
    spec = CandidateSpec(title="Scripted", adapter=PluginRef(name="scripted"), licence="EUPL-1.2")
    card = Card("scripted", Path("scripted.yaml"), spec)
    plan = Plan(card, ScriptedAdapter(), "identity", (READING,), seed=1, limit=None)
    return Outcome(plan, (TaskOutcome(READING, (), {}, (), results, controls),))


def profile(*criteria: dict[str, Any]) -> ProfileSpec:
    text = {"nl": "voorbeeld", "en": "example"}
    raw = {
        "id": "gemeente/proef",
        "version": "1.0.0",
        "title": text,
        "intended_purpose": text,
        "registered_on": "2026-01-05",
        "criteria": [
            {
                "id": f"Q-0{number}",
                "title": text,
                "result": NAME,
                "min_n": 40,
                "requirements": ["urn:nl:ak:ver:aia-10"],
                "basis": "own_policy",
                "rationale": text,
                **criterion,
            }
            for number, criterion in enumerate(criteria, start=1)
        ],
    }
    return parse(ProfileSpec, raw, "profile.yaml")


def at_least(value: float) -> dict[str, Any]:
    return {"comparator": {"kind": "at_least", "value": value}}


def at_most(value: float) -> dict[str, Any]:
    return {"comparator": {"kind": "at_most", "value": value}}


REPORT_ONLY = {"comparator": {"kind": "report_only"}}


def measured(
    low: float | None, value: float | None, high: float | None, *, n: int = 100, unscored: int = 0
) -> Estimate:
    return Estimate(value, low, high, n, unscored, "wilson", Status.MEASURED)


def result(estimate: Estimate, *, metric: str = "exact_match", group: str = "") -> Result:
    return Result("quality/reading", metric, "higher", estimate, group)


def finding(estimate: Estimate, criterion: dict[str, Any]) -> Finding:
    (found,) = weigh(outcome(result(estimate)), profile(criterion))
    assert (found.result, found.criterion) == (NAME, "Q-01")
    assert found.requirements == ("urn:nl:ak:ver:aia-10", "urn:nl:ak:ver:aia-08")
    assert found.estimate == estimate
    return found


def test_a_number_without_a_control_meets_nothing() -> None:
    """A missing control is never a pass; a number on the wrong side needs none to be wrong."""
    good, bad = result(measured(0.8, 0.85, 0.9)), result(measured(0.1, 0.15, 0.2))
    (unknown,) = weigh(outcome(good, controls=()), profile(at_least(0.7)))
    assert unknown.says is Says.INCONCLUSIVE
    assert unknown.because == "no control shows that this number can be trusted"
    (wrong,) = weigh(outcome(bad, controls=()), profile(at_least(0.7)))
    assert wrong.says is Says.DOES_NOT_MEET


@pytest.mark.parametrize(
    ("registered", "says"),
    [("2026-01-04", Says.MEETS), ("2026-01-05", Says.MEETS), ("2026-01-06", Says.INCONCLUSIVE)],
)
def test_a_criterion_is_met_only_if_it_was_there_before_the_first_answer(
    registered: str, says: Says
) -> None:
    """The first answer came on 5 January."""
    good = outcome(result(measured(0.8, 0.85, 0.9)))
    spec = profile(at_least(0.7)).model_copy(
        update={"registered_on": date.fromisoformat(registered)}
    )
    (found,) = weigh(good, spec, asked_on=date(2026, 1, 5))
    assert found.says is says
    draft = spec.model_copy(update={"registered_on": None})
    (found,) = weigh(good, draft, asked_on=date(2026, 1, 5))
    assert found.says is Says.INCONCLUSIVE
    assert found.because == "the criterion was not registered before the first answer"


# --- the whole interval decides --------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "criterion", "says"),
    [
        (0.75, 0.85, at_least(0.7), Says.MEETS),
        (0.65, 0.75, at_least(0.7), Says.INCONCLUSIVE),
        (0.55, 0.65, at_least(0.7), Says.DOES_NOT_MEET),
        (0.001, 0.008, at_most(0.01), Says.MEETS),
        (0.001, 0.012, at_most(0.01), Says.INCONCLUSIVE),
        (0.02, 0.03, at_most(0.01), Says.DOES_NOT_MEET),
        # exactly on the limit: "at least" and "at most" hold there
        (0.7, 0.8, at_least(0.7), Says.MEETS),
        (0.6, 0.7, at_least(0.7), Says.INCONCLUSIVE),
        (0.7, 0.7, at_least(0.7), Says.MEETS),
        (0.0, 0.01, at_most(0.01), Says.MEETS),
        (0.01, 0.02, at_most(0.01), Says.INCONCLUSIVE),
        # below zero
        (-0.4, -0.2, at_least(-0.1), Says.DOES_NOT_MEET),
        (-0.05, 0.02, at_least(-0.1), Says.MEETS),
        (-0.05, 0.02, at_most(0.0), Says.INCONCLUSIVE),
    ],
)
def test_the_whole_interval_must_lie_on_one_side(
    low: float, high: float, criterion: dict[str, Any], says: Says
) -> None:
    assert finding(measured(low, (low + high) / 2, high), criterion).says is says


@pytest.mark.parametrize("value", [0.61, 0.79])
def test_the_value_itself_decides_nothing(value: float) -> None:
    assert finding(measured(0.6, value, 0.8), at_least(0.7)).says is Says.INCONCLUSIVE


def test_a_finding_quotes_the_interval_and_the_limit() -> None:
    said = [
        finding(measured(low, 0.7, high), at_least(0.7)).because
        for low, high in ((0.71, 0.8), (0.6, 0.8), (0.6, 0.69))
    ]
    assert said == [
        "the whole interval [0.71, 0.8] is on the right side of 0.7",
        "the interval [0.6, 0.8] lies on both sides of 0.7",
        "the whole interval [0.6, 0.69] is beyond 0.7",
    ]


def test_730_of_1024_does_not_show_70_per_cent() -> None:
    """.713, 95 % interval .684 to .740 (Wilson): above the limit, and inconclusive."""
    scores = tuple(Score.of(Item(str(i), {}), float(i < 730)) for i in range(1024))
    estimate = Rate()(Marked(scores), rng=np.random.default_rng(1))
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert round(estimate.value, 3) == 0.713
    assert (round(estimate.low, 3), round(estimate.high, 3)) == (0.684, 0.740)
    assert finding(estimate, at_least(0.7)).says is Says.INCONCLUSIVE


def test_without_an_interval_nothing_is_decided() -> None:
    for low, high in ((None, None), (0.9, None), (None, 0.9)):
        found = finding(measured(low, 0.9, high), at_least(0.7))
        assert (found.says, found.because) == (Says.INCONCLUSIVE, "the estimate has no interval")


def test_a_criterion_bears_on_its_own_requirements_and_then_on_those_of_the_task() -> None:
    assert READING.task.spec.requirements == ("urn:nl:ak:ver:aia-10", "urn:nl:ak:ver:aia-08")
    good = outcome(result(measured(0.9, 0.95, 1.0)))
    (own,) = weigh(good, profile({**at_least(0.7), "requirements": ["urn:nl:ak:ver:avg-12"]}))
    assert own.requirements == ("urn:nl:ak:ver:avg-12", *READING.task.spec.requirements)
    (none,) = weigh(good, profile({**at_least(0.7), "requirements": []}))
    assert none.requirements == READING.task.spec.requirements


# --- too little to decide on -----------------------------------------------------------------


def test_fewer_items_than_the_profile_asks_decide_nothing() -> None:
    for low, high in ((0.9, 1.0), (0.0, 0.1)):
        few = finding(measured(low, low, high, n=39), at_least(0.7))
        assert (few.says, few.because) == (
            Says.INCONCLUSIVE,
            "39 items; the profile asks for 40",
        )
    assert finding(measured(0.9, 0.95, 1.0, n=40), at_least(0.7)).says is Says.MEETS


@pytest.mark.parametrize(
    ("n", "unscored", "says"),
    [
        (80, 20, Says.MEETS),  # exactly a fifth
        (79, 21, Says.INCONCLUSIVE),
        (100, 0, Says.MEETS),
        (40, 400, Says.INCONCLUSIVE),
    ],
)
def test_more_than_a_fifth_unscored_decides_nothing(n: int, unscored: int, says: Says) -> None:
    bounded = replace(measured(0.9, 0.95, 1.0, n=n, unscored=unscored), if_worst=0.72, if_best=1.0)
    good = finding(bounded, at_least(0.7))
    assert good.says is says
    if says is Says.INCONCLUSIVE:
        assert good.because == f"{unscored} of {n + unscored} answers are unscored"
        bad = finding(measured(0.0, 0.05, 0.1, n=n, unscored=unscored), at_least(0.7))
        assert bad.says is Says.INCONCLUSIVE


def test_unscored_answers_of_unknown_weight_meet_nothing() -> None:
    """A mean without bounds has no worst case; then one missing answer could undo any result."""
    found = finding(measured(0.9, 0.95, 1.0, unscored=1), at_least(0.7))
    assert found.says is Says.INCONCLUSIVE
    assert found.because == "1 answers are unscored, and how they would weigh is not known"


@pytest.mark.parametrize(
    ("low", "value", "high", "criterion", "worst", "says"),
    [
        (0.72, 0.8, 0.88, at_least(0.7), 0.68, Says.INCONCLUSIVE),
        (0.72, 0.8, 0.88, at_least(0.7), 0.7, Says.MEETS),
        (0.0, 0.0, 0.008, at_most(0.01), 0.15, Says.INCONCLUSIVE),
        (0.0, 0.0, 0.008, at_most(0.01), 0.01, Says.MEETS),
        (0.5, 0.6, 0.68, at_least(0.7), 0.5, Says.DOES_NOT_MEET),
    ],
)
def test_a_criterion_is_met_only_if_the_unscored_answers_could_not_undo_it(
    low: float, value: float, high: float, criterion: dict[str, Any], worst: float, says: Says
) -> None:
    estimate = replace(measured(low, value, high, n=85, unscored=15), if_worst=worst)
    found = finding(estimate, criterion)
    assert found.says is says
    if says is Says.INCONCLUSIVE:
        assert f"15 unscored answers counted against it the value is {worst:g}" in found.because


NOT_MEASURED = [status for status in Status if status is not Status.MEASURED]


@pytest.mark.parametrize("criterion", [at_least(0.0), at_most(1.0), REPORT_ONLY])
@pytest.mark.parametrize("status", NOT_MEASURED)
def test_whatever_was_not_measured_is_never_met(status: Status, criterion: dict[str, Any]) -> None:
    found = finding(Estimate.none(status, "that is why", n=100), criterion)
    assert (found.says, found.because) == (Says.NOT_MEASURED, f"{status.value}: that is why")


def test_a_number_that_was_withheld_by_its_status_is_not_looked_at() -> None:
    estimate = Estimate(0.95, 0.9, 1.0, 100, 0, "wilson", Status.CONFOUNDED, "a placebo does it")
    assert finding(estimate, at_least(0.7)).says is Says.NOT_MEASURED


def test_a_criterion_on_a_result_that_does_not_exist_is_not_measured() -> None:
    absent = {**at_least(0.7), "result": "quality/reading/exact_mach"}
    found, reported = weigh(outcome(result(measured(0.9, 0.95, 1.0))), profile(absent))
    assert (found.says, found.because) == (Says.NOT_MEASURED, "the run holds no such result")
    assert (found.criterion, found.estimate) == ("Q-01", None)
    assert found.requirements == ("urn:nl:ak:ver:aia-10",)
    assert (reported.result, reported.says) == (NAME, Says.REPORTED)


def test_a_run_without_results_meets_nothing() -> None:
    (found,) = weigh(outcome(), profile(at_least(0.0)))
    assert found.says is Says.NOT_MEASURED


# --- nothing to decide -----------------------------------------------------------------------


def test_without_a_profile_every_number_is_reported_and_none_is_decided() -> None:
    low = result(measured(0.0, 0.05, 0.1))
    few = result(measured(0.9, 0.95, 1.0, n=3, unscored=97), metric="token_f1")
    group = result(Estimate.none(Status.NOT_RESOLVABLE, "too few", n=9), group="language=nl")
    findings = weigh(outcome(low, few, group))
    assert [(f.result, f.says, f.because) for f in findings] == [
        (NAME, Says.REPORTED, "no criterion was registered"),
        ("quality/reading/token_f1", Says.REPORTED, "no criterion was registered"),
        (f"{NAME}[language=nl]", Says.NOT_MEASURED, "not_resolvable: too few"),
    ]
    assert {f.requirements for f in findings} == {READING.task.spec.requirements}
    assert {f.criterion for f in findings} == {""}


def test_report_only_reports_whatever_the_number_and_however_few() -> None:
    found = finding(measured(0.0, 0.05, 0.1, n=1), REPORT_ONLY)
    assert (found.says, found.because) == (Says.REPORTED, "the profile asks to report it")


def test_two_criteria_on_one_result_are_two_findings_and_no_third() -> None:
    found = weigh(
        outcome(result(measured(0.75, 0.8, 0.85))), profile(at_least(0.7), at_least(0.9))
    )
    assert [(f.criterion, f.says) for f in found] == [
        ("Q-01", Says.MEETS),
        ("Q-02", Says.DOES_NOT_MEET),
    ]


def test_a_criterion_may_be_about_one_group() -> None:
    whole = result(measured(0.75, 0.8, 0.85))
    dutch = result(measured(0.5, 0.55, 0.6), group="language=nl")
    criterion = {**at_least(0.7), "result": f"{NAME}[language=nl]"}
    found = weigh(outcome(whole, dutch), profile(criterion))
    assert [(f.result, f.says) for f in found] == [
        (f"{NAME}[language=nl]", Says.DOES_NOT_MEET),
        (NAME, Says.REPORTED),
    ]


def test_the_example_profile_is_about_results_that_the_bundled_tasks_give(root: Path) -> None:
    example = read(ProfileSpec, root / "reports" / "profiles" / "voorbeeld.yaml")
    for criterion in example.criteria:
        task, _, metric = criterion.result.rpartition("/")
        assert metric in {ref.id for ref in Catalog().task(task).spec.metrics}


# --- differences against a margin ------------------------------------------------------------


def gap(value: float, error: float, df: float, p_value: float) -> Estimate:
    half = 2.0 * error
    return Estimate(
        value,
        value - half,
        value + half,
        96,
        0,
        "cluster-t (24 clusters)",
        Status.MEASURED,
        clusters=int(df) + 1,
        standard_error=error,
        df=df,
        p_value=p_value,
    )


def margin(value: float) -> dict[str, Any]:
    return {"comparator": {"kind": "equivalence", "value": value}}


@pytest.mark.parametrize(
    ("estimate", "says", "word"),
    [
        (gap(0.50, 0.10, 23, 0.00004), Says.DOES_NOT_MEET, "difference:"),
        (gap(0.08, 0.01, 23, 0.00001), Says.NEEDS_HUMAN_EVIDENCE, "small difference:"),
        (gap(0.01, 0.02, 23, 0.62), Says.MEETS, "equivalent:"),
        (gap(0.05, 0.10, 23, 0.62), Says.INCONCLUSIVE, "inconclusive:"),
    ],
)
def test_a_difference_is_shown_or_shown_to_be_small_or_not_known(
    estimate: Estimate, says: Says, word: str
) -> None:
    """Margin .1: beyond it; within it but there; shown to be within it; and not known.

    Of the fourth nothing can be said: its error is as large as the margin.
    """
    found = finding(estimate, margin(0.1))
    assert found.says is says
    assert found.because.startswith(word)


def test_an_open_question_says_how_many_clusters_would_answer_it() -> None:
    """Error .1 over 24 templates: sd .1 * sqrt(24) = .4899; n = (t.975 + t.80)^2 (.4899/.1)^2.

    With normal quantiles 7.849 * 24 = 188.4; Student's with n - 1 degrees of freedom ask a few
    more: 191.
    """
    found = finding(gap(0.05, 0.10, 23, 0.62), margin(0.1))
    assert "191 clusters find a difference of 0.1 with 80 % power, there are 24" in found.because


def test_differences_declared_together_are_corrected_together() -> None:
    """Two differences, p = .03 and .04: Holm makes both .06, and neither is a difference."""
    two = (
        result(gap(0.5, 0.2, 23, 0.03), metric="one"),
        result(gap(0.5, 0.2, 23, 0.04), metric="other"),
    )
    criteria = [
        {**margin(0.1), "result": "quality/reading/one"},
        {**margin(0.1), "result": "quality/reading/other"},
    ]
    found = weigh(outcome(*two), profile(*criteria))
    assert [f.says for f in found] == [Says.INCONCLUSIVE, Says.INCONCLUSIVE]
    assert all("p 0.06 by Holm over 2" in f.because for f in found)
    (alone,) = weigh(outcome(two[0]), profile(criteria[0]))
    assert alone.says is Says.DOES_NOT_MEET


def test_equivalence_is_not_asked_of_a_rate() -> None:
    found = finding(measured(0.0, 0.01, 0.02), margin(0.1))
    assert found.says is Says.INCONCLUSIVE
    assert found.because == "equivalence is only decided for differences"


def test_a_straddling_interval_says_how_many_items_would_decide() -> None:
    """.75 [.65, .85] on 100 items against .70: half .10, distance .05, so (.10/.05)^2 = 4 x."""
    found = finding(measured(0.65, 0.75, 0.85), at_least(0.7))
    assert found.because.endswith("about 400 items would decide if the value stays 0.75")
    on_the_limit = finding(measured(0.6, 0.7, 0.8), at_least(0.7))
    assert on_the_limit.because == "the interval [0.6, 0.8] lies on both sides of 0.7"


# --- unscored answers between groups ---------------------------------------------------------


def test_a_difference_in_refusal_between_groups_stops_the_verdict() -> None:
    """bias.md's example in small: everything scored of one group, half refused of the other."""
    items = [
        Item(str(i), {}, {"origin": "a" if i % 2 else "b"}, {"template": f"t{i // 2}"})
        for i in range(40)
    ]
    scores = [
        Score.of(item, 0.1 * i, said=str(i))
        if item.groups["origin"] == "a" or i % 4
        else Score.unscored(item, Answered.REFUSED, "refused")
        for i, item in enumerate(items)
    ]
    ((dimension, estimate),) = unscored_gaps(scores, rng=np.random.default_rng(1))
    assert dimension == "origin"
    assert estimate.value == 0.5
    assert estimate.p_value is not None
    assert estimate.p_value < 0.01
    assert estimate.null_95 is not None
    assert estimate.null_95 < 0.5
    unscored = Result("quality/reading", "unscored_gap", "near_zero", estimate, "origin")
    difference = replace(
        result(gap(0.01, 0.02, 23, 0.62), metric="exact_match"), better="near_zero"
    )
    found = weigh(outcome(difference, unscored), profile(margin(0.1)))[0]
    assert found.says is Says.INCONCLUSIVE
    assert found.because == "the share of unscored answers differs by 0.5 between groups"


def test_where_all_is_scored_there_is_no_gap_to_report() -> None:
    items = [Item(str(i), {}, {"origin": "ab"[i % 2]}) for i in range(10)]
    scores = [Score.of(item, 1.0) for item in items]
    assert list(unscored_gaps(scores, rng=np.random.default_rng(1))) == []
