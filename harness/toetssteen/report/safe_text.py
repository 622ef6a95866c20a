"""Makes any text fit to print: nothing invisible, nothing that turns the page around, not endless.

A candidate may answer with anything: control characters, half a surrogate pair, marks that turn
the reading direction, tags that no reader sees, or a megabyte of it.
"""

import re
import unicodedata

# The joiners belong to emoji and to Persian; they do no harm.
HARMLESS = frozenset("\n\t\u200c\u200d")
# Categories: control, format (direction marks, tags), surrogate, and the two line separators.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
NONCHARACTERS = re.compile(r"[\ufdd0-\ufdef\ufffe\uffff]")
CONTROL_PICTURES = 0x2400
DELETE = 0x7F


def visible(text: str) -> str:
    """Return the text with every invisible character shown: `␀`, `⟨U+202E⟩`."""
    # Most text is plain, and this is the quick way to see it.
    if text.isascii() and text.isprintable():
        return text
    plain = text.replace("\r\n", "\n")
    return NONCHARACTERS.sub(_name, "".join(map(_visible, plain)))


def shorten(text: str, most: int) -> tuple[str, int]:
    """Return the beginning of a text, and how many characters are left out."""
    return text[:most], max(0, len(text) - most)


def _visible(character: str) -> str:
    if character in HARMLESS or unicodedata.category(character) not in UNSEEN:
        return character
    code = ord(character)
    if code < ord(" "):
        return chr(CONTROL_PICTURES + code)
    if code == DELETE:
        return "␡"
    return f"⟨U+{code:04X}⟩"


def _name(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"
