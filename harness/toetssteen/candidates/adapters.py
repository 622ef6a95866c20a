"""The adapters whose libraries are heavy: they say what they can, and import when they open."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from toetssteen.candidates import Candidate
from toetssteen.candidates.weights import locate
from toetssteen.errors import ContentError
from toetssteen.records import Capability
from toetssteen.spec import CandidateSpec


@dataclass(frozen=True, slots=True)
class CausalAdapter:
    """A causal language model, plain or chat-tuned, run by transformers."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGLIKELIHOOD, Capability.GENERATE}
    )

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the sha256 that the weights are known by."""
        if card.weights is None:
            raise ContentError(folder, "weights: is required for the adapter causal")
        return locate(card.weights, folder).digest

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Load weights and tokenizer."""
        if card.weights is None:
            raise ContentError(folder, "weights: is required for the adapter causal")
        module = import_module("toetssteen.candidates.causal")
        candidate: Candidate = module.open_causal(card, locate(card.weights, folder))
        return candidate
