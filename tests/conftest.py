"""Offline, seeded, and with a home of its own: no test reads or writes the user's cache."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

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
