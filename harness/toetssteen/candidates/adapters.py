"""The adapters whose libraries are heavy: they say what they can, and import when they open."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from toetssteen.candidates import Candidate
from toetssteen.candidates.table_source import TableSource, find_table
from toetssteen.candidates.weights import LocalWeights, locate
from toetssteen.errors import ContentError
from toetssteen.records import Capability, Request, Response
from toetssteen.spec import CandidateSpec


class _FromWeights:
    """A candidate that is loaded from weights on this machine; `opener` is imported when asked."""

    capabilities: ClassVar[frozenset[Capability]]
    opener: ClassVar[str]  # module:function

    def __init__(self) -> None:
        """Begin with nothing found."""
        # An alias may move between the plan and the opening: what was planned is opened.
        self._planned: LocalWeights | None = None

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by."""
        self._planned = _weights(card, folder)
        return self._planned.digest

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Load weights and tokenizer."""
        module, _, name = self.opener.partition(":")
        weights = self._planned or _weights(card, folder)
        candidate: Candidate = getattr(import_module(module), name)(card, weights)
        return _Registered(candidate, weights.origin) if weights.origin else candidate


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


class MaskedAdapter(_FromWeights):
    """A masked language model such as BERT, run by transformers: pseudo-likelihoods."""

    capabilities = frozenset({Capability.LOGLIKELIHOOD})
    opener = "toetssteen.candidates.masked:open_masked"

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by."""
        _refuse_template(card, folder, "a masked model holds no conversations")
        return super().identify(card, folder)


class TabularAdapter:
    """A model of table rows: ONNX, or scikit-learn and whatever MLflow calls `pyfunc`."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CLASSIFY})

    def __init__(self) -> None:
        """Begin with nothing found."""
        self._planned: TableSource | None = None

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the model is known by."""
        _refuse_template(card, folder, "a table model holds no conversations")
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


def _refuse_template(card: CandidateSpec, folder: Path, why: str) -> None:
    if card.chat_template:
        raise ContentError(folder, f"chat_template: {why}")


def _weights(card: CandidateSpec, folder: Path) -> LocalWeights:
    if card.weights is None:
        raise ContentError(folder, f"weights: is required for the adapter {card.adapter.name}")
    return locate(card.weights, folder)


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
