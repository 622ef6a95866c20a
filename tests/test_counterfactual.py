"""The same case with one characteristic changed: the content, its grammar and its items."""

from collections import Counter
from functools import cache
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from toetssteen import content
from toetssteen.catalog import Catalog
from toetssteen.errors import ContentError
from toetssteen.items import Table, to_items
from toetssteen.run.plan import load_task
from toetssteen.scorers.decisions import DecisionGap
from toetssteen.sources.counterfactual import SLOT, read_counterfactual
from toetssteen.sources.counterfactual.cells import HALF, RENDERINGS
from toetssteen.sources.counterfactual.content import CaseFile, read_content
from toetssteen.sources.counterfactual.grammar import BARE, check, differ_only_in_slots

BIAS = Path(str(content.root("suites"))) / "bias"
LANGUAGES = ("nl", "en")
ARMS = ("ground", "proxy", "names", "placebo", "aa", "names_aa")


@cache
def items(language: str = "nl", arm: str = "ground", folder: Path = BIAS, **args: Any) -> Table:
    return read_counterfactual(folder, data="besluit", language=language, arm=arm, **args)  # type: ignore[arg-type]


def cases() -> CaseFile:
    return read_content(BIAS / "besluit")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Return a folder with a copy of the cases, to spoil."""
    copytree(BIAS / "besluit", tmp_path / "besluit")
    return tmp_path


def spoil(lab: Path, file: str, old: str, new: str) -> None:
    place = lab / "besluit" / file
    text = place.read_text(encoding="utf-8")
    assert old in text
    place.write_text(text.replace(old, new, 1), encoding="utf-8")


# --- how much there is -------------------------------------------------------------------------


def test_there_are_96_cases_in_both_languages_in_eight_renderings() -> None:
    templates = [t for scenario in cases().scenarios for t in scenario.spec.templates]
    assert len(templates) == 96
    for language in LANGUAGES:
        assert len({t[language] for t in templates}) == 96  # type: ignore[index]
    assert len(RENDERINGS) == 8
    names = Counter(row.fields["contrast"] for row in items(arm="names").rows)
    assert set(names.values()) == {96 * 8}


def test_a_contrast_has_768_items_where_it_is_irrelevant_everywhere() -> None:
    counted = Counter(row.fields["contrast"] for row in items().rows)
    assert counted["godsdienst/moslim"] == counted["ras/turks"] == 768
    # Age may count in housing benefit, housing, care and study: four of twelve scenarios.
    assert counted["leeftijd/j62"] == 768 * 8 // 12


def test_the_quick_part_is_24_cases_in_four_renderings_and_one_contrast_a_ground() -> None:
    rows = items(size="quick").rows
    assert len({row.fields["template"] for row in rows}) == 24
    contrasts = Counter(str(row.fields["contrast"]) for row in rows)
    assert contrasts["ras/marokkaans"] == 96
    grounds = {c.id for c in cases().spec.characteristics if c.arm == "ground"}
    assert sorted(name.partition("/")[0] for name in contrasts) == sorted(grounds)


def test_half_of_the_renderings_is_balanced() -> None:
    half = [RENDERINGS[number] for number in HALF]
    for seen in ([r.register for r in half], [r.question for r in half], [r.order for r in half]):
        assert set(Counter(seen).values()) == {2}
    assert len({(r.register, r.order) for r in half}) == 4


def test_every_template_has_both_pronouns_in_its_scenario_equally_often() -> None:
    """In `{Hij} heeft een relatie met een man` the pronoun shows."""
    markers = {
        str(row.fields["template"]): str(row.fields["marker"]).partition(" ")[0]
        for row in items().rows
        if row.fields["contrast"] == "seksuele_gerichtheid/zelfde_geslacht"
    }
    by_scenario = Counter((name.rpartition("-")[0], said) for name, said in markers.items())
    assert set(by_scenario.values()) == {4}


# --- what an item is ---------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("arm", ARMS)
def test_two_renderings_differ_only_inside_the_slots(language: Any, arm: str) -> None:
    texts = {t.id: t[language] for s in cases().scenarios for t in s.spec.templates}
    for row in items(language, arm).rows:
        reference, other = str(row.fields["reference"]), str(row.fields["other"])
        assert reference != other
        template = texts[str(row.fields["template"])]
        assert differ_only_in_slots(template, reference, other)
        assert "{" not in reference + other


def test_without_a_pronoun_only_one_sentence_differs() -> None:
    for row in items(size="quick").rows:
        if row.fields["ground"] == "geslacht":
            continue
        first, second = (set(str(row.fields[s]).split(". ")) for s in ("reference", "other"))
        assert len(second - first) == 1


def test_a_pronoun_follows_the_person_everywhere() -> None:
    found = {
        row.fields["contrast"]: (row.fields["reference"], row.fields["other"])
        for row in items().rows
        if row.fields["template"] == "loopbaan-7"
    }
    his, her = found["geslacht/vrouw"]
    assert "hoort bij zijn functie" in str(his)
    assert "hoort bij haar functie" in str(her)
    assert "hoort bij diens functie" in str(found["geslacht/nonbinair"][1])


def test_a_name_goes_with_its_pronoun_and_meets_many_cases() -> None:
    rows = [r.fields for r in items(arm="names").rows if r.fields["template"] == "loopbaan-7"]
    men = {name for lists in cases().spec.names.values() for name in lists.he}
    for fields in rows:
        word = "zijn" if fields["name"] in men else "haar"
        assert f"hoort bij {word} functie" in str(fields["other"])
    everywhere = Counter(r.fields["name"] for r in items(arm="names").rows)
    assert len(everywhere) == 20
    assert max(everywhere.values()) - min(everywhere.values()) <= 8


def test_every_list_of_names_has_twenty_that_no_other_list_has() -> None:
    lists = [[*one.he, *one.she] for one in cases().spec.names.values()]
    assert {len(one) for one in lists} == {20}
    everyone = [name for one in lists for name in one]
    assert len(set(everyone)) == len(everyone)


def test_a_proxy_or_a_name_is_never_a_ground() -> None:
    for characteristic in cases().spec.characteristics:
        assert bool(characteristic.law) == (characteristic.arm == "ground")
    for arm in ("proxy", "names"):
        assert {row.fields["arm"] for row in items(arm=arm).rows} == {arm}


def test_only_irrelevant_cells_enter_unless_asked_for() -> None:
    assert {row.fields["relevance"] for row in items().rows} == {"irrelevant"}
    rest = items(relevance=("lawfully_relevant", "contested")).rows
    assert {row.fields["relevance"] for row in rest} == {"lawfully_relevant", "contested"}
    everything = items(relevance=("irrelevant", "lawfully_relevant", "contested")).rows
    assert len(items().rows) + len(rest) == len(everything)


def test_every_item_says_that_nobody_has_reviewed_it_yet() -> None:
    said = {row.fields["review"] for row in items(size="quick").rows}
    assert said == {"not yet reviewed by a lawyer and not yet human-validated"}


def test_the_same_files_give_the_same_items() -> None:
    again = items.__wrapped__(size="quick")
    assert items(size="quick").digest == again.digest
    assert items(size="quick").digest != items("en", size="quick").digest


def test_a_folder_that_was_changed_is_refused(lab: Path) -> None:
    digest = cases().digest
    assert items(folder=lab, size="quick", sha256=digest).rows
    spoil(lab, "zaken/vergunning.yaml", "achttien stoelen", "twintig stoelen")
    with pytest.raises(ContentError, match="put the new sha256 into the task"):
        items.__wrapped__(folder=lab, size="quick", sha256=digest)


def test_ids_are_unique_and_the_scorer_can_ask_every_item() -> None:
    scorer = DecisionGap(slot=SLOT)
    table = items("en", "names")
    made = to_items(table, clusters=("template", "name"), columns=scorer.columns)
    assert len(scorer.requests(made[0])) == 4


def test_amounts_are_asked_where_the_case_has_one() -> None:
    rows = items(ask="amount").rows
    assert len({row.fields["template"] for row in rows}) == 16
    assert {row.fields["better"] for row in rows} == {"lower", "higher"}
    assert "hele euro's" in str(rows[0].fields["prompt"])


def test_the_groups_of_a_task_have_names_in_both_languages() -> None:
    loaded = load_task(Catalog().task("bias/besluit_gronden_kort_nl"))
    assert loaded.labels["godsdienst/moslim"]["en"] == "religion: Muslim"
    assert {item.groups["contrast"] for item in loaded.items} <= set(loaded.labels)


# --- what is refused ---------------------------------------------------------------------------

VERGUNNING = "zaken/vergunning.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (VERGUNNING, "{Persoon} wil voor", "Hij wil voor", "'Hij' would not agree"),
        (VERGUNNING, "{Persoon} wil voor", "{persoon} wil voor", "should begin with a capital"),
        (VERGUNNING, "{Persoon} wil voor", "{Persoonn} wil voor", "did you mean 'Persoon'?"),
        (VERGUNNING, " {kenmerk}", "", "should hold {kenmerk} once"),
        (VERGUNNING, "nl: de ondernemer", "nl: ondernemer", "should begin with its article"),
        (VERGUNNING, "id: vergunning-1", "id: vergunning-11", "should be vergunning-1"),
        (VERGUNNING, "templates:", "relevance: {leeftyd: contested}\ntemplates:", "leeftijd"),
        ("kenmerken.yaml", '"{Persoon} is moslim."', '"{Persoon} is moslim"', "full stop"),
        ("kenmerken.yaml", '"{Persoon} is moslim."', '"Zij is moslim."', "'Zij' should be a slot"),
        ("kenmerken.yaml", '"{Persoon} is moslim."', '"{Persson} is moslim."', "not known here"),
        ("kenmerken.yaml", "names: {reference: dutch,", "names: {reference: duch,", "'dutch'"),
        ("kenmerken.yaml", "arm: proxy", "arm: ground", "law"),
    ],
)
def test_a_fault_in_the_content_is_named(
    lab: Path, file: str, old: str, new: str, said: str
) -> None:
    spoil(lab, file, old, new)
    with pytest.raises(ContentError, match=r"besluit") as caught:
        items(folder=lab)
    assert said in str(caught.value)


def test_a_verb_after_he_is_refused_in_english(lab: Path) -> None:
    """`They has asked` would be wrong, so English cases have no {He}."""
    spoil(lab, VERGUNNING, "{Person} wants a terrace", "{He} wants a terrace")
    with pytest.raises(ContentError, match="is no slot of a case"):
        items("en", folder=lab)


def test_a_slot_that_a_pronoun_lacks_is_refused(lab: Path) -> None:
    """Nobody says what the other sex of a non-binary person is."""
    spoil(lab, "kenmerken.yaml", "{Persoon} is non-binair.", "{Persoon} kent een {andere_sekse}.")
    with pytest.raises(ContentError, match="andere_sekse"):
        items(folder=lab)


def test_an_arm_without_items_is_an_error(lab: Path) -> None:
    with pytest.raises(ContentError, match="holds no case for arm proxy"):
        items(arm="proxy", folder=lab, size="quick")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_content_as_it_stands_is_accepted(language: Any) -> None:
    check(cases(), language)
    assert BARE[language].search("Zij vraagt" if language == "nl" else "She asks")


@pytest.mark.parametrize(
    ("first", "same"),
    [("De huurder vraagt het. Hij wacht.", True), ("De huurder vroeg het. Hij wacht.", False)],
)
def test_a_word_outside_the_slots_that_differs_is_seen(first: str, same: bool) -> None:  # noqa: FBT001
    template = "{Persoon} vraagt het. {kenmerk}"
    assert differ_only_in_slots(template, first, "De bewoner vraagt het. Zij wacht.") is same
