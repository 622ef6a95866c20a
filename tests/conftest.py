"""Offline, seeded, and with a home of its own: no test reads or writes the user's cache."""

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# The same examples each time, and no stop-watch: speed is for `make bench`.
settings.register_profile("toetssteen", derandomize=True, deadline=None)
settings.load_profile("toetssteen")

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root() -> Path:
    """Return the checkout."""
    return ROOT


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache that the code under test uses; no mirror."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TOETS_CACHE", str(folder))
    monkeypatch.delenv("TOETS_MIRROR", raising=False)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a two-layer Llama made from a config, its tokenizer and template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-llama")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet
    )
    texts = ["De gemeente beslist op uw bezwaar. Ja of Nee. Yes or No.", "Antwoord: het loket"]
    raw.train_from_iterator(texts * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.4,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Lab:
    """A lab's own folder, with a task and a candidate that takes its time."""

    folder: Path

    @staticmethod
    def _run(runs: Path) -> Path:
        (folder,) = [path for path in runs.iterdir() if path.is_dir()]
        return folder

    def estimates(self, runs: Path) -> list[object]:
        """Return every estimate of the only run in a folder."""
        record = json.loads((self._run(runs) / "results.json").read_text())
        return [result["estimate"] for task in record["tasks"] for result in task["results"]]

    def answered(self, runs: Path) -> list[str]:
        """Return the keys of all answers, as often as they were asked."""
        lines = (self._run(runs) / "answers.jsonl").read_text().splitlines()
        kept = [json.loads(line) for line in lines]
        return [line["answer"]["key"] for line in kept if line["line"] == "answer"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a lab with the task lab/many (6,000 items) and the candidate slow."""
    folder = tmp_path / "lab"
    (folder / "suites" / "lab").mkdir(parents=True)
    (folder / "models").mkdir()
    rows = [{"id": str(i), "cluster": f"c{i % 40}", "prompt": f"vraag {i}"} for i in range(6000)]
    (folder / "suites" / "lab" / "many.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows)
    )
    (folder / "suites" / "lab" / "many.yaml").write_text(
        "version: 1\n"
        "title: {nl: Veel vragen, en: Many questions}\n"
        "licence: EUPL-1.2\n"
        "source: test\n"
        "items: {name: jsonl, args: {file: many.jsonl}}\n"
        "scorer: {name: answered, args: {max_tokens: 4}}\n"
        "metrics: [{name: mean, id: mean_tokens, args: {part: tokens}}]\n"
        "clusters: [cluster]\n"
    )
    (folder / "models" / "slow.yaml").write_text(
        "title: Slow\nadapter: {name: SlowAdapter, file: slow.py}\nlicence: EUPL-1.2\n"
    )
    (folder / "models" / "slow.py").write_text(SLOW)
    return Lab(folder)


SLOW = '''
"""A candidate that takes its time, and whose answer depends on its company in the block."""
import time

from toetssteen.candidates.scripted import Scripted, ScriptedAdapter
from toetssteen.records import Generation


class Slow(Scripted):
    def answer(self, requests):
        time.sleep(0.24)
        words = [1 + (len(requests) + i * i) % 7 for i, _ in enumerate(requests)]
        return [Generation("ja " * count, "stop", count) for count in words]


class SlowAdapter(ScriptedAdapter):
    def open(self, card, folder):
        return Slow()
'''


@dataclass(frozen=True)
class Registry:
    """An MLflow of this test run alone: a database in a file, and where it keeps models."""

    uri: str
    folder: Path

    def client(self) -> Any:
        """Return MLflow's own client."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias stand for a version."""
        self.client().set_registered_model_alias(name, alias, str(version))

    def log(self, flavour: str, model: Any, name: str, **how: Any) -> Any:
        """Log and register a model as its maker would, and return what MLflow says of it."""
        import importlib

        import mlflow

        before = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(self.uri)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with mlflow.start_run(experiment_id=self.experiment()):
                    module = importlib.import_module(f"mlflow.{flavour}")
                    logged = {"python_model" if flavour == "pyfunc" else "": model}
                    given = () if flavour == "pyfunc" else (model,)
                    return module.log_model(
                        *given,
                        name=name,
                        registered_model_name=name,
                        pip_requirements=[],
                        **{key: value for key, value in logged.items() if key},
                        **how,
                    )
        finally:
            mlflow.set_tracking_uri(before or "")
            if before is None:
                os.environ.pop("MLFLOW_TRACKING_URI", None)

    def put(self, files: Path) -> str:
        """Lay a folder in a run as it is, and return its address: so a hostile model comes in."""
        client = self.client()
        run = client.create_run(self.experiment()).info.run_id
        client.log_artifacts(run, str(files), "model")
        return f"runs:/{run}/model"

    def experiment(self) -> str:
        """Return the experiment in which all is kept."""
        client = self.client()
        found = client.get_experiment_by_name("models")
        if found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment("models", (self.folder / "kept").as_uri()))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Return an empty MLflow in a file."""
    from toetssteen.mlflow_settings import set_up

    set_up()
    folder = tmp_path_factory.mktemp("mlflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder)
        made.experiment()
    return made


@pytest.fixture(scope="session")
def llama_in_mlflow(registry: Registry, tiny_model: Path) -> Registry:
    """Return that MLflow with two versions of a tiny Llama; `kampioen` stands for the first."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for _ in range(2):
        model = AutoModelForCausalLM.from_pretrained(tiny_model)
        registry.log(
            "transformers",
            {"model": model, "tokenizer": tokenizer},
            "llama",
            task="text-generation",
        )
    registry.alias("llama", "kampioen", 1)
    return registry
