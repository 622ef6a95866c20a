"""What can go wrong, as a tree that callers can catch at the level they can answer.

ToetsError                 the reader's input or surroundings; one clear line, no traceback
├── UsageError             asked for something that does not exist or does not fit   (exit 2)
│   ├── ContentError       a YAML, JSON Lines or weights file is not what it should be
│   │   └── NotFetchedError    a file of others, not in the cache or the mirror yet
│   ├── ArgumentError      a plugin cannot be made with an argument of the YAML
│   └── UnknownNameError   no task, suite, candidate or plugin of that name
└── RunError               the run could not be finished; what was answered is kept  (exit 1)
    ├── BusyError          another process works on the same run folder
    ├── CandidateError     the candidate could not be opened, or can answer no more
    └── TrackingError      MLflow could not be reached; the run itself is kept

Anything else that is raised is a bug of ours and ends loudly, with its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from pydantic_core import ErrorDetails


class ToetsError(Exception):
    """The reader's input or surroundings are at fault; the message says what to do."""

    exit_code = 1


class UsageError(ToetsError):
    """What was asked for does not exist or does not fit together."""

    exit_code = 2


class ContentError(UsageError):
    """A file is not what it should be; names the file and, where known, line and field."""

    def __init__(self, file: Path | str, problem: str, *, line: int | None = None) -> None:
        place = f"{file}:{line}" if line is not None else f"{file}"
        super().__init__(f"{place}: {problem}")


class NotFetchedError(ContentError):
    """A file of others that a task names by its address has not been fetched yet."""


class ArgumentError(UsageError):
    """A plugin cannot be made with an argument; who calls it says where that stands."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"args.{name}: {problem}")


class UnknownNameError(UsageError):
    """No such name; offers the nearest one, and says who asked for it."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        asked = f"{where}: " if where else ""
        super().__init__(f"{asked}unknown {kind} {name!r}{did_you_mean(name, known)}")


class RunError(ToetsError):
    """The run could not be finished; what was answered so far is kept."""


class BusyError(RunError):
    """Another process works on the same run folder."""


class CandidateError(RunError):
    """The candidate could not be opened, or can answer no more: weights, tokenizer, endpoint."""


class TrackingError(RunError):
    """MLflow could not be reached; the run folder is complete without it."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or what there is when nothing is near."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    more = ", …" if len(names) > 12 else ""
    return f"; there is {', '.join(names[:12])}{more}" if names else ""


# pydantic speaks of tuples and dictionaries; whoever writes YAML has lists and mappings.
_WORDS = {
    "missing": "is required",
    "invalid_key": "a key should be text; put quotes around it",
    "string_type": "should be text; put quotes around it",
    "string_too_short": "should not be empty",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a mapping of keys",
    "mapping_type": "should be a mapping of keys",
    "model_type": "should be a mapping of keys",
    "model_attributes_type": "should be a mapping of keys",
}


def in_words(fault: ErrorDetails) -> str:
    """Return what pydantic found, in the words of somebody who writes YAML."""
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    match kind:
        case _ if given is None and kind.endswith("_type"):
            said = "is empty"
        case "string_type" if isinstance(given, list | tuple | dict):
            said = "should be text"
        case "literal_error" | "enum":
            said = f"should be {context['expected']}, not {given!r}"
        case "too_short":
            said = f"should hold at least {context['min_length']}"
        case "too_long":
            said = f"should hold at most {context['max_length']}"
        case _ if kind.startswith("date"):
            said = "should be a date, such as 2026-12-31"
        case _:
            # What we raise ourselves, and what pydantic says plainly.
            own = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
            said = _WORDS.get(kind, own)
    return said
