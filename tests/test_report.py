"""The report says what the record says: every number, nothing more, whatever was answered."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toetssteen import content
from toetssteen.catalog import Card, Catalog
from toetssteen.evidence import weigh
from toetssteen.meters import NoMeter
from toetssteen.records import Answered, Record, Says, Status
from toetssteen.report.bars import scale_of
from toetssteen.report.html import MOST_CHARACTERS, to_html
from toetssteen.report.results import RegisteredProfile, to_record
from toetssteen.report.safe_text import visible
from toetssteen.report.show_estimates import SIGNS
from toetssteen.report.show_tasks import WORST_FIRST
from toetssteen.report.words import Words, read_words
from toetssteen.run.collect import collect
from toetssteen.run.mark import mark
from toetssteen.run.plan import make_plan
from toetssteen.run.store import Store
from toetssteen.spec import CandidateSpec, Language, ProfileSpec, read

LANGUAGES: tuple[Language, ...] = get_args(Language)
SCRIPT = "<script>document.title='x'</script>"
BREAKOUTS = "\"'><img src=x onerror=alert(1)></bdi></style></title>" + SCRIPT + "{{ 7*7 }}{0}"

BANNED = (
    "AI Act compliant",
    "conform de AI-verordening",
    "gecertificeerd",
    "goedgekeurd",
    "discriminatievrij",
    "AVG-proof",
    "bewijst dat",
)
FIXED = {
    "nl": "Dit rapport bevat metingen. Metingen ondersteunen het oordeel of een systeem aan de "
    "AI-verordening voldoet, maar bewijzen dat niet. Het oordeel is aan mensen die daarvoor "
    "verantwoordelijk zijn.",
    "en": "This report contains measurements. They support, but do not prove, that a system meets "
    "the AI Act. That judgement rests with the people responsible.",
}
# The vocabulary of the code; nobody but us can write in these.
VOCABULARY = {"says", "status", "better", "kind", "registered_on", "started", "at", "basis"}


# --- a real run of a candidate that says what it is told --------------------------------------


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return the record of the quick suite, asked of a scripted candidate."""
    card = Card(
        "scripted",
        Path("scripted.yaml"),
        CandidateSpec.model_validate(
            {
                "title": "A candidate <b>from a script</b>",
                "licence": "EUPL-1.2",
                "adapter": {
                    "name": "scripted",
                    "args": {
                        "otherwise": "niet in de tekst",
                        "says": {
                            "parkeer": SCRIPT,
                            "Wmo": "",
                            "afval": "de afvalpas",
                            "e-mail": "x",
                        },
                        "fails": {"Kalkoven": "the line was cut"},
                        "likes": {"Ja": -0.5, "Yes": -0.5, "Nee": -1.0, "No": -1.0},
                    },
                },
            }
        ),
    )
    plan = make_plan(card, Catalog().tasks(["quick"]), seed=1)
    with Store(tmp_path_factory.mktemp("run")) as store:
        candidate = plan.adapter.open(card.spec, Path())
        collect(plan, candidate, store, meter=NoMeter(), on_progress=lambda *_: None)
        outcome = mark(plan, store.answers)
    file = content.root("reports") / "profiles" / "voorbeeld.yaml"
    profile = read(ProfileSpec, file)
    made = to_record(
        outcome,
        weigh(outcome, profile),
        sessions=store.answers.sessions,
        profile=RegisteredProfile.read(profile, file),
    )
    return json.loads(json.dumps(made))


# --- reading the page back --------------------------------------------------------------------


class Page(HTMLParser):
    """Reads tags, attributes, the text of rows, and the text of numbers."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.numbers: list[str] = []
        self.texts: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in {"meta", "link", "br", "rect", "line", "circle"}:
            self._open.append((tag, dict(attrs).get("class") == "number"))
            if dict(attrs).get("class") == "number":
                self.numbers.append("")

    def handle_endtag(self, tag: str) -> None:
        """Close the tag; in a sound page it is the one opened last."""
        if tag in {"rect", "line", "circle"}:
            return
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        """Keep the text where it stands."""
        open_tags = [tag for tag, _ in self._open]
        if "style" in open_tags:
            return
        self.texts.append(data)
        if self.rows and {"td", "th"} & set(open_tags):
            self.rows[-1][-1] += data
        if any(number for _, number in self._open):
            self.numbers[-1] += data

    @property
    def text(self) -> str:
        """Everything a reader sees."""
        return " ".join(" ".join(self.texts).split())


def squeezed(text: str) -> str:
    """Return text without its white space, which HTML does not keep."""
    return "".join(text.split())


def results(record: Record) -> Iterator[Record]:
    """Give every result of every task."""
    for task in record["tasks"]:
        yield from task["results"]


def with_estimate(record: Record, **changes: object) -> Record:
    """Return the record with its very first estimate changed."""
    changed = deepcopy(record)
    changed["tasks"][0]["results"][0]["estimate"].update(changes)
    return changed


def spoil(value: object, poison: str, key: str = "") -> object:
    """Put the poison into every text of a record that a person or a candidate can write."""
    if isinstance(value, dict):
        spoiled = {k: spoil(v, poison, k) for k, v in value.items()}
        return {
            f"{k}{poison}" if key in {"groups", "parts", "args"} else k: v
            for k, v in spoiled.items()
        }
    if isinstance(value, list):
        return [spoil(one, poison, key) for one in value]
    return f"{value}{poison}" if isinstance(value, str) and key not in VOCABULARY else value


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_estimate_is_shown_with_interval_n_and_unscored(
    record: Record, language: Language
) -> None:
    words = Words.of(language)
    rows = [
        [squeezed(cell) for cell in row] for row in Page(to_html(record, language=language)).rows
    ]
    for result in results(record):
        estimate, percent = result["estimate"], words.metric(result["metric"]).percent
        group = words.group(result["group"]) if result["group"] else words["all_items"]

        def said(name: str, estimate: Record = estimate, *, percent: bool = percent) -> str:
            return squeezed(words.amount(estimate[name], percent=percent).text)

        def shows(row: list[str], estimate: Record = estimate, group: str = group) -> bool:
            """Is it the row: group, value, interval, picture, n, unscored, method, …?"""
            if row[0] != squeezed(group) or len(row) not in {7, 9}:
                return False
            n, unscored = row[-5:-3]
            if n != str(estimate["n"]) or not unscored.startswith(str(estimate["unscored"])):
                return False
            if estimate["value"] is None:
                label = words.label("statuses", estimate["status"])
                return len(row) == 7 and row[1].startswith(squeezed(label))
            if estimate["low"] is None:
                return row[1].startswith(said("value")) and said("null_95") in row[2]
            interval = f"{said('low')}{squeezed(words['range_to'])}{said('high')}"
            return row[1].startswith(said("value")) and row[2].startswith(interval)

        assert any(shows(row) for row in rows), result["name"]


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.MEASURED])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_number_is_shown_as_its_status_and_reason_never_as_zero(
    record: Record, language: Language, status: Status
) -> None:
    none = dict.fromkeys(("value", "low", "high", "if_worst", "if_best"))
    changed = with_estimate(
        record, **none, n=0, unscored=72, status=status.value, reason="block 7 has no reading"
    )
    words = Words.of(language)
    page = Page(to_html(changed, language=language))
    row = next(row for row in page.rows if row[0] == words["all_items"])
    assert words.label("statuses", status) in row[1]
    assert words.phrase("block 7 has no reading").text in row[1]
    assert len(row) == 7
    assert not re.search(r"\b0([.,]0*)?\b", row[1])


def test_unscored_answers_show_what_they_could_have_made_of_the_number(record: Record) -> None:
    changed = with_estimate(record, unscored=30, if_worst=0.05, if_best=0.47)
    page = Page(to_html(changed, language="nl"))
    assert any("als ze meetellen: 5% tot 47%" in " ".join(c.split()) for r in page.rows for c in r)


def test_dutch_numbers_have_a_comma_and_english_numbers_a_point(record: Record) -> None:
    changed = with_estimate(
        record, value=0.12345, low=0.1, high=0.2, status="measured", n=1234, reason=""
    )
    dutch = Page(to_html(changed, language="nl")).numbers
    english = Page(to_html(changed, language="en")).numbers
    assert "12,3%" in dutch
    assert "1.234" in dutch
    assert "12.3%" in english
    assert "1,234" in english
    assert not [number for number in dutch if re.search(r"\d\.\d{1,2}(?!\d)", number)]
    assert not [number for number in english if re.search(r"\d,\d{1,2}(?!\d)", number)]


def test_all_digits_of_a_number_stand_behind_it(record: Record) -> None:
    changed = with_estimate(record, value=0.123456789, low=0.1, high=0.2, status="measured")
    assert 'title="0,123456789"' in to_html(changed, language="nl")
    assert 'title="0.123456789"' in to_html(changed, language="en")


@pytest.mark.parametrize(
    ("value", "percent", "nl", "en"),
    [
        (0.0, True, "0%", "0%"),
        (1.0, True, "100%", "100%"),
        (0.9996, True, "99,96%", "99.96%"),
        (0.095238, True, "9,52%", "9.52%"),
        (-0.6, False, "−0,6", "−0.6"),  # noqa: RUF001 - a minus sign
        (12345.0, False, "12.300", "12,300"),
        (0.0000123, False, "1,23 × 10⁻⁵", "1.23 × 10⁻⁵"),  # noqa: RUF001 - a times sign
        (float("nan"), False, "geen getal", "not a number"),
    ],
)
def test_numbers_are_rounded_to_three_digits(
    value: float,
    percent: bool,  # noqa: FBT001 - a column of the table
    nl: str,
    en: str,
) -> None:
    assert Words.of("nl").amount(value, percent=percent).text == nl
    assert Words.of("en").amount(value, percent=percent).text == en


@given(st.floats(min_value=1e-300, max_value=1.0, exclude_max=True))
def test_a_share_that_is_not_zero_never_reads_as_zero(value: float) -> None:
    text = Words.of("en").amount(value, percent=True).text
    assert re.search(r"[1-9]", text)


@given(st.floats(min_value=0.9, max_value=0.99999))
def test_a_share_that_is_not_everything_never_reads_as_everything(value: float) -> None:
    assert Words.of("en").amount(value, percent=True).text != "100%"


# --- the picture beside a number --------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.booleans(), st.booleans())
def test_every_value_lies_within_the_picture(
    values: list[float],
    share: bool,  # noqa: FBT001 - drawn by hypothesis
    around_zero: bool,  # noqa: FBT001
) -> None:
    scale = scale_of(values, share=share, around_zero=around_zero)
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values)
    assert all(0 <= scale.place(value) <= 200 for value in values)


def test_the_picture_is_also_there_in_words(record: Record) -> None:
    changed = with_estimate(
        record, value=0.5, low=0.4, high=0.6, if_worst=0.3, if_best=0.7, status="measured"
    )
    html = to_html(changed, language="nl")
    assert (
        'aria-label="Schatting 50%, 95%-interval van 40% tot 60%, op een schaal van 0% tot 100%. '
        'Met de niet-beoordeelde vragen erbij tussen 30% en 70%. De grens is 70%."' in html
    )


# --- whatever was answered --------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_in_a_record_becomes_markup(record: Record, language: Language) -> None:
    plain = Page(to_html(record, language=language))
    poisoned = json.loads(json.dumps(record))
    spoiled = spoil(poisoned, BREAKOUTS)
    assert isinstance(spoiled, dict)
    html = to_html(spoiled, language=language)
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "<script" not in html
    assert "{{ 7*7 }}{0}" in page.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_with_a_script_is_text(record: Record, language: Language) -> None:
    html = to_html(record, language=language)
    assert SCRIPT in Page(html).text
    assert SCRIPT not in html


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("nul\x00 bel\x07", "nul⟨U+0000⟩ bel⟨U+0007⟩"),
        ("half \ud83d", "half ⟨U+D83D⟩"),
        ("gpj.\u202etxt", "gpj.⟨U+202E⟩txt"),
        ("tag \U000e0041", "tag ⟨U+E0041⟩"),
        ("weg\x7f", "weg⟨U+007F⟩"),
        ("non\ufffe", "non⟨U+FFFE⟩"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("gezin 👨\u200d👩\u200d👧, مرحبا", "gezin 👨\u200d👩\u200d👧, مرحبا"),
    ],
)
def test_invisible_characters_are_made_visible(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_can_be_printed(text: str) -> None:
    assert not {"\x00", "\x1b", "\u202e", "\u2066"} & set(visible(text))
    visible(text).encode()


def test_a_hostile_answer_leaves_a_sound_page(record: Record) -> None:
    hostile = "\ud800\x00\u202e\u2067" + SCRIPT + "w" * 1_000_000
    changed = deepcopy(record)
    changed["tasks"][0]["examples"][0]["exchanges"][0]["answered"] = hostile
    html = to_html(changed, language="nl")
    html.encode()
    assert len(html) < len(to_html(record, language="nl")) + 2 * MOST_CHARACTERS
    left_out = Words.of("nl").integer(len(hostile) - MOST_CHARACTERS)
    assert f"{left_out} tekens weggelaten" in html
    Page(html)


# --- what a board reads -----------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_opens_with_what_measurements_cannot_do(
    record: Record, language: Language
) -> None:
    text = Page(to_html(record, language=language)).text
    assert FIXED[language] in text
    assert text.index(FIXED[language]) < text.index(Words.of(language)["glance_lead"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_phrase_is_used_that_promises_too_much(record: Record, language: Language) -> None:
    text = to_html(record, language=language).lower()
    assert [phrase for phrase in BANNED if phrase.lower() in text] == []


def test_no_word_of_ours_promises_too_much() -> None:
    words = (content.root("reports") / "templates" / "words.yaml").read_text().lower()
    assert [phrase for phrase in BANNED if phrase.lower() in words] == []


def test_a_profile_that_is_not_registered_is_said_so(record: Record) -> None:
    assert record["profile"]["registered_on"] is None
    assert "is niet vastgesteld" in to_html(record, language="nl")
    assert "is not registered" in to_html(record, language="en")


def test_a_profile_registered_after_the_first_answer_is_said_so(record: Record) -> None:
    changed = deepcopy(record)
    changed["started"] = "2026-11-23T10:00:00+00:00"
    changed["profile"]["registered_on"] = "2026-11-24"
    text = Page(to_html(changed, language="nl")).text
    assert "vastgesteld op 24 november 2026, na het eerste antwoord op 23 november 2026" in text


def test_a_run_cut_short_is_said_so(record: Record) -> None:
    text = Page(to_html({**record, "limit": 5}, language="nl")).text
    assert "ten hoogste 5 vragen" in text


def test_half_precision_is_said_and_full_precision_is_not(record: Record) -> None:
    """A candidate computed in another precision is read with that in mind."""
    said = "halve precisie"
    assert said not in Page(to_html(record, language="nl")).text
    halved = {**record, "candidate": {**record["candidate"], "dtype": "bfloat16"}}
    assert f"{said} (bfloat16)" in Page(to_html(halved, language="nl")).text
    assert "half precision (bfloat16)" in Page(to_html(halved, language="en")).text


def test_quantised_weights_and_an_unused_template_are_said(record: Record) -> None:
    """Both make another candidate of the same weights; a reader should know without the annex."""
    plain = Page(to_html(record, language="nl")).text
    assert "teruggebracht" not in plain
    assert "chatsjabloon" not in plain
    changed = deepcopy(record)
    changed["candidate"]["quantisation"] = "4bit"
    changed["sessions"][0]["candidate"]["chat_template"] = "unused"
    dutch, english = (Page(to_html(changed, language=one)).text for one in ("nl", "en"))
    assert "bij het laden teruggebracht tot 4 bits" in dutch
    assert "reduced to 4 bits when they were loaded" in english
    assert "chatsjabloon, maar de kaart zegt dat het niet wordt gebruikt" in dutch
    assert "answers worse without its template" in english


def test_a_run_without_a_profile_decides_nothing(record: Record) -> None:
    text = Page(to_html({**record, "profile": None}, language="nl")).text
    assert "Dit rapport beslist daarom niets." in text


def test_an_open_criterion_does_not_count_as_met(record: Record) -> None:
    changed = deepcopy(record)
    for finding in changed["findings"]:
        finding["says"] = "meets" if finding["criterion"] == "Q-01" else "inconclusive"
    text = Page(to_html(changed, language="nl")).text
    assert Words.of("nl")["follows_all_met"] not in text
    assert "Over 2 criteria is nog niets te zeggen." in text


def test_a_criterion_without_a_result_stays_on_the_page(record: Record) -> None:
    changed = deepcopy(record)
    changed["findings"] = []
    changed["profile"]["criteria"][0]["result"] = "quality/gone/metric"
    text = Page(to_html(changed, language="nl")).text
    assert "Q-01 : niet gemeten" in text
    assert "niet in deze run" in text


@pytest.mark.parametrize(
    ("says", "because", "sentence"),
    [
        (
            "meets",
            "",
            "Binnen deze test voldoet het systeem aan criterium Q-01 (niet vastgesteld).",
        ),
        ("does_not_meet", "", "Binnen deze test voldoet het systeem niet aan criterium Q-01"),
        (
            "inconclusive",
            "the interval [0.6, 0.8] lies on both sides of 0.7",
            "De meting geeft geen uitsluitsel: de onzekerheidsmarge ligt aan beide kanten van de",
        ),
    ],
)
def test_a_finding_is_said_as_agreed(
    record: Record, says: str, because: str, sentence: str
) -> None:
    changed = deepcopy(record)
    finding = next(f for f in changed["findings"] if f["criterion"] == "Q-01")
    finding.update(says=says, because=because)
    assert sentence in Page(to_html(changed, language="nl")).text


def test_a_control_that_missed_is_said_at_the_top(record: Record) -> None:
    changed = deepcopy(record)
    for task in changed["tasks"]:
        for control in task["controls"]:
            control["landed"] = True
    changed["tasks"][0]["controls"][0]["landed"] = False
    text = Page(to_html(changed, language="nl")).text
    assert "Eén ijking kwam niet uit waar zij moest." in text
    assert "4 van de 5 ijkingen kwamen uit waar zij moesten." in text


@pytest.mark.parametrize(
    ("whole", "group", "says"),
    [
        ((-0.5, -0.1), (-0.5, -0.1), "We vonden een verschil in behandeling."),
        ((-0.1, 0.3), (-0.1, 0.3), "geen verschil groter dan 0,3 logit"),
        ((-0.1, 0.3), (0.1, 0.3), "bij één groep ligt de hele marge wel aan één kant van 0"),
    ],
)
def test_a_difference_between_groups_is_said_as_agreed(
    record: Record, whole: tuple[float, float], group: tuple[float, float], says: str
) -> None:
    changed = deepcopy(record)
    task = next(task for task in changed["tasks"] if task["name"] == "bias/decision_pairs")
    first = task["results"][0]
    first["estimate"].update(value=sum(whole) / 2, low=whole[0], high=whole[1], status="measured")
    first["estimate"]["unit"] = "logit"
    one = deepcopy(first)
    one.update(group="origin=turkish", name=f"{first['name']}[origin=turkish]")
    one["estimate"].update(low=group[0], high=group[1])
    task["results"] = [first, one]
    assert says in Page(to_html(changed, language="nl")).text


def test_a_duty_that_does_not_apply_yet_is_called_preparation(record: Record) -> None:
    text = Page(to_html(record, language="nl")).text
    assert (
        "Deze verplichting geldt pas vanaf 2 december 2027. Toetsing nu is voorbereiding." in text
    )
    later = Page(to_html({**record, "started": "2029-01-01T00:00:00+00:00"}, language="nl")).text
    assert "Toetsing nu is voorbereiding." not in later


def test_a_measurement_bears_on_what_its_task_names(record: Record) -> None:
    """A criterion may name fewer articles than the task; the article still gets the number."""
    page = Page(to_html(record, language="nl"))
    name = "Energie per 1.000 verzoeken"
    assert any(len(row) == 6 and row[0] == name for row in page.rows)


# --- the file ---------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_needs_nothing_else(record: Record, language: Language) -> None:
    page = Page(to_html(record, language=language))
    tags = dict(page.tags)
    assert tags["html"]["lang"] == language
    assert "script" not in tags
    links = [a.get("href") or a.get("src") for _, a in page.tags if "href" in a or "src" in a]
    assert all(link and link.startswith(("#", "data:")) for link in links)
    policy = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_headings_do_not_skip_and_links_lead_somewhere(record: Record, language: Language) -> None:
    page = Page(to_html(record, language=language))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    named = {
        name
        for _, a in page.tags
        for name in (a.get("href") or "").removeprefix("#").split()
        + (a.get("aria-labelledby") or "").split()
    }
    assert named - {"data:,"} <= set(ids)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_record_gives_the_same_bytes(record: Record, language: Language) -> None:
    again = json.loads(json.dumps(record))
    assert to_html(record, language=language) == to_html(again, language=language)


# --- words ------------------------------------------------------------------------------------


@cache
def template() -> str:
    folder = content.root("reports") / "templates"
    sources = [folder / "report.html.j2"]
    sources += sorted((Path(__file__).parents[1] / "harness/toetssteen/report").glob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in sources)


def test_both_languages_have_the_same_words() -> None:
    raw = yaml.safe_load((content.root("reports") / "templates" / "words.yaml").read_text())

    def pairs(node: object) -> Iterator[dict[str, object]]:
        if isinstance(node, dict):
            if {"nl", "en"} & set(node) and not isinstance(next(iter(node.values())), dict):
                yield node
                return
            node = list(node.values())
        if isinstance(node, list):
            for one in node:
                yield from pairs(one)

    found = list(pairs(raw))
    assert len(found) > 200
    for pair in found:
        assert {"nl", "en"} <= set(pair), pair
        slots = [sorted(re.findall(r"\{(\w+)\}", str(pair[language]))) for language in LANGUAGES]
        assert set(slots[0]) == set(slots[1]), pair


def test_every_text_is_used_and_every_used_text_exists() -> None:
    known = {re.sub("_(one|many)$", "", key) for key in read_words().text}
    asked = r"""(?:\bw|words|self)(?:\[|\.say\(|\.count\()\s*["'](\w+)["']"""
    used = set(re.findall(asked, template()))
    assert used <= known | set(read_words().text)
    # Some are chosen before they are looked up, and three are built from the record's word.
    unused = {key for key in known - used if f'"{key}"' not in template()}
    assert {key for key in unused if not key.startswith("better_")} == set()


def test_the_vocabulary_of_the_code_has_words() -> None:
    labels = read_words().labels
    assert set(labels["findings"]) == {says.value for says in Says} == set(SIGNS)
    assert set(labels["statuses"]) == {status.value for status in Status}
    assert set(labels["answered"]) == {answered.value for answered in Answered}
    assert set(WORST_FIRST) == set(Says)


def test_what_the_code_says_is_said_in_dutch(record: Record) -> None:
    """A reason in English on a Dutch page asks for a line in words.yaml under `phrases`."""
    html = to_html(record, language="nl")
    assert re.findall(r'<bdi lang="en">(.*?)</bdi>', html) == []


def test_every_metric_of_a_shipped_task_has_a_name() -> None:
    catalog = Catalog()
    ids = {m.id for name in catalog.task_files for m in catalog.task(name).spec.metrics}
    assert ids - set(read_words().metrics) == set()


@pytest.mark.parametrize(
    ("said", "percent", "nl"),
    [
        ("30 of 1072 answers are unscored", True,
         "30 van de 1.072 antwoorden konden niet worden beoordeeld"),
        ("the whole interval [0.711, 0.742] is on the right side of 0.7", True,
         "de hele onzekerheidsmarge, 71,1% tot 74,2%, ligt aan de goede kant van 70%"),
        ("control silent did not land: expected ≥ 0.9, got uninformative", True,
         ("ijking ‘zegt niets’ kwam niet uit waar zij moest: verwacht ten minste 90%, "  # noqa: RUF001
          "gekregen nietszeggend")),
        ("no answer could be scored: 3 empty, 2 failed (first: the answer is empty)", False,
         ("geen enkel antwoord kon worden beoordeeld: 3 leeg, 2 mislukt "
          "(het eerste: het antwoord is leeg)")),
        ("≥ 9.999 and ≤ 10.001", False, "9,999 tot en met 10,001"),
        ("≤ 0.12345", True, "ten hoogste 12,345%"),
        ("≥ -0.61 and ≤ -0.59", False, "−0,61 tot en met −0,59"),  # noqa: RUF001 - minus signs
    ],
)  # fmt: skip
def test_reasons_are_translated_with_their_numbers(said: str, percent: bool, nl: str) -> None:  # noqa: FBT001
    phrase = Words.of("nl").phrase(said, percent=percent)
    assert phrase.text == nl
    assert not phrase.foreign


def test_a_reason_that_nobody_translated_is_marked_as_english() -> None:
    assert Words.of("nl").phrase("the dog ate it").foreign
    assert not Words.of("en").phrase("the dog ate it").foreign


@pytest.mark.parametrize("said", ["error: " * 5000, "error: " * 250 + "x", "error: 1e999999999"])
def test_a_reason_without_end_ends(said: str) -> None:
    assert Words.of("nl").phrase(said).text.endswith(said[-1])


def test_a_metric_or_group_of_a_lab_gets_a_readable_name() -> None:
    words = Words.of("nl")
    assert words.metric("twents_gap").name.nl == "twents gap"
    assert words.group("regio=oost_twente") == "regio: oost twente"
