"""A masked language model run by transformers: how well does it know each word from the others?

The pseudo-log-likelihood of a text masks one token at a time and adds up how likely the model
finds it, all other tokens in sight: Salazar et al., Masked Language Model Scoring, ACL 2020,
equation 1. It is no probability of the text; two texts are only compared where they differ little.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import fsum
from typing import Any

import torch
from transformers import AutoModelForMaskedLM

from toetssteen.candidates import not_offered
from toetssteen.candidates.engines.budget import Budget, each_batch, find_budget, no_room
from toetssteen.candidates.engines.reading import Read, read_tokens
from toetssteen.candidates.loading import described, free_memory, load, parameters, room
from toetssteen.candidates.weights import LocalWeights
from toetssteen.errors import CandidateError
from toetssteen.records import Failure, Likelihood, Loglikelihood, Request, Response
from toetssteen.spec import CandidateSpec

Model = Any
Tensor = Any


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as the model reads it, and which of its tokens count."""

    ids: tuple[int, ...]
    places: tuple[int, ...]
    before: int  # tokens of the context
    per_token: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A text with one token masked."""

    text: _Text
    place: int


def open_masked(card: CandidateSpec, weights: LocalWeights) -> "Masked":
    """Load weights and tokenizer as the card says.

    Raises:
        CandidateError: they cannot be loaded, or the tokenizer cannot mask or tell where its
            tokens stand in the text.
    """
    folder = weights.folder
    if weights.gguf is not None:
        raise CandidateError(f"{folder}: a masked model is read from safetensors, not from GGUF")
    model, tokenizer = load(folder, card, AutoModelForMaskedLM)
    if tokenizer.mask_token_id is None:
        raise CandidateError(f"{folder}: the tokenizer has no mask token; is this a masked model?")
    if not tokenizer.is_fast:
        raise CandidateError(f"{folder}: the tokenizer does not tell where its tokens stand")
    return Masked(model, tokenizer, card=card, digest=weights.digest)


class Masked:
    """A masked language model, opened."""

    def __init__(
        self, model: Model, tokenizer: Model, *, card: CandidateSpec, digest: str
    ) -> None:
        """Wrap a loaded model; use `open_masked` to load one from a card."""
        self._model = model
        self._tokenizer = tokenizer
        self._card = card
        self._digest = digest
        self._pad: int = tokenizer.pad_token_id or 0
        self._room = room(model, tokenizer, card)
        self._budget: Budget = find_budget(model, card.tokens_per_batch)

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer every request, in order; one that does not fit the model is a `Failure`."""
        answers: dict[int, Response] = {}
        asked: dict[int, _Text] = {}
        for place, request in enumerate(requests):
            if not isinstance(request, Loglikelihood):
                answers[place] = not_offered("a masked model", request)
                continue
            text = self._encode(request)
            if len(text.ids) > self._room:
                answers[place] = Failure(
                    "too_long", f"needs {len(text.ids)} tokens, the model holds {self._room}"
                )
            elif not text.places:
                answers[place] = Failure("error", "no token of the continuation counts")
            else:
                asked[place] = text
        scored = self._score(list(dict.fromkeys(asked.values())))
        answers |= {place: scored[text] for place, text in asked.items()}
        return [answers[place] for place in range(len(requests))]

    def describe(self) -> Mapping[str, str]:
        """Say what answered, down to the versions that could change a digit."""
        return described(
            self._model,
            self._card,
            digest=self._digest,
            parameters=parameters(self._model),
            budget=self._budget,
        ) | {"context_length": str(self._room)}

    def close(self) -> None:
        """Give the memory back."""
        del self._model
        free_memory()

    def _encode(self, request: Loglikelihood) -> _Text:
        """Encode the whole text once; the tokens that begin in the continuation count.

        White space between context and continuation goes with the continuation, as in
        `encoding.py`.
        """
        turns = [message.content for message in request.messages]
        if turns and self._card.system_prompt is not None:
            turns.insert(0, self._card.system_prompt)
        given = "".join(turn + "\n\n" for turn in turns) + request.context
        start = len(given.rstrip())
        until = len(given) + len(request.continuation)
        whole = given + request.continuation + request.after
        encoded = self._tokenizer(whole, return_offsets_mapping=True)
        ids = tuple(encoded["input_ids"])
        spans = [tuple(span) for span in encoded["offset_mapping"]]
        real = [place for place, (first, end) in enumerate(spans) if end > first]
        places = [p for p in real if start <= spans[p][0] < until]
        if request.shared_with:
            shared = self._shared(ids, request.shared_with)
            places = [p for p in places if p in shared]
        before = sum(spans[p][0] < start for p in real)
        return _Text(ids, tuple(places), before, request.per_token)

    def _shared(self, ids: tuple[int, ...], other: str) -> set[int]:
        """Return the places of the tokens that another text has too, in the same order.

        By difflib, as the authors of CrowS-Pairs do it.
        """
        others = tuple(self._tokenizer(other)["input_ids"])
        blocks = SequenceMatcher(None, ids, others).get_matching_blocks()
        return {place for block in blocks for place in range(block.a, block.a + block.size)}

    @torch.inference_mode()
    def _score(self, texts: Sequence[_Text]) -> Mapping[_Text, Likelihood | Failure]:
        found: dict[_Text, dict[int, Read]] = {text: {} for text in texts}
        lost: dict[_Text, Failure] = {}

        def work(rows: Sequence[_Row]) -> None:
            for row, read in zip(rows, self._read(rows), strict=True):
                found[row.text][row.place] = read

        def give_up(row: _Row) -> None:
            lost[row.text] = no_room(len(row.text.ids))

        each_batch(self._batches(texts), work, budget=self._budget, give_up=give_up)
        return {text: lost.get(text) or _likelihood(text, read) for text, read in found.items()}

    def _batches(self, texts: Sequence[_Text]) -> Iterator[list[_Row]]:
        """Give rows of like length together, no more tokens than the budget, padding included."""
        batch: list[_Row] = []
        for text in sorted(texts, key=lambda text: (-len(text.ids), text.ids)):
            for place in text.places:
                width = len(batch[0].text.ids) if batch else 0
                if batch and width * (len(batch) + 1) > self._budget.tokens:
                    yield batch
                    batch = []
                batch.append(_Row(text, place))
        if batch:
            yield batch

    def _read(self, rows: Sequence[_Row]) -> list[Read]:
        width = max(len(row.text.ids) for row in rows)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row.text.ids)] = torch.tensor(row.text.ids)
            mask[i, : len(row.text.ids)] = 1
        places = torch.tensor([row.place for row in rows])
        each = torch.arange(len(rows))
        targets = ids[each, places].clone()
        ids[each, places] = self._tokenizer.mask_token_id
        device = self._model.device
        logits = self._model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits[
            each.to(device), places.to(device)
        ]
        per_token = any(row.text.per_token for row in rows)
        return read_tokens(logits, each.to(device), targets.to(device), per_token=per_token)


def _likelihood(text: _Text, read: Mapping[int, Read]) -> Likelihood:
    each = [read[place] for place in text.places]
    return Likelihood(
        total=fsum(one.logprob for one in each),
        tokens=len(each),
        prompt_tokens=text.before,
        greedy=all(one.likeliest for one in each),
        per_token=tuple(one.statistics for one in each if text.per_token and one.statistics),
        pseudo=True,
    )
