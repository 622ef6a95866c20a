"""Table models: what goes in, what comes out, and where the code of others runs."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from toetssteen.candidates import Candidate, CandidateStoppedError
from toetssteen.candidates.adapters import TabularAdapter
from toetssteen.candidates.outputs import Given, NotUnderstoodError, understand
from toetssteen.candidates.rows import CellError, Column, RowError, cast, check_names
from toetssteen.cli import main
from toetssteen.errors import CandidateError, ContentError
from toetssteen.records import Cell, Classification, Classify, Failure, Generate, Response
from toetssteen.sources.welfare import (
    FEATURES,
    WRONG,
    Columns,
    Floats,
    Welfare,
    read_welfare,
    truth,
)
from toetssteen.spec import CandidateSpec, ColumnKind, parse

Registry = Any  # conftest.Registry; conftest cannot be imported
HERE = Path()
TEXTS = ("geslacht", "wijk", "taal", "huishouden", "deeltijdwerk")


def card(weights: Mapping[str, str], **said: Any) -> CandidateSpec:
    about = {"title": "Tabel", "licence": "EUPL-1.2", "adapter": {"name": "tabular"}}
    return parse(CandidateSpec, {**about, "weights": dict(weights), **said}, "card.yaml")


def at(place: Path, **said: Any) -> CandidateSpec:
    return card({"source": "path", "path": str(place)}, **said)


def opened(spec: CandidateSpec, folder: Path = HERE) -> Candidate:
    return TabularAdapter().open(spec, folder)


def ask(candidate: Candidate, rows: Sequence[Mapping[str, Cell]]) -> list[Response]:
    return list(candidate.answer([Classify(row) for row in rows]))


# --- what goes in -------------------------------------------------------------------------------

FITS: list[tuple[ColumnKind, Cell, Cell]] = [
    ("number", "3.5", 3.5),
    ("number", " -1e3 ", -1000.0),
    ("number", 4, 4.0),
    ("number", None, None),
    ("number", "", None),
    ("whole", "12", 12),
    ("whole", "12.0", 12),
    ("whole", 13.0, 13),
    ("text", "", ""),
    ("text", 1234, "1234"),
    ("text", None, None),
    ("yes_no", "True", True),
    ("yes_no", "0", False),
    ("yes_no", False, False),
    ("date", "2026-12-31", "2026-12-31T00:00:00"),
    ("date", "2026-12-31T13:00:00+01:00", "2026-12-31T12:00:00"),
    ("date", None, None),
]


@pytest.mark.parametrize(("kind", "value", "read"), FITS)
def test_a_cell_is_read_as_the_type_of_its_column(
    kind: ColumnKind, value: Cell, read: Cell
) -> None:
    found = cast(value, Column("x", kind, "float64"))
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("number", "twaalf", "column x: 'twaalf' is not a number"),
        ("number", "12,5", "column x: '12,5' is not a number"),
        ("number", "inf", "column x: 'inf' is not a number"),
        ("number", "1_000", "column x: '1_000' is not a number"),
        ("number", True, "column x: True is not a number"),
        ("whole", "3.5", "column x: '3.5' is not a whole number"),
        ("whole", 2**70, "column x: 1180591620717411303424 is not a whole number"),
        ("whole", None, "column x: is empty, and must be a whole number"),
        ("text", 3.5, "column x: 3.5 is not text"),
        ("yes_no", "misschien", "column x: 'misschien' is not true or false"),
        ("yes_no", "", "column x: is empty, and must be true or false"),
        ("date", "31-12-2026", "column x: '31-12-2026' is not a date, such as 2026-12-31"),
    ],
)
def test_a_cell_that_cannot_be_read_names_column_value_and_type(
    kind: ColumnKind, value: Cell, said: str
) -> None:
    with pytest.raises(CellError) as caught:
        cast(value, Column("x", kind, "int64"))
    assert str(caught.value).startswith(said)


def test_a_column_of_dates_in_another_type_is_the_tasks_fault() -> None:
    with pytest.raises(RowError, match=r"column start: should hold a date.*have 20261231"):
        cast(20261231, Column("start", "date", "datetime64[ns]"))


def test_missing_and_extra_columns_are_named_together() -> None:
    columns = (Column("leeftijd", "whole", "int64"), Column("wijk", "text", "object"))
    check_names({"wijk": "Zuid", "leeftijd": 30}, columns)
    with pytest.raises(RowError) as caught:
        check_names({"leeftyd": 30, "wijk": "Zuid"}, columns)
    assert str(caught.value) == (
        "columns: the model wants leeftijd, which the task's row does not give; the task's row "
        "gives leeftyd, which the model does not know; did you mean 'leeftijd'?"
    )


# --- what comes out -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "classes", "read"),
    [
        (np.array(["ja", "nee"]), (), Given(labels=("ja", "nee"))),
        (np.array([[1], [0]]), (), Given(labels=("1", "0"))),
        (np.array([True, False]), (), Given(labels=("True", "False"))),
        ({"besluit": ["ja"]}, (), Given(labels=("ja",))),
        ({"ja": [0.25], "nee": [0.75]}, (), Given(("ja", "nee"), (), ((0.25, 0.75),))),
        ([{"ja": 0.25, "nee": 0.75}], (), Given(("ja", "nee"), (), ((0.25, 0.75),))),
        (np.array([[0.25, 0.75]]), ("a", "b"), Given(("a", "b"), (), ((0.25, 0.75),))),
        (np.array([0.25]), ("a", "b"), Given(("a", "b"), (), ((0.75, 0.25),))),
    ],
)
def test_what_models_give_is_understood(given: Any, classes: tuple[str, ...], read: Given) -> None:
    assert understand(given, classes=classes) == read


@pytest.mark.parametrize(
    ("given", "classes", "said"),
    [
        (np.array([0.25]), (), "gives one number a row; if that is the probability of the second"),
        (np.array([[0.2, 0.3, 0.5]]), ("a", "b"), "3 probabilities a row, and 2 are named"),
        (np.array([[0.2, 0.8]]), (), "2 probabilities a row, and does not say of which classes"),
        ({"besluit": ["ja"], "kans": [0.3]}, (), "gives the columns besluit, kans"),
        (np.zeros((2, 2, 2)), (), r"gives float64 in the shape \(2, 2, 2\)"),
    ],
)
def test_what_is_not_understood_is_said_with_the_way_out(
    given: Any, classes: tuple[str, ...], said: str
) -> None:
    with pytest.raises(NotUnderstoodError, match=said):
        understand(given, classes=classes)


# --- code of others, apart from us --------------------------------------------------------------


def pickled(
    folder: Path, behave: Callable[[Any, int], Any], classes: tuple[Any, ...] = (0, 1)
) -> Path:
    """Pickle a model whose answer for a row of one number `x` is what a function makes of it.

    The class is made here, so that the pickle carries its code and needs no module of ours.
    """
    import cloudpickle

    class Model:
        classes_ = np.array(classes)
        feature_names_in_ = np.array(["x"])

        def predict_proba(self, rows: Any) -> Any:
            return np.array([behave(x, len(rows)) for x in rows["x"]])

        def predict(self, rows: Any) -> Any:
            return self.classes_[self.predict_proba(rows).argmax(axis=1)]

    file = folder / "model.pkl"
    file.write_bytes(cloudpickle.dumps(Model()))
    return file


def test_a_pickle_is_not_opened_unless_it_is_trusted(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    file = tmp_path / "model.joblib"
    file.write_bytes(f"cbuiltins\nopen\n(V{marker}\nVw\ntR.".encode())
    with pytest.raises(ContentError) as caught:
        opened(at(file))
    assert f"trusted: {file} is a pickle model, and opening it runs whatever" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    with pytest.raises(CandidateError, match="a TextIOWrapper is no model: it has no"):
        opened(at(file, trusted=True))
    assert marker.exists()


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Candidate]:
    """Return a model that does something else for every number: one process for several tests."""

    def behave(x: float, _rows: int) -> list[float]:
        import os
        import sys

        if x != x:  # noqa: PLR0124 - NaN
            raise ValueError("Input X contains NaN.")
        if x == 1:
            return [float("nan"), 1.0]
        if x == 2:
            return [0.5, 0.6]
        if x == 3:
            return [-0.5, 1.5]
        if x == 4:
            secrets = [name for name in os.environ if "GEHEIM" in name or "KEY" in name]
            sys.stdout.write(f"een model praat {secrets}\n")
            sys.stdout.flush()
            return [1.0, 0.0] if secrets else [0.0, 1.0]
        if x == 5:
            sys.stderr.write("regel een\nGeheugen is op\n")
            sys.stderr.flush()
            os._exit(3)
        return [0.7, 0.3]

    os.environ["MIJN_GEHEIM_KEY"] = "xyzzy"
    try:
        candidate = opened(
            at(
                pickled(tmp_path_factory.mktemp("moody"), behave),
                trusted=True,
                labels={"0": "niet", "1": "wel"},
                table={"threshold": 0.3, "positive": "wel"},
            )
        )
        yield candidate
        candidate.close()
    finally:
        del os.environ["MIJN_GEHEIM_KEY"]


def test_one_bad_row_spoils_no_other(moody: Candidate) -> None:
    """A model that raises for one row is asked row by row; what is wrong is said of that row."""
    nan, sums, outside, good, no_number, missing = ask(
        moody, [{"x": 1}, {"x": 2}, {"x": 3}, {"x": "0"}, {"x": "veel"}, {"x": None}]
    )
    assert nan == Failure("error", "a probability is not a finite number")
    assert sums == Failure("error", "the probabilities add up to 1.1, not to 1")
    assert outside == Failure("error", "a probability lies outside 0 to 1 (-0.5 to 1.5)")
    assert isinstance(good, Classification)
    assert no_number == Failure("error", "column x: 'veel' is not a number")
    assert missing == Failure("error", "the model failed: ValueError: Input X contains NaN.")


def test_a_threshold_decides_and_labels_are_the_tasks(moody: Candidate) -> None:
    """0.3 is from 0.3 upwards, though the other label is likelier."""
    (answer,) = ask(moody, [{"x": 0}])
    assert answer == Classification("wel", {"niet": 0.7, "wel": 0.3})
    assert moody.describe()["decides"] == "wel from a probability of 0.3"
    assert moody.describe()["trusted"].startswith("yes; the model's own code ran")


def test_the_model_sees_no_key_and_its_talk_disturbs_nothing(moody: Candidate) -> None:
    (answer,) = ask(moody, [{"x": 4}])
    assert isinstance(answer, Classification)
    assert answer.probabilities["wel"] == 1.0


def test_other_requests_and_other_columns(moody: Candidate) -> None:
    (answer,) = moody.answer([Generate((), 4)])
    assert answer == Failure("error", "a table model answers no generate request")
    with pytest.raises(CandidateStoppedError, match="the model wants x, which the task's row"):
        ask(moody, [{"y": 1}])
    assert ask(moody, [{"x": 0}])  # the process is still there


def test_a_crash_ends_the_run_with_the_models_last_words(tmp_path: Path, moody: Candidate) -> None:
    assert tmp_path.is_dir()
    with pytest.raises(CandidateStoppedError) as caught:
        ask(moody, [{"x": 0}, {"x": 5}])
    assert str(caught.value) == "the model's process ended by itself (status 3): Geheugen is op"
    with pytest.raises(CandidateStoppedError, match="ended by itself"):
        ask(moody, [{"x": 0}])


def test_a_model_that_hangs_is_ended(tmp_path: Path) -> None:
    def behave(x: float, _rows: int) -> list[float]:
        import subprocess
        import sys
        import time

        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
        return [x, 1 - x]

    candidate = opened(at(pickled(tmp_path, behave), trusted=True))
    isolated: Any = candidate._model  # type: ignore[attr-defined]
    isolated._seconds = 0.5
    with pytest.raises(CandidateStoppedError, match=r"did not answer within 0\.5 s and was stop"):
        ask(candidate, [{"x": 0}])
    assert isolated._process.wait() == -9
    candidate.close()


def test_more_classes_than_the_card_renames_is_one_line(tmp_path: Path) -> None:
    def behave(_x: float, _rows: int) -> list[float]:
        return [0.2, 0.3, 0.5]

    spec = at(
        pickled(tmp_path, behave, ("a", "b", "c")), trusted=True, labels={"a": "ja", "b": "nee"}
    )
    with pytest.raises(CandidateError, match="has the label c, which the card does not rename"):
        opened(spec)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"table": {"threshold": 0.5}}, "threshold: belongs to a label"),
        ({"table": {"columns": {"x": "float"}}}, "table.columns.x: should be 'number', 'whole'"),
        ({"table": {"colums": {}}}, "table.colums: unknown key; did you mean 'columns'?"),
        ({"table": {"classes": ["a", "a"]}}, "classes: one stands twice"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_field(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ContentError) as caught:
        at(HERE / "model.onnx", **said)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["nergens.onnx", "model.bin", "model"])
def test_a_file_that_is_no_table_model_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ContentError, match=r"no such file, or none that ends in \.onnx, \.pkl"):
        opened(at(tmp_path / name))


# --- trained on the made-up register ------------------------------------------------------------


def table(seed: int, n: int) -> tuple[Any, Any]:
    import pandas as pd

    rows = [row.fields for row in read_welfare(HERE, seed=seed, n=n, base_rate=0.35).rows]
    return pd.DataFrame(rows)[list(FEATURES)], np.array([row["werkelijk"] for row in rows])


@pytest.fixture(scope="session")
def trained() -> Mapping[str, Any]:
    """Return two models of scikit-learn, trained on 2,000 people who do not exist."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    known, true = table(3, 2000)
    made = {}
    for name, last in (
        ("logistisch", LogisticRegression(max_iter=2000)),
        ("bos", RandomForestClassifier(20, max_depth=6, random_state=1)),
    ):
        encode = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), list(TEXTS)), remainder="passthrough"
        )
        made[name] = make_pipeline(encode, last).fit(known, true)
    return made


@pytest.fixture(scope="session")
def in_mlflow(registry: Registry, trained: Mapping[str, Any]) -> Registry:
    """Return MLflow with both, with their signature, and one of them as ONNX too."""
    from mlflow.models import infer_signature
    from skl2onnx import to_onnx

    known, _ = table(3, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in trained.items():
            signature = infer_signature(known, model.predict(known))
            how = "cloudpickle" if name == "bos" else "skops"
            registry.log("sklearn", model, name, signature=signature, serialization_format=how)
            registry.alias(name, "kampioen", 1)
        registry.log("onnx", to_onnx(trained["logistisch"], known[:1]), "als_onnx")
    registry.alias("als_onnx", "kampioen", 1)
    return registry


@pytest.fixture
def from_mlflow(
    in_mlflow: Registry, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CandidateSpec]:
    """Return what makes a card for a model by its address."""
    assert not cache_folder.exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", in_mlflow.uri)
    return lambda uri, **said: card({"source": "mlflow", "uri": uri}, **said)


def as_cells(known: Any, size: int) -> list[dict[str, Cell]]:
    return [{str(k): v for k, v in row.items()} for row in known[:size].to_dict("records")]


@pytest.mark.parametrize("name", ["logistisch", pytest.param("bos", marks=pytest.mark.slow)])
def test_a_model_of_scikit_learn_by_alias_gives_its_own_probabilities(
    name: str, from_mlflow: Callable[..., CandidateSpec], trained: Mapping[str, Any]
) -> None:
    known, _ = table(8, 60)
    spec = from_mlflow(f"models:/{name}@kampioen", trusted=True)
    candidate = opened(spec)
    answers = ask(candidate, as_cells(known, 60))
    said = candidate.describe()
    candidate.close()
    expected = trained[name].predict_proba(known)
    labels = trained[name].predict(known)
    for answer, row, label in zip(answers, expected, labels, strict=True):
        assert isinstance(answer, Classification)
        assert answer.label == label
        assert list(answer.probabilities.values()) == pytest.approx(row, abs=1e-12)
    assert said["model"] == "sklearn"
    assert said["mlflow_version"] == "1"
    assert "leeftijd (int64)" in said["columns"]
    assert "wijk (object)" in said["columns"]
    assert said["scikit-learn"]


def test_the_same_model_as_onnx_gives_the_same_probabilities(
    from_mlflow: Callable[..., CandidateSpec], trained: Mapping[str, Any]
) -> None:
    """Computed here and without trust; to 1e-5, as ONNX computes in float32."""
    known, _ = table(9, 200)
    candidate = opened(from_mlflow("models:/als_onnx@kampioen"))
    answers = ask(candidate, as_cells(known, 200))
    said = candidate.describe()
    candidate.close()
    labels = trained["logistisch"].predict(known)
    expected = trained["logistisch"].predict_proba(known)
    for answer, row, label in zip(answers, expected, labels, strict=True):
        assert isinstance(answer, Classification)
        assert answer.label == label
        assert list(answer.probabilities.values()) == pytest.approx(row, abs=1e-5)
    assert said["trusted"] == "no; the model brings no code that runs"
    assert said["onnxruntime"]


def test_onnx_without_names_of_classes_needs_them_on_the_card(
    from_mlflow: Callable[..., CandidateSpec], trained: Mapping[str, Any], tmp_path: Path
) -> None:
    """Exported with zipmap=False the probabilities are a bare matrix; here from a file."""
    from skl2onnx import to_onnx

    known, _ = table(9, 5)
    options = {type(trained["logistisch"][-1]): {"zipmap": False}}
    file = tmp_path / "kaal.onnx"
    file.write_bytes(
        to_onnx(trained["logistisch"], known[:1], options=options).SerializeToString()
    )
    with pytest.raises(CandidateError, match=r"name them in order .* under table\.classes"):
        opened(at(file))
    bare = opened(at(file, table={"classes": ["onrechtmatig", "rechtmatig"]}))
    mapped = opened(from_mlflow("models:/als_onnx@kampioen"))
    assert ask(bare, as_cells(known, 5)) == ask(mapped, as_cells(known, 5))
    wrong = at(file, table={"classes": ["ja", "nee"]})
    with pytest.raises(CandidateError, match=r"decides for .*rechtmatig, and its probabilities"):
        opened(wrong)


def test_onnx_names_the_column_that_may_not_be_missing(
    from_mlflow: Callable[..., CandidateSpec],
) -> None:
    known, _ = table(9, 2)
    one, other = as_cells(known, 2)
    candidate = opened(from_mlflow("models:/als_onnx@kampioen"))
    missing, whole, good = ask(candidate, [one | {"wijk": None}, one | {"leeftijd": None}, other])
    assert missing == Failure("error", "column wijk: is empty, and ONNX knows no missing text")
    assert isinstance(whole, Failure)
    assert whole.reason.startswith("column leeftijd: is empty, and must be a whole number")
    assert isinstance(good, Classification)


def test_a_model_of_mlflow_that_brings_code_needs_trust(
    from_mlflow: Callable[..., CandidateSpec],
) -> None:
    with pytest.raises(ContentError, match="trusted: models:/bos@kampioen is a sklearn model"):
        opened(from_mlflow("models:/bos@kampioen"))
    with pytest.raises(ContentError, match="trusted"):
        TabularAdapter().identify(from_mlflow("models:/bos@kampioen"), HERE)


def test_a_language_model_adapter_sends_a_table_model_where_it_belongs(
    from_mlflow: Callable[..., CandidateSpec],
) -> None:
    from toetssteen.candidates.adapters import CausalAdapter

    spec = from_mlflow("models:/bos@kampioen")
    with pytest.raises(ContentError, match=r"no transformers; a table model is opened with `ada"):
        CausalAdapter().identify(spec, HERE)


@pytest.mark.slow
def test_a_pyfunc_that_gives_a_table_of_probabilities_is_understood(
    in_mlflow: Registry, from_mlflow: Callable[..., CandidateSpec]
) -> None:
    """Somebody's own class, whose code travels in the model and reads a date."""
    import mlflow
    import pandas as pd
    from mlflow.types import ColSpec, Schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow would rather have hints in a form of its own

        class Own(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
            def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002
                late = model_input["start"].dt.year >= 2020
                wrong = late * 0.5 + model_input["x"].fillna(0.25)
                return pd.DataFrame({"wel": wrong, "niet": 1 - wrong})

    signature = mlflow.models.ModelSignature(
        inputs=Schema([ColSpec("datetime", "start"), ColSpec("double", "x")])
    )
    in_mlflow.log("pyfunc", Own(), "eigen", signature=signature)
    candidate = opened(from_mlflow("models:/eigen/1", trusted=True))
    rows: list[dict[str, Cell]] = [
        {"start": "2021-05-01", "x": "0.2"},
        {"start": "2019-05-01", "x": None},
        {"start": "1 mei 2019", "x": 0.1},
    ]
    late, early, no_date = ask(candidate, rows)
    assert late == Classification("wel", {"wel": 0.7, "niet": pytest.approx(0.3)})
    assert early == Classification("niet", {"wel": 0.25, "niet": 0.75})
    assert isinstance(no_date, Failure)
    assert "column start: '1 mei 2019' is not a date" in no_date.reason
    with pytest.raises(CandidateStoppedError, match="column start: should hold a date"):
        ask(candidate, [{"start": 2021, "x": 0.1}])
    candidate.close()


def test_without_onnxruntime_the_way_to_get_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "toetssteen.candidates.onnx_table", raising=False)
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(CandidateError, match=r"pip install 'toetssteen\[onnx\]'"):
        opened(at(tmp_path / "model.onnx"))


def test_what_is_no_onnx_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"geen onnx")
    with pytest.raises(CandidateError) as caught:
        opened(at(tmp_path / "model.onnx"))
    assert str(caught.value).startswith(f"{tmp_path / 'model.onnx'}: cannot be computed: ")
    assert "\n" not in str(caught.value)


def test_numbers_beside_an_onnx_file_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be no part of the digest."""
    onnx = import_module("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    weights = onnx.numpy_helper.from_array(np.ones((2, 2), np.float32), "W")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kinds.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, [None, 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save_model(
        model,
        str(tmp_path / "model.onnx"),
        save_as_external_data=True,
        location="beside.bin",
        size_threshold=0,
    )
    monkeypatch.chdir(tmp_path)
    said = {"columns": {"a": "number", "b": "number"}, "classes": ["nee", "ja"]}
    with pytest.raises(CandidateError, match=r"cannot be computed: .*beside\.bin"):
        opened(at(tmp_path / "model.onnx", table=said))


# --- the whole walk -----------------------------------------------------------------------------

TASK = f"""\
version: 1
title: {{nl: Heronderzoek, en: Reassessment}}
licence: EUPL-1.2
source: made up
items: {{name: welfare_nl, args: {{seed: 21, n: 1200, base_rate: 0.35, proxy: 2.0}}}}
scorer:
  name: label
  args:
    labels: [rechtmatig, onrechtmatig]
    truth: werkelijk
    positive: onrechtmatig
    row: [{", ".join(FEATURES)}]
metrics:
  - {{name: label_rate, id: accuracy, args: {{measure: accuracy}}}}
  - {{name: label_rate, id: selected, args: {{measure: selection_rate}}}}
  - {{name: label_gap, id: parity, args: {{measure: selection_rate, group: herkomst}}}}
groups: [herkomst, geslacht]
"""


@pytest.mark.slow
def test_a_registered_model_is_tested_end_to_end_by_alias(
    in_mlflow: Registry,
    trained: Mapping[str, Any],
    tmp_path: Path,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From `models:/name@alias` to a report by group, held against what is true of everybody."""
    import pandas as pd

    assert not cache_folder.exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", in_mlflow.uri)
    (tmp_path / "suites" / "bias").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "suites" / "bias" / "heronderzoek.yaml").write_text(TASK)
    (tmp_path / "models" / "bos.yaml").write_text(
        "title: Bos\nlicence: EUPL-1.2\nadapter: {name: tabular}\ntrusted: true\n"
        "weights: {source: mlflow, uri: 'models:/bos@kampioen'}\n"
    )

    def invoke(*words: str) -> str:
        result = CliRunner().invoke(main, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "executes code of the model" in invoke("check", "--path", ".")
    assert "bos: " in invoke("fetch", "--path", ".", "-c", "bos")
    invoke("run", "bias/heronderzoek", "--path", ".", "-c", "bos", "--no-tracking")
    (file,) = tmp_path.glob("runs/*/results.json")
    record = json.loads(file.read_text())
    said = record["sessions"][-1]["candidate"]
    assert said["trusted"].startswith("yes; ")
    assert said["mlflow_uri"] == "models:/bos@kampioen"
    assert said["mlflow_files_sha256"] == record["candidate"]["identity"]
    report = (file.parent / "report.nl.html").read_text()
    assert "the model&#39;s own code ran" in report
    results = {
        (result["metric"], result["group"]): result["estimate"]
        for result in record["tasks"][0]["results"]
    }
    assert results["accuracy", ""]["n"] == 1200

    def rule(columns: Columns) -> Floats:
        known = pd.DataFrame({name: columns[name] for name in FEATURES})
        chosen: Floats = trained["bos"].predict(known.infer_objects()) == WRONG
        return chosen.astype(float)

    found = truth(Welfare(base_rate=0.35, proxy=2.0), rule)
    for origin, rates in (("Nederland", found.here), ("buiten Nederland", found.abroad)):
        estimate = results["selected", f"herkomst={origin}"]
        wide = (estimate["high"] - estimate["low"]) / 2
        assert estimate["value"] == pytest.approx(rates.selected, abs=2 * wide)
