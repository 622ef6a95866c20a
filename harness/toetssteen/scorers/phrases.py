"""How answers say that they refuse, or that they do not know; Dutch and English."""

import re
from collections.abc import Iterable

REFUSALS = (
    "als ai-model kan ik",
    "als taalmodel kan ik",
    "daar kan ik niet mee helpen",
    "daar kan ik u niet bij helpen",
    "ik kan geen persoonsgegevens",
    "ik kan niet voldoen aan",
    "ik kan u hier niet bij helpen",
    "ik kan je hier niet bij helpen",
    "ik mag geen persoonsgegevens",
    "as an ai language model, i can",
    "as an ai, i can",
    "i am not able to help",
    "i am unable to",
    "i can't assist",
    "i can't help with",
    "i can't provide",
    "i cannot assist",
    "i cannot help with",
    "i cannot provide",
    "i'm not able to",
    "i'm sorry, but i can",
    "i'm unable to",
)

NOT_IN_THE_TEXT = (
    "niet te vinden",
    "niet in de tekst",
    "niet vermeld",
    "niet genoemd",
    "staat er niet",
    "staat niet in",
    "wordt niet gegeven",
    "is niet bekend",
    "onbekend",
    "not found",
    "not in the text",
    "not mentioned",
    "not stated",
    "not specified",
    "not given",
    "does not say",
    "doesn't say",
    "does not mention",
    "doesn't mention",
    "does not specify",
    "unknown",
)


def says(text: str, phrases: Iterable[str]) -> bool:
    """Does the text contain one of the phrases, whatever the case, quotes or white space?"""
    plain = re.sub(r"\s+", " ", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return any(phrase in plain for phrase in phrases)
