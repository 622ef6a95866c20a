"""Encoder-decoders: what is read and what is said stand apart, whatever else is in the batch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates import Candidate
from toetssteen.candidates.adapters import Seq2SeqAdapter
from toetssteen.errors import CandidateError, ContentError
from toetssteen.records import (
    Classify,
    Failure,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Message,
    Request,
    Sampling,
)
from toetssteen.spec import CandidateSpec, parse

torch = pytest.importorskip("torch")

QUESTION = "Beslist de gemeente op uw bezwaar?"
OPEN = "Is het loket op zondag open?"
ASKED = [
    Loglikelihood("Ja, binnen acht weken.", context=QUESTION),
    Loglikelihood("Nee, op zondag niet.", context=QUESTION),
    Loglikelihood("Ja", context=QUESTION),
    Loglikelihood("Nee, op zondag niet.", context=OPEN),
    Loglikelihood("Aan het loket", messages=(Message("user", "Waar vraag ik dat aan?"),)),
    Loglikelihood("Acht weken."),
]
SPOKEN = [
    Generate((), 16, context=QUESTION),
    Generate((), 16, context=OPEN),
    Generate((), 16, context="Ja of nee?"),
    Generate((), 16, context="Waar vraag ik binnen acht weken een paspoort aan bij het loket?"),
    Generate((Message("user", "Hoe lang?"),), 3),
]


def card(folder: Path, **settings: Any) -> CandidateSpec:
    raw = {
        "title": "Tiny",
        "adapter": {"name": "seq2seq"},
        "licence": "EUPL-1.2",
        "weights": {"source": "path", "path": str(folder)},
    }
    return parse(CandidateSpec, raw | settings, "tiny.yaml")


def opened(folder: Path, **settings: Any) -> Candidate:
    return Seq2SeqAdapter().open(card(folder, **settings), folder)


@pytest.fixture(scope="module", params=["t5", "bart"])
def folder(request: pytest.FixtureRequest) -> Path:
    """Return a model that counts distances, and one that learned its positions."""
    found: Path = request.getfixturevalue(f"tiny_{request.param}")
    return found


@pytest.fixture(scope="module")
def candidate(folder: Path) -> Candidate:
    return opened(folder)


def read(request: Loglikelihood | Generate) -> str:
    """Return what the encoder reads: turns end with an empty line where there is no template."""
    return "".join(m.content + "\n\n" for m in request.messages) + request.context


def likelihoods(candidate: Candidate, asked: list[Loglikelihood]) -> list[Likelihood]:
    answers = candidate.answer(asked)
    return [answer for answer in answers if isinstance(answer, Likelihood)]


def texts(candidate: Candidate, asked: list[Generate]) -> list[str]:
    return [a.text for a in candidate.answer(asked) if isinstance(a, Generation)]


# --- likelihood ------------------------------------------------------------------------------


def test_likelihoods_equal_a_plain_loop_in_double_precision(
    candidate: Candidate, folder: Path
) -> None:
    """Worked by the definition: the sum over the target's own tokens of ln P(token | before).

    A T5 begins to answer behind its padding token; a BART behind </s>, and every target that it
    was trained on begins with <s>. The end token is not counted.
    """
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    start = [0] if model.config.model_type == "t5" else [2, 0]

    def loop(request: Loglikelihood) -> float:
        ids = torch.tensor([tokenizer(read(request)).input_ids])
        target = tokenizer(request.continuation, add_special_tokens=False).input_ids
        total = 0.0
        for done, token in enumerate(target):
            before = torch.tensor([[*start, *target[:done]]])
            with torch.inference_mode():
                logits = model(input_ids=ids, decoder_input_ids=before).logits[0, -1]
            total += float(logits.log_softmax(-1)[token])
        return total

    answers = likelihoods(candidate, ASKED)
    expected = [loop(request) for request in ASKED]
    assert [answer.total for answer in answers] == pytest.approx(expected, abs=1e-4)
    assert not any(answer.pseudo for answer in answers)


def test_a_likelihood_is_that_of_an_answer_that_begins_so(candidate: Candidate) -> None:
    """Without the end token an answer is no likelier than the words it begins with."""
    begins = Loglikelihood("Ja, binnen", context=QUESTION)
    whole, beginning = likelihoods(candidate, [ASKED[0], begins])
    assert whole.total < beginning.total
    assert whole.tokens > beginning.tokens
    assert whole.prompt_tokens == beginning.prompt_tokens


def test_the_model_knows_what_it_was_taught(candidate: Candidate) -> None:
    """Right answers are likelier than wrong ones, and each token is the likeliest."""
    right, wrong, _, other, *_ = likelihoods(candidate, ASKED)
    assert right.total > wrong.total + 3
    assert (right.greedy, other.greedy, wrong.greedy) == (True, True, False)


def test_white_space_before_an_answer_belongs_to_neither(candidate: Candidate) -> None:
    """Tasks write ` Ja` for models that go on; the decoder begins a text."""
    one, other = likelihoods(
        candidate, [Loglikelihood("Ja", context=QUESTION), Loglikelihood(" Ja", context=QUESTION)]
    )
    assert one == other


def test_statistics_per_token_add_up(candidate: Candidate) -> None:
    asked = Loglikelihood("Ja, binnen acht weken.", context=QUESTION, per_token=True)
    told, plain = likelihoods(candidate, [asked, ASKED[0]])
    assert len(told.per_token) == told.tokens
    assert sum(t.logprob for t in told.per_token) == pytest.approx(told.total)
    assert all(t.rank == 1 and t.mean <= 0 <= t.variance for t in told.per_token)
    assert plain.per_token == ()


# --- company ---------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"tokens_per_batch": 16}, {}], ids=str)
def test_batches_and_order_do_not_change_likelihoods(
    folder: Path, settings: dict[str, Any]
) -> None:
    alone = [likelihoods(opened(folder, batch_size=1), [one])[0] for one in ASKED]
    together = likelihoods(opened(folder, **settings), ASKED[::-1])[::-1]
    for one, other in zip(alone, together, strict=True):
        assert other.total == pytest.approx(one.total, abs=1e-4)
        assert (other.tokens, other.greedy) == (one.tokens, one.greedy)


@pytest.mark.parametrize("settings", [{"batch_size": 2}, {"tokens_per_batch": 16}, {}], ids=str)
def test_what_is_said_does_not_depend_on_company(folder: Path, settings: dict[str, Any]) -> None:
    """The likeliest words, and those that seed and prompt draw."""
    drawn = [
        Generate(r.messages, r.max_tokens, context=r.context, sampling=Sampling(2.0, seed=seed))
        for r in SPOKEN
        for seed in (1, 2)
    ]
    asked = [*SPOKEN, *drawn]
    single = opened(folder, batch_size=1)
    alone = [texts(single, [one])[0] for one in asked]
    assert texts(opened(folder, **settings), asked[::-1])[::-1] == alone
    assert alone[5::2] != alone[6::2]


def test_a_prompt_is_read_once_for_all_that_is_asked_of_it(folder: Path) -> None:
    """Three answers to one question, or the same question to be said twice: one row."""
    candidate: Any = opened(folder)
    encoder, rows = candidate._model.get_encoder(), []
    encoder.register_forward_pre_hook(
        lambda _module, _args, given: rows.append(len(given["input_ids"])), with_kwargs=True
    )
    candidate.answer(ASKED[:4])
    candidate.answer([SPOKEN[0], Generate((), 4, context=QUESTION, logprobs=True)])
    assert rows == [2, 1]


def runs_out_once(candidate: Any, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let memory run out once, after so many forwards of the decoder."""
    decoder = candidate._model.get_decoder()
    forward, tried = decoder.forward, []

    def short_once(*given: Any, **more: Any) -> Any:
        tried.append(1)
        if len(tried) == after:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*given, **more)

    monkeypatch.setattr(decoder, "forward", short_once)


@pytest.mark.parametrize("asked", [ASKED, SPOKEN], ids=["read", "said"])
def test_a_shortage_of_memory_changes_no_answer(
    folder: Path, asked: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half said is said again, in smaller batches."""
    expected = opened(folder).answer(asked)
    candidate = opened(folder)
    runs_out_once(candidate, monkeypatch, after=1 if asked is ASKED else 3)
    for one, other in zip(candidate.answer(asked), expected, strict=True):
        if isinstance(one, Likelihood) and isinstance(other, Likelihood):
            assert one.total == pytest.approx(other.total, abs=1e-4)
        else:
            assert one == other
    assert candidate.describe()["out_of_memory"].startswith("1 times")


def test_what_fits_no_memory_is_a_failure(tiny_t5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate: Any = opened(tiny_t5)

    def always_short(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(candidate._model.get_encoder(), "forward", always_short)
    for answer in candidate.answer([ASKED[0], SPOKEN[0]]):
        assert isinstance(answer, Failure)
        assert answer.reason.endswith("do not fit the memory that is free")


# --- generation ------------------------------------------------------------------------------


def test_greedy_texts_equal_plain_generate(candidate: Candidate, folder: Path) -> None:
    """One prompt at a time through transformers; its limit does not force an end token here."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for request, answer in zip(SPOKEN, candidate.answer(SPOKEN), strict=True):
        prompt = tokenizer(read(request), return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(
                input_ids=prompt.input_ids,
                attention_mask=prompt.attention_mask,
                max_new_tokens=request.max_tokens,
                do_sample=False,
                forced_eos_token_id=None,
            )[0]
        ended = bool((out[1:] == tokenizer.eos_token_id).any())
        assert isinstance(answer, Generation)
        assert answer.text == tokenizer.decode(out, skip_special_tokens=True)
        assert answer.finish == ("stop" if ended else "length")
        assert answer.prompt_tokens == prompt.input_ids.shape[1]
    assert texts(candidate, SPOKEN[:1]) == ["Ja, binnen acht weken."]


def test_a_first_token_that_the_settings_force_is_said_first(
    tiny_bart: Path, tmp_path: Path
) -> None:
    """As transformers does it: the token is given, not chosen, so it is not counted."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = tmp_path / "forced"
    shutil.copytree(tiny_bart, folder)
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    forced = tokenizer("Nee", add_special_tokens=False).input_ids[0]
    file.write_text(json.dumps(settings | {"forced_bos_token_id": forced}))
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    prompt = tokenizer(QUESTION, return_tensors="pt")
    with torch.inference_mode():
        out = model.generate(
            input_ids=prompt.input_ids, max_new_tokens=9, do_sample=False, forced_eos_token_id=None
        )[0]
    (answer,) = opened(folder).answer([Generate((), 8, context=QUESTION)])
    assert isinstance(answer, Generation)
    assert (
        tokenizer.decode(out, skip_special_tokens=True) == tokenizer.decode(forced) + answer.text
    )


def test_an_answer_is_cut_at_a_stop_string(candidate: Candidate) -> None:
    asked = [Generate((), 16, context=QUESTION, stop=(" acht",)), SPOKEN[0]]
    cut, whole = candidate.answer(asked)
    assert isinstance(cut, Generation)
    assert isinstance(whole, Generation)
    assert (cut.text, cut.finish) == ("Ja, binnen", "stop")
    assert whole.text.startswith("Ja, binnen acht")


def test_an_answer_ends_at_its_limit(candidate: Candidate) -> None:
    (short,) = candidate.answer([Generate((), 3, context=QUESTION)])
    assert isinstance(short, Generation)
    assert (short.tokens, short.finish) == (3, "length")


def test_a_text_is_as_likely_said_as_read(tiny_t5: Path) -> None:
    candidate = opened(tiny_t5)
    asked = Generate((), 16, context=QUESTION, logprobs=True)
    (said,) = candidate.answer([asked])
    assert isinstance(said, Generation)
    (heard,) = likelihoods(candidate, [Loglikelihood(said.text, context=QUESTION)])
    assert len(said.logprobs) == said.tokens == heard.tokens
    assert sum(said.logprobs) == pytest.approx(heard.total, abs=1e-4)


def test_the_cards_own_sampling_is_heard(tiny_t5: Path) -> None:
    plain = texts(opened(tiny_t5), SPOKEN)
    drawn = texts(opened(tiny_t5, sampling={"temperature": 3, "seed": 4}), SPOKEN)
    assert plain != drawn
    assert drawn == texts(opened(tiny_t5, sampling={"temperature": 3, "seed": 4}), SPOKEN)


def test_a_model_that_overflows_gives_no_answer(tiny_t5: Path) -> None:
    """No text is made of numbers that are none; the likelihood says itself that it is none."""
    broken: Any = opened(tiny_t5)
    broken._model.get_decoder().final_layer_norm.weight.data.fill_(float("nan"))
    spoken, scored = broken.answer([SPOKEN[0], ASKED[0]])
    assert spoken == Failure("error", "the model gives no finite number for the next token")
    assert scored.total != scored.total  # NaN, which the run turns into a failure


# --- what cannot be asked ----------------------------------------------------------------------


def test_what_does_not_fit_is_a_failure_and_never_cut(folder: Path) -> None:
    """Both sides have their own room; the rest is answered."""
    candidate = opened(folder, context_length=24)
    long = "Beslist de gemeente? " * 12
    answers = candidate.answer(
        [
            Loglikelihood("Ja", context=long),
            Loglikelihood("Ja, binnen acht weken. " * 12, context=QUESTION),
            Generate((), 4, context=long),
            Generate((), 24, context=QUESTION),
            Generate((), 4, context="Ja?"),
        ]
    )
    reasons = [answer.reason for answer in answers if isinstance(answer, Failure)]
    assert all(a.why == "too_long" for a in answers if isinstance(a, Failure))
    assert ["the encoder holds 24" in reason for reason in reasons] == [True, False, True, False]
    assert ["the decoder holds 24" in reason for reason in reasons] == [False, True, False, True]
    assert isinstance(answers[4], Generation)


def test_the_room_is_the_models_and_the_card_may_only_ask_for_more_where_nothing_ends(
    tiny_t5: Path, tiny_bart: Path
) -> None:
    """Learned positions end (48); a tokenizer's word (64) is only what it was trained on."""

    def room(folder: Path, **settings: Any) -> str:
        return opened(folder, **settings).describe()["context_length"]

    assert (room(tiny_t5), room(tiny_t5, context_length=99)) == ("64", "99")
    assert (room(tiny_bart), room(tiny_bart, context_length=99)) == ("48", "48")


def test_what_an_encoder_decoder_cannot_is_a_failure_in_its_place(candidate: Candidate) -> None:
    asked: list[Request] = [
        Loglikelihood("Ja", context=QUESTION, after=" dus"),
        Loglikelihood("Ja", context=QUESTION, shared_with="Nee"),
        Loglikelihood("  ", context=QUESTION),
        Generate((), 0, context=QUESTION),
        Classify({"text": "Ja"}),
        ASKED[0],
    ]
    *failures, fine = candidate.answer(asked)
    assert [answer.reason for answer in failures if isinstance(answer, Failure)] == [
        "an encoder-decoder cannot read ahead",
        "an encoder-decoder cannot read ahead",
        "the continuation has no tokens",
        "max_tokens should be at least 1",
        "an encoder-decoder answers no classify request",
    ]
    assert isinstance(fine, Likelihood)


def test_the_system_prompt_and_the_template_of_the_card_are_read(
    tiny_t5: Path, tmp_path: Path
) -> None:
    asked = [Loglikelihood("Ja", messages=(Message("user", QUESTION),))]
    told = likelihoods(opened(tiny_t5, system_prompt="Zeg altijd Nee."), asked)
    plain = likelihoods(opened(tiny_t5), asked)
    assert told[0].prompt_tokens > plain[0].prompt_tokens
    with pytest.raises(CandidateError, match="but the tokenizer has none; set it to false"):
        opened(tiny_t5, chat_template=True)
    templated = tmp_path / "templated"
    shutil.copytree(tiny_t5, templated)
    turn = "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
    (templated / "chat_template.jinja").write_text(turn)
    (one,) = likelihoods(opened(templated, chat_template=True), asked)
    (other,) = likelihoods(opened(tiny_t5), [Loglikelihood("Ja", context=QUESTION)])
    assert one.total == pytest.approx(other.total, abs=1e-5)
    assert "chat_template: false" in opened(templated).describe()["warning"]


def test_how_it_was_run_is_on_record(tiny_bart: Path) -> None:
    said = opened(tiny_bart, batch_size=5, tokens_per_batch=48).describe()
    assert said["adapter"] == "seq2seq"
    assert said["architecture"] == "BartForConditionalGeneration"
    assert said["engine"] == "two-sided"
    assert (said["batch_size"], said["tokens_per_batch"]) == ("5", "48")
    assert (said["context_length"], said["answer_length"]) == ("48", "48")
    assert "warning" not in said


def no_start(folder: Path) -> None:
    for name in ("config.json", "generation_config.json"):
        file = folder / name
        settings = json.loads(file.read_text())
        settings.pop("decoder_start_token_id", None)
        file.write_text(json.dumps(settings))


def many_languages(folder: Path) -> None:
    """Give it the tokenizer of NLLB, which begins a text with the token of its language."""
    from transformers import AutoTokenizer, NllbTokenizer

    own = AutoTokenizer.from_pretrained(folder)
    merges = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
    made = NllbTokenizer(vocab=own.get_vocab(), merges=[tuple(pair) for pair in merges])
    for file in folder.glob("tokenizer*"):
        file.unlink()
    made.save_pretrained(folder)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_start, "names no decoder_start_token_id"),
        (many_languages, "translates between languages that a card cannot name"),
    ],
    ids=["no beginning", "many languages"],
)
def test_a_model_that_cannot_be_asked_rightly_is_refused(
    spoil: Callable[[Path], None], said: str, tiny_t5: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny_t5, folder)
    spoil(folder)
    with pytest.raises(CandidateError, match=said) as raised:
        opened(folder)
    assert "\n" not in str(raised.value)


def test_a_model_whose_two_sides_do_not_come_apart_is_refused(
    tiny_t5: Path, tmp_path: Path
) -> None:
    """A trial shows it: this one wants more of its encoder than what it makes of the words."""
    from transformers import (
        AutoTokenizer,
        SwitchTransformersConfig,
        SwitchTransformersForConditionalGeneration,
    )

    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    config = SwitchTransformersConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        num_experts=2,
        decoder_start_token_id=0,
    )
    SwitchTransformersForConditionalGeneration(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(CandidateError, match="reads and says cannot be computed apart") as raised:
        opened(tmp_path)
    assert "\n" not in str(raised.value)


def test_prompts_of_unlike_lengths_stand_apart_where_padding_is_seen(
    tiny_t5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder that forgets its mask answers as if each prompt were alone, all the same."""
    from transformers import T5ForConditionalGeneration

    expected = likelihoods(opened(tiny_t5), ASKED)
    spoken = texts(opened(tiny_t5), SPOKEN)
    encoder = T5ForConditionalGeneration.get_encoder

    def forgetful(model: Any) -> Any:
        found = encoder(model)
        return lambda *, input_ids, attention_mask, **more: found(
            input_ids=input_ids, attention_mask=0 * attention_mask + 1, **more
        )

    monkeypatch.setattr(T5ForConditionalGeneration, "get_encoder", forgetful)
    candidate = opened(tiny_t5, tokens_per_batch=64)
    assert candidate.describe()["engine"] == "two-sided; rows of one length"
    for one, other in zip(likelihoods(candidate, ASKED), expected, strict=True):
        assert one.total == pytest.approx(other.total, abs=1e-4)
    assert texts(candidate, SPOKEN) == spoken


def test_a_model_of_another_kind_is_refused(tiny_model: Path, tiny_t5: Path) -> None:
    with pytest.raises(CandidateError, match="cannot be loaded"):
        opened(tiny_model)
    with pytest.raises(ContentError, match="compile: means nothing to the adapter seq2seq"):
        Seq2SeqAdapter().identify(card(tiny_t5, compile=True), tiny_t5)
