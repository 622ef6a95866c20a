"""Makes any text fit to print: nothing invisible, nothing that turns the page around, not endless.

A candidate may answer with anything: control characters, half a surrogate pair, marks that turn
the reading direction, tags that no reader sees, or a megabyte of it.
"""

import unicodedata

# The joiners belong to emoji and to Persian; they do no harm.
HARMLESS = frozenset("\n\t\u200c\u200d")
# Categories: control, format (direction marks, tags), surrogate, and the two line separators.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """Return the text with every invisible character named: `⟨U+202E⟩`."""
    # Most text is plain, and this is the quick way to see it.
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def shorten(text: str, most: int) -> tuple[str, int]:
    """Return the beginning of a text, and how many characters are left out."""
    return text[:most], max(0, len(text) - most)


def _visible(character: str) -> str:
    if character in HARMLESS:
        return character
    if unicodedata.category(character) not in UNSEEN and not _is_noncharacter(ord(character)):
        return character
    return f"⟨U+{ord(character):04X}⟩"


def _is_noncharacter(code: int) -> bool:
    """Is it one of the 66 codes that Unicode promises never to assign, and HTML refuses?"""
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
