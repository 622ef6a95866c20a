"""Where personal identifiers stand in a text: BSN, IBAN, phone, e-mail and postcode.

Everything happens here, offline: a hit is never looked up anywhere, and a `Span` says where it
is and never what it is. Using a BSN takes a basis in law (UAVG, art. 46; for public bodies
Wabb, art. 10), so report spans and counts, or `mask` the text first.

A count of spans is a lower bound on what a text holds. Not looked for: names, dates of birth,
and the old btw-id, which embeds a sole trader's BSN or a company's RSIN and does not say which.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import phonenumbers
from phonenumbers import Leniency, PhoneNumberMatcher, PhoneNumberType
from stdnum import iban, numdb
from stdnum.nl import bsn, postcode

from toetssteen.records import Span

KINDS: tuple[str, ...] = ("bsn", "iban", "phone", "email", "postcode")


def find_identifiers(text: str) -> tuple[Span, ...]:
    """Return every identifier in a text, in order of appearance, never overlapping.

    The offsets index the text as given, also where it holds full-width digits or zero-width
    characters. Confidence is "low" where only a checksum or a shape speaks for a number and
    nothing around it does.
    """
    readable = _read(text)
    left = readable.text
    found: list[Span] = []
    # From the most specific notation to the least, and each sees what the ones before it left:
    # so the digits of an IBAN are not read again as a BSN.
    accounts = tuple(_accounts(left))
    found += (account for account in accounts if account.confidence == "high")
    left = _blank(left, accounts)
    for finder in (_emails, _phones, _bsns, _postcodes):
        spans = tuple(finder(left))
        found += spans
        left = _blank(left, spans)
    return tuple(readable.locate(span) for span in sorted(found, key=_start))


def mask(text: str, spans: Iterable[Span]) -> str:
    """Replace each span by its kind, as in "[bsn]"; of overlapping spans the first one names."""
    pieces: list[str] = []
    done = 0
    for span in sorted(spans, key=_start):
        if span.start >= done:
            pieces += (text[done : span.start], f"[{span.kind}]")
        done = max(done, span.end)
    return "".join((*pieces, text[done:]))


def _start(span: Span) -> int:
    return span.start


# --- one alphabet, for text in any ---


@dataclass(frozen=True, slots=True)
class _Readable:
    """A text with plain digits, spaces and dashes; `origin` where each character stood."""

    text: str
    origin: Sequence[int]

    def locate(self, span: Span) -> Span:
        end = self.origin[span.end - 1] + 1
        return replace(span, start=self.origin[span.start], end=end)


def _read(text: str) -> _Readable:
    plain = _NOT_ASCII.sub(lambda match: _plain(match[0]), text)
    if len(plain) == len(text):
        return _Readable(plain, range(len(text)))
    # Something invisible was left out; the others moved up.
    origin = [at for at, character in enumerate(text) if _plain(character)]
    return _Readable(plain, origin)


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """Return the ASCII look-alike of one character, "" for an invisible one, or itself."""
    category = unicodedata.category(character)
    if category in _PLAIN_BY_CATEGORY:
        return _PLAIN_BY_CATEGORY[category]
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if character == "\N{MINUS SIGN}":
        return "-"
    narrow = unicodedata.normalize("NFKC", character)
    return narrow if len(narrow) == 1 and narrow.isascii() else character


_PLAIN_BY_CATEGORY = {
    "Cf": "",  # zero-width space and joiners, soft hyphen, byte order mark
    "No": "^",  # a superscript: the number of a footnote ends the number before it
    "Pd": "-",
    "Zs": " ",
}


def _blank(text: str, spans: Sequence[Span]) -> str:
    """Put line breaks where the spans are: the same length, and no pattern reads across one."""
    pieces: list[str] = []
    done = 0
    for span in spans:
        pieces += (text[done : span.start], "\n" * (span.end - span.start))
        done = span.end
    return "".join((*pieces, text[done:]))


# --- bank accounts ---

_ACCOUNT_START = re.compile(r"(?<![^\W_])([A-Za-z]{2})[0-9]{2}")


def _accounts(text: str) -> Iterator[Span]:
    """Find IBANs (ISO 13616), of any country in the register that python-stdnum carries.

    What has a country's length and structure but fails the check digits (ISO 7064, mod 97-10)
    comes out too, at low confidence: it is no account, and its digits are no phone number.
    """
    done = 0
    for match in _ACCOUNT_START.finditer(text):
        shape = _account_shape(match[1].upper())
        # The country says how long an IBAN is, so a word in capitals after it does no harm.
        account = shape and shape.match(text, match.start())
        if not account or account.start() < done:
            continue
        done = account.end()
        # Without the rules of single countries: the Belgian ones reject BE68 5390 0754 7034, an
        # example in many a manual, because its bank code is not on python-stdnum's list.
        valid = iban.is_valid(account[0], check_country=False)
        yield Span("iban", account.start(), done, "high" if valid else "low")


@lru_cache(maxsize=512)
def _account_shape(country: str) -> re.Pattern[str] | None:
    """Turn the register's structure, such as "4!a10!n", into a pattern that allows separators."""
    [(_, properties), *_] = numdb.get("iban").info(country)
    structure = re.findall(r"([0-9]+)!([nac])", properties.get("bban", ""))
    if not structure:
        return None
    classes = {"n": "[0-9]", "a": "[A-Za-z]", "c": "[A-Za-z0-9]"}
    bban = "".join(f"(?:[ .-]?{classes[kind]}){{{length}}}" for length, kind in structure)
    return re.compile(rf"[A-Za-z]{{2}}[0-9]{{2}}{bban}(?![^\W_])")


# --- e-mail addresses ---

# Found from the "@" outwards: a pattern that starts with the local part looks at each word of
# the text once for each of its letters.
_DOMAIN = re.compile(r"@(?:[\w-]{1,63}\.){1,8}(?:xn--[\w-]{1,59}|[^\W\d_]{2,24})(?![^\W_])")
_LOCAL_PART_REVERSED = re.compile(r"[\w.%+'-]{1,64}")


def _emails(text: str) -> Iterator[Span]:
    """Find addresses as people write them, a practical part of RFC 5322, at any domain name.

    Reserved names (.example and .test, RFC 2606) count: safe canaries live there.
    """
    for match in _DOMAIN.finditer(text):
        before = text[max(0, match.start() - 65) : match.start()]
        local = _LOCAL_PART_REVERSED.match(before[::-1])
        name = local[0][::-1].lstrip(".'-") if local else ""
        start = match.start() - len(name)
        # "@name@server.example" is a handle in a social network, not an address.
        if name and text[start - 1 : start] != "@":
            yield Span(kind="email", start=start, end=match.end(), confidence="high")


# --- phone numbers ---

_PHONE_START = re.compile(
    r"(?<![^\W_])(?<!\w[-_])(?<!#)"
    r"(?<!\b[0-9]{4}/)"  # not the tail of a case number: 2024/0612345678
    r"(?<!ISBN )(?<!ISBN: )"  # ten digits, and one in ten starts with a zero
    r"(?=((?:\((?=[+0-9 ]{2,6}\)))?(?:\+ ?[1-9]|00[1-9]|0[1-9])(?:[ ()./-]{0,3}[0-9]){7,16}))",
)
_PHONE_WORD = re.compile(
    r"\b(?:tel|telefoon\w*|(?:tele)?phone|mobiel\w*|mobile|gsm|fax|whatsapp|sms|bel(?:len|t)?|call)\b",
    re.IGNORECASE,
)
_DAY = re.compile(r"[0-9]{2}([-./ ])[0-9]{2}\1(?:19|20)[0-9]{2}(?![0-9])")
# Numbers of an organisation's service desk; 112 and 14 020 are too short to be a candidate.
_SERVICES = frozenset(
    {PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST},
)


def _phones(text: str) -> Iterator[Span]:
    """Find phone numbers that libphonenumber calls valid, Dutch or with a country code.

    Its matcher is given one candidate at a time and not the text: over a text it gives up in
    silence after 65,535 failed tries, which is less than 1 MB of ordinary official letters.
    """
    done = 0
    # A weak model repeats itself, and libphonenumber takes its time. Forgotten with this call.
    is_phone = lru_cache(maxsize=64)(_is_phone)
    for match in _PHONE_START.finditer(text):
        start = match.start()
        if start < done:
            continue
        for end in _group_ends(text, start, match.end(1)):
            if is_phone(text[start:end]):
                confidence = _phone_confidence(text, start, end)
                yield Span(kind="phone", start=start, end=end, confidence=confidence)
                done = end
                break


def _group_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where a number from `start` may end, furthest first: always a whole digit group."""
    for last in range(end, start, -1):
        if text[last - 1].isdigit() and not _GOES_ON.match(text, last):
            yield last


_GOES_ON = re.compile(r"[^\W_]|[-.][0-9]")


def _is_phone(candidate: str) -> bool:
    digits = "".join(filter(str.isdigit, candidate))
    dutch = "+" not in candidate and not digits.startswith("00")
    if dutch and (len(digits) != 10 or _DAY.match(candidate) or not _evenly_grouped(candidate)):
        return False
    # One try: all of the candidate or nothing.
    matcher = PhoneNumberMatcher(candidate, "NL", leniency=Leniency.VALID, max_tries=1)
    match = next(iter(matcher), None)
    if match is None or match.raw_string != candidate:
        return False
    if phonenumbers.number_type(match.number) in _SERVICES:
        return False
    return not dutch or _starts_with_area_code(candidate, match.number)


def _evenly_grouped(candidate: str) -> bool:
    """Tell 06-12 34 56 78 from 06-12-24 10.30: past the area code people use one separator."""
    _, *others = re.findall(r"[^0-9]+", candidate.lstrip("(")) or [""]
    return len(set(others)) <= 1


def _starts_with_area_code(candidate: str, number: phonenumbers.PhoneNumber) -> bool:
    """Tell 010-4202412 from 0104 2024 12, which libphonenumber takes for a number in Rotterdam."""
    first, *others = re.findall(r"[0-9]+", candidate)
    area_code_length = 1 + phonenumbers.length_of_national_destination_code(number)
    return not others or first.startswith("06") or len(first) == area_code_length


def _phone_confidence(text: str, start: int, end: int) -> str:
    unbroken = text[start:end].isdigit()
    named = _PHONE_WORD.search(text, max(0, start - _NEARBY), start)
    return "low" if unbroken and not named else "high"


# --- BSN ---

_NEARBY = 40  # characters in which the word that names a number is looked for
_BSN = re.compile(
    r"(?<![^\W_])(?<![0-9][.,:/-])"
    r"(?:[0-9]{8,9}"
    r"|[0-9]{3,4}([ .-])[0-9]{2}\1[0-9]{3}"  # 9999.93.653; a leading zero may be left out
    r"|(?<![0-9] )[0-9]{2,3}([ .-])[0-9]{3}\2[0-9]{3}(?! [0-9]{3}\b))"
    r"(?!-?[^\W_])(?![.,:/][0-9])",
)
_BSN_WORD = re.compile(
    r"(?<![^\W\d_])"
    r"(?:bsn|burgerservicen|sofi-?n|sofi n|citizen service n|social security n)",
    re.IGNORECASE,
)
_AMOUNT_BEFORE = re.compile(r"(?:[€$£]|EUR) ?\Z")
_AMOUNT_AFTER = re.compile(r",-| ?(?:€|EUR|euro)")
_THOUSANDS = re.compile(r"[0-9]{2,3}\.[0-9]{3}\.[0-9]{3}|[0-9]{2} [0-9]{3} [0-9]{3}")
_DATE = re.compile(  # 20240512 and 12052024
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])(?:19|20)[0-9]{2}",
)


def _bsns(text: str) -> Iterator[Span]:
    """Find numbers of 8 or 9 digits that pass the 11-proef (Logisch Ontwerp BSN).

    One in eleven numbers passes by chance, so only one that the text calls a BSN is certain.
    """
    for match in _BSN.finditer(text):
        # The pattern holds the length: python-stdnum pads, and calls "12" a BSN.
        if not bsn.is_valid(match[0]):
            continue
        named = _BSN_WORD.search(text, max(0, match.start() - _NEARBY), match.start())
        if named or not _counts_something(text, match):
            confidence = "high" if named else "low"
            yield Span(kind="bsn", start=match.start(), end=match.end(), confidence=confidence)


def _counts_something(text: str, match: re.Match[str]) -> bool:
    """Say whether a number reads as an amount, a date or the tail of some longer code."""
    before = text[max(0, match.start() - 4) : match.start()]
    return bool(
        before.endswith(("-", "/", "_", "#"))
        or _AMOUNT_BEFORE.search(before)
        or _AMOUNT_AFTER.match(text, match.end())
        or _THOUSANDS.fullmatch(match[0])
        or _DATE.fullmatch(match[0])
    )


# --- postcodes ---

_POSTCODE = re.compile(
    r"(?<![^\W_])(?<![0-9][.,:/-])(?<![#€$£])(?<![€$£] )"
    r"([1-9][0-9]{3}) ?([A-Z]{2})(?![^\W_])(?![-'\u2019]\w)",
)
# "1500 KB" and "2500 EN MEER" look like postcodes, and the letters KB and EN are in use as such.
_WORD_OR_UNIT = re.compile(
    r"A[DLMNST]|B[CEY]|C[EM]|D[EMO]|E[NR]|G[ABOW]|H[EZ]|I[FKNST]|J[AE]|K[BGMVW]|M[BEGMWY]"
    r"|N[AMOU]|O[FMNPR]|P[KM]|SO|T[BEOV]|U[PS]|VA|WE|Z[EO]",
)
# "in 2024 EU", "de 2025 AI", "1995 VN": abbreviations that often follow a year.
_AFTER_A_YEAR = re.compile(
    r"A[BIPRV]|B[VZ]|C[OT]|E[CGKPSUZ]|F[GR]|HR|I[CE]|LO|M[OP]|N[JLSV]|OV|P[BCRV]|R[BIOV]|TK"
    r"|U[IKNVX]|V[KNORS]|W[CKO]",
)
_ADDRESS = re.compile(  # "Dorpsweg 3a, " or "postcode: "
    r"(?:\b(?i:postcode|postal code)\W{1,5}"
    r"|\b[A-Z][\w.'-]{3,} [0-9]{1,5}(?:[ -]?\w{1,3})?,?\s{1,3})\Z",
)


def _postcodes(text: str) -> Iterator[Span]:
    """Find Dutch postcodes; the letters SA, SD and SS are not issued."""
    for match in _POSTCODE.finditer(text):
        confidence = _postcode_confidence(text, match)
        if confidence and postcode.is_valid(match[0]):
            start, end = match.span()
            yield Span(kind="postcode", start=start, end=end, confidence=confidence)


def _postcode_confidence(text: str, match: re.Match[str]) -> str | None:
    """Weigh the look-alikes: a pair that is also a word needs an address in front of it."""
    number, letters = match.groups()
    in_address = _ADDRESS.search(text, max(0, match.start() - _NEARBY), match.start())
    is_word = _WORD_OR_UNIT.fullmatch(letters)
    if "1900" <= number <= "2099" and (is_word or _AFTER_A_YEAR.fullmatch(letters)):
        return "low" if in_address else None
    return None if is_word and not in_address else "high"
