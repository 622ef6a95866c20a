"""Masked models: every token with all others in sight, and the shared ones of two sentences."""

from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates import Candidate
from toetssteen.candidates.adapters import MaskedAdapter
from toetssteen.errors import CandidateError, ContentError
from toetssteen.records import Failure, Generate, Likelihood, Loglikelihood, Message
from toetssteen.spec import CandidateSpec, parse

TEXTS = (
    "De baas belt zijn secretaresse.",
    "De bazin belt haar secretaresse.",
    "De gemeente beslist binnen acht weken op uw bezwaar.",
    "Mijn buurman komt uit Zwolle en mijn buurvrouw uit Rabat.",
)


def card(folder: Path, **settings: Any) -> CandidateSpec:
    raw = {
        "title": "Tiny BERT",
        "adapter": {"name": "masked"},
        "licence": "EUPL-1.2",
        "weights": {"source": "path", "path": str(folder)},
    }
    return parse(CandidateSpec, raw | settings, "bert.yaml")


def opened(folder: Path, **settings: Any) -> Candidate:
    return MaskedAdapter().open(card(folder, **settings), folder)


def by_hand(folder: Path, text: str, wanted: list[int] | None = None) -> float:
    """Mask one token at a time, one row at a time, in double precision."""
    import torch
    from transformers import AutoTokenizer, BertForMaskedLM

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertForMaskedLM.from_pretrained(folder, dtype=torch.float64).eval()
    ids = tokenizer(text, return_tensors="pt").input_ids
    places = range(1, ids.shape[1] - 1) if wanted is None else wanted
    total = 0.0
    with torch.inference_mode():
        for place in places:
            hidden = ids.clone()
            hidden[0, place] = tokenizer.mask_token_id
            logits = model(input_ids=hidden).logits[0, place]
            total += float(logits.log_softmax(-1)[ids[0, place]])
    return total


@pytest.mark.parametrize("tokens", [16, 64, None])
def test_a_pseudo_likelihood_equals_the_loop(tiny_bert: Path, tokens: int | None) -> None:
    candidate = opened(tiny_bert, tokens_per_batch=tokens)
    answers = candidate.answer([Loglikelihood(text) for text in TEXTS])
    for text, answer in zip(TEXTS, answers, strict=True):
        assert isinstance(answer, Likelihood)
        assert answer.total == pytest.approx(by_hand(tiny_bert, text), abs=1e-5)
        assert answer.pseudo


def test_crows_pairs_counts_what_both_sentences_share(tiny_bert: Path) -> None:
    """Nangia et al. (2020), equation 1: the sum over the unmodified tokens, all else in sight.

    Of the two sentences about a boss, "De", "belt", "secretaresse" and "." are shared, with the
    marks at both ends, which are no words and do not count.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    man, woman = TEXTS[:2]
    ids = tokenizer(man).input_ids
    words = tokenizer.convert_ids_to_tokens(ids)
    shared = [i for i, word in enumerate(words) if word in {"De", "belt", "secretaresse", "."}]
    assert len(shared) == 4, words
    (answer,) = opened(tiny_bert).answer([Loglikelihood(man, shared_with=woman)])
    assert isinstance(answer, Likelihood)
    assert answer.tokens == 4
    assert answer.total == pytest.approx(by_hand(tiny_bert, man, shared), abs=1e-5)


def test_a_word_is_read_between_what_stands_before_and_after_it(tiny_bert: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    text = TEXTS[0]
    place = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids).index("belt")
    (answer,) = opened(tiny_bert).answer(
        [Loglikelihood(" belt", context="De baas", after=" zijn secretaresse.")]
    )
    assert isinstance(answer, Likelihood)
    assert answer.total == pytest.approx(by_hand(tiny_bert, text, [place]), abs=1e-5)
    assert (answer.tokens, answer.prompt_tokens) == (1, place - 1)


def test_alternatives_of_several_tokens_fill_a_slot(tiny_bert: Path) -> None:
    """Each alternative counts its own tokens, one at a time, with its neighbours in sight."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    before, after = "Mijn buurman komt uit", " en mijn buurvrouw uit Rabat."
    slots = (" Zwolle", " de gemeente Zwolle", " Zwolle, uw gemeente")
    asked = [Loglikelihood(slot, context=before, after=after) for slot in slots]
    for slot, answer in zip(slots, opened(tiny_bert).answer(asked), strict=True):
        start = len(tokenizer(before).input_ids) - 1
        places = list(range(start, start + len(tokenizer(slot).input_ids) - 2))
        assert isinstance(answer, Likelihood)
        assert answer.tokens == len(places)
        assert answer.total == pytest.approx(
            by_hand(tiny_bert, before + slot + after, places), abs=1e-5
        )
        assert answer.prompt_tokens == start - 1
    assert len(tokenizer(slots[2]).input_ids) > len(tokenizer(slots[0]).input_ids) + 2


def test_a_model_that_overflows_gives_a_number_that_the_run_refuses(tiny_bert: Path) -> None:
    """No likelihood is made up; what is not finite becomes a failure when it is kept."""
    broken: Any = opened(tiny_bert)
    broken._model.get_input_embeddings().weight.data.fill_(float("nan"))
    (answer,) = broken.answer([Loglikelihood(TEXTS[0])])
    assert answer.total != answer.total  # NaN is not equal to itself


def test_statistics_per_token_add_up(tiny_bert: Path) -> None:
    (answer,) = opened(tiny_bert).answer([Loglikelihood(TEXTS[2], per_token=True)])
    assert isinstance(answer, Likelihood)
    assert len(answer.per_token) == answer.tokens
    assert sum(t.logprob for t in answer.per_token) == pytest.approx(answer.total)


def test_what_a_masked_model_cannot_is_a_failure_in_its_place(tiny_bert: Path) -> None:
    asked = [
        Loglikelihood("De gemeente " * 40),
        Generate((Message("user", "Ja?"),), 4),
        Loglikelihood(""),
        Loglikelihood(TEXTS[0]),
    ]
    long, spoken, empty, fine = opened(tiny_bert).answer(asked)
    assert isinstance(long, Failure)
    assert long.why == "too_long"
    assert long.reason.endswith("the model holds 48")
    assert spoken == Failure("error", "a masked model answers no generate request")
    assert empty == Failure("error", "no token of the continuation counts")
    assert isinstance(fine, Likelihood)


def test_a_card_that_asks_for_what_is_not_there(tiny_bert: Path, tiny_model: Path) -> None:
    with pytest.raises(CandidateError, match=r"cannot be loaded|has no mask token"):
        opened(tiny_model)
    with pytest.raises(ContentError, match="holds no conversations"):
        MaskedAdapter().identify(card(tiny_bert, chat_template=True), tiny_bert)
    described = opened(tiny_bert).describe()
    assert (described["adapter"], described["architecture"]) == ("masked", "BertForMaskedLM")


def test_a_causal_model_does_not_read_ahead(tiny_model: Path) -> None:
    from toetssteen.candidates.adapters import CausalAdapter

    raw = card(tiny_model).model_copy(update={"adapter": card(tiny_model).adapter})
    (answer,) = CausalAdapter().open(raw, tiny_model).answer([Loglikelihood("Ja", after=" nee")])
    assert answer == Failure("error", "a causal model cannot read ahead")
