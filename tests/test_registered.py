"""Models that MLflow holds: found by alias, known by digest, inspected, and not run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner

from toetssteen.candidates.adapters import CausalAdapter
from toetssteen.candidates.weights import fetch, locate
from toetssteen.cli import main
from toetssteen.errors import ContentError, RunError, ToetsError
from toetssteen.records import Generate, Loglikelihood, Message, Request, Response
from toetssteen.spec import CandidateSpec, MlflowWeights, parse

pytest.importorskip("mlflow")
Registry = Any  # conftest.Registry; conftest cannot be imported
HERE = Path()
ASKED: tuple[Request, ...] = (
    Loglikelihood(" bezwaar", context="De gemeente beslist op uw"),
    Generate((Message("user", "Ja of Nee?"),), max_tokens=8),
)


def of(uri: str, **how: str) -> MlflowWeights:
    return MlflowWeights(source="mlflow", uri=uri, **how)


def card(**weights: str) -> CandidateSpec:
    return parse(
        CandidateSpec,
        {
            "title": "Tiny",
            "licence": "EUPL-1.2",
            "adapter": {"name": "causal"},
            "chat_template": True,
            "weights": weights,
        },
        "card.yaml",
    )


def answered(spec: CandidateSpec) -> tuple[list[Response], dict[str, str]]:
    candidate = CausalAdapter().open(spec, HERE)
    try:
        return list(candidate.answer(ASKED)), dict(candidate.describe())
    finally:
        candidate.close()


@pytest.fixture
def mlflow_uri(
    llama_in_mlflow: Registry, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """Return the MLflow with the tiny Llama, named as the user would; an empty cache."""
    assert not cache_folder.exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", llama_in_mlflow.uri)
    return llama_in_mlflow


# --- found ------------------------------------------------------------------------------------


def test_a_model_by_alias_answers_as_the_same_model_by_path(
    mlflow_uri: Registry, tiny_model: Path
) -> None:
    """The same weights by two ways give the same digits, and the record says which version."""
    assert mlflow_uri.uri.startswith("sqlite")
    from_mlflow, said = answered(card(source="mlflow", uri="models:/llama@kampioen"))
    from_path, _ = answered(card(source="path", path=str(tiny_model)))
    assert from_mlflow == from_path
    assert said["mlflow_uri"] == "models:/llama@kampioen"
    assert said["mlflow_version"] == "1"
    assert said["mlflow_model_id"].startswith("m-")
    assert said["mlflow_files_sha256"] == said["weights_sha256"]


def test_every_way_to_name_a_version_leads_to_the_same_files(mlflow_uri: Registry) -> None:
    version = mlflow_uri.client().get_model_version("llama", "1")
    model_id = version.source.removeprefix("models:/")
    names = ("models:/llama@kampioen", "models:/llama/1", f"models:/{model_id}")
    digests = {locate(of(f"{name}"), HERE).digest for name in names}
    by_run = locate(of(f"runs:/{version.run_id}/llama"), HERE).digest
    assert digests == {by_run}
    assert locate(of("models:/llama/2"), HERE).digest != by_run


def test_the_folder_holds_weights_and_tokenizer_and_nothing_else(mlflow_uri: Registry) -> None:
    assert mlflow_uri.folder.is_dir()
    found = locate(of("models:/llama/1"), HERE)
    assert sorted(file.name for file in found.folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_digest_on_the_card_is_held_to(mlflow_uri: Registry) -> None:
    assert mlflow_uri.folder.is_dir()
    digest = locate(of("models:/llama/1"), HERE).digest
    assert locate(of("models:/llama/1", sha256=digest), HERE).digest == digest
    with pytest.raises(ContentError, match=f"models:/llama/2 is .*, the card says {digest}"):
        locate(of("models:/llama/2", sha256=digest), HERE)


def test_files_that_were_changed_in_the_cache_are_noticed(mlflow_uri: Registry) -> None:
    assert mlflow_uri.folder.is_dir()
    found = locate(of("models:/llama/1"), HERE)
    with (found.folder / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(ContentError, match="changed since it was fetched: delete it"):
        locate(of("models:/llama/1"), HERE)


# --- the server ---------------------------------------------------------------------------------


def test_nobody_names_the_server(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not cache_folder.exists()
    with pytest.raises(
        ContentError, match="give tracking_uri on the card, or set MLFLOW_TRACKING"
    ):
        locate(of("models:/llama@kampioen"), HERE)


def test_a_database_that_is_not_there_is_not_made(cache_folder: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nergens.db"
    with pytest.raises(ContentError, match=r"nergens\.db: no such file"):
        locate(of("models:/llama/1", tracking_uri=f"sqlite:///{missing}"), HERE)
    assert not missing.exists()
    assert not cache_folder.exists()


@pytest.mark.parametrize("uri", ["models:/lama/1", "models:/llama/9", "models:/llama@nooit"])
def test_what_mlflow_does_not_hold_is_one_line(uri: str, mlflow_uri: Registry) -> None:
    with pytest.raises(RunError) as caught:
        locate(of(uri), HERE)
    assert str(caught.value).startswith(f"{uri}: is not in MLflow at {mlflow_uri.uri} (")
    assert "\n" not in str(caught.value)


def test_without_the_server_versions_work_and_an_alias_says_what_it_needs(
    mlflow_uri: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched while the server was there; the address leads nowhere afterwards."""
    away = "http://geheim:wachtwoord@127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    fetch(of("models:/llama@kampioen"), HERE)
    digest = fetch(of("models:/llama/1"), HERE).digest
    named = Path(str(mlflow_uri.uri)).name
    assert named.endswith(".db")
    # The same notes, under the address of a server that is away.
    from toetssteen.candidates import mlmodel

    for uri in ("models:/llama@kampioen", "models:/llama/1"):
        note = mlmodel._noted(mlmodel._note(uri, mlflow_uri.uri))
        assert note is not None
        mlmodel._write(mlmodel._note(uri, away), note)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    assert locate(of("models:/llama/1"), HERE).digest == digest
    with pytest.raises(RunError) as caught:
        locate(of("models:/llama@kampioen"), HERE)
    said = str(caught.value)
    assert said.startswith("models:/llama@kampioen: MLflow at http://127.0.0.1:9 gave no model: ")
    assert "only the server knows; it was models:/llama/1, and with that on the card" in said
    assert "\n" not in said
    assert "wachtwoord" not in said
    with pytest.raises(RunError, match="models:/llama/2: MLflow at"):
        locate(of("models:/llama/2"), HERE)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"uri": "models:/llama"}, "weights.uri: should be models:/NAME@ALIAS"),
        ({"uri": "models:/llama/Production"}, "weights.uri: should be models:/NAME@ALIAS"),
        ({"uri": "s3://emmer/model"}, "weights.uri: should be models:/NAME@ALIAS"),
        (
            {"uri": "models:/llama/1", "tracking_uri": "https://ik:geheim@mlflow.example.nl"},
            "weights: tracking_uri: should hold no user or password",
        ),
    ],
)
def test_an_address_that_moves_or_holds_a_key_is_refused(
    weights: dict[str, str], said: str
) -> None:
    with pytest.raises(ContentError) as caught:
        card(source="mlflow", **weights)
    assert said in str(caught.value)


# --- hostile ------------------------------------------------------------------------------------


def add_auto_map(folder: Path, marker: Path) -> None:
    """Ask for code of its own in the way of transformers."""
    config = json.loads((folder / "model" / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_x.X"}
    (folder / "model" / "config.json").write_text(json.dumps(config))
    (folder / "model" / "modeling_x.py").write_text(f"open({str(marker)!r}, 'w')\n")


def ask_the_hub(folder: Path, marker: Path) -> None:
    """Bring no code along; let the tokenizer ask for somebody else's."""
    file = folder / "components" / "tokenizer" / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings["init"] = [{"auto_map": {"AutoTokenizer": ["evil/repo--tok.T", None]}}]
    file.write_text(json.dumps(settings))
    assert marker.name


def bundle_code(folder: Path, marker: Path) -> None:
    """Bring a `code` folder that MLflow puts on the path and imports from."""
    (folder / "code").mkdir()
    (folder / "code" / "transformers.py").write_text(f"open({str(marker)!r}, 'w')\n")
    described = yaml.safe_load((folder / "MLmodel").read_text())
    for flavour in described["flavors"].values():
        flavour["code"] = "code"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


def point_to_code(folder: Path, marker: Path) -> None:
    """Say that there is a code folder, and hide what is in it."""
    bundle_code(folder, marker)
    (folder / "code" / "transformers.py").rename(folder / "code" / "transformers.so")


def add_a_pickle(folder: Path, marker: Path) -> None:
    (folder / "model" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch'\ntR.")
    assert marker.name


def reach_outside(folder: Path, marker: Path) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["transformers"]["model_binary"] = "../../elsewhere"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    assert marker.name


def run_from_yaml(folder: Path, marker: Path) -> None:
    """Have the description itself make an object."""
    text = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(
        text + f"x: !!python/object/apply:builtins.open [{str(marker)!r}, 'w']\n"
    )


HOSTILE: dict[Callable[[Path, Path], None], str] = {
    add_auto_map: "(auto_map in model/config.json)|brings code",
    ask_the_hub: r"asks for code of its own \(auto_map in components/tokenizer/tokenizer_config",
    bundle_code: r"brings code \(code/transformers.py\), which is not run",
    point_to_code: r"brings code \(flavors.python_function.code\), which is not run",
    add_a_pickle: r"brings a pickle \(model/pytorch_model.bin\): reading it can run any code",
    reach_outside: r"MLmodel points outside the model \(../../elsewhere\)",
    run_from_yaml: "has no MLmodel that can be read; is it a model",
}


@pytest.mark.parametrize(
    ("spoil", "said"), HOSTILE.items(), ids=[spoil.__name__ for spoil in HOSTILE]
)
def test_a_hostile_model_is_refused_in_one_line_and_nothing_of_it_runs(
    spoil: Callable[[Path, Path], None],
    said: str,
    mlflow_uri: Registry,
    tmp_path: Path,
) -> None:
    marker = tmp_path / "it ran"
    folder = tmp_path / "hostile"
    kept = mlflow_uri.client().get_model_version_download_uri("llama", "1")
    shutil.copytree(urlsplit(kept).path, folder)
    spoil(folder, marker)
    uri = mlflow_uri.put(folder)
    for trust in (False, True):  # which is for folders that you have read, not for a registry
        spec = card(source="mlflow", uri=uri).model_copy(update={"trust_remote_code": trust})
        with pytest.raises(ToetsError, match=said) as caught:
            CausalAdapter().open(spec, HERE)
        assert "\n" not in str(caught.value)
    assert not marker.exists()


# --- from the command line ----------------------------------------------------------------------


@pytest.fixture
def lab(mlflow_uri: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a card by alias and a task, in which commands are given."""
    assert mlflow_uri.folder.is_dir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "uit_mlflow.yaml").write_text(
        "title: Uit MLflow\nlicence: EUPL-1.2\nadapter: {name: causal}\nchat_template: true\n"
        "weights: {source: mlflow, uri: 'models:/llama@uitdager'}\n"
    )
    invoke("new", "lab/one")
    return tmp_path


def invoke(*words: str) -> str:
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def asked_in(lab: Path) -> list[Any]:
    records = [json.loads(file.read_text()) for file in sorted(lab.glob("runs/*/results.json"))]
    return [record["sessions"][-1]["candidate"]["mlflow_version"] for record in records]


def test_an_alias_that_moved_starts_a_new_run_and_the_old_one_is_still_marked(
    lab: Path, mlflow_uri: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marking asks neither the model nor the registry: both may be gone."""
    run = ("run", "lab/one", "--path", ".", "-c", "uit_mlflow", "--no-tracking")
    mlflow_uri.alias("llama", "uitdager", 1)
    assert "sha256" in invoke("fetch", "--path", ".", "--candidate", "uit_mlflow")
    invoke(*run)
    assert "nothing was asked" in invoke(*run)
    (first,) = lab.glob("runs/*")
    before = json.loads((first / "results.json").read_text())["tasks"]
    mlflow_uri.alias("llama", "uitdager", 2)
    invoke(*run)
    assert sorted(asked_in(lab)) == ["1", "2"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("TOETS_CACHE", str(lab / "another cache"))
    invoke("mark", str(first))
    assert json.loads((first / "results.json").read_text())["tasks"] == before


# --- a text classifier ------------------------------------------------------------------------

TASK = """\
version: 1
title: {nl: Bezwaren, en: Objections}
licence: EUPL-1.2
source: test
items: {name: jsonl, args: {file: brieven.jsonl}}
scorer: {name: label, args: {labels: [nee, ja], truth: bezwaar, positive: ja, text: text}}
metrics:
  - {name: label_rate, id: accuracy, args: {measure: accuracy}}
  - {name: label_rate, id: recall, args: {measure: true_positive_rate}}
"""


def test_a_text_classifier_of_the_registry_is_tested_end_to_end(
    lab: Path, mlflow_uri: Registry, tiny_classifier: Path
) -> None:
    """Logged and registered as its maker would, asked by alias, its labels renamed on the card."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    components = {
        "model": AutoModelForSequenceClassification.from_pretrained(tiny_classifier),
        "tokenizer": AutoTokenizer.from_pretrained(tiny_classifier),
    }
    mlflow_uri.log("transformers", components, "keurder", task="text-classification")
    mlflow_uri.alias("keurder", "kampioen", 1)
    about = "title: Keurder\nlicence: EUPL-1.2\nadapter: {name: classifier}\n"
    labels = "labels: {LABEL_0: nee, LABEL_1: ja}\n"
    for name, source in (
        ("alias", "{source: mlflow, uri: 'models:/keurder@kampioen'}"),
        ("map", f"{{source: path, path: '{tiny_classifier}'}}"),
    ):
        (lab / "models" / f"{name}.yaml").write_text(f"{about}{labels}weights: {source}\n")
    letters = {
        "Ik maak bezwaar tegen de boete.": "ja",
        "Ik ben het niet eens met uw besluit.": "ja",
        "Wanneer is het loket open?": "nee",
        "Dank voor de snelle hulp aan het loket.": "nee",
    }
    (lab / "suites" / "lab" / "brieven.yaml").write_text(TASK)
    rows = [
        json.dumps({"id": str(number), "text": text, "bezwaar": truth})
        for number, (text, truth) in enumerate(list(letters.items()) * 6)
    ]
    (lab / "suites" / "lab" / "brieven.jsonl").write_text("\n".join(rows))
    for name in ("alias", "map"):
        invoke("run", "lab/brieven", "--path", ".", "-c", name, "--no-tracking")
    found = [json.loads(file.read_text()) for file in sorted(lab.glob("runs/*/results.json"))]
    estimates = [[r["estimate"] for r in record["tasks"][0]["results"]] for record in found]
    assert estimates[0] == estimates[1]
    accuracy = estimates[0][0]
    assert accuracy["n"] == 24
    assert accuracy["value"] is not None, accuracy["reason"]
    assert found[0]["sessions"][0]["candidate"]["mlflow_version"] == "1"
