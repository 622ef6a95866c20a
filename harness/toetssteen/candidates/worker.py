"""Runs a model that brings its own code, in a process of its own: `python -m` this module.

Told what to do by JSON lines on its standard input, it answers by JSON lines on what was its
standard output; whatever the model prints goes to standard error. `isolated.py` is the other side.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

import numpy as np
import pandas as pd

from toetssteen.candidates.outputs import Given, NotUnderstoodError, named, understand

# What could change a digit; those that are not installed are left out.
LIBRARIES = ("mlflow", "scikit-learn", "numpy", "pandas", "lightgbm", "xgboost", "catboost")

Record = dict[str, Any]
Predict = Callable[[pd.DataFrame], Given]


def main() -> None:
    """Open one model, then answer for rows until the other side closes."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    predict = _opened(json.loads(sys.stdin.readline()), answers)
    if predict is not None:
        for line in sys.stdin:
            _tell(answers, _answer(json.loads(line), predict))


def _tell(answers: TextIO, record: Record) -> None:
    answers.write(json.dumps(record) + "\n")
    answers.flush()


def _opened(asked: Mapping[str, Any], answers: TextIO) -> Predict | None:
    """Load the model; what its code raises can be anything, and ends the opening."""
    try:
        model = _load(asked["kind"], asked["place"])
        if not hasattr(model, "predict"):
            raise TypeError(f"a {type(model).__name__} is no model: it has no predict")  # noqa: TRY301
        known = [named(one) for one in _classes(model)]
        predict = _estimator(model) if asked["kind"] != "pyfunc" else _pyfunc(model, asked)
    except Exception as error:  # noqa: BLE001 - see above
        _tell(answers, {"failed": _said(error)})
        return None
    names = [str(one) for one in getattr(model, "feature_names_in_", ())]
    gives = hasattr(model, "predict_proba") or asked["kind"] == "pyfunc"
    told = {"classes": known, "columns": names, "probabilities": gives, "versions": _versions()}
    _tell(answers, told)
    return predict


def _load(kind: str, place: str) -> Any:  # noqa: ANN401 - any model
    if kind == "pickle":
        import joblib  # noqa: PLC0415 - each of these is heavy, and only one is needed

        return joblib.load(place)
    if kind == "sklearn":
        import mlflow.sklearn  # noqa: PLC0415 - see above

        return mlflow.sklearn.load_model(place)
    import mlflow.pyfunc  # noqa: PLC0415 - see above

    return mlflow.pyfunc.load_model(place)


def _classes(model: Any) -> Sequence[object]:  # noqa: ANN401 - any model
    classes = getattr(model, "classes_", ())
    return list(classes) if np.ndim(classes) == 1 else ()


def _estimator(model: Any) -> Predict:  # noqa: ANN401 - any model
    """Ask an estimator of scikit-learn what it decides, and how probable it holds each class."""

    def predict(rows: pd.DataFrame) -> Given:
        decided = understand(model.predict(rows))
        if not hasattr(model, "predict_proba"):
            return decided
        classes = tuple(named(one) for one in _classes(model))
        held = understand(model.predict_proba(rows), classes=classes)
        return Given(classes, decided.labels, held.probabilities)

    return predict


def _pyfunc(model: Any, asked: Mapping[str, Any]) -> Predict:  # noqa: ANN401 - any model
    def predict(rows: pd.DataFrame) -> Given:
        given = model.predict(rows)
        if isinstance(given, pd.DataFrame):
            given = {name: given[name].to_numpy() for name in given.columns}
        elif isinstance(given, pd.Series):
            given = given.to_numpy()
        return understand(given, classes=asked["classes"])

    return predict


def _answer(asked: Mapping[str, Any], predict: Predict) -> Record:
    """Answer for all rows at once; if that fails, for each alone, so that one spoils no other."""
    columns, rows = asked["columns"], asked["rows"]
    try:
        try:
            return {"rows": _rows(predict(_frame(columns, rows)), len(rows))}
        except NotUnderstoodError:
            raise
        except Exception:
            if len(rows) == 1:
                raise
        return {"rows": [_alone(columns, row, predict) for row in rows]}
    except NotUnderstoodError as error:
        return {"failed": str(error)}
    except Exception as error:  # noqa: BLE001 - a model's code can raise anything
        return {"rows": [{"failed": _said(error)}]}


def _alone(columns: Sequence[Sequence[str]], row: Sequence[Any], predict: Predict) -> Record:
    try:
        return _rows(predict(_frame(columns, [row])), 1)[0]
    except NotUnderstoodError:
        raise
    except Exception as error:  # noqa: BLE001 - a model's code can raise anything
        return {"failed": _said(error)}


def _frame(columns: Sequence[Sequence[str]], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Make a table with the type of every column as the model declares it."""
    return pd.DataFrame(
        {
            name: pd.Series([row[place] for row in rows], dtype=dtype)
            for place, (name, dtype) in enumerate(columns)
        }
    )


def _rows(given: Given, size: int) -> list[Record]:
    counted = len(given.labels or given.probabilities)
    if counted != size:
        raise NotUnderstoodError(f"the model gives {counted} answers to {size} rows")
    return [
        {
            "label": given.labels[place] if given.labels else None,
            "probabilities": dict(zip(given.classes, given.probabilities[place], strict=True))
            if given.probabilities
            else {},
        }
        for place in range(size)
    ]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


if __name__ == "__main__":
    main()
