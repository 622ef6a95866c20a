"""What a card may say of how a model is run: heard, and said back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates import Candidate
from toetssteen.candidates.adapters import CausalAdapter
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

TEXTS = ["De gemeente beslist op uw bezwaar.", "Ja of Nee.", "Antwoord: het loket"]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Leave the other tests the threads that they had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def opened(folder: Path, **settings: Any) -> Candidate:
    raw = {
        "title": "Tiny",
        "adapter": {"name": "causal"},
        "weights": {"source": "path", "path": str(folder)},
        "licence": "EUPL-1.2",
        "chat_template": True,
    }
    return CausalAdapter().open(parse(CandidateSpec, raw | settings, "tiny.yaml"), folder)


def totals(candidate: Candidate) -> list[float]:
    answers = candidate.answer([Loglikelihood(text) for text in TEXTS])
    return [answer.total for answer in answers if isinstance(answer, Likelihood)]


@pytest.mark.parametrize(
    "settings",
    [
        {"engine": "plain"},
        {"engine": "plain", "attention": "eager"},
        {"attention": "sdpa"},
        {"device": "auto"},
        {"tokens_per_batch": 16, "batch_size": 1},
        {"threads": 1},
    ],
    ids=str,
)
def test_how_a_model_is_run_changes_no_likelihood(
    tiny_model: Path, settings: dict[str, Any]
) -> None:
    """The same numbers but for rounding, three of them."""
    expected = totals(opened(tiny_model))
    assert len(expected) == len(TEXTS)
    assert totals(opened(tiny_model, **settings)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_a_compiled_model_says_the_same(tiny_model: Path, engine: str) -> None:
    """torch.compile makes other kernels, not other numbers."""
    compiled = opened(tiny_model, compile=True, engine=engine)
    assert compiled.describe()["compiled"] == "yes"
    assert compiled.describe()["engine"].startswith("packed" if engine == "auto" else "plain")
    assert totals(compiled) == pytest.approx(totals(opened(tiny_model)), abs=1e-4)


def test_how_it_was_run_is_on_record(tiny_model: Path) -> None:
    """What could change a digit stands in the record of the run."""
    said = opened(tiny_model, threads=1, tokens_per_batch=48, batch_size=5).describe()
    assert said["threads"] == "1"
    assert said["tokens_per_batch"] == "48"
    assert said["batch_size"] == "5"
    assert said["engine"] == "packed"
    assert said["matrices"] == "laid out for onednn"
    assert said["device"] == "cpu"
    assert said["compiled"] == "no"
    assert "out_of_memory" not in said
    plain = opened(tiny_model, engine="plain").describe()
    assert plain["engine"] == "plain (as the card says)"
    assert plain["matrices"] == "as loaded"


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_a_shortage_of_memory_is_on_record(
    tiny_model: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It happened, how often, and the answers are the same."""
    expected = totals(opened(tiny_model))
    candidate: Any = opened(tiny_model, engine=engine)
    decoder = candidate._model.get_decoder()
    forward, tried = decoder.forward, []

    def short_once(*given: Any, **more: Any) -> Any:
        tried.append(more["input_ids"].numel())
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*given, **more)

    monkeypatch.setattr(decoder, "forward", short_once)
    assert totals(candidate) == pytest.approx(expected, abs=1e-4)
    assert candidate.describe()["out_of_memory"].startswith("1 times")


def test_the_cards_own_sampling_is_heard(tiny_model: Path) -> None:
    """Another seed in the card gives another text; a request may still say otherwise."""
    question = (Message("user", "Ja of Nee?"),)
    asked = Generate(question, 12)

    def text(candidate: Candidate, request: Generate = asked) -> str:
        (answer,) = candidate.answer([request])
        assert isinstance(answer, Generation)
        return answer.text

    greedy = text(opened(tiny_model))
    first = text(opened(tiny_model, sampling={"seed": 1}))
    assert first == text(opened(tiny_model, sampling={"seed": 1}, engine="plain"))
    assert first != greedy
    assert first != text(opened(tiny_model, sampling={"seed": 2}))
    likeliest = Generate(question, 12, sampling=Sampling(top_k=1))
    assert text(opened(tiny_model, sampling={"seed": 1}), likeliest) == greedy


def test_a_text_is_as_likely_said_as_read(tiny_model: Path) -> None:
    """The log-probabilities of an answer are those of the answer as a continuation."""
    candidate = opened(tiny_model)
    question = (Message("user", "Beslist de gemeente?"),)
    (said,) = candidate.answer([Generate(question, 6, logprobs=True)])
    assert isinstance(said, Generation)
    assert len(said.logprobs) == said.tokens
    (read,) = candidate.answer([Loglikelihood(said.text, question)])
    assert isinstance(read, Likelihood)
    if read.tokens == said.tokens:  # a text may be cut into other tokens than it was said in
        assert read.total == pytest.approx(sum(said.logprobs), abs=1e-4)


def test_the_same_question_twice_is_answered_twice_and_said_once(tiny_model: Path) -> None:
    """Also where one of them asks for log-probabilities, or for other stop strings."""
    candidate = opened(tiny_model)
    question = (Message("user", "Ja?"),)
    asked = [
        Generate(question, 6),
        Generate(question, 6),
        Generate(question, 6, logprobs=True),
        Generate(question, 3),
    ]
    one, two, three, short = candidate.answer(asked)
    for answer in (one, two, three, short):
        assert not isinstance(answer, Failure)
    assert isinstance(one, Generation)
    assert isinstance(three, Generation)
    assert isinstance(short, Generation)
    assert one == two
    assert (three.text, len(three.logprobs)) == (one.text, one.tokens)
    assert one.text.startswith(short.text)
