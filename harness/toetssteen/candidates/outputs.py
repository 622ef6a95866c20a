"""What a table model gave for some rows, understood: labels, probabilities, or neither.

Understood are: a label a row (text, whole numbers, true and false); probabilities in a matrix with
a column for each class; a table with such a column for each class, named after it; a mapping from
class to probability a row; and one number a row, if two classes are named: the probability of the
second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class NotUnderstoodError(ValueError):
    """The model gives something in which labels or probabilities cannot be told."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a model gave, row by row.

    Args:
        classes: to which the probabilities belong, in order; empty where there are none.
        labels: what it decided; empty where it gives probabilities only.
        probabilities: of every class; empty where it only decides.
    """

    classes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    probabilities: tuple[tuple[float, ...], ...] = ()


def understand(given: Any, *, classes: Sequence[str] = ()) -> Given:  # noqa: ANN401 - any model's
    """Read what a model gave.

    Args:
        given: an array, a list, or a mapping from the name of a column to its values.
        classes: in the order of the probabilities, where somebody named them.

    Raises:
        NotUnderstoodError: says what it gave, and what can be done.
    """
    if isinstance(given, Mapping):
        return _table({str(name): np.asarray(values) for name, values in given.items()}, classes)
    if isinstance(given, list) and given and isinstance(given[0], Mapping):
        return _mappings(given)
    values = np.asarray(given)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1:
        return _column(values, classes)
    if values.ndim == 2 and values.dtype.kind == "f":
        return _matrix(values, classes)
    raise NotUnderstoodError(
        f"the model gives {values.dtype} in the shape {values.shape}; understood are a label, or "
        "a probability for each class, a row"
    )


def named(value: object) -> str:
    """Return a class as text: `1` for 1, 1.0 and numpy's own, `True` for true."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bytes):
        return plain.decode()
    if isinstance(plain, float) and plain.is_integer():
        return str(int(plain))
    return str(plain)


def _table(columns: Mapping[str, "np.ndarray[Any, Any]"], classes: Sequence[str]) -> Given:
    if len(columns) == 1:
        (values,) = columns.values()
        return understand(values, classes=classes)
    if columns and all(values.dtype.kind == "f" for values in columns.values()):
        return _matrix(np.column_stack(list(columns.values())), tuple(columns))
    raise NotUnderstoodError(
        f"the model gives the columns {', '.join(columns)}; understood is one with labels, or one "
        "with probabilities for each label, named after it"
    )


def _mappings(rows: Sequence[Mapping[Any, Any]]) -> Given:
    classes = tuple(rows[0])
    matrix = np.asarray([[row[name] for name in classes] for row in rows], dtype=float)
    return _matrix(matrix, tuple(map(named, classes)))


def _matrix(values: "np.ndarray[Any, Any]", classes: Sequence[str]) -> Given:
    if len(classes) != values.shape[1]:
        said = f"{len(classes)} are named" if classes else "does not say of which classes"
        raise NotUnderstoodError(
            f"the model gives {values.shape[1]} probabilities a row, and {said}; name them in "
            "order on the card under table.classes"
        )
    rows = tuple(tuple(float(one) for one in row) for row in values)
    return Given(classes=tuple(classes), probabilities=rows)


def _column(values: "np.ndarray[Any, Any]", classes: Sequence[str]) -> Given:
    if values.dtype.kind != "f":
        return Given(labels=tuple(named(value) for value in values))
    if len(classes) != 2:
        raise NotUnderstoodError(
            "the model gives one number a row; if that is the probability of the second of two "
            "classes, name both in order on the card under table.classes"
        )
    return _matrix(np.column_stack([1 - values, values]), classes)
