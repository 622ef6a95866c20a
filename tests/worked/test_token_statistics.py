"""What membership attacks look at, token by token, worked by hand."""

from math import exp, inf, isfinite, log, sqrt
from pathlib import Path

import pytest

from toetssteen.candidates.adapters import CausalAdapter
from toetssteen.records import Likelihood, Loglikelihood, TokenStatistics
from toetssteen.spec import CandidateSpec, parse

torch = pytest.importorskip("torch")

from toetssteen.candidates.engines.reading import Read, read_tokens  # noqa: E402


def read(rows: list[list[float]], tokens: list[int]) -> list[TokenStatistics]:
    """Read one token off each row of logits."""
    places = torch.arange(len(rows))
    found = read_tokens(torch.tensor(rows), places, torch.tensor(tokens), per_token=True)
    return [statistics(one) for one in found]


def statistics(one: Read) -> TokenStatistics:
    """Return what was asked for; it is the same log-probability."""
    assert one.statistics is not None
    assert one.statistics.logprob == one.logprob
    return one.statistics


def test_three_tokens_of_min_k_plus_plus() -> None:
    """Zhang et al., Min-K%++, ICLR 2025, equations 4 and 5; three words, three positions.

    z = (ln p(token) - mu) / sigma, with mu and sigma of ln p under p itself.

        p               token   ln p       mu = sum p ln p    sigma     z         rank
        .7  .2  .1      second  -1.60944   -0.80182           0.70313   -1.14861  2
        .5  .25 .25     first   -0.69315   -1.03972           0.34657    1        1
        .9  .05 .05     third   -2.99573   -0.39440           0.86711   -3        2, shared

    Second row: ln .5 = -0.69315 and ln .25 = -1.38629, half each: mu in the middle, sigma half
    the distance. Third row: one token is likelier than .05, so both of .05 have rank 2.
    """
    rows = [[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.9, 0.05, 0.05]]
    found = read([[log(p) for p in row] for row in rows], [1, 0, 2])
    assert [round(one.logprob, 5) for one in found] == [-1.60944, -0.69315, -2.99573]
    assert [round(one.mean, 5) for one in found] == [-0.80182, -1.03972, -0.39440]
    assert [round(sqrt(one.variance), 5) for one in found] == [0.70313, 0.34657, 0.86711]
    z = [(one.logprob - one.mean) / sqrt(one.variance) for one in found]
    assert z == pytest.approx([-1.14861, 1, -3], abs=1e-5)
    assert [one.rank for one in found] == [2, 1, 2]
    assert found[1].entropy == -found[1].mean


def test_logits_are_not_probabilities() -> None:
    """The same number added to all logits changes nothing: 3, 1 and 0 are 103, 101 and 100.

    e^3, e^1 and 1 over their sum 23.80382: ln p = -0.16985, -2.16985 and -3.16985.
    """
    for low in (0.0, 100.0, -100.0):
        (one,) = read([[low + 3, low + 1, low]], [1])
        assert one.logprob == pytest.approx(-2.16985, abs=1e-5)
        assert one.rank == 2


def test_a_word_that_is_ruled_out_weighs_nothing() -> None:
    """Half, half and never: mu is minus ln 2, sigma 0; 0 times minus infinity is taken as 0."""
    rows = [[0.0, 0.0, -inf]] * 2
    possible, never = read(rows, [0, 2])
    assert possible.logprob == pytest.approx(-log(2), abs=1e-6)
    assert never.logprob == -inf
    for one in (possible, never):
        assert one.mean == pytest.approx(-log(2), abs=1e-6)
        assert one.variance == pytest.approx(0, abs=1e-12)
    # A rank counts those that are likelier.
    assert (possible.rank, never.rank) == (1, 3)


def test_a_word_that_is_certain_has_no_spread() -> None:
    """A gap of 120 between logits: in float32 E[x^2] - E[x]^2 is no number here; ours is."""
    (one,) = read([[120.0, 0.0, 0.0]], [1])
    assert one.logprob == pytest.approx(-120, abs=1e-4)
    assert one.mean == pytest.approx(0, abs=1e-6)
    assert isfinite(one.variance)
    assert one.variance == pytest.approx(0, abs=1e-6)


def test_words_that_are_all_alike_have_no_spread() -> None:
    """Uniform over 50,000: mu is minus ln 50,000 = -10.81978, and sigma 0, also in float32."""
    (one,) = read([[0.25] * 50_000], [17])
    assert one.mean == pytest.approx(-10.81978, abs=1e-4)
    assert one.variance == pytest.approx(0, abs=1e-8)
    assert one.rank == 1


def test_several_tokens_off_one_row() -> None:
    """Ja, Nee and Misschien are read off the same distribution; what is not asked is not kept."""
    logits = torch.tensor([[log(0.5), log(0.3), log(0.2)]])
    rows, tokens = torch.tensor([0, 0, 0]), torch.tensor([2, 0, 1])
    found = read_tokens(logits, rows, tokens, per_token=False)
    assert [exp(one.logprob) for one in found] == pytest.approx([0.2, 0.5, 0.3], abs=1e-6)
    assert [one.likeliest for one in found] == [False, True, False]
    assert [one.statistics for one in found] == [None, None, None]


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_a_candidate_says_the_same_as_a_loop(tiny_model: Path, engine: str) -> None:
    """Every token of a text under a model: by definition, in double precision."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    raw = {
        "title": "Tiny",
        "adapter": {"name": "causal"},
        "weights": {"source": "path", "path": str(tiny_model)},
        "licence": "EUPL-1.2",
        "engine": engine,
    }
    candidate = CausalAdapter().open(parse(CandidateSpec, raw, "tiny.yaml"), tiny_model)
    texts = ["De gemeente beslist op uw bezwaar.", "Antwoord: het loket"]
    answers = candidate.answer(
        [Loglikelihood(text, per_token=True) for text in texts]
        # Beside one that did not ask for it.
        + [Loglikelihood("Ja of Nee.")]
    )
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for text, answer in zip(texts, answers, strict=False):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([[tokenizer.bos_token_id, *ids]])).logits[0, :-1]
        assert isinstance(answer, Likelihood)
        assert len(answer.per_token) == answer.tokens == len(ids)
        for one, row, token in zip(answer.per_token, logits.log_softmax(-1), ids, strict=True):
            mean = float((row.exp() * row).sum())
            assert one.logprob == pytest.approx(float(row[token]), abs=1e-4)
            assert one.mean == pytest.approx(mean, abs=1e-4)
            variance = float((row.exp() * (row - mean) ** 2).sum())
            assert one.variance == pytest.approx(variance, abs=1e-3)
            assert one.rank == 1 + int((row > row[token]).sum())
        assert sum(one.logprob for one in answer.per_token) == pytest.approx(answer.total)
    last = answers[-1]
    assert isinstance(last, Likelihood)
    assert last.per_token == ()
