"""The adapters whose libraries are heavy: they say what they can, and import when they open."""

import json
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from toetssteen.candidates import Candidate
from toetssteen.candidates.lora import check_lora
from toetssteen.candidates.weights import LocalWeights, locate
from toetssteen.errors import ContentError
from toetssteen.records import Capability
from toetssteen.spec import CandidateSpec


class _FromWeights:
    """A candidate that is loaded from weights on this machine; `opener` is imported when asked."""

    capabilities: ClassVar[frozenset[Capability]]
    opener: ClassVar[str]  # module:function

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by."""
        for key in ("lora", "quantisation"):
            if getattr(card, key) is not None:
                raise ContentError(folder, f"{key}: the adapter {card.adapter.name} takes none")
        return _weights(card, folder).digest

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Load weights and tokenizer."""
        module, _, name = self.opener.partition(":")
        candidate: Candidate = getattr(import_module(module), name)(card, _weights(card, folder))
        return candidate


class CausalAdapter(_FromWeights):
    """A causal language model, plain or chat-tuned, run by transformers."""

    capabilities = frozenset({Capability.LOGLIKELIHOOD, Capability.GENERATE})
    opener = "toetssteen.candidates.causal:open_causal"

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by, with the LoRA on them if there is one.

        Raises:
            ContentError: base or LoRA are not there or are not what the card says.
        """
        weights = _weights(card, folder)
        if (lora := _lora(card, folder)) is None:
            return weights.digest
        return sha256(f"{weights.digest} lora {lora.digest}".encode()).hexdigest()

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Load weights and tokenizer, and merge the LoRA into them if there is one."""
        open_causal = import_module("toetssteen.candidates.causal").open_causal
        candidate: Candidate = open_causal(card, _weights(card, folder), lora=_lora(card, folder))
        return candidate


class MaskedAdapter(_FromWeights):
    """A masked language model such as BERT, run by transformers: pseudo-likelihoods."""

    capabilities = frozenset({Capability.LOGLIKELIHOOD})
    opener = "toetssteen.candidates.masked:open_masked"

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by."""
        _refuse_template(card, folder, "a masked model holds no conversations")
        return super().identify(card, folder)


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


def _refuse_template(card: CandidateSpec, folder: Path, why: str) -> None:
    if card.chat_template:
        raise ContentError(folder, f"chat_template: {why}")


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
    _refuse_template(card, folder, "is for weights; a service applies its own, or none")
    if card.adapter.name == "completions" and card.endpoint.limit_key != "max_tokens":
        raise ContentError(folder, "endpoint.limit_key: completions know max_tokens only")
    if card.sampling is not None and card.sampling.top_k is not None:
        raise ContentError(folder, "sampling.top_k: an OpenAI-compatible service has no top_k")
    known = {"adapter": card.adapter.name, "url": card.endpoint.url, "model": card.endpoint.model}
    return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
