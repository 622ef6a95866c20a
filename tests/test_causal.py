"""A causal model answers the same whatever else is in the batch, and says what it cannot do."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates import Candidate
from toetssteen.candidates.adapters import CausalAdapter
from toetssteen.errors import CandidateError, ContentError
from toetssteen.records import (
    Failure,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Message,
    Sampling,
)
from toetssteen.spec import CandidateSpec, parse

torch = pytest.importorskip("torch")

ASKED = [
    Loglikelihood("Ja", messages=(Message("user", "Beslist de gemeente?"),)),
    Loglikelihood("Nee", messages=(Message("user", "Beslist de gemeente?"),)),
    Loglikelihood("De gemeente beslist op uw bezwaar."),
    Loglikelihood(" beslist", context="De gemeente"),
    Loglikelihood("beslist", context="De gemeente "),
    Loglikelihood(" loket is open", context="Antwoord: het"),
    Loglikelihood("No", messages=(Message("user", "Yes or No. " * 9),)),
    # The same tokens, cut in another place: two requests, not one.
    Loglikelihood(" gemeente beslist", context="De"),
]


def card(folder: Path, **settings: Any) -> CandidateSpec:
    raw = {
        "title": "Tiny",
        "adapter": {"name": "causal"},
        "weights": {"source": "path", "path": str(folder)},
        "licence": "EUPL-1.2",
        "chat_template": True,
        "batch_size": 3,
    }
    return parse(CandidateSpec, raw | settings, "tiny.yaml")


def opened(folder: Path, **settings: Any) -> Candidate:
    return CausalAdapter().open(card(folder, **settings), folder)


@pytest.fixture(scope="module", params=["auto", "plain"])
def candidate(tiny_model: Path, request: pytest.FixtureRequest) -> Candidate:
    return opened(tiny_model, engine=request.param)


def test_likelihoods_equal_a_plain_loop_in_double_precision(
    candidate: Candidate, tiny_model: Path
) -> None:
    """Worked by the definition: the sum over continuation tokens of ln P(token | all before)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def plain(before: list[int], after: list[int]) -> float:
        with torch.inference_mode():
            logprobs = model(torch.tensor([before + after])).logits[0].log_softmax(-1)
        steps = range(len(before), len(before) + len(after))
        return sum(float(logprobs[i - 1, (before + after)[i]]) for i in steps)

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    chat = "[user]Beslist de gemeente?\n[assistant]"
    long = "[user]" + "Yes or No. " * 9 + "\n[assistant]"
    whole = ids("De gemeente beslist")
    spaced = len(ids("De gemeente"))
    early = len(ids("De"))
    loket = ids("Antwoord: het loket is open")
    cut = len(ids("Antwoord: het"))
    expected = [
        plain(ids(chat), ids("Ja")),
        plain(ids(chat), ids("Nee")),
        plain([tokenizer.bos_token_id], ids("De gemeente beslist op uw bezwaar.")),
        plain(whole[:spaced], whole[spaced:]),
        plain(whole[:spaced], whole[spaced:]),  # white space goes with the continuation
        plain(loket[:cut], loket[cut:]),
        plain(ids(long), ids("No")),
        plain(whole[:early], whole[early:]),
    ]
    answers = candidate.answer(ASKED)
    totals = [answer.total for answer in answers if isinstance(answer, Likelihood)]
    assert totals == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_batches_do_not_change_answers(tiny_model: Path, batch_size: int) -> None:
    """The same requests in other company, other order, other batches: the same likelihoods."""
    one_by_one = [opened(tiny_model, batch_size=1).answer([request])[0] for request in ASKED]
    together = opened(tiny_model, batch_size=batch_size).answer(ASKED[::-1])[::-1]
    for alone, batched in zip(one_by_one, together, strict=True):
        assert isinstance(alone, Likelihood)
        assert isinstance(batched, Likelihood)
        assert batched.total == pytest.approx(alone.total, abs=1e-4)
        assert (batched.tokens, batched.greedy) == (alone.tokens, alone.greedy)


def test_siblings_are_scored_alike_whether_or_not_their_context_is_shared(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short and long options behind one question: branching the cache changes nothing."""
    question = Message("user", "Beslist de gemeente op uw bezwaar, ja of nee? Het loket is open.")
    options = ["Ja", "Nee", "Het loket is open.", "J", "De gemeente beslist"]
    asked = [Loglikelihood(option, messages=(question,)) for option in options]
    shared = opened(tiny_model, engine="plain").answer(asked)
    monkeypatch.setattr("toetssteen.candidates.engines.plain._can_branch", lambda _cache: False)
    whole = opened(tiny_model, engine="plain").answer(asked)
    for one, other in zip(shared, whole, strict=True):
        assert isinstance(one, Likelihood)
        assert isinstance(other, Likelihood)
        assert one.total == pytest.approx(other.total, abs=1e-4)
        assert (one.tokens, one.prompt_tokens) == (other.tokens, other.prompt_tokens)


def test_greedy_texts_equal_plain_generate(candidate: Candidate, tiny_model: Path) -> None:
    """Left padding and company change no word of a greedy answer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    questions = ["Ja of Nee?", "Het loket is open.", "Beslist de gemeente op uw bezwaar? Ja."]
    asked = [Generate((Message("user", q),), max_tokens=12) for q in questions]
    for question, answer in zip(questions, candidate.answer(asked), strict=True):
        prompt = tokenizer(
            f"[user]{question}\n[assistant]", return_tensors="pt", add_special_tokens=False
        )
        with torch.inference_mode():
            out = model.generate(**prompt, max_new_tokens=12, do_sample=False)
        said = out[0, prompt["input_ids"].shape[1] :]
        assert isinstance(answer, Generation)
        assert answer.text == tokenizer.decode(said, skip_special_tokens=True)
        assert answer.tokens <= 12
        assert answer.prompt_tokens == prompt["input_ids"].shape[1]


def test_an_answer_is_cut_at_a_stop_string(candidate: Candidate) -> None:
    """What stands behind the stop string is not part of the answer."""
    (free,) = candidate.answer([Generate((Message("user", "Ja?"),), max_tokens=20)])
    assert isinstance(free, Generation)
    middle = free.text[len(free.text) // 2]
    (cut,) = candidate.answer([Generate((Message("user", "Ja?"),), 20, stop=(middle,))])
    assert isinstance(cut, Generation)
    assert cut.finish == "stop"
    assert cut.text == free.text[: free.text.index(middle)]


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_a_model_that_overflows_gives_no_text(tiny_model: Path, engine: str) -> None:
    """The likeliest of numbers that are none is a token too; no answer is made of it."""
    broken = opened(tiny_model, engine=engine)
    broken._model.get_decoder().norm.weight.data.fill_(float("nan"))  # type: ignore[attr-defined]
    drawn = Sampling(seed=1)
    asked = [
        Generate((Message("user", "Ja?"),), 4),
        Generate((Message("user", "Nee?"),), 4, sampling=drawn, logprobs=True),
    ]
    for answer in broken.answer(asked):
        assert isinstance(answer, Failure)
        assert answer.reason == "the model gives no finite number for the next token"


def test_mixed_requests_come_back_in_order(candidate: Candidate) -> None:
    """Likelihood and generation in one call: same length, same order."""
    mixed = [ASKED[0], Generate((Message("user", "Ja?"),), 4), ASKED[2]]
    kinds = [answer.kind for answer in candidate.answer(mixed)]
    assert kinds == ["likelihood", "generation", "likelihood"]


def test_a_prompt_longer_than_the_context_is_a_failure_not_a_cut(tiny_model: Path) -> None:
    """Nothing is cut silently; the rest of the batch is answered."""
    candidate = opened(tiny_model, context_length=40)
    long = Message("user", "De gemeente beslist op uw bezwaar. " * 20)
    short = Message("user", "Ja?")
    answers = candidate.answer(
        [Loglikelihood("Ja", messages=(long,)), Loglikelihood("Ja", messages=(short,))]
    )
    assert isinstance(answers[0], Failure)
    assert answers[0].why == "too_long"
    assert "the context holds 40" in answers[0].reason
    assert isinstance(answers[1], Likelihood)
    (generated,) = candidate.answer([Generate((short,), max_tokens=39)])
    assert isinstance(generated, Failure)


def test_an_empty_continuation_is_a_failure(candidate: Candidate) -> None:
    """A sum over no tokens would be 0: a certainty that nobody expressed."""
    (answer,) = candidate.answer([Loglikelihood("", context="De gemeente")])
    assert isinstance(answer, Failure)


def test_the_system_prompt_of_the_card_is_read(tiny_model: Path) -> None:
    """Two cards that differ in their system prompt answer differently."""
    plain = opened(tiny_model).answer(ASKED[:1])[0]
    told = opened(tiny_model, system_prompt="Zeg altijd Nee.").answer(ASKED[:1])[0]
    assert isinstance(plain, Likelihood)
    assert isinstance(told, Likelihood)
    assert told.total != pytest.approx(plain.total, abs=1e-3)
    assert told.prompt_tokens > plain.prompt_tokens


def test_a_template_that_is_not_there_is_said_at_the_start(
    tiny_model: Path, tmp_path: Path
) -> None:
    """A card that asks for a chat template needs a tokenizer that has one."""
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(CandidateError, match="chat_template: true, but the tokenizer has none"):
        opened(bare)


def test_a_template_that_is_not_used_is_warned_about(tiny_model: Path) -> None:
    """The reverse is possible, and nearly always a mistake."""
    said = opened(tiny_model, chat_template=False).describe()
    assert "chat_template: false" in said["warning"]
    assert said["chat_template"] == "unused"  # which the report turns into words
    assert "warning" not in opened(tiny_model).describe()


def test_truncated_weights_are_named(tiny_model: Path, tmp_path: Path) -> None:
    """Half a file gives one line, not a traceback."""
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CandidateError, match="cannot be loaded"):
        opened(broken)


def test_code_in_a_checkpoint_is_not_run(tiny_model: Path, tmp_path: Path) -> None:
    """`trust_remote_code` is off unless the card says so; what wants it is refused."""
    hostile = tmp_path / "hostile"
    shutil.copytree(tiny_model, hostile)
    config = json.loads((hostile / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "evil.EvilConfig",
        "AutoModelForCausalLM": "evil.EvilForCausalLM",
    }
    config["model_type"] = "evil"
    (hostile / "config.json").write_text(json.dumps(config))
    marker = tmp_path / "ran"
    (hostile / "evil.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\n")
    with pytest.raises(CandidateError):
        opened(hostile)
    assert not marker.exists()


def test_a_truncated_gguf_file_is_named(tmp_path: Path, cache_folder: Path) -> None:
    """GGUF that cannot be read says so, and leaves nothing half converted."""
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF\x03\x00\x00\x00" + b"\x00" * 64)
    with pytest.raises(CandidateError, match="cannot be read as GGUF"):
        opened(file.parent, weights={"source": "path", "path": str(file)})
    assert not [p for p in (cache_folder / "converted").iterdir() if p.name.startswith(".part")]


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    """The card's path is in the message."""
    with pytest.raises(ContentError, match="no such folder or"):
        CausalAdapter().identify(card(tmp_path / "nowhere"), tmp_path)
