"""A table model as ONNX: a computation without code, so it runs in our own process."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from toetssteen.candidates.outputs import Given, NotUnderstoodError, understand
from toetssteen.candidates.rows import Column
from toetssteen.candidates.table_source import TableSource
from toetssteen.errors import CandidateError
from toetssteen.records import Cell, Failure
from toetssteen.spec import ColumnKind

try:
    import onnxruntime
except ImportError as absent:
    raise CandidateError(
        "onnxruntime is not installed, and ONNX models are computed by it; give `pip install "
        "'toetssteen[onnx]'`"
    ) from absent

INPUTS: Mapping[str, tuple[ColumnKind, str]] = {
    "tensor(float)": ("number", "float32"),
    "tensor(double)": ("number", "float64"),
    "tensor(int32)": ("whole", "int32"),
    "tensor(int64)": ("whole", "int64"),
    "tensor(string)": ("text", "object"),
    "tensor(bool)": ("yes_no", "bool"),
}
# onnxruntime's own errors have nothing in common but the module that they stand in.
FAULTS: tuple[type[Exception], ...] = tuple(
    one
    for one in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    if isinstance(one, type) and issubclass(one, Exception)
)
CANNOT: tuple[type[Exception], ...] = (*FAULTS, ValueError, OSError)
ONLY_ERRORS = 3
PROBE = 2  # rows: enough to see which side of a matrix is the rows


class OnnxTable:
    """An ONNX model, loaded."""

    def __init__(
        self, source: TableSource, *, classes: Sequence[str], threads: int | None
    ) -> None:
        """Load the model and see, with made-up rows, what it gives.

        Raises:
            CandidateError: it cannot be loaded, or is not understood.
        """
        self._classes = tuple(classes)
        self._file = source.place
        self._session = _session(source, threads)
        self._inputs = {one.name: one for one in self._session.get_inputs()}
        self.columns = self._columns(source.columns)
        probed = self._probed()
        self.classes: tuple[str, ...] = probed.classes if probed else ()
        self.gives_probabilities = bool(probed.probabilities) if probed else True

    def predict(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]
    ) -> list[Mapping[str, Any] | Failure]:
        """Return `label` and `probabilities` for every row, or why there are none.

        Raises:
            CandidateError: it gives what is not understood.
        """
        gaps = {place: _gap(columns, row) for place, row in enumerate(rows)}
        whole = [row for place, row in enumerate(rows) if not gaps[place]]
        given = iter(self._answers(whole) if whole else ())
        return [Failure("error", said) if (said := gaps[p]) else next(given) for p in gaps]

    def _probed(self) -> Given | None:
        """Return what it gives for made-up rows; None where it cannot compute such rows."""
        try:
            return self._ask(np.zeros((PROBE, len(self.columns))).tolist(), probing=True)
        except FAULTS:
            return None  # zeros and empty texts are not for every model; real rows will show

    def _answers(self, rows: Sequence[Sequence[Cell]]) -> list[Mapping[str, Any] | Failure]:
        """Compute all rows at once; if that fails, each alone, so that one spoils no other."""
        try:
            return list(_by_row(self._ask(rows), len(rows)))
        except FAULTS as error:
            if len(rows) == 1:
                return [Failure("error", f"the model failed: {_first_line(error)}")]
        return [answer for row in rows for answer in self._answers([row])]

    def describe(self) -> Mapping[str, str]:
        """Say in what it runs."""
        return {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}

    def close(self) -> None:
        """Let go of the model."""
        del self._session

    def _columns(self, named: tuple[Column, ...]) -> tuple[Column, ...]:
        """Return what it reads: an input for each column, or a matrix of columns named elsewhere.

        The types are always those of the inputs: ONNX converts nothing.
        """
        for one in self._inputs.values():
            if one.type not in INPUTS:
                raise CandidateError(f"{self._file}: input {one.name} is {one.type}, no column")
        if len(self._inputs) > 1 or _width(next(iter(self._inputs.values()))) == 1:
            return tuple(Column(name, *INPUTS[one.type]) for name, one in self._inputs.items())
        (matrix,) = self._inputs.values()
        width = _width(matrix) or len(named)
        if len(named) != width or not named:
            raise CandidateError(
                f"{self._file}: reads a matrix of {width or 'so many'} columns without names, and "
                f"{len(named)} are named; name them in order on the card under table.columns"
            )
        return tuple(Column(column.name, *INPUTS[matrix.type]) for column in named)

    def _ask(self, rows: Sequence[Sequence[Any]], *, probing: bool = False) -> Given:
        outputs = self._session.run(None, self._feed(rows, probing=probing))
        try:
            given = _understood(outputs, self._classes)
        except NotUnderstoodError as error:
            raise CandidateError(f"{self._file}: {error}") from None
        unknown = set(given.labels) - set(given.classes) if given.classes else ()
        for label in sorted(unknown):
            raise CandidateError(
                f"{self._file}: decides for {label}, and its probabilities are of "
                f"{', '.join(given.classes)}; name them in order on the card under table.classes"
            )
        return given

    def _feed(self, rows: Sequence[Sequence[Any]], *, probing: bool) -> dict[str, Any]:
        """Return the rows as the model's inputs; a probe has no text, so it gets some."""
        made = [
            np.asarray(["" if probing and c.kind == "text" else row[p] for row in rows], c.dtype)
            for p, c in enumerate(self.columns)
        ]
        if len(self._inputs) == len(made):
            return {c.name: values[:, None] for c, values in zip(self.columns, made, strict=True)}
        (name,) = self._inputs
        return {name: np.column_stack(made)}


def _session(source: TableSource, threads: int | None) -> Any:  # noqa: ANN401 - onnxruntime's own
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ONLY_ERRORS
    if threads is not None:
        options.intra_op_num_threads = threads
    with _in_one_line(source.place), TemporaryDirectory(prefix="toetssteen-") as alone:
        file = source.place
        if not source.origin:
            # A model may read its numbers from a file beside it. Of an MLflow model those are in
            # the digest; a lone file is loaded where nothing lies beside it.
            file = Path(shutil.copy(file, alone))
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _width(given: Any) -> int | None:  # noqa: ANN401 - onnxruntime's own
    """Return how many columns an input has, if it says so."""
    shape = given.shape
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None


def _understood(outputs: Sequence[Any], classes: Sequence[str]) -> Given:
    """Read labels and probabilities; converters give both, a network the latter only."""
    given = [understand(one, classes=classes or _numbers(one)) for one in outputs]
    labels = next((one.labels for one in given if one.labels), ())
    held = next((one for one in given if one.probabilities), Given())
    return Given(held.classes, labels, held.probabilities)


def _numbers(output: Any) -> tuple[str, ...]:  # noqa: ANN401 - any output
    """Number the classes, as converters do that keep no names; the labels show if it is wrong."""
    many = isinstance(output, np.ndarray) and output.ndim == 2 and output.shape[1] > 1
    return tuple(map(str, range(output.shape[1]))) if many else ()


def _gap(columns: Sequence[Column], row: Sequence[Cell]) -> str:
    """Say which text is missing: ONNX has a number that is none, and no text that is none."""
    for column, cell in zip(columns, row, strict=True):
        if cell is None and column.kind == "text":
            return f"column {column.name}: is empty, and ONNX knows no missing text"
    return ""


def _by_row(given: Given, size: int) -> Iterator[Mapping[str, Any]]:
    for place in range(size):
        yield {
            "label": given.labels[place] if given.labels else None,
            "probabilities": dict(zip(given.classes, given.probabilities[place], strict=True))
            if given.probabilities
            else {},
        }


@contextmanager
def _in_one_line(file: Path) -> Iterator[None]:
    try:
        yield
    except CANNOT as error:
        raise CandidateError(f"{file}: cannot be computed: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
