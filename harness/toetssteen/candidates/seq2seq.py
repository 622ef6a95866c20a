"""An encoder-decoder such as T5 or BART run by transformers: it reads a prompt, and answers it.

The encoder reads the conversation and the context; the decoder begins a text of its own, so the
white space that a continuation begins with is left out. What counts are its own
tokens: not the one that every target of a BART begins with, and not the end token. A likelihood
then says how likely an answer *begins* so, as with a causal model.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from transformers import AutoModelForSeq2SeqLM

from toetssteen.candidates import not_offered
from toetssteen.candidates.encoding import Encoder
from toetssteen.candidates.engines.budget import find_budget
from toetssteen.candidates.engines.reading import Scored
from toetssteen.candidates.engines.speaking import (
    Prompt,
    Speaker,
    end_tokens,
    generation,
    not_applied,
)
from toetssteen.candidates.engines.trees import Tokens
from toetssteen.candidates.engines.two_sided import Starts, TwoSided
from toetssteen.candidates.loading import described, free_memory, load, parameters
from toetssteen.candidates.weights import LocalWeights
from toetssteen.errors import CandidateError
from toetssteen.records import Failure, Generate, Loglikelihood, Request, Response
from toetssteen.spec import CandidateSpec

# What torch and transformers make; their types cost a minute to check and say little here.
Model = Any
# T5 was trained on 512 tokens; many of its kind say nowhere how many they hold.
USUAL_ROOM = 512


def open_seq2seq(card: CandidateSpec, weights: LocalWeights) -> "Seq2Seq":
    """Load weights and tokenizer as the card says.

    Raises:
        CandidateError: they cannot be loaded, the card asks for a chat template that the
            tokenizer does not have, an answer has no known beginning, or a trial fails.
    """
    folder = weights.folder
    if weights.gguf is not None:
        raise CandidateError(f"{folder}: an encoder-decoder is read from safetensors, not GGUF")
    model, tokenizer = load(folder, card, AutoModelForSeq2SeqLM)
    if card.chat_template and not tokenizer.chat_template:
        raise CandidateError(
            f"{folder}: the card says chat_template: true, but the tokenizer has none; set it to "
            "false"
        )
    if hasattr(tokenizer, "src_lang"):
        # mBART, NLLB: without the right language token they answer in another language.
        raise CandidateError(
            f"{folder}: translates between languages that a card cannot name (src_lang); such "
            "models are not supported"
        )
    if _start_token(model) is None:
        raise CandidateError(
            f"{folder}: config.json names no decoder_start_token_id, with which answers begin"
        )
    return Seq2Seq(model, tokenizer, card=card, digest=weights.digest)


class Seq2Seq:
    """An encoder-decoder, opened."""

    def __init__(
        self, model: Model, tokenizer: Model, *, card: CandidateSpec, digest: str
    ) -> None:
        """Wrap a loaded model; use `open_seq2seq` to load one from a card."""
        self._model = model
        self._tokenizer = tokenizer
        self._card = card
        self._digest = digest
        self._encoder = Encoder(tokenizer, card)
        self._ends = end_tokens(model, tokenizer)
        self._read_room, self._said_room = _rooms(model, tokenizer, card)
        self._starts = _starts(model, tokenizer)
        self._budget = find_budget(model.get_encoder(), card.tokens_per_batch, goes_on=False)
        self._engine = TwoSided(
            model, self._budget, rows=card.batch_size, pad=tokenizer.pad_token_id or 0
        )

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer every request, in order; one that does not fit the model is a `Failure`."""
        answers = self._score({i: r for i, r in enumerate(requests) if r.kind == "loglikelihood"})
        answers |= self._say({i: r for i, r in enumerate(requests) if r.kind == "generate"})
        return [
            answers.get(place) or not_offered("an encoder-decoder", request)
            for place, request in enumerate(requests)
        ]

    def describe(self) -> Mapping[str, str]:
        """Say what answered, down to the versions that could change a digit."""
        template = self._tokenizer.chat_template or ""
        said = described(
            self._model,
            self._card,
            digest=self._digest,
            parameters=parameters(self._model),
            budget=self._budget,
        )
        said |= {
            "engine": "two-sided" + ("" if self._engine.pads else "; rows of one length"),
            "batch_size": str(self._card.batch_size),
            "context_length": str(self._read_room),
            "answer_length": str(self._said_room),
            "chat_template": "yes" if self._card.chat_template else "no",
            "chat_template_sha256": sha256(str(template).encode()).hexdigest(),
        }
        if warnings := list(self._warnings()):
            said["warning"] = "; ".join(warnings)
        return said

    def close(self) -> None:
        """Give the memory back."""
        del self._model, self._engine
        free_memory()

    def _score(self, requests: Mapping[int, Loglikelihood]) -> dict[int, Response]:
        answers: dict[int, Response] = {}
        asked: dict[int, Scored] = {}
        read = self._encoder.prompts([_prompt(request) for request in requests.values()])
        targets = self._targets([request.continuation for request in requests.values()])
        for (place, request), prompt, target in zip(requests.items(), read, targets, strict=True):
            if request.after or request.shared_with:
                answers[place] = Failure("error", "an encoder-decoder cannot read ahead")
            elif not target:
                answers[place] = Failure("error", "the continuation has no tokens")
            elif (
                long := self._too_long(prompt, len(self._starts.read) + len(target))
            ) is not None:
                answers[place] = long
            else:
                asked[place] = Scored(prompt.tokens, target, request.per_token)
        results = self._engine.score(list(asked.values()), self._starts.read)
        return answers | {place: results[scored] for place, scored in asked.items()}

    def _say(self, requests: Mapping[int, Generate]) -> dict[int, Response]:
        answers: dict[int, Response] = {}
        asked: dict[Prompt, list[int]] = {}  # who asks the same is answered once
        encoded = self._encoder.prompts(list(requests.values()))
        for place, prompt in zip(requests, encoded, strict=True):
            if prompt.max_tokens < 1:
                answers[place] = Failure("error", "max_tokens should be at least 1")
            elif (
                long := self._too_long(prompt, len(self._starts.said) + prompt.max_tokens)
            ) is not None:
                answers[place] = long
            else:
                asked.setdefault(prompt, []).append(place)
        speakers = [Speaker(prompt, self._ends, self._decode) for prompt in asked]
        failed = self._engine.say(speakers, self._starts.said)
        for number, (speaker, places) in enumerate(zip(speakers, asked.values(), strict=True)):
            said = failed.get(number) or generation(speaker)
            answers.update(dict.fromkeys(places, said))
        return answers

    def _targets(self, continuations: Sequence[str]) -> list[Tokens]:
        """Return each text as an answer, without the tokens that begin and end all of them."""
        if not continuations:
            return []
        texts = [text.lstrip() for text in continuations]
        encoded = self._tokenizer(text_target=texts, add_special_tokens=False)
        return [tuple(ids) for ids in encoded["input_ids"]]

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _too_long(self, prompt: Prompt, said: int) -> Failure | None:
        read = len(prompt.tokens)
        if read > self._read_room:
            return Failure("too_long", f"needs {read} tokens, the encoder holds {self._read_room}")
        if said > self._said_room:
            return Failure("too_long", f"needs {said} tokens, the decoder holds {self._said_room}")
        return None

    def _warnings(self) -> Iterator[str]:
        if self._tokenizer.chat_template and not self._card.chat_template:
            yield "the tokenizer has a chat template, but the card says chat_template: false"
        yield from not_applied(self._model)


def _prompt(request: Loglikelihood) -> Generate:
    """Return what is asked to be said where a likelihood is asked: both read the same."""
    return Generate(request.messages, max_tokens=1, context=request.context)


def _start_token(model: Model) -> int | None:
    """Return the token before an answer: the one for decoders, else the one for any text."""
    for name in ("decoder_start_token_id", "bos_token_id"):
        for settings in (model.generation_config, model.config):
            token: int | None = getattr(settings, name, None)
            if token is not None:
                return token
    return None


def _starts(model: Model, tokenizer: Model) -> Starts:
    """Return what the decoder is given before a first token.

    BART was trained on targets that begin with a token of their own; a T5 has none. In a
    generation the model says that token itself, unless its settings force it, as in transformers.
    """
    start = (_start_token(model) or 0,)
    forced = model.generation_config.forced_bos_token_id
    said = start if forced is None else (*start, forced)
    with_marks = tokenizer(text_target="a")["input_ids"]
    bare = tokenizer(text_target="a", add_special_tokens=False)["input_ids"]
    marks = tuple(with_marks[: _found(bare, with_marks)])
    return Starts(read=(*start, *marks) if marks else said, said=said)


def _found(part: Sequence[int], whole: Sequence[int]) -> int:
    """Return where a part begins in the whole; it is there."""
    ends = range(len(whole) - len(part) + 1)
    return next(at for at in ends if list(whole[at : at + len(part)]) == list(part))


def _rooms(model: Model, tokenizer: Model, card: CandidateSpec) -> tuple[int, int]:
    """Return how many tokens encoder and decoder hold.

    Learned positions end somewhere. What a tokenizer says is what the model was trained on, and
    positions that only count distances go on behind it: there the card may ask for more.
    """
    said = tokenizer.model_max_length
    wanted = card.context_length or (said if said < 10**9 else None)
    rooms = []
    for side in ("encoder", "decoder"):
        own = getattr(model.config, side, model.config)
        held = getattr(own, f"max_{side}_position_embeddings", None) or getattr(
            own, "max_position_embeddings", None
        )
        rooms.append(min(filter(None, (wanted, held)), default=USUAL_ROOM))
    return rooms[0], rooms[1]
