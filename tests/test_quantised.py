"""Weights in eight or four bits: computed so, said so, and refused with one line where not."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates import Candidate
from toetssteen.candidates.adapters import CausalAdapter, MaskedAdapter
from toetssteen.catalog import Card
from toetssteen.errors import ContentError
from toetssteen.records import Generate, Generation, Likelihood, Loglikelihood, Message
from toetssteen.run.plan import make_plan
from toetssteen.spec import CandidateSpec, parse

ASKED = [
    Loglikelihood("De gemeente beslist op uw bezwaar."),
    Loglikelihood("Ja", messages=(Message("user", "Beslist de gemeente?"),)),
]


def card(folder: Path, **settings: Any) -> CandidateSpec:
    raw = {
        "title": "Tiny",
        "adapter": {"name": "causal"},
        "weights": {"source": "path", "path": str(folder)},
        "licence": "EUPL-1.2",
        "chat_template": True,
    }
    return parse(CandidateSpec, raw | settings, "tiny.yaml")


def opened(folder: Path, **settings: Any) -> Candidate:
    return CausalAdapter().open(card(folder, **settings), folder)


def totals(candidate: Candidate) -> list[float]:
    return [a.total for a in candidate.answer(ASKED) if isinstance(a, Likelihood)]


@pytest.fixture(scope="module")
def wide(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny Llama with wider layers: in four bits 64 numbers share a scale."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("wide") / "llama"
    shutil.copytree(tiny_model, folder)
    config = AutoConfig.from_pretrained(tiny_model)
    config.hidden_size, config.intermediate_size, config.head_dim = 64, 128, 16
    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_quantised_weights_answer_a_little_otherwise_and_say_how(bits: str, wide: Path) -> None:
    """Rounded weights give rounded answers: near those of whole weights, and never the same."""
    version = pytest.importorskip(
        "bitsandbytes", reason="bitsandbytes is not installed: pip install 'toetssteen[bits]'"
    ).__version__
    candidate = opened(wide, quantisation=bits)
    said = candidate.describe()
    assert said["quantisation"] == f"{bits} by bitsandbytes {version}"
    whole = opened(wide, engine="plain")
    assert said["parameters"] == whole.describe()["parameters"]
    assert whole.describe()["quantisation"] == "none at loading"
    assert totals(candidate) != totals(whole)
    assert totals(candidate) == pytest.approx(totals(whole), rel=0.3)
    (answer,) = candidate.answer([Generate((Message("user", "Ja?"),), 4)])
    assert isinstance(answer, Generation)
    # In company and alone: rows are computed one by one, or a neighbour would round them.
    alone = [t.total for r in ASKED if isinstance(t := candidate.answer([r])[0], Likelihood)]
    assert totals(candidate) == pytest.approx(alone, abs=1e-4)
    assert said["engine"] == "plain (quantised: one row at a time)"


def test_where_bitsandbytes_is_not_installed_the_plan_says_what_to_install(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ContentError) as caught:
        CausalAdapter().identify(card(tiny_model, quantisation="4bit"), tiny_model)
    assert str(caught.value) == (
        f"{tiny_model}: quantisation: needs bitsandbytes, which is not installed here: "
        "pip install 'toetssteen[bits]'"
    )


def test_quantised_weights_are_another_candidate(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same digest, and another fingerprint: answers are never taken for each other's."""
    monkeypatch.setattr("toetssteen.candidates.adapters.find_spec", lambda _: True)
    plans = [
        make_plan(Card("tiny", tiny_model / "tiny.yaml", card(tiny_model, **settings)), [], seed=1)
        for settings in ({}, {"quantisation": "8bit"}, {"quantisation": "4bit"})
    ]
    assert len({plan.identity for plan in plans}) == 1
    assert len({plan.fingerprint for plan in plans}) == 3


def test_what_cannot_be_quantised_is_refused() -> None:
    with pytest.raises(ContentError, match="quantisation: needs weights to stand on"):
        card(Path(), weights=None, quantisation="8bit")
    masked = card(Path(), adapter={"name": "masked"}, chat_template=False, quantisation="8bit")
    with pytest.raises(ContentError, match="quantisation: means nothing to the adapter masked"):
        MaskedAdapter().identify(masked, Path())
    with pytest.raises(ContentError, match="quantisation: cannot be joined with lora"):
        card(Path(), lora={"source": "path", "path": "."}, quantisation="4bit")
    with pytest.raises(ContentError, match="quantisation: should be '8bit' or '4bit', not '2bit'"):
        card(Path(), quantisation="2bit")
