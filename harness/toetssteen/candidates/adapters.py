"""The adapters whose libraries are heavy: they say what they can, and import when they open."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from toetssteen import cache
from toetssteen.candidates import Candidate
from toetssteen.candidates.lora import check_lora
from toetssteen.candidates.table_source import TableSource, find_table
from toetssteen.candidates.weights import LocalWeights, locate
from toetssteen.errors import ContentError
from toetssteen.records import Capability, Request, Response
from toetssteen.spec import PACING, CandidateSpec, inside

# Keys of a card that say nothing to others than the adapter they are for.
FOR_OTHERS = ("table", "trusted", "endpoint", "route", "function")
# What weights are loaded and asked with: nothing to who is asked elsewhere.
FOR_WEIGHTS = (
    *("weights", "lora", "dtype", "quantisation", "device", "context_length", "engine"),
    *("attention", "compile", "threads", "tokens_per_batch", "batch_size", "trust_remote_code"),
)
# What a language model reads of a card, and a table model does not.
IDLE_FOR_TABLES = (
    *("system_prompt", "sampling", "context_length", "engine", "attention", "compile"),
    *("lora", "quantisation", "dtype", "device", "tokens_per_batch", "batch_size"),
    *("trust_remote_code", "endpoint", "route", "function"),
)


class _FromWeights:
    """A candidate that is loaded from weights on this machine; `opener` is imported when asked."""

    capabilities: ClassVar[frozenset[Capability]]
    opener: ClassVar[str]  # module:function
    # Keys of a card that would change nothing.
    idle: ClassVar[tuple[str, ...]] = ("labels", "lora", "quantisation")

    def __init__(self) -> None:
        """Begin with nothing found."""
        # An alias may move between the plan and the opening: what was planned is opened.
        self._planned: LocalWeights | None = None

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by."""
        _refuse_idle(card, folder, (*self.idle, *FOR_OTHERS))
        self._planned = _weights(card, folder)
        return self._planned.digest

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Load weights and tokenizer."""
        weights = self._planned or _weights(card, folder)
        candidate = self._load(card, folder, weights)
        return _Registered(candidate, weights.origin) if weights.origin else candidate

    def _load(self, card: CandidateSpec, _folder: Path, weights: LocalWeights) -> Candidate:
        module, _, name = self.opener.partition(":")
        candidate: Candidate = getattr(import_module(module), name)(card, weights)
        return candidate


@dataclass(frozen=True, slots=True)
class _Registered:
    """A candidate from a registry, which also says which version it was."""

    candidate: Candidate
    origin: Mapping[str, str]

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer every request, in order."""
        return self.candidate.answer(requests)

    def describe(self) -> Mapping[str, str]:
        """Say what answered, and what the registry called it."""
        return {**self.candidate.describe(), **self.origin}

    def close(self) -> None:
        """Give back what the candidate holds."""
        self.candidate.close()


class CausalAdapter(_FromWeights):
    """A causal language model, plain or chat-tuned, run by transformers."""

    capabilities = frozenset({Capability.LOGLIKELIHOOD, Capability.GENERATE})
    opener = "toetssteen.candidates.causal:open_causal"
    idle = ("labels",)

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by, with the LoRA on them if there is one.

        Raises:
            ContentError: base or LoRA are not there or are not what the card says.
        """
        digest = super().identify(card, folder)
        if (lora := _lora(card, folder)) is None:
            return digest
        return sha256(f"{digest} lora {lora.digest}".encode()).hexdigest()

    def _load(self, card: CandidateSpec, folder: Path, weights: LocalWeights) -> Candidate:
        """Merge the LoRA into the weights, if there is one."""
        open_causal = import_module("toetssteen.candidates.causal").open_causal
        candidate: Candidate = open_causal(card, weights, lora=_lora(card, folder))
        return candidate


class MaskedAdapter(_FromWeights):
    """A masked language model such as BERT, run by transformers: pseudo-likelihoods."""

    capabilities = frozenset({Capability.LOGLIKELIHOOD})
    opener = "toetssteen.candidates.masked:open_masked"
    idle = ("labels", "sampling", "compile", "engine", "batch_size", "lora", "quantisation")

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by."""
        _refuse_template(card, folder, "a masked model holds no conversations")
        return super().identify(card, folder)


class Seq2SeqAdapter(_FromWeights):
    """An encoder-decoder such as T5 or BART, run by transformers."""

    capabilities = frozenset({Capability.LOGLIKELIHOOD, Capability.GENERATE})
    opener = "toetssteen.candidates.seq2seq:open_seq2seq"
    idle = ("labels", "compile", "engine", "lora", "quantisation")


class ClassifierAdapter(_FromWeights):
    """A text classifier, run by transformers."""

    capabilities = frozenset({Capability.CLASSIFY})
    opener = "toetssteen.candidates.classifier:open_classifier"
    idle = (
        *("chat_template", "system_prompt", "sampling", "compile", "engine"),
        *("lora", "quantisation"),
    )


class TabularAdapter:
    """A model of table rows: ONNX, or scikit-learn and whatever MLflow calls `pyfunc`."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CLASSIFY})

    def __init__(self) -> None:
        """Begin with nothing found."""
        self._planned: TableSource | None = None

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the model is known by."""
        _refuse_template(card, folder, "a table model holds no conversations")
        _refuse_idle(card, folder, IDLE_FOR_TABLES)
        self._planned = find_table(card, folder)
        return self._planned.digest

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Load the model here, or start the process in which its own code runs."""
        source = self._planned or find_table(card, folder)
        candidate: Candidate = import_module("toetssteen.candidates.tabular").open_tabular(
            card, source
        )
        return candidate


@dataclass(frozen=True, slots=True)
class ChatAdapter:
    """A conversation with an OpenAI-compatible service (`/chat/completions`)."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return a digest of address and model: what answers there is not ours to hash."""
        return _identify_endpoint(card, folder)

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Ask the service once, to see that it can do what the card says."""
        candidate: Candidate = _endpoints().open_chat(card, folder)
        return candidate


@dataclass(frozen=True, slots=True)
class CompletionsAdapter:
    """An OpenAI-compatible service that continues texts and echoes how likely they were."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGLIKELIHOOD, Capability.GENERATE}
    )

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return a digest of address and model: what answers there is not ours to hash."""
        return _identify_endpoint(card, folder)

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Ask the service once, to see that it can do what the card says."""
        candidate: Candidate = _endpoints().open_completions(card, folder)
        return candidate


@dataclass(frozen=True, slots=True)
class SystemAdapter:
    """An application as its users meet it: at its HTTP route, or as a Python function."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return a digest of the route as the card has it, or of the function and its file."""
        known: dict[str, object] = {"adapter": card.adapter.name}
        _refuse_what_an_application_decides(card, folder)
        if card.function is not None:
            file = application_file(card, folder)
            known |= {"function": card.function.model_dump(), "sha256": cache.digest(file)}
        elif card.route is not None:
            known["route"] = card.route.model_dump(mode="json", exclude=set(PACING))
        return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Ask the route something small, or load the function."""
        module = import_module("toetssteen.candidates.system")
        make = module.open_route if card.function is None else module.open_function
        candidate: Candidate = make(card, folder)
        return candidate


def application_file(card: CandidateSpec, folder: Path) -> Path:
    """Return the file that a card's function stands in.

    Raises:
        ContentError: there is none, or it lies outside the folder of the card.
    """
    if card.function is None:
        raise ContentError(folder, "function: is required, with file and name")
    file = inside(folder, card.function.file, where=folder)
    if not file.is_file():
        raise ContentError(file, f"no such file; it should define {card.function.name}")
    return file


def _refuse_what_an_application_decides(card: CandidateSpec, folder: Path) -> None:
    if (card.route is None) == (card.function is None):
        raise ContentError(
            folder, "the adapter system needs a route or a function, and not both on one card"
        )
    for name in ("system_prompt", "sampling"):
        if getattr(card, name) is not None:
            raise ContentError(folder, f"{name}: is decided by the application itself")
    _refuse_idle(card, folder, ("labels", "table", "trusted", "endpoint", *FOR_WEIGHTS))
    _refuse_template(card, folder, "is for weights; an application applies its own")


def _refuse_template(card: CandidateSpec, folder: Path, why: str) -> None:
    if card.chat_template:
        raise ContentError(folder, f"chat_template: {why}")


def _refuse_idle(card: CandidateSpec, folder: Path, keys: Iterable[str]) -> None:
    """Refuse a key that would be part of the fingerprint and change no answer."""
    for key in keys:
        if getattr(card, key) != CandidateSpec.model_fields[key].default:
            raise ContentError(
                folder, f"{key}: means nothing to the adapter {card.adapter.name}; leave it out"
            )


def _weights(card: CandidateSpec, folder: Path) -> LocalWeights:
    if card.weights is None:
        raise ContentError(folder, f"weights: is required for the adapter {card.adapter.name}")
    if card.quantisation is not None:
        _need("bitsandbytes", "bits", folder=folder, key="quantisation")
    return locate(card.weights, folder)


def _lora(card: CandidateSpec, folder: Path) -> LocalWeights | None:
    """Return where the LoRA is, if the card has one; what it asks for is read before it runs."""
    if card.lora is None:
        return None
    _need("peft", "lora", folder=folder, key="lora")
    found = locate(card.lora, folder)
    check_lora(found)
    return found


def _need(package: str, extra: str, *, folder: Path, key: str) -> None:
    """Say what to install where a package of an extra is not there."""
    if find_spec(package) is None:
        raise ContentError(
            folder,
            f"{key}: needs {package}, which is not installed here: "
            f"pip install 'toetssteen[{extra}]'",
        )


def _endpoints() -> Any:  # noqa: ANN401 - a module
    return import_module("toetssteen.candidates.openai")


def _identify_endpoint(card: CandidateSpec, folder: Path) -> str:
    if card.endpoint is None:
        raise ContentError(folder, f"endpoint: is required for the adapter {card.adapter.name}")
    _refuse_idle(card, folder, ("labels", "table", "trusted", "route", "function", *FOR_WEIGHTS))
    _refuse_template(card, folder, "is for weights; a service applies its own, or none")
    if card.adapter.name == "completions" and card.endpoint.limit_key != "max_tokens":
        raise ContentError(folder, "endpoint.limit_key: completions know max_tokens only")
    if card.adapter.name == "chat" and card.endpoint.prompt_logprobs:
        raise ContentError(
            folder,
            "endpoint.prompt_logprobs: what a chat template makes of a text cannot be seen; open "
            "the service with the adapter completions",
        )
    if card.sampling is not None and card.sampling.top_k is not None:
        raise ContentError(folder, "sampling.top_k: an OpenAI-compatible service has no top_k")
    known = {"adapter": card.adapter.name, "url": card.endpoint.url, "model": card.endpoint.model}
    return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
