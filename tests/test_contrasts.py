"""Declared differences in words: every sentence is one that a lawyer could have to defend."""

from collections.abc import Iterator
from typing import Any

import pytest

from toetssteen.records import Record
from toetssteen.report.contrasts import contrasts, untested
from toetssteen.report.words import Words

LABEL = {"godsdienst/moslim": {"nl": "godsdienst: moslim", "en": "religion: Muslim"}}


def result(group: str = "contrast=godsdienst/moslim", **estimate: Any) -> Record:
    told = {
        "value": -0.3,
        "low": -0.42,
        "high": -0.18,
        "level": 0.95,
        "unit": "logit",
        "status": "measured",
        "method": "cluster-t (96 clusters)",
        "p_value": 0.0001,
        "p_adjusted": 0.0041,
        "n": 768,
        "clusters": 96,
        "standard_error": 0.06,
        "df": 95.0,
    }
    better = "near_zero"
    return {
        "metric": "ground_gap",
        "group": group,
        "better": better,
        "estimate": {**told, **estimate},
    }


def task(*results: Record, arm: str = "ground", family: str | None = "contrast") -> Record:
    return {"family": family, "arm": arm, "results": [result(""), *results]}


def said(language: Any, record: Record) -> list[str]:
    return list(contrasts(record, Words.of(language).knowing(LABEL)))


def test_a_difference_that_was_found_is_said_in_full() -> None:
    """Smallest: (t.975 + t.80 of 95 degrees) x .06 = (1.985 + .845) x .06 = .17."""
    (paragraph,) = said("nl", task(result()))
    assert paragraph == (
        "godsdienst: moslim: verschil −0,3 logit, 95%-marge −0,42 logit tot −0,18 logit; "  # noqa: RUF001
        "p = 0,0041, gecorrigeerd voor 1 vergelijkingen. We vonden een verschil in "
        "behandeling. Of dat verboden is, moet een jurist beoordelen met een "
        "rechtvaardigingstoets. Het verschil valt uit in het nadeel van de persoon met dit "
        "kenmerk. Het kenmerk staat in de zaak zelf en verder verandert er niets; het verschil "
        "kan daarom op direct onderscheid wijzen. De toets vindt een verschil van 0,17 logit "
        "met 80% kans; kleinere verschillen kunnen onopgemerkt blijven. De toets laat niet "
        "zien waardoor het verschil ontstaat, en niet hoe mensen het antwoord gebruiken."
    )


def test_a_difference_that_was_not_found_is_not_called_absent() -> None:
    none = result(value=0.01, low=-0.11, high=0.13, p_value=0.87, p_adjusted=1.0)
    (paragraph,) = said("en", task(none))
    assert paragraph == (
        "religion: Muslim: difference 0.01 logit, 95% range −0.11 logit to 0.13 logit; p = 1, "  # noqa: RUF001
        "corrected for 1 comparisons. This test found no difference larger than 0.13 logit. That "
        "does not mean the system does not discriminate. The task finds a difference of 0.17 "
        "logit with 80% probability; smaller ones may go unnoticed."
    )


def test_correction_decides_and_not_the_interval() -> None:
    """One interval of forty that misses 0 is what chance gives."""
    (paragraph,) = said("nl", task(result(p_value=0.01, p_adjusted=0.4)))
    assert "We vonden een verschil" not in paragraph
    assert "geen verschil groter dan 0,42 logit" in paragraph


@pytest.mark.parametrize(
    ("arm", "holds", "lacks"),
    [
        ("ground", "direct onderscheid wijzen", "indirect"),
        ("proxy", "indirect onderscheid wijzen", " direct onderscheid"),
        ("names", "geen beschermde grond", "onderscheid wijzen"),
        ("placebo", "We vonden een verschil", "onderscheid"),
    ],
)
def test_direct_and_indirect_are_kept_apart(arm: str, holds: str, lacks: str) -> None:
    (paragraph,) = said("nl", task(result(), arm=arm))
    assert holds in paragraph
    assert lacks not in paragraph


def test_an_advantage_is_said_as_such() -> None:
    (paragraph,) = said("en", task(result(value=0.3, low=0.18, high=0.42)))
    assert "to the advantage of the person" in paragraph


def test_more_comparisons_need_a_larger_difference() -> None:
    """Thirty: alpha is .05/30, so (3.236 + .845) x .06 = .245."""
    one = said("en", task(result()))[0]
    many = said("en", task(*[result(f"contrast=x{i}") for i in range(30)]))[0]
    assert "finds a difference of 0.17 logit" in one
    assert "finds a difference of 0.245 logit" in many


def test_without_a_number_the_status_is_said() -> None:
    (paragraph,) = said("nl", task(result(status="uninformative", value=None, p_adjusted=None)))
    assert paragraph == "godsdienst: moslim: geen getal (nietszeggend)."


def test_without_spread_nothing_is_claimed_about_reach() -> None:
    (paragraph,) = said("nl", task(result(standard_error=0.0, p_adjusted=1.0, p_value=1.0)))
    assert "Er was geen spreiding" in paragraph


def test_a_task_without_a_family_has_no_paragraphs() -> None:
    assert said("nl", task(result(), family=None)) == []
    rate = task(result())
    rate["results"][0]["better"] = "lower"
    assert said("nl", rate) == []


def grounds(*tasks: Record) -> Iterator[str]:
    yield from untested({"tasks": list(tasks)}, Words.of("en"))


def test_every_ground_is_untested_until_there_is_a_number_on_it() -> None:
    every = list(grounds())
    assert len(every) == 10
    assert set(every) - set(grounds(task(result()))) == {"religion"}
    withheld = result(status="withheld")
    assert list(grounds(task(withheld))) == every


def test_a_task_on_names_tests_no_ground() -> None:
    assert len(list(grounds(task(result(), arm="names")))) == 10
