"""A LoRA is merged into its base and answers as peft does; what it asks for is read first."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from toetssteen.candidates import base_card, load_adapter
from toetssteen.candidates.adapters import CausalAdapter, MaskedAdapter
from toetssteen.candidates.weights import PICKLED
from toetssteen.catalog import Card, Catalog
from toetssteen.cli import main
from toetssteen.errors import CandidateError, ContentError, UsageError
from toetssteen.records import Generate, Generation, Likelihood, Loglikelihood, Message
from toetssteen.spec import CandidateSpec, parse

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft", reason="peft is not installed: pip install 'toetssteen[lora]'")

LEARNT = "De balie van de gemeente is op maandag gesloten."
ASKED = [
    Loglikelihood(LEARNT),
    Loglikelihood(" gesloten.", context="De balie van de gemeente is op maandag"),
    Loglikelihood("Ja", messages=(Message("user", "Is de balie open?"),)),
    Loglikelihood("Yes or No. " * 6),
]


def train(base: Path, folder: Path, *, steps: int, device: str = "cpu") -> Path:
    """Teach a LoRA one sentence, in so many steps, and save it as peft does."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(base)
    layers = ["q_proj", "v_proj", "up_proj", "down_proj"]
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=layers, task_type="CAUSAL_LM")
    tuned = peft.get_peft_model(model, config).to(device)
    steps_of = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=1e-2)
    start = tokenizer.bos_token_id
    ids = torch.tensor([[start, *tokenizer(LEARNT, add_special_tokens=False)["input_ids"]]])
    for _ in range(steps):
        loss = tuned(input_ids=ids, labels=ids).loss
        loss.backward()
        steps_of.step()
        steps_of.zero_grad()
    tuned.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lora(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a LoRA on the tiny Llama that has learnt one sentence."""
    return train(tiny_model, tmp_path_factory.mktemp("lora") / "balie", steps=12)


@pytest.fixture
def copied(lora: Path, tmp_path: Path) -> Path:
    """Return a copy of the LoRA that a test may spoil."""
    return Path(shutil.copytree(lora, tmp_path / "copied"))


def card(base: Path, lora: Path | None, **settings: Any) -> CandidateSpec:
    raw: dict[str, Any] = {
        "title": "Tiny",
        "adapter": {"name": "causal"},
        "weights": {"source": "path", "path": str(base)},
        "licence": "EUPL-1.2",
        "chat_template": True,
    }
    if lora is not None:
        raw["lora"] = {"source": "path", "path": str(lora)}
    return parse(CandidateSpec, raw | settings, "tiny.yaml")


def totals(spec: CandidateSpec, asked: list[Loglikelihood]) -> list[float]:
    candidate = CausalAdapter().open(spec, Path())
    return [a.total for a in candidate.answer(asked) if isinstance(a, Likelihood)]


def unmerged(base: Path, lora: Path, asked: list[Loglikelihood]) -> list[float]:
    """Return what peft's own model gives, one text at a time, in double precision."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from toetssteen.candidates.encoding import Encoder

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
    model = peft.PeftModel.from_pretrained(model, lora).double().eval()
    found = []
    for tokens in Encoder(tokenizer, card(base, None)).likelihoods(asked):
        whole = torch.tensor([[*tokens.context, *tokens.continuation]])
        with torch.inference_mode():
            logprobs = model(whole).logits[0].log_softmax(-1)
        places = range(len(tokens.context), whole.shape[1])
        found.append(sum(float(logprobs[i - 1, whole[0, i]]) for i in places))
    return found


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_a_merged_lora_gives_the_likelihoods_of_the_unmerged_one(
    engine: str, tiny_model: Path, lora: Path
) -> None:
    """Within 1e-4 nats of peft's own forward in double precision, and far from the base."""
    merged = totals(card(tiny_model, lora, engine=engine), ASKED)
    assert merged == pytest.approx(unmerged(tiny_model, lora, ASKED), abs=1e-4)
    base = totals(card(tiny_model, None, engine=engine), ASKED)
    assert merged[0] > base[0] + 5  # what it has learnt


def test_the_fast_engine_serves_a_merged_lora(tiny_model: Path, lora: Path) -> None:
    """Merged weights are ordinary ones: packed rows, matrices laid out, nothing of peft left."""
    said = CausalAdapter().open(card(tiny_model, lora), Path()).describe()
    assert said["engine"] == "packed"
    assert said["architecture"] == "LlamaForCausalLM"
    assert said["peft"] == peft.__version__
    assert len(said["lora_sha256"]) == 64
    assert "warning" not in said


def test_base_and_lora_are_two_candidates(tiny_model: Path, lora: Path, copied: Path) -> None:
    """The identity is that of both together: another base, another LoRA, another candidate."""
    identify = CausalAdapter().identify
    alone = identify(card(tiny_model, None), Path())
    both = identify(card(tiny_model, lora), Path())
    assert identify(card(tiny_model, copied), Path()) == both  # where it lies does not matter
    config = copied / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 16', '"lora_alpha": 8'))
    other = identify(card(tiny_model, copied), Path())
    assert len({alone, both, other}) == 3


def test_the_base_of_a_card_is_a_second_candidate(tiny_model: Path, lora: Path) -> None:
    """The reference of an attack: the same card, asked without what the LoRA has learnt."""
    tuned = Card("balie", Path("models/balie.yaml"), card(tiny_model, lora))
    base = base_card(tuned)
    assert base.name == "balie-base"
    assert base.spec.lora is None
    opened = load_adapter(base).open(base.spec, Path())
    (learnt,) = opened.answer(ASKED[:1])
    assert isinstance(learnt, Likelihood)
    assert learnt.total == pytest.approx(totals(card(tiny_model, None), ASKED)[0], abs=1e-4)
    with pytest.raises(UsageError, match=r"balie\.yaml: has no lora, and so no base"):
        base_card(base)


def write(copied: Path, **settings: object) -> None:
    config = copied / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "peft_type: is 'PROMPT_TUNING'; only LORA can be merged"),
        (
            {"auto_mapping": {"base_model_class": "M", "parent_library": "evil.code"}},
            "auto_mapping: asks for code from 'evil.code'",
        ),
        ({"megatron_config": {"a": 1}, "megatron_core": "evil"}, "megatron_config: is set"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication: is set; such a LoRA cannot"),
        ({"alora_invocation_tokens": [5]}, "alora_invocation_tokens: is set"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_merged_or_asks_for_code_is_refused_before_anything_is_loaded(
    settings: dict[str, object], says: str, tiny_model: Path, copied: Path
) -> None:
    write(copied, **settings)
    with pytest.raises(ContentError) as caught:
        CausalAdapter().identify(card(tiny_model, copied), Path())
    assert str(caught.value).startswith(f"{copied / 'adapter_config.json'}: {says}")
    assert "\n" not in str(caught.value)


def test_a_lora_that_was_trained_without_a_named_task_is_taken(
    tiny_model: Path, copied: Path
) -> None:
    """Then peft notes the class of the base, which is one of transformers' own."""
    own = {"base_model_class": "L", "parent_library": "transformers.models.llama.modeling_llama"}
    write(copied, auto_mapping=own)
    assert CausalAdapter().identify(card(tiny_model, copied), Path())


def test_pickled_and_missing_loras_are_named(tiny_model: Path, copied: Path) -> None:
    numbers = copied / "adapter_model.safetensors"
    numbers.rename(copied / "adapter_model.bin")
    assert "*.bin" in PICKLED
    with pytest.raises(ContentError, match=r"adapter_model\.bin: pickled weights are refused"):
        CausalAdapter().identify(card(tiny_model, copied), Path())
    # A whole model is no LoRA.
    with pytest.raises(ContentError, match=r"lora: holds no adapter_config\.json"):
        CausalAdapter().identify(card(tiny_model, tiny_model), Path())
    (copied / "adapter_model.bin").rename(numbers)
    (copied / "adapter_config.json").write_text("{")
    with pytest.raises(ContentError, match=r"adapter_config\.json: cannot be read"):
        CausalAdapter().identify(card(tiny_model, copied), Path())


def other_base(folder: Path, tiny: Path, **settings: int) -> Path:
    """Return a model like the tiny one, with other measures."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(tiny, folder)
    config = AutoConfig.from_pretrained(tiny)
    for key, value in settings.items():
        setattr(config, key, value)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"intermediate_size": 48}, "does not fit the base, a LlamaForCausalLM: "),
        ({"num_hidden_layers": 3}, "was trained on another base: the base has and the LoRA lacks"),
        ({"num_hidden_layers": 1}, "was trained on another base: the LoRA has and the base lacks"),
    ],
    ids=["wider", "deeper", "shallower"],
)
def test_a_lora_of_another_base_is_refused_and_never_left_out_in_silence(
    settings: dict[str, int], says: str, tiny_model: Path, lora: Path, tmp_path: Path
) -> None:
    """On its own, peft only warns about layers that differ, and then serves the base alone."""
    base = other_base(tmp_path / "other", tiny_model, **settings)
    with pytest.raises(CandidateError) as caught:
        CausalAdapter().open(card(base, lora), Path())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_layers_that_the_base_does_not_have_are_named(tiny_model: Path, copied: Path) -> None:
    write(copied, target_modules=["c_attn"])
    with pytest.raises(CandidateError, match="does not fit the base, a LlamaForCausalLM: Target"):
        CausalAdapter().open(card(tiny_model, copied), Path())


def test_a_truncated_lora_is_named(tiny_model: Path, copied: Path) -> None:
    numbers = copied / "adapter_model.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:200])
    with pytest.raises(CandidateError, match=r"adapter_model\.safetensors: cannot be loaded"):
        CausalAdapter().open(card(tiny_model, copied), Path())


def test_a_lora_of_no_numbers_is_not_merged(tiny_model: Path, copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    numbers = load_file(copied / "adapter_model.safetensors")
    broken = {name: torch.full_like(tensor, float("nan")) for name, tensor in numbers.items()}
    save_file(broken, copied / "adapter_model.safetensors")
    with pytest.raises(CandidateError, match="cannot be merged: NaNs detected"):
        CausalAdapter().open(card(tiny_model, copied), Path())


def test_a_tokenizer_beside_the_lora_is_warned_about(tiny_model: Path, copied: Path) -> None:
    """Trainers save one beside it; if it differs, the base's is the wrong one."""
    shutil.copy(tiny_model / "tokenizer_config.json", copied)
    said = CausalAdapter().open(card(tiny_model, copied), Path()).describe()
    assert "a tokenizer of its own, which is not used" in said["warning"]


def test_where_peft_is_not_installed_the_plan_says_what_to_install(
    tiny_model: Path, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ContentError, match=r"lora: needs peft, .*: pip install 'toetssteen\[lora"):
        CausalAdapter().identify(card(tiny_model, lora), Path())


def test_a_lora_where_there_can_be_none_is_refused(tiny_model: Path, lora: Path) -> None:
    masked = card(tiny_model, lora, adapter={"name": "masked"}, chat_template=False)
    with pytest.raises(ContentError, match="lora: means nothing to the adapter masked"):
        MaskedAdapter().identify(masked, Path())
    with pytest.raises(ContentError, match="lora: needs weights to stand on"):
        card(tiny_model, lora, weights=None)


CARD = """
title: Balie
adapter: {{name: causal}}
weights: {weights}
lora: {{source: path, path: {lora}}}
licence: EUPL-1.2
chat_template: true
"""


def run(here: Path, task: str, weights: str, lora: Path, *more: str) -> dict[str, Any]:
    """Write a card, run a task with it, and return the results."""
    (here / "models").mkdir()
    (here / "models" / "balie.yaml").write_text(CARD.format(weights=weights, lora=lora))
    words = ["run", task, "--path", ".", "-c", "balie", "--no-tracking", *more]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (folder,) = (here / "runs").iterdir()
    record: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return record


def test_a_lora_on_the_tiny_model_is_run(
    tiny_model: Path, lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = f"{{source: path, path: {tiny_model}}}"
    record = run(tmp_path, "energy/requests", weights, lora, "--limit", "4")
    assert record["candidate"]["lora"]["path"] == str(lora)
    said = record["sessions"][0]["candidate"]
    assert said["weights_sha256"] != record["candidate"]["identity"]
    assert said["lora_sha256"]


@pytest.mark.slow
def test_a_lora_on_the_embedded_model_is_trained_merged_and_run(
    embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SmolLM2 in GGUF, converted; a LoRA taught in eight steps; the whole walk of `toets run`."""
    monkeypatch.chdir(tmp_path)
    lora = train(embedded, tmp_path / "lora", steps=8)
    (learnt,) = totals(card(embedded, lora), ASKED[:1])
    assert [learnt] == pytest.approx(unmerged(embedded, lora, ASKED[:1]), abs=1e-4)
    assert learnt > totals(card(embedded, None), ASKED[:1])[0] + 20
    spec = Catalog().candidate("smollm2-135m-instruct").spec
    assert spec.weights is not None
    weights = json.dumps(spec.weights.model_dump(mode="json"))
    record = run(tmp_path, "quality/reading", weights, lora, "--limit", "6")
    assert record["sessions"][0]["candidate"]["engine"] == "packed"
    assert record["sessions"][0]["candidate"]["lora_sha256"]
    (whole,) = [r for r in record["tasks"][0]["results"] if r["name"].endswith("/exact_match")]
    assert whole["estimate"]["n"] + whole["estimate"]["unscored"] == 6


def test_a_lora_speaks_as_peft_does(tiny_model: Path, lora: Path) -> None:
    """Greedy texts, against peft's own generate."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model = peft.PeftModel.from_pretrained(model, lora).eval()
    asked = [Generate((Message("user", q),), max_tokens=8) for q in ("Open?", "Is het maandag?")]
    for request, answer in zip(
        asked, CausalAdapter().open(card(tiny_model, lora), Path()).answer(asked), strict=True
    ):
        prompt = f"[user]{request.messages[0].content}\n[assistant]"
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**ids, max_new_tokens=8, do_sample=False)
        said = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        assert isinstance(answer, Generation)
        assert answer.text == said
