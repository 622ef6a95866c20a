"""Every adapter of weights says in one line what is wrong with a folder, and runs nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toetssteen.candidates import Adapter, Candidate
from toetssteen.candidates.adapters import (
    CausalAdapter,
    ClassifierAdapter,
    MaskedAdapter,
    Seq2SeqAdapter,
)
from toetssteen.errors import CandidateError
from toetssteen.records import Classify, Failure, Loglikelihood, Request
from toetssteen.spec import CandidateSpec, parse

ADAPTERS: dict[str, tuple[Callable[[], Adapter], str]] = {
    "causal": (CausalAdapter, "tiny_model"),
    "masked": (MaskedAdapter, "tiny_bert"),
    "seq2seq": (Seq2SeqAdapter, "tiny_t5"),
    "classifier": (ClassifierAdapter, "tiny_classifier"),
}


@pytest.fixture(params=ADAPTERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of the adapter's tiny model, to be damaged."""
    copy = tmp_path / "model"
    shutil.copytree(request.getfixturevalue(ADAPTERS[name][1]), copy)
    return copy


def opened(name: str, folder: Path, *, trusted: bool = False) -> Candidate:
    raw = {
        "title": "Damaged",
        "adapter": {"name": name},
        "weights": {"source": "path", "path": str(folder)},
        "licence": "EUPL-1.2",
        "trust_remote_code": trusted,
    }
    return ADAPTERS[name][0]().open(parse(CandidateSpec, raw, "damaged.yaml"), folder)


def refusal(name: str, folder: Path) -> str:
    """Return the one line with which a folder is refused, without the folder."""
    with pytest.raises(CandidateError) as raised:
        opened(name, folder)
    said = str(raised.value)
    assert "\n" not in said
    assert said.startswith(f"{folder}: ")
    return said.removeprefix(f"{folder}: ")


def change(file: Path, **settings: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


@pytest.mark.parametrize("part", [0.001, 0.5, 0.999])
def test_weights_that_are_cut_short(name: str, folder: Path, part: float) -> None:
    file = folder / "model.safetensors"
    raw = file.read_bytes()
    file.write_bytes(raw[: int(len(raw) * part)])
    assert refusal(name, folder).startswith("cannot be loaded: ")


def no_words(folder: Path) -> None:
    """Leave a tokenizer with its special tokens and nothing else."""
    file = folder / "tokenizer.json"
    raw = json.loads(file.read_text())
    marks = {token["content"]: token["id"] for token in raw["added_tokens"]}
    raw["model"] |= {"vocab": marks} | ({"merges": []} if "merges" in raw["model"] else {})
    file.write_text(json.dumps(raw))


def test_a_tokenizer_without_words(name: str, folder: Path) -> None:
    no_words(folder)
    assert refusal(name, folder).startswith("the tokenizer is empty; copy its files")


def test_a_folder_without_a_tokenizer(name: str, folder: Path) -> None:
    """Some are made up from nothing by transformers, and then every word is unknown."""
    for file in folder.glob("*"):
        if file.name not in {"config.json", "model.safetensors", "generation_config.json"}:
            file.unlink()
    assert refusal(name, folder).startswith("the tokenizer is empty; copy its files")


def test_weights_that_lack_a_part_are_not_drawn_at_random(name: str, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    lost = next(key for key in sorted(weights) if "layer" in key and key.endswith("weight"))
    del weights[lost]
    save_file(weights, file, metadata={"format": "pt"})
    assert refusal(name, folder) == (
        f"the weights lack {lost}; was this model made for what the adapter asks of it?"
    )


CLASSES = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "classifier": "AutoModelForSequenceClassification",
}


def plant_code(name: str, folder: Path) -> Path:
    """Let the checkpoint ask for code of its own, that leaves a mark if it runs."""
    marker = folder.parent / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\n")
    own = {"AutoConfig": "evil.Config", CLASSES[name]: "evil.Model"}
    change(folder / "config.json", auto_map=own)
    return marker


def test_a_checkpoint_that_needs_its_own_code_is_refused(name: str, folder: Path) -> None:
    marker = plant_code(name, folder)
    change(folder / "config.json", model_type="evil")
    assert refusal(name, folder) == (
        "asks for code from its own folder (auto_map); nothing of it was run. Read that code, and "
        "if you trust it, say trust_remote_code: true on the card"
    )
    assert not marker.exists()


ASK: dict[str, Request] = {
    **dict.fromkeys(("causal", "masked", "seq2seq"), Loglikelihood("Ja of nee")),
    "classifier": Classify({"text": "Ja of nee"}),
}


def test_a_checkpoint_that_only_brings_code_is_loaded_without_it(name: str, folder: Path) -> None:
    """The library knows this kind of model itself; the answers are those of the model."""
    expected = opened(name, folder).answer([ASK[name]])
    marker = plant_code(name, folder)
    assert opened(name, folder).answer([ASK[name]]) == expected
    assert not isinstance(expected[0], Failure)
    assert not marker.exists()
