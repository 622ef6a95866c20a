"""Offline, seeded, and with a home of its own: no test reads or writes the user's cache."""

import json
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from service_stub import serve  # noqa: F401 - a fixture

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# The same examples each time, and no stop-watch: speed is for `make bench`.
settings.register_profile("toetssteen", derandomize=True, deadline=None)
settings.load_profile("toetssteen")

ROOT = Path(__file__).parents[1]

# What the tiny models below were trained on.
SENTENCES = (
    "De baas belt zijn secretaresse.",
    "De bazin belt haar secretaresse.",
    "De gemeente beslist binnen acht weken op uw bezwaar.",
    "Mijn buurman komt uit Zwolle en mijn buurvrouw uit Rabat.",
)
EXCHANGES = (
    ("Beslist de gemeente op uw bezwaar?", "Ja, binnen acht weken."),
    ("Is het loket op zondag open?", "Nee, op zondag niet."),
    ("Waar vraag ik een paspoort aan?", "Aan het loket in het stadhuis."),
    ("Ja of nee?", "Ja."),
    ("Hoe lang duurt een beslissing op bezwaar van de gemeente Zwolle?", "Acht weken."),
)
LETTERS = {
    "Ik ben het niet eens met uw besluit.": 1,
    "Ik maak bezwaar tegen de boete.": 1,
    "De aanslag klopt niet, ik vraag herziening.": 1,
    "Tegen uw besluit van maandag maak ik bezwaar.": 1,
    "Wanneer is het loket open?": 0,
    "Kan ik een afspraak maken voor een paspoort?": 0,
    "Dank voor de snelle hulp aan het loket.": 0,
    "Hoe laat begint de vergadering op maandag?": 0,
}


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


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a two-layer BERT that was trained a little on `SENTENCES`."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-bert")
    raw = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    raw.train_from_iterator(
        list(SENTENCES) * 5, vocab_size=160, min_frequency=1, show_progress=False
    )
    raw.save_model(str(folder))
    tokenizer = BertTokenizerFast(
        vocab=str(folder / "vocab.txt"), do_lower_case=False, model_max_length=48
    )
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model = BertForMaskedLM(config)
    ids = tokenizer(list(SENTENCES), padding=True, return_tensors="pt")
    steps = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        made = torch.Generator().manual_seed(step)
        hidden = (
            torch.rand(ids.input_ids.shape, generator=made) < 0.3
        ) & ids.attention_mask.bool()
        given = ids.input_ids.masked_fill(hidden, tokenizer.mask_token_id)
        labels = ids.input_ids.masked_fill(~hidden, -100)
        loss = model(input_ids=given, attention_mask=ids.attention_mask, labels=labels).loss
        if not loss.isfinite():  # nothing was hidden this time
            continue
        loss.backward()
        steps.step()
        steps.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a two-layer T5 that was taught to answer some of `EXCHANGES`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny-t5")
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=220, special_tokens=["<pad>", "</s>", "<unk>"])
    raw.train_from_iterator([text for pair in EXCHANGES for text in pair] * 5, trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=64,
    )
    torch.manual_seed(5)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=16,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    _teach(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a two-layer BART, whose positions are learned, taught the same."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-bart")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator([text for pair in EXCHANGES for text in pair] * 5, trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", pad_token="<pad>", eos_token="</s>"
    )
    torch.manual_seed(6)
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=48,
        dropout=0.0,
    )
    model = BartForConditionalGeneration(config)
    _teach(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _teach(model: Any, tokenizer: Any) -> None:
    """Train an encoder-decoder a little, so that it knows some answers and doubts others."""
    import torch

    given = tokenizer([ask for ask, _ in EXCHANGES], padding=True, return_tensors="pt")
    labels = tokenizer([said for _, said in EXCHANGES], padding=True, return_tensors="pt")
    wanted = labels.input_ids.masked_fill(~labels.attention_mask.bool(), -100)
    steps = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        model(
            input_ids=given.input_ids, attention_mask=given.attention_mask, labels=wanted
        ).loss.backward()
        steps.step()
        steps.zero_grad()
    model.eval()


@pytest.fixture(scope="session")
def tiny_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a two-layer BERT that was taught which of `LETTERS` are objections."""
    folder = tmp_path_factory.mktemp("tiny-classifier")
    make_classifier(folder, list(LETTERS), list(LETTERS.values()), steps=40)
    return folder


@pytest.fixture
def teach_classifier() -> Callable[..., None]:
    """Return what trains a tiny BERT to classify texts; see `make_classifier`."""
    return make_classifier


def make_classifier(
    folder: Path, texts: Sequence[str], labels: Sequence[int], *, steps: int, words: int = 200
) -> None:
    """Train a two-layer BERT with labels LABEL_0 and LABEL_1, and save it in a folder."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    raw = BertWordPieceTokenizer(lowercase=True, strip_accents=False)
    raw.train_from_iterator(texts, vocab_size=words, min_frequency=1, show_progress=False)
    raw.save_model(str(folder))
    tokenizer = BertTokenizerFast(
        vocab=str(folder / "vocab.txt"), do_lower_case=True, strip_accents=False
    )
    torch.manual_seed(11)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=96,
        num_labels=2,
    )
    model = BertForSequenceClassification(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    made = torch.Generator().manual_seed(11)
    for _ in range(steps):
        some = torch.randperm(len(texts), generator=made)[:64].tolist()
        given = tokenizer([texts[i] for i in some], padding=True, return_tensors="pt")
        model(**given, labels=torch.tensor([labels[i] for i in some])).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture
def embedded() -> Path:
    """Return the folder of the embedded model, converted; for tests that have the time.

    It is looked for where `toets fetch` puts it and fetched if need be; where there is neither
    network nor mirror, the test is skipped.
    """
    from toetssteen.candidates import gguf
    from toetssteen.candidates.weights import fetch
    from toetssteen.catalog import Catalog
    from toetssteen.errors import RunError

    card = Catalog().candidate("smollm2-135m-instruct")
    assert card.spec.weights is not None
    try:
        found = fetch(card.spec.weights, card.file.parent)
    except RunError as error:
        pytest.skip(f"the embedded model cannot be fetched: {error}")
    return gguf.as_safetensors(found.folder, str(found.gguf), found.digest)


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
