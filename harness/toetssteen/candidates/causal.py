"""A causal language model run by transformers: likelihood and generation, in batches.

What is asked becomes tokens here (`encoding.py`); an engine computes them. `packed.py` is the fast
one, `plain.py` the one that every model can carry, and the reference.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol

from transformers import AutoModelForCausalLM

from toetssteen.candidates import gguf, not_offered, one_for_all
from toetssteen.candidates.encoding import Encoder
from toetssteen.candidates.engines.attention import CannotPackError
from toetssteen.candidates.engines.budget import Budget, find_budget
from toetssteen.candidates.engines.matrices import say_how
from toetssteen.candidates.engines.packing import pack
from toetssteen.candidates.engines.plain import Plain
from toetssteen.candidates.engines.reading import Scored
from toetssteen.candidates.engines.speaking import (
    Prompt,
    Speaker,
    end_tokens,
    generation,
    not_applied,
)
from toetssteen.candidates.loading import described, free_memory, load, parameters
from toetssteen.candidates.lora import brings_a_tokenizer
from toetssteen.candidates.weights import LocalWeights
from toetssteen.errors import CandidateError
from toetssteen.records import (
    Failure,
    Generate,
    Likelihood,
    Loglikelihood,
    Request,
    Response,
)
from toetssteen.spec import CandidateSpec

# What torch and transformers make; their types cost a minute to check and say little here.
Model = Any


class Engine(Protocol):
    """Computes what was asked, as tokens."""

    def score(self, asked: Sequence[Scored], /) -> Mapping[Scored, Likelihood | Failure]:
        """Return the likelihood of every continuation."""
        ...

    def say(self, speakers: Sequence[Speaker], /) -> Mapping[int, Failure]:
        """Let every speaker finish; return those, by place, that could not."""
        ...


def open_causal(
    card: CandidateSpec, weights: LocalWeights, *, lora: LocalWeights | None = None
) -> "Causal":
    """Load weights and tokenizer as the card says, and merge the LoRA into them.

    Raises:
        CandidateError: they cannot be loaded, the LoRA does not fit, or the card asks for a chat
            template that the tokenizer does not have.
    """
    folder = weights.folder
    if weights.gguf is not None:
        folder = gguf.as_safetensors(folder, weights.gguf, weights.digest)
    model, tokenizer = load(folder, card, AutoModelForCausalLM)
    if lora is not None:
        # Only here is peft needed, which not everybody has.
        merging = import_module("toetssteen.candidates.merging")
        model = merging.merge(model, lora.folder)
    if card.compile:
        model.get_decoder().compile(dynamic=True)
    if card.chat_template and not tokenizer.chat_template:
        raise CandidateError(
            f"{folder}: the card says chat_template: true, but the tokenizer has none; set it to "
            "false, or use the weights of the chat-tuned model"
        )
    return Causal(model, tokenizer, card=card, digest=weights.digest, lora=lora)


class Causal:
    """A causal language model, opened."""

    def __init__(
        self,
        model: Model,
        tokenizer: Model,
        *,
        card: CandidateSpec,
        digest: str,
        lora: LocalWeights | None = None,
    ) -> None:
        """Wrap a loaded model; use `open_causal` to load one from a card."""
        self._model = model
        self._tokenizer = tokenizer
        self._card = card
        self._digest = digest
        self._lora = lora
        self._encoder = Encoder(tokenizer, card)
        self._ends = end_tokens(model, tokenizer)
        known = getattr(model.config, "max_position_embeddings", None)
        # A card may ask for less than the model can; more would be made up.
        self._room: int = min(filter(None, (card.context_length, known)), default=2048)
        # Before matrices are laid out otherwise: then they are no parameters any more.
        self._parameters = parameters(model)
        self._budget = find_budget(model, card.tokens_per_batch)
        self._engine, self._engine_name = _engine(model, tokenizer, card, self._budget)

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer every request, in order; one that does not fit the context is a `Failure`."""
        answers = self._score({i: r for i, r in enumerate(requests) if r.kind == "loglikelihood"})
        answers |= self._say({i: r for i, r in enumerate(requests) if r.kind == "generate"})
        return [
            answers.get(place) or not_offered("a language model", request)
            for place, request in enumerate(requests)
        ]

    def describe(self) -> Mapping[str, str]:
        """Say what answered, down to the versions that could change a digit."""
        template = self._tokenizer.chat_template or ""
        said = described(
            self._model,
            self._card,
            digest=self._digest,
            parameters=self._parameters,
            budget=self._budget,
        )
        said |= {
            "engine": self._engine_name,
            "matrices": say_how(self._model),
            "batch_size": str(self._card.batch_size),
            "compiled": "yes" if self._card.compile else "no",
            "context_length": str(self._room),
            "chat_template": self._template(),
            "chat_template_sha256": sha256(str(template).encode()).hexdigest(),
        }
        if self._lora is not None:
            said |= {"lora_sha256": self._lora.digest, "peft": version("peft")}
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
        encoded = self._encoder.likelihoods(list(requests.values()))
        for place, tokens in zip(requests, encoded, strict=True):
            length = len(tokens.context) + len(tokens.continuation)
            request = requests[place]
            if request.after or request.shared_with:
                answers[place] = Failure("error", "a causal model cannot read ahead")
            elif not tokens.continuation:
                answers[place] = Failure("error", "the continuation has no tokens")
            elif length > self._room:
                answers[place] = self._too_long(length)
            else:
                asked[place] = tokens
        results = self._engine.score(list(asked.values()))
        return answers | {place: results[tokens] for place, tokens in asked.items()}

    def _say(self, requests: Mapping[int, Generate]) -> dict[int, Response]:
        answers: dict[int, Response] = {}
        asked: dict[Prompt, list[int]] = {}  # who asks the same is answered once
        encoded = self._encoder.prompts(list(requests.values()))
        for place, prompt in zip(requests, encoded, strict=True):
            length = len(prompt.tokens) + prompt.max_tokens
            if refused := one_for_all(requests[place]):
                answers[place] = refused
            elif prompt.max_tokens < 1:
                answers[place] = Failure("error", "max_tokens should be at least 1")
            elif length > self._room:
                answers[place] = self._too_long(length)
            else:
                asked.setdefault(prompt, []).append(place)
        speakers = [Speaker(prompt, self._ends, self._decode) for prompt in asked]
        failed = self._engine.say(speakers)
        for number, (speaker, places) in enumerate(zip(speakers, asked.values(), strict=True)):
            said = failed.get(number) or generation(speaker)
            answers.update(dict.fromkeys(places, said))
        return answers

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _too_long(self, length: int) -> Failure:
        return Failure("too_long", f"needs {length} tokens, the context holds {self._room}")

    def _template(self) -> str:
        if self._card.chat_template:
            return "yes"
        return "unused" if self._tokenizer.chat_template else "no"

    def _warnings(self) -> Iterator[str]:
        if self._template() == "unused":
            yield "the tokenizer has a chat template, but the card says chat_template: false"
        if self._lora is not None and brings_a_tokenizer(self._lora.folder):
            yield "the LoRA brings a tokenizer of its own, which is not used: the base's is"
        yield from not_applied(self._model)


def _engine(
    model: Model, tokenizer: Model, card: CandidateSpec, budget: Budget
) -> tuple[Engine, str]:
    """Return the fastest engine that the card allows and the model can carry, and its name."""
    why = "as the card says"
    if card.quantisation is not None:
        # bitsandbytes rounds what is computed side by side together, and on some processors to
        # half precision: a likelihood then moved by 0.1 nats with the company it was in.
        alone = Plain(model, budget, rows=1, pad=tokenizer.pad_token_id or 0)
        return alone, "plain (quantised: one row at a time)"
    if card.engine == "auto":
        try:
            packed = pack(model, budget, rows=card.batch_size, compiled=card.compile)
        except CannotPackError as error:
            why = str(error)
        else:
            return packed, "packed"
    plain = Plain(model, budget, rows=card.batch_size, pad=tokenizer.pad_token_id or 0)
    lengths = "" if plain.pads else "; rows of one length at a time"
    return plain, f"plain ({why}{lengths})"
