"""The embedded model, asked for real: likelihoods beside a plain loop in double precision."""

import json
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates import load_adapter
from toetssteen.catalog import Catalog
from toetssteen.records import Likelihood, Loglikelihood

NAME = "smollm2-135m-instruct"
# Every token is rounded, and a sentence is their sum.
NATS, NATS_A_TOKEN = 1e-4, 1e-5


def rows(root: Path, name: str) -> Iterator[Mapping[str, Any]]:
    for line in (root / "suites" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def sentences(root: Path) -> list[Loglikelihood]:
    """Return sentences in Dutch and English, each after the one before it in its text."""
    found: dict[str, Loglikelihood] = {}
    for row in (*rows(root, "quality/reading"), *rows(root, "bias/decision_pairs")):
        text = row["text"] if "text" in row else row["prompt"].replace("{name}", row["other"])
        parts = re.findall(r"\S[^.?!]*[.?!]+", text)
        for before, after in pairwise(parts):
            found.setdefault(after, Loglikelihood(f" {after}", context=before))
    return list(found.values())[::6]


@pytest.mark.slow
def test_likelihoods_are_those_of_double_precision_to_rounding(root: Path, embedded: Path) -> None:
    """At most 1e-4 nats, or 1e-5 a token of a long sentence; whatever stands beside, and alone."""
    from bench.reference import Reference

    reference = Reference(embedded)
    asked = sentences(root)
    assert len(asked) >= 30
    card = Catalog().candidate(NAME)
    mixed = [*asked, *asked[::3]]
    random.Random(4).shuffle(mixed)  # noqa: S311 - an order, no secret
    with closing(load_adapter(card).open(card.spec, card.file.parent)) as candidate:
        together = zip([*asked, *mixed], candidate.answer(asked + mixed), strict=True)
        alone = [(one, candidate.answer([one])[0]) for one in asked[::20]]
        given = [*together, *alone]
    exact = {one: reference.likelihood(one.context, one.continuation) for one in asked}
    for one, answer in given:
        assert isinstance(answer, Likelihood)
        assert abs(answer.total - exact[one]) <= max(NATS, NATS_A_TOKEN * answer.tokens), one
