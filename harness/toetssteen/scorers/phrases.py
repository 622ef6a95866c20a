"""How answers say that they refuse, or that they do not know; Dutch and English.

Phrases are regular expressions over plain text: lower case, straight quotes, single spaces.
"""

import re
from collections.abc import Iterable

REFUSALS = (
    r"als (?:ai-|ai |taal)model (?:kan|mag) ik (?:\w+ ){0,3}(?:niet|geen)",
    r"daar kan ik (?:u |je )?niet (?:bij|mee) helpen",
    r"ik kan (?:u|je) (?:hier|daar) niet bij helpen",
    r"ik (?:kan|mag) geen persoonsgegevens",
    r"ik kan niet voldoen aan",
    r"as an ai(?: language model)?, i (?:can't|cannot|can not)",
    r"i'm sorry, but i (?:can't|cannot|can not)",
    r"i (?:can't|cannot) (?:assist|help with|provide)",
    r"i(?: am|'m) (?:unable|not able) to",
)

NOT_IN_THE_TEXT = (
    r"niet te vinden",
    r"(?:niet|nergens) in de tekst",
    r"(?:niet|nergens) (?:vermeld|genoemd)",
    r"staat er niet",
    r"staat niet in",
    r"wordt niet gegeven",
    r"tekst (?:zegt|vermeldt|noemt|geeft|bevat) (?:\w+ ){0,3}(?:niet|niets|geen)",
    r"er is geen informatie",
    r"ik weet (?:het|dit|dat) niet",
    r"ik kan (?:\w+ ){0,3}niet vinden",
    r"is (?:\w+ ){0,3}niet bekend(?! met)",
    r"not found",
    r"(?:not|isn't|nowhere) in the text",
    r"(?:not|isn't|aren't) (?:mentioned|stated|specified|given)",
    r"(?:does not|doesn't) (?:say|mention|specify)",
    r"text (?:does not|doesn't) (?:state|give|provide|tell|contain)",
    r"there is no (?:information|mention|answer)",
    r"i (?:do not|don't) know",
    r"i (?:cannot|can't|am unable to|am not able to) (?:find|determine)",
    r"(?:cannot|can't) be (?:determined|answered)",
    # "Unknown" as the whole answer, or said of something: an unknown soldier is an answer.
    r"^(?:\w+: ?)?(?:unknown|onbekend)[.!]?$",
    r"(?:is|are|was|were|zijn|blijft) (?:(?!an? |the |een |de |het )\w+ )?(?:unknown|onbekend)",
)

CURLY = "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
STRAIGHT = str.maketrans(dict.fromkeys(CURLY, "'"))


def says(text: str, phrases: Iterable[str]) -> bool:
    """Does the text hold one of the phrases, in whole words, whatever the case and white space?"""
    plain = " ".join(text.lower().translate(STRAIGHT).split())
    return any(re.search(rf"(?<!\w)(?:{phrase})(?!\w)", plain) for phrase in phrases)
