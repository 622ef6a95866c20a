"""What the report says of its own, and how it writes numbers and dates, in one language.

The words stand in `reports/templates/words.yaml`, Dutch and English side by side, so that
neither can lack what the other has.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from math import isfinite
from typing import Annotated

from pydantic import Field

from toetssteen import content
from toetssteen.spec import Language, Spec, Text, read

FILE = "words.yaml"
DIGITS = 3
# Outside these a plain decimal has more zeros than digits.
SMALLEST, LARGEST = Decimal("1e-4"), Decimal("1e9")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ISO_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
# Longer or deeper than this the code never speaks; a candidate's error message may.
LONGEST, DEEPEST = 2000, 4
NUMBER = re.compile(r"[-+]?\d{1,20}(\.\d{1,20})?([eE][-+]?\d{1,3})?", re.ASCII)


class MetricWords(Spec):
    """A metric's name, how to read it, and its sentences for a board."""

    name: Text
    explain: Text | None = None
    percent: bool = False
    sentence: Text | None = None
    at_zero: Text | None = None
    above: Text | None = None
    below: Text | None = None


class Pattern(Spec):
    """A form of words in the code's English, and what a reader sees instead."""

    match: str
    nl: str
    en: str


class Months(Spec):
    """The names of the months."""

    nl: Annotated[tuple[str, ...], Field(min_length=12, max_length=12)]
    en: Annotated[tuple[str, ...], Field(min_length=12, max_length=12)]


class WordsFile(Spec):
    """`reports/templates/words.yaml`."""

    months: Months
    text: dict[str, Text]
    labels: dict[str, dict[str, Text]]
    metrics: dict[str, MetricWords]
    units: dict[str, Text]
    phrases: tuple[Pattern, ...]
    terms: tuple[Pattern, ...]


@cache
def read_words() -> WordsFile:
    """Return the words, read once."""
    return read(WordsFile, content.root("reports") / "templates" / FILE)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as a reader sees it, and with all its digits."""

    text: str
    exact: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of text from the code; `foreign` where it could not be said in the language."""

    text: str
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """One language: texts, labels, numbers and dates."""

    language: Language
    file: WordsFile

    @classmethod
    def of(cls, language: Language) -> "Words":
        """Return the words of a language."""
        return cls(language, read_words())

    # --- texts -------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> str:
        """Return a text.

        Raises:
            KeyError: there is no such text; the template or the file is wrong.
        """
        return self.file.text[key][self.language]

    def say(self, key: str, **pieces: object) -> str:
        """Return a text with its pieces filled in."""
        return self[key].format(**pieces)

    def count(self, key: str, n: int, **pieces: object) -> str:
        """Return the singular or plural of a text, with the number filled in."""
        number = "one" if n == 1 else "many"
        return self.say(f"{key}_{number}", n=self.integer(n), **pieces)

    def label(self, kind: str, name: str) -> str:
        """Return the label of a word of the vocabulary; an unknown one without underscores."""
        known = self.file.labels[kind].get(name)
        return known[self.language] if known is not None else name.replace("_", " ")

    def knowing(self, labels: Mapping[str, Mapping[str, str]]) -> "Words":
        """Return the words with what a task calls the values of its groups."""
        if not labels:
            return self
        own = {value: Text(nl=said["nl"], en=said["en"]) for value, said in labels.items()}
        known = self.file.labels
        more = {**known, "group_values": {**known["group_values"], **own}}
        return replace(self, file=self.file.model_copy(update={"labels": more}))

    def told(self, text: Mapping[str, str] | None) -> str:
        """Return a text of the record, which has both languages; of None, nothing."""
        return "" if text is None else text[self.language]

    def listing(self, parts: list[str]) -> str:
        """Return `a, b and c`."""
        if len(parts) < 2:
            return "".join(parts)
        return f"{', '.join(parts[:-1])} {self['and']} {parts[-1]}"

    def unit(self, unit: str) -> str:
        """Return a unit as a reader writes it."""
        known = self.file.units.get(unit)
        return known[self.language] if known is not None else unit

    def metric(self, metric: str) -> MetricWords:
        """Return what is known of a metric; of an unknown one, its id without underscores."""
        known = self.file.metrics.get(metric)
        if known is not None:
            return known
        name = metric.replace("_", " ") or "?"
        return MetricWords(name=Text(nl=name, en=name))

    def group(self, group: str) -> str:
        """Return `language: Dutch` for `language=nl`."""
        dimension, equals, value = group.partition("=")
        if not equals:
            return self.label("dimensions", dimension)
        return f"{self.label('dimensions', dimension)}: {self.label('group_values', value)}"

    # --- numbers -----------------------------------------------------------------------------

    def integer(self, value: int) -> str:
        """Return a count with its thousands apart."""
        return self._decimal(format(value, ",d"))

    def amount(self, value: float, *, percent: bool = False) -> Amount:
        """Return a number with three significant digits, and with all of them.

        A share that is not quite everything is never rounded to 100%.
        """
        if not isfinite(value):
            return Amount(self["not_a_number"], repr(value))
        exact = self._decimal(repr(float(value)), grouped=False)
        whole = Decimal(repr(float(value))) * (100 if percent else 1)
        shown = _round(whole, DIGITS)
        if percent and shown == 100 and whole != 100:
            shown = next((r for d in range(4, 7) if (r := _round(whole, d)) != 100), shown)
        return Amount(self._plain(shown) + ("%" if percent else ""), exact)

    def exactly(self, value: float | str, *, percent: bool = False) -> str:
        """Return a number that somebody chose, with every digit that was chosen."""
        whole = Decimal(str(value)) * (100 if percent else 1)
        return self._plain(whole) + ("%" if percent else "")

    def number(self, value: float) -> str:
        """Return a number with three significant digits."""
        return self.amount(value).text

    def _plain(self, value: Decimal) -> str:
        if value and not SMALLEST <= abs(value) < LARGEST:
            digits, _, exponent = f"{value.normalize():e}".partition("e")
            power = str(int(exponent)).translate(SUPERSCRIPTS)
            return f"{self._decimal(digits)} \N{MULTIPLICATION SIGN} 10{power}"
        text = f"{value:,f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return self._decimal(text)

    def _decimal(self, text: str, *, grouped: bool = True) -> str:
        """Turn Python's `-1,234.5` into what the language writes."""
        signed = text.replace("-", "\N{MINUS SIGN}") if grouped else text
        return signed.translate(str.maketrans(",.", ".,")) if self.language == "nl" else signed

    # --- dates -------------------------------------------------------------------------------

    def day(self, moment: date) -> str:
        """Return `23 november 2026`."""
        months = self.file.months.nl if self.language == "nl" else self.file.months.en
        return f"{moment.day} {months[moment.month - 1]} {moment.year}"

    def moment(self, at: str) -> str:
        """Return day and time of an ISO 8601 moment; text that is none as it is."""
        try:
            when = datetime.fromisoformat(at)
        except ValueError:
            return at
        point = "." if self.language == "nl" else ":"
        return f"{self.day(when)}, {when:%H}{point}{when:%M} {when.tzname() or ''}".rstrip()

    # --- what the code says ------------------------------------------------------------------

    def phrase(self, said: str, *, percent: bool = False) -> Phrase:
        """Say in this language what the code says in English.

        Args:
            said: a reason, a method or a band.
            percent: are the metric's values in it shown as percentages?
        """
        return self._phrase(said, percent=percent, depth=0)

    def _phrase(self, said: str, *, percent: bool, depth: int) -> Phrase:
        if len(said) <= LONGEST and depth < DEEPEST:
            for pattern, replacement in _patterns(self.language):
                found = pattern.fullmatch(said)
                if found is not None:
                    return Phrase(self._fill(replacement, found, percent=percent, depth=depth))
        return Phrase(said, foreign=self.language != "en")

    def _fill(self, replacement: str, found: re.Match[str], *, percent: bool, depth: int) -> str:
        plain = [self._piece(piece, percent=False, depth=depth) for piece in found.groups()]
        named = {
            name: self._piece(piece, percent=percent, depth=depth)
            for name, piece in found.groupdict().items()
        }
        return replacement.format(*plain, **named)

    def _piece(self, piece: str, *, percent: bool, depth: int) -> str:
        if NUMBER.fullmatch(piece):
            return self.exactly(piece, percent=percent)
        for kind in ("statuses", "answered", "failures", "controls"):
            if piece in self.file.labels[kind]:
                return self.label(kind, piece)
        return self._phrase(piece, percent=percent, depth=depth + 1).text

    def terms(self, text: str) -> str:
        """Say articles, sources and dates that were written in one language only."""
        for term in self.file.terms:
            text = text.replace(term.match, term.nl if self.language == "nl" else term.en)
        return ISO_DATE.sub(lambda found: self._iso_day(found[0]), text)

    def _iso_day(self, text: str) -> str:
        day = day_of(text)
        return text if day is None else self.day(day)


def day_of(text: str | None) -> date | None:
    """Return the day of an ISO 8601 date or moment; None where there is none."""
    try:
        return None if text is None else datetime.fromisoformat(text).date()
    except ValueError:
        return None


def _round(value: Decimal, digits: int) -> Decimal:
    """Round to significant digits."""
    if not value:
        return Decimal(0)
    place = Decimal(1).scaleb(value.adjusted() - digits + 1)
    return value.quantize(place, rounding=ROUND_HALF_EVEN)


@cache
def _patterns(language: Language) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(phrase.match, re.DOTALL), phrase.nl if language == "nl" else phrase.en)
        for phrase in read_words().phrases
    )
