"""A text classifier run by transformers: how probable is each label, which is the likeliest?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from toetssteen.candidates import not_offered
from toetssteen.candidates.engines.budget import each_batch, find_budget, no_room
from toetssteen.candidates.engines.plain import PADDING_TOLERANCE
from toetssteen.candidates.engines.trees import Tokens
from toetssteen.candidates.loading import described, free_memory, load, parameters, room
from toetssteen.candidates.weights import LocalWeights
from toetssteen.errors import CandidateError, did_you_mean
from toetssteen.records import Classification, Classify, Failure, Request, Response
from toetssteen.spec import CandidateSpec

# What torch and transformers make; their types cost a minute to check and say little here.
Model = Any
Tensor = Any


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as the model reads it; some tokenizers say of each token what kind it is."""

    ids: Tokens
    kinds: Tokens = ()


def open_classifier(card: CandidateSpec, weights: LocalWeights) -> "Classifier":
    """Load weights and tokenizer as the card says.

    Raises:
        CandidateError: they cannot be loaded, the model does not choose one label of several, or
            the card's labels are not those of the model.
    """
    folder = weights.folder
    if weights.gguf is not None:
        raise CandidateError(f"{folder}: a classifier is read from safetensors, not from GGUF")
    model, tokenizer = load(folder, card, AutoModelForSequenceClassification)
    _refuse_other_tasks(folder, model)
    labels = _labels(folder, model, card.labels)
    return Classifier(model, tokenizer, labels=labels, card=card, digest=weights.digest)


class Classifier:
    """A text classifier, opened."""

    def __init__(
        self,
        model: Model,
        tokenizer: Model,
        *,
        labels: tuple[str, ...],
        card: CandidateSpec,
        digest: str,
    ) -> None:
        """Wrap a loaded model; use `open_classifier` to load one from a card."""
        self._model = model
        self._tokenizer = tokenizer
        self._labels = labels
        self._card = card
        self._digest = digest
        self._room = room(model, tokenizer, card)
        self._budget = find_budget(model, card.tokens_per_batch, goes_on=False)
        # A model made from a decoder finds the end of a text by the token that fills short rows.
        known = model.config.get_text_config().pad_token_id
        self._pad: int = tokenizer.pad_token_id or 0 if known is None else known
        self._rows = 1 if known is None else card.batch_size
        self._pads = self._rows > 1 and self._padding_is_harmless()

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer every request, in order; one that does not fit the model is a `Failure`."""
        answers: dict[int, Response] = {}
        asked: dict[int, _Text] = {}
        for place, request in enumerate(requests):
            if not isinstance(request, Classify):
                answers[place] = not_offered("a text classifier", request)
                continue
            given = _given(request)
            if isinstance(given, Failure):
                answers[place] = given
                continue
            text = self._encode(given)
            if len(text.ids) > self._room:
                answers[place] = Failure(
                    "too_long", f"needs {len(text.ids)} tokens, the model holds {self._room}"
                )
            else:
                asked[place] = text
        labelled = self._classify(set(asked.values()))
        answers |= {place: labelled[text] for place, text in asked.items()}
        return [answers[place] for place in range(len(requests))]

    def describe(self) -> Mapping[str, str]:
        """Say what answered, down to the versions that could change a digit."""
        return described(
            self._model,
            self._card,
            digest=self._digest,
            parameters=parameters(self._model),
            budget=self._budget,
        ) | {
            "batch_size": str(self._rows),
            "context_length": str(self._room),
            "labels": ", ".join(self._labels),
        }

    def close(self) -> None:
        """Give the memory back."""
        del self._model
        free_memory()

    def _encode(self, text: str) -> _Text:
        encoded = self._tokenizer(text)
        return _Text(tuple(encoded["input_ids"]), tuple(encoded.get("token_type_ids", ())))

    @torch.inference_mode()
    def _classify(self, texts: set[_Text]) -> Mapping[_Text, Classification | Failure]:
        found: dict[_Text, Classification | Failure] = {}

        def work(batch: Sequence[_Text]) -> None:
            rows = self._logits(batch).float().softmax(-1).tolist()
            found.update(zip(batch, map(self._decided, rows), strict=True))

        def give_up(text: _Text) -> None:
            found[text] = no_room(len(text.ids))

        each_batch(self._batches(texts), work, budget=self._budget, give_up=give_up)
        return found

    def _decided(self, row: Sequence[float]) -> Classification | Failure:
        if not all(map(isfinite, row)):
            # The likeliest of numbers that are none would still be a label.
            return Failure("error", "the model gives no finite probability for the labels")
        probabilities = dict(zip(self._labels, row, strict=True))
        return Classification(max(self._labels, key=probabilities.__getitem__), probabilities)

    def _batches(self, texts: set[_Text]) -> Iterator[list[_Text]]:
        """Cut texts into batches of like length; ties in the ids' order, so that runs agree."""
        batch: list[_Text] = []
        for text in sorted(texts, key=lambda text: (-len(text.ids), text.ids)):
            longest = len(batch[0].ids) if batch else 0
            full = len(batch) >= self._rows or (len(batch) + 1) * longest > self._budget.tokens
            if batch and (full or not (self._pads or len(text.ids) == longest)):
                yield batch
                batch = []
            batch.append(text)
        if batch:
            yield batch

    def _logits(self, texts: Sequence[_Text]) -> Tensor:
        width = max(len(text.ids) for text in texts)
        rows = {
            "input_ids": self._filled([text.ids for text in texts], width, self._pad),
            "attention_mask": self._filled([(1,) * len(t.ids) for t in texts], width, 0),
        }
        if texts[0].kinds:
            rows["token_type_ids"] = self._filled([text.kinds for text in texts], width, 0)
        return self._model(**rows).logits

    def _filled(self, rows: Sequence[Tokens], width: int, filler: int) -> Tensor:
        filled = [[*row, *[filler] * (width - len(row))] for row in rows]
        return torch.tensor(filled, device=self._model.device)

    @torch.inference_mode()
    def _padding_is_harmless(self) -> bool:
        long, short = self._encode("a " * 20), self._encode("a a")
        alone = self._logits([short])[0].float()
        beside = self._logits([long, short])[1].float()
        apart = float((alone - beside).abs().max())
        return apart <= PADDING_TOLERANCE[self._model.dtype] * (float(alone.std()) or 1.0)


def _given(request: Classify) -> str | Failure:
    """Return the one text that there is to classify."""
    if set(request.fields) != {"text"}:
        named = ", ".join(request.fields) or "nothing"
        return Failure("error", f"a text classifier reads the field text alone, not {named}")
    text = request.fields["text"]
    if not isinstance(text, str):
        return Failure("error", f"the text to classify should be text, not {text!r}")
    if not text.strip():
        return Failure("error", "the text to classify is empty")
    return text


def _refuse_other_tasks(folder: Path, model: Model) -> None:
    kind = model.config.problem_type
    if kind == "multi_label_classification":
        raise CandidateError(
            f"{folder}: gives several labels at once (multi_label_classification); the adapter "
            "classifier asks for one of several"
        )
    if kind == "regression" or model.config.num_labels < 2:
        raise CandidateError(
            f"{folder}: gives one number (regression) and no labels; the adapter classifier asks "
            "for one label of several"
        )


def _labels(folder: Path, model: Model, renamed: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the names of the classes in the model's order, as the card renames them."""
    own = [str(model.config.id2label[number]) for number in range(model.config.num_labels)]
    if len(set(own)) < len(own):
        raise CandidateError(f"{folder}: config.json gives two labels the same name ({_few(own)})")
    if renamed is None:
        return tuple(own)
    for name in renamed:
        if name not in own:
            near = did_you_mean(name, own)
            raise CandidateError(
                f"{folder}: labels.{name}: is no label of the model, which has {_few(own)}{near}"
            )
    if missing := [name for name in own if name not in renamed]:
        raise CandidateError(
            f"{folder}: labels: the model has {len(own)} labels and the card names "
            f"{len(renamed)}; {_few(missing)} should have a name too"
        )
    new = [renamed[name] for name in own]
    if len(set(new)) < len(new):
        twice = next(name for name in new if new.count(name) > 1)
        both = _few([name for name in own if renamed[name] == twice])
        raise CandidateError(f"{folder}: labels: {both} are renamed to the same, {twice}")
    return tuple(new)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
