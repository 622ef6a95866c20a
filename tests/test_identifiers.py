"""What the detector of personal identifiers finds, what it leaves alone, and where it points.

Every BSN here is one of the published test persons (999990019, 999993653, 99999xxxx); a random
one that passes the 11-proef may be somebody's.
"""

import json
import random
import unicodedata
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.nl import bsn

from toetssteen.identifiers import KINDS, _plain, find_identifiers, mask
from toetssteen.records import Span

ITEMS = Path(__file__).parents[1] / "suites" / "privacy"


def items(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (ITEMS / name).read_text(encoding="utf-8").splitlines()]


PLANTED = items("identifiers_planted.jsonl")
LOOKALIKES = items("identifiers_lookalikes.jsonl")
PROMPTS = items("identifiers.jsonl")


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in find_identifiers(text)]


def confidence(text: str) -> str:
    [span] = find_identifiers(text)
    return span.confidence


# --- the planted set: what a report quotes as recall and precision ---


@pytest.mark.parametrize("item", PLANTED, ids=lambda item: item["id"])
def test_a_planted_identifier_is_found_once_and_named_right(item: dict[str, str]) -> None:
    assert [span.kind for span in find_identifiers(item["text"])] == [item["kind"]]


@pytest.mark.parametrize("item", LOOKALIKES, ids=lambda item: item["id"])
def test_a_lookalike_is_left_alone(item: dict[str, str]) -> None:
    assert found(item["text"]) == []


@pytest.mark.parametrize("item", PROMPTS, ids=lambda item: item["id"])
def test_a_prompt_holds_no_identifier_itself(item: dict[str, str]) -> None:
    assert found(item["prompt"]) == []


def test_the_sets_are_balanced_and_no_two_texts_are_alike() -> None:
    texts = [item.get("text") or item["prompt"] for item in (*PLANTED, *LOOKALIKES, *PROMPTS)]
    assert len(set(texts)) == len(texts) == 112
    for kind in KINDS:
        languages = [item["language"] for item in PLANTED if item["kind"] == kind]
        assert sorted(languages) == ["en"] * 4 + ["nl"] * 4


# --- BSN ---


def test_twelve_is_no_bsn_although_stdnum_says_so() -> None:
    assert bsn.is_valid("12")  # it pads with zeros
    assert found("BSN 12") == []


def test_ten_thousand_random_numbers_get_the_verdict_of_the_eleven_test() -> None:
    rng = random.Random(11)  # noqa: S311  (a test, not a secret)
    numbers = [f"{rng.randrange(10**9):09}" for _ in range(10_000)]
    by_us = {number for number in numbers if found(f"BSN {number}.") == [("bsn", number)]}
    by_stdnum = {number for number in numbers if bsn.is_valid(number)}
    assert by_us == by_stdnum
    assert 800 < len(by_us) < 1_000  # one in eleven: why a number alone is of low confidence


@pytest.mark.parametrize(
    "written",
    ["999993653", "9999.93.653", "9999 93 653", "9999-93-653", "999 993 653", "999.993.653"],
)
def test_a_bsn_is_found_however_it_is_grouped(written: str) -> None:
    assert found(f"Burgerservicenummer: {written}.") == [("bsn", written)]


@pytest.mark.parametrize("word", ["BSN", "burgerservicenummer", "sofi-nummer", "Sofinummer"])
def test_the_word_before_it_makes_a_bsn_certain(word: str) -> None:
    assert confidence(f"{word} van de aanvrager: 999990019") == "high"
    assert confidence("Het nummer van de aanvrager: 999990019") == "low"
    assert confidence(f"{word} {'.' * 60} 999990019") == "low"  # too far away


@pytest.mark.parametrize(
    "text",
    ["€ 999993653", "999993653 euro", "999.993.653", "op 20240107", "Z-999993653", "1999993653"],
)
def test_an_amount_a_date_or_part_of_a_code_is_no_bsn(text: str) -> None:
    assert found(text) == []


# --- the other kinds ---


def test_an_iban_beats_the_bsn_inside_it() -> None:
    digits = "999990019 365399999"
    assert found(f"BSN of rekening {digits}") == [("bsn", "999990019")]
    assert found(f"BSN of rekening DE86 {digits}") == [("iban", f"DE86 {digits}")]


def test_the_country_says_where_an_iban_ends() -> None:
    account = "NL91 ABNA 0417 1643 00"
    assert found(f"naar {account} TEN NAME VAN DE VERENIGING") == [("iban", account)]


def test_a_wrong_check_digit_leaves_neither_an_iban_nor_a_phone_number() -> None:
    assert found("NL92 ABNA 0201 2345 67") == []


def test_addresses_at_reserved_names_are_found_because_canaries_live_there() -> None:
    text = "Mail jan@gemeente.example, piet@example.nl of els@loket.test."
    assert found(text) == [
        ("email", "jan@gemeente.example"),
        ("email", "piet@example.nl"),
        ("email", "els@loket.test"),
    ]


def test_numbers_side_by_side_are_told_apart() -> None:
    text = "06-12345678 020-1234567 +31 6 1234 5678 / 06 12 34 56 78"
    assert [written for _, written in found(text)] == [
        "06-12345678",
        "020-1234567",
        "+31 6 1234 5678",
        "06 12 34 56 78",
    ]


def test_a_bare_number_is_a_phone_number_of_low_confidence_unless_the_text_says_phone() -> None:
    assert confidence("Kenmerk 0201234567") == "low"
    assert confidence("Telefoon 0201234567") == "high"


def test_service_numbers_identify_nobody() -> None:
    assert found("Bel 112, 14 020, 0800-1234, 0900-123456 of +31 800 1234567.") == []


def test_no_date_or_time_is_a_phone_number() -> None:
    formats = ("%d-%m-%Y %H:%M", "%d-%m-%Y %H.%M uur", "%d.%m.%y %H.%M", "%Y%m%d%H%M", "%d%m%Y")
    moments = [datetime(1950, 1, 1) + timedelta(days=7.03 * i) for i in range(4_000)]  # noqa: DTZ001
    dates = [f"Op {moment.strftime(form)}." for moment in moments for form in formats]
    assert [date for date in dates if find_identifiers(date)] == []


def test_a_number_at_the_end_of_a_long_text_is_found() -> None:
    # PhoneNumberMatcher alone gives up on this text after its 65,535th try, and says nothing.
    text = "Op 12 mei 2024 is € 1.234,56 betaald in zaak 2024-12345. " * 15_000
    assert found(f"{text}Bel 06-12345678.") == [("phone", "06-12345678")]


def test_a_postcode_is_told_from_a_year_or_an_amount() -> None:
    assert found("Kerkstraat 12, 1234 EN Voorbeeldstad") == [("postcode", "1234 EN")]
    assert found("in 2024 EU-breed, 1500 KB, 2025 EN LATER, 1234 SA, 1234 ABC, 0123 AB") == []
    assert confidence("Kerkstraat 12, 2024 EU Voorbeeldstad") == "low"


# --- writing systems and offsets ---


def wide(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


def test_full_width_characters_are_read_and_the_offsets_stay_those_of_the_original() -> None:
    written = wide("999993653")
    assert found(f"{wide('BSN:')}\u3000{written}\u3002") == [("bsn", written)]
    assert found(wide("jan@example.nl")) == [("email", wide("jan@example.nl"))]


def test_zero_width_characters_hide_nothing_and_shift_nothing() -> None:
    number, phone = "9999\u200b93\u200d653", "06\u00a0\u200b1234\u20605678"
    text = f"\ufeffna\u00adtuurlijk: BSN {number}, tel. {phone}"
    assert found(text) == [("bsn", number), ("phone", phone)]


def test_a_footnote_mark_ends_a_number() -> None:
    assert found("BSN 999990019² en 06-12345678¹") == [
        ("bsn", "999990019"),
        ("phone", "06-12345678"),
    ]


def test_no_character_becomes_two() -> None:
    characters = map(chr, range(0x110000))
    assert [unicodedata.name(c, "?") for c in characters if len(_plain(c)) > 1] == []


# --- masking ---


@pytest.mark.parametrize("item", PLANTED, ids=lambda item: item["id"])
def test_masking_leaves_no_digit_of_an_identifier(item: dict[str, str]) -> None:
    text = item["text"]
    [span] = find_identifiers(text)
    before, after = text[: span.start], text[span.end :]
    assert mask(text, [span]) == f"{before}[{item['kind']}]{after}"
    assert text[span.start : span.end] not in mask(text, [span])


def test_overlapping_spans_are_masked_to_the_end_of_the_last() -> None:
    spans = (Span("phone", 4, 8, "low"), Span("bsn", 0, 6, "low"), Span("email", 6, 9, "low"))
    assert mask("0123456789", spans) == "[bsn]9"
    assert mask("0123456789", ()) == "0123456789"


# --- what always holds ---

SNIPPETS = st.sampled_from(
    [
        *(item["text"] for item in (*PLANTED, *LOOKALIKES)),
        *("BSN ", "999990019", "NL91", "0417164300", "06-", "(020)", "+31", "@", ".nl", "1234 AB"),
        *("\u200b", "\u00a0", "\u0661", wide("12"), "²", "\n"),
    ],
)


@given(st.lists(SNIPPETS | st.text(max_size=12), max_size=8).map("".join))
def test_spans_are_sorted_apart_and_inside_the_text(text: str) -> None:
    spans = find_identifiers(text)
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert edges == sorted(edges)
    assert {span.kind for span in spans} <= set(KINDS)
    assert {span.confidence for span in spans} <= {"high", "low"}
    masked = mask(text, spans)
    assert len(masked) == len(text) + sum(len(s.kind) + 2 - (s.end - s.start) for s in spans)
