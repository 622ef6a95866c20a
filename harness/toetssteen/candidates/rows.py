"""A row of the task as a table model wants it: every cell of its column's type, or a reason."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from toetssteen.errors import ToetsError, did_you_mean
from toetssteen.records import Cell
from toetssteen.spec import ColumnKind

CARD_COLUMNS: Mapping[ColumnKind, str] = {
    "number": "float64",
    "whole": "int64",
    "text": "object",
    "yes_no": "bool",
    "date": "datetime64[ns]",
}
# As the signature of an MLflow model names them.
SIGNATURE_COLUMNS: Mapping[str, tuple[ColumnKind, str]] = {
    "double": ("number", "float64"),
    "float": ("number", "float32"),
    "long": ("whole", "int64"),
    "integer": ("whole", "int32"),
    "string": ("text", "object"),
    "boolean": ("yes_no", "bool"),
    "datetime": ("date", "datetime64[ns]"),
}
ASKED: Mapping[ColumnKind, str] = {
    "number": "a number",
    "whole": "a whole number",
    "text": "text",
    "yes_no": "true or false",
    "date": "a date, such as 2026-12-31",
}
YES_NO = {"true": True, "false": False, "1": True, "0": False}
WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a model reads: what it holds, and the numpy type it is computed in."""

    name: str
    kind: ColumnKind
    dtype: str


class CellError(ToetsError):
    """This cell cannot be read as its column; other rows may."""


class RowError(ToetsError):
    """The task's rows do not fit the model, whatever stands in them."""


def check_names(fields: Mapping[str, Cell], columns: Sequence[Column]) -> None:
    """See that a row has the model's columns, and no others.

    Raises:
        RowError: it has not; names them.
    """
    wanted = [column.name for column in columns]
    missing = [name for name in wanted if name not in fields]
    extra = [name for name in fields if name not in wanted]
    faults = []
    if missing:
        faults.append(f"the model wants {_listed(missing)}, which the task's row does not give")
    if extra:
        near = did_you_mean(extra[0], missing) if missing else ""
        faults.append(
            f"the task's row gives {_listed(extra)}, which the model does not know{near}"
        )
    if faults:
        raise RowError("columns: " + "; ".join(faults))


def cast(value: Cell, column: Column) -> Cell:
    """Return what stands in a cell as the column's type; text from CSV is read as that type.

    None, and blank text where no text is wanted, is a cell in which nothing stands. A date comes
    back as ISO text.

    Raises:
        CellError: it cannot be read as that type.
        RowError: a column of dates holds numbers.
    """
    blank = isinstance(value, str) and not value.strip() and column.kind != "text"
    if value is None or blank:
        _check_nothing(column)
        return None
    match column.kind:
        case "number":
            read: Cell = _number(value)
        case "whole":
            read = _whole(value, column)
        case "text":
            read = _text(value)
        case "yes_no":
            read = _yes_no(value)
        case "date":
            read = _date(value, column)
    if read is None:
        raise CellError(f"column {column.name}: {value!r} is not {ASKED[column.kind]}")
    return read


def _check_nothing(column: Column) -> None:
    if column.kind in {"whole", "yes_no"}:
        raise CellError(
            f"column {column.name}: is empty, and must be {ASKED[column.kind]} ({column.dtype} "
            "has no missing values)"
        )


def _number(value: Cell) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    # float() also reads 1_000 and infinity, which nobody means in a table.
    odd = isinstance(value, str) and "_" in value
    return read if math.isfinite(read) and not odd else None


def _whole(value: Cell, column: Column) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        found = WHOLE.fullmatch(value.strip())
        value = int(value.strip().partition(".")[0]) if found else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    largest = 2**31 if column.dtype == "int32" else 2**63
    return value if value is not None and abs(value) < largest else None


def _text(value: Cell) -> str | None:
    # 3.0 as text could be 3 or 3.0, and true could be anything.
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _yes_no(value: Cell) -> bool | None:
    if isinstance(value, bool):
        return value
    return YES_NO.get(str(value).strip().lower())


def _date(value: Cell, column: Column) -> str | None:
    if not isinstance(value, str):
        raise RowError(
            f"column {column.name}: should hold {ASKED['date']}; the task's rows have {value!r}"
        )
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    # A column has one clock for all rows; where a zone is given, that is UTC.
    return (read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read).isoformat()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
