"""How likely a service says every token of a given text was: two ways in which it may say so.

`echo` repeats the text among the log-probabilities of what was said. `prompt_logprobs`, as vLLM
has it, holds one entry for every token of the prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toetssteen.candidates.service import Unreadable

TORN = "\ufffd"  # a token that holds part of a character
# What vLLM writes where a token has no probability at all, because JSON has no infinity.
RULED_OUT = -9999.0
MISFIT = "its prompt_logprobs do not fit the text they were asked for"


@dataclass(frozen=True, slots=True)
class Given:
    """One token of a given text: where it begins and how likely it was; the first is unknown."""

    begin: int
    logprob: float | None
    likeliest: bool | None = None
    until: int = 0  # where it may begin at the latest, where that is not quite known


def token_logprobs(choice: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the log-probabilities of what was said.

    Raises:
        Unreadable: they are not there, or no numbers.
    """
    return tuple(_numbers(_logprobs(choice).get("token_logprobs")))


# --- echo ------------------------------------------------------------------------------------


def echoed(choice: Mapping[str, Any], text: str) -> tuple[Given, ...]:
    """Return the tokens of a text that was repeated.

    Each token has to stand where it is said to stand: some services count a start token that is
    not in the text, or bytes instead of letters, and would be read a little beside the mark.

    Raises:
        Unreadable: the tokens are not there, or do not fit the text.
    """
    return tuple(_echoed(choice, text))


def _echoed(choice: Mapping[str, Any], text: str) -> Iterator[Given]:
    found = _logprobs(choice)
    tokens, offsets = found.get("tokens"), found.get("text_offset")
    numbers = _numbers(found.get("token_logprobs"), gaps=True)
    if not isinstance(tokens, list) or not isinstance(offsets, list):
        raise Unreadable("its log-probabilities have no tokens or text_offset")
    if not len(tokens) == len(offsets) == len(numbers):
        raise Unreadable("it gives another number of tokens than of log-probabilities")
    likeliest = _likeliest(found.get("top_logprobs"), numbers)
    first = str(tokens[0]) if tokens else ""
    marks = 0 if text.startswith(first) else len(first)
    for token, offset, number, top in zip(tokens, offsets, numbers, likeliest, strict=True):
        if type(offset) is not int:
            raise Unreadable("its text_offset holds no whole numbers")
        if offset < marks or (marks and token == first and number is None):
            continue  # the start token
        place = offset - marks
        torn = TORN in str(token) or str(token).startswith("bytes:")
        if place < len(text) and not torn and not text.startswith(str(token), place):
            raise Unreadable("its text_offset does not fit the text it was given")
        yield Given(place, number, top)


def _likeliest(given: object, numbers: Sequence[float | None]) -> list[bool | None]:
    """Say of every token whether none was likelier, where the service says how likely one was."""
    if not isinstance(given, list) or len(given) != len(numbers):
        return [None] * len(numbers)
    return [_is_top(top, number) for top, number in zip(given, numbers, strict=True)]


def _is_top(top: object, number: float | None) -> bool | None:
    if not isinstance(top, dict) or number is None:
        return None
    others = [value for value in top.values() if type(value) in {int, float}]
    return number >= max(others) if others else None


def _logprobs(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    found = choice.get("logprobs")
    if not isinstance(found, dict):
        raise Unreadable("no log-probabilities came back though they were asked for")
    return found


def _numbers(given: object, *, gaps: bool = False) -> list[Any]:
    """Return log-probabilities; with `gaps`, None where there is none."""
    if not isinstance(given, list):
        raise Unreadable("its log-probabilities have no token_logprobs")
    try:
        return [None if gaps and number is None else float(number) for number in given]
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("its log-probabilities are no numbers") from None


# --- prompt_logprobs -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """One token of the prompt, as the service writes it."""

    text: str
    logprob: float | None
    rank: int | None


def prompted(choice: Mapping[str, Any], text: str) -> tuple[Given, ...]:
    """Return the tokens of a prompt.

    Where they stand is not said; they are laid along the text, one behind the other.

    Raises:
        Unreadable: the tokens are not there, or do not fit the text.
    """
    found = choice.get("prompt_logprobs")
    if not isinstance(found, list):
        raise Unreadable("no prompt_logprobs came back though they were asked for")
    # Before the first token there is nothing, so it has no probability and often no entry.
    entries = [_entry(one) for one in found[1:]]
    return tuple(_laid_along(entries, text))


def _entry(given: object) -> _Entry:
    # Asked for the token itself alone, it is the first; some give the likeliest one too.
    first = next(iter(given.values()), None) if isinstance(given, dict) else None
    if not isinstance(first, dict) or not isinstance(first.get("decoded_token"), str):
        raise Unreadable("its prompt_logprobs have no decoded_token")
    number, rank = first.get("logprob"), first.get("rank")
    if not isinstance(number, int | float):
        raise Unreadable("its prompt_logprobs are no numbers")
    return _Entry(
        text=first["decoded_token"],
        logprob=None if number == RULED_OUT else float(number),
        rank=rank if type(rank) is int else None,
    )


def _laid_along(entries: Sequence[_Entry], text: str) -> Iterator[Given]:
    """Say where every token begins: from the end backwards, for of the first the text is not said.

    Tokens that hold parts of a character are torn; together they fill the gap between the whole
    ones beside them, and where in it each begins is not known.
    """
    laid: list[Given] = []
    begin, whole, torn = len(text), None, list[_Entry]()
    for entry in reversed(entries):
        if TORN in entry.text or not entry.text:
            torn.append(entry)
            continue
        end = _end_of(entry.text, text, begin, len(torn))
        # One that is written without the space it begins with begins where this one ends.
        laid += _given(whole, begin if torn else end)
        for one in torn:
            laid += _given(one, end, until=begin - 1)
        begin, whole, torn = end - len(entry.text), entry, []
    laid += _given(whole, begin)
    for one in torn:
        laid += _given(one, 0, until=begin - 1)
    if begin and not torn:
        if len(text[:begin].split()) > 1:
            raise Unreadable(MISFIT)
        laid.append(Given(0, None))  # the first token; with a start token there is no such rest
    return reversed(laid)


def _end_of(token: str, text: str, before: int, torn: int) -> int:
    """Return where a token ends, with so many torn ones between it and what begins at `before`."""
    if torn:
        # Of a character at least; a torn token may hold a space and a part.
        end = text.rfind(token, 0, before - 1) + len(token)
        if end >= max(len(token), before - 2 * torn):
            return end
    elif text.endswith(token, 0, before):
        return before
    elif before < len(text) and text[before - 1] == " " and text.endswith(token, 0, before - 1):
        return before - 1
    raise Unreadable(MISFIT)


def _given(entry: _Entry | None, begin: int, *, until: int = 0) -> list[Given]:
    if entry is None:
        return []
    likeliest = None if entry.rank is None else entry.rank == 1
    return [Given(begin, entry.logprob, likeliest, max(begin, until))]
