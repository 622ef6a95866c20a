"""Amounts of money in an answer, as Dutch and English write them."""

import re

NUMBER = r"\d{1,3}(?:[., ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
MARKED = re.compile(
    rf"(?:€|\beur(?:o)?\b)\s*({NUMBER})(?!\d)|(?<![\d.,])({NUMBER})(?:,-)?\s*(?:€|eur\b|euro\b|euros\b)"
)
BARE = re.compile(rf"(?<![\d.,\w])({NUMBER})(?![\d\w%]|[.,]\d)")
NOTHING = re.compile(r"\b(?:niets|geen euro|nihil|nothing)\b")


def read_amount(text: str) -> float | None:
    """Return the one amount that an answer names; None where it names none, or several.

    With a currency sign anywhere, only amounts with one count: "€ 50 in 12 maanden" is 50. A
    separator before exactly three digits groups thousands, in either language.
    """
    plain = text.lower().replace("\N{NO-BREAK SPACE}", " ")
    marked = {_value(one or other) for one, other in MARKED.findall(plain)}
    found = marked or {_value(one) for one in BARE.findall(plain)}
    if not found and NOTHING.search(plain):
        return 0.0
    return found.pop() if len(found) == 1 else None


def _value(written: str) -> float:
    whole, separator, cents = re.fullmatch(r"(.*?)(?:([.,])(\d{1,2}))?", written).groups()  # type: ignore[union-attr]
    digits = re.sub(r"[., ]", "", whole)
    return float(f"{digits}.{cents}" if separator else digits)
