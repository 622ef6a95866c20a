"""A candidate that says what it is told, for tests, lessons and dry runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from toetssteen.candidates import Candidate, one_for_all
from toetssteen.records import (
    Capability,
    Classification,
    Classify,
    Failure,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Request,
    Response,
)
from toetssteen.registry import call
from toetssteen.spec import CandidateSpec


@dataclass(frozen=True, slots=True)
class Scripted:
    """Answers by what stands in the prompt; the first fragment found decides.

    Args:
        says: fragment of the prompt → what is said to it.
        otherwise: what is said to all other prompts.
        likes: continuation → its log-probability in nats; others get `dislikes`.
        dislikes: the log-probability of everything else.
        labels: fragment of a text or cell → label → its probability; the likeliest is decided on.
        fails: fragment of the prompt → reason for which there is no answer.
    """

    says: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    likes: Mapping[str, float] = field(default_factory=dict)
    dislikes: float = -10.0
    labels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fails: Mapping[str, str] = field(default_factory=dict)

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer as told."""
        return [self._answer_one(request) for request in requests]

    def _answer_one(self, request: Request) -> Response:
        if refused := one_for_all(request):
            return refused
        prompt = _prompt(request)
        for fragment, reason in self.fails.items():
            if fragment in prompt:
                return Failure("error", reason)
        match request:
            case Loglikelihood():
                total = self.likes.get(request.continuation.strip(), self.dislikes)
                return Likelihood(total, tokens=max(1, len(request.continuation.split())))
            case Generate():
                said = next((s for f, s in self.says.items() if f in prompt), self.otherwise)
                return Generation(said, "stop", tokens=len(said.split()))
            case Classify():
                for fragment, probabilities in self.labels.items():
                    if fragment in prompt:
                        label = max(probabilities, key=lambda name: probabilities[name])
                        return Classification(label, probabilities)
                return Failure("error", "the script has no label for this")

    def describe(self) -> Mapping[str, str]:
        """Say that nobody thought about these answers."""
        return {"adapter": "scripted"}

    def close(self) -> None:
        """Nothing to give back."""


def _prompt(request: Request) -> str:
    if isinstance(request, Classify):
        return "\n".join(str(cell) for cell in request.fields.values())
    return "\n".join(m.content for m in request.messages) + request.context


@dataclass(frozen=True, slots=True)
class ScriptedAdapter:
    """Opens scripted candidates; their script is in the card's `adapter.args`."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGLIKELIHOOD, Capability.GENERATE, Capability.CLASSIFY}
    )

    def identify(self, card: CandidateSpec, folder: Path) -> str:
        """Return the digest of the script, which has to be one."""
        self.open(card, folder)
        script = json.dumps(card.adapter.args, sort_keys=True, ensure_ascii=False)
        return sha256(script.encode()).hexdigest()

    def open(self, card: CandidateSpec, folder: Path) -> Candidate:
        """Open the script."""
        where = f"{folder}: {card.title}: adapter"
        candidate: Candidate = call(Scripted, card.adapter.args, where=where)
        return candidate
