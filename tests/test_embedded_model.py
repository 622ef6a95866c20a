"""The embedded model, asked for real: likelihoods beside a plain loop in double precision."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from toetssteen.candidates import load_adapter
from toetssteen.candidates.gguf import as_safetensors
from toetssteen.candidates.weights import LocalWeights, locate
from toetssteen.catalog import Catalog
from toetssteen.errors import ContentError
from toetssteen.records import Likelihood, Loglikelihood

NAME = "smollm2-135m-instruct"
NATS = 1e-4


@pytest.fixture(scope="module")
def weights() -> LocalWeights:
    """Return the embedded model, if it was fetched."""
    card = Catalog().candidate(NAME)
    if card.spec.weights is None:
        raise AssertionError("the embedded model has no weights")
    try:
        return locate(card.spec.weights, card.file.parent)
    except ContentError:
        pytest.skip(f"the embedded model is not in the cache: toets fetch --candidate {NAME}")


def rows(root: Path, name: str) -> Iterator[Mapping[str, str]]:
    for line in (root / "suites" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def texts(root: Path) -> list[str]:
    """Return 200 texts in Dutch and English, of our own tasks: letters, cases, requests."""
    found = [r["prompt"].replace("{name}", r["other"]) for r in rows(root, "bias/decision_pairs")]
    found += [f"{r['text']} {r['question']}" for r in rows(root, "quality/reading")]
    found += [r["prompt"] for r in rows(root, "privacy/identifiers")]
    return found


@pytest.mark.slow
def test_two_hundred_texts_have_the_likelihood_of_double_precision(
    root: Path, weights: LocalWeights
) -> None:
    """At most 1e-4 nats a text, in two orders, whatever else is asked beside it."""
    from bench.reference import Reference

    if weights.gguf is None:
        raise AssertionError("the embedded model is a GGUF file")
    reference = Reference(as_safetensors(weights.folder, weights.gguf, weights.digest))
    asked = [Loglikelihood(text) for text in texts(root)]
    assert len(asked) == 200
    card = Catalog().candidate(NAME)
    mixed = [*asked, *asked[::3]]
    random.Random(4).shuffle(mixed)  # noqa: S311 - an order, no secret
    with closing(load_adapter(card).open(card.spec, card.file.parent)) as candidate:
        given = zip([*asked, *mixed], candidate.answer(asked + mixed), strict=True)
        apart = zip(asked[:8], [candidate.answer([one])[0] for one in asked[:8]], strict=True)
        answers = [*given, *apart]
    exact = {one: reference.likelihood("", one.continuation) for one in asked}
    for one, answer in answers:
        assert isinstance(answer, Likelihood)
        assert abs(answer.total - exact[one]) <= NATS, one.continuation
