"""From the model's outputs to numbers: log-probabilities and what membership attacks look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum
from typing import Any

from toetssteen.candidates.engines.trees import Tokens
from toetssteen.records import Likelihood, TokenStatistics

Tensor = Any
# Positions whose vocabulary is computed together: 128 times 49,152 floats are 24 MiB.
POSITIONS = 128


@dataclass(frozen=True, slots=True)
class Scored:
    """A likelihood request as token ids."""

    context: Tokens
    continuation: Tokens
    per_token: bool = False

    @property
    def row(self) -> Tokens:
        """What goes through the model: nothing is read after the last but one token."""
        return self.context + self.continuation[:-1]

    @property
    def first(self) -> int:
        """The position whose prediction is the continuation's first token."""
        return len(self.context) - 1


@dataclass(frozen=True, slots=True)
class Read:
    """One token of a continuation, as the model saw it coming."""

    logprob: float
    likeliest: bool
    statistics: TokenStatistics | None = None


def read_tokens(logits: Tensor, rows: Tensor, targets: Tensor, *, per_token: bool) -> list[Read]:
    """Read some tokens off the distributions that precede them.

    Args:
        logits: (positions, vocabulary); overwritten.
        rows: (targets,) the position that each target is read from.
        targets: (targets,) token ids.
        per_token: note the statistics too.
    """
    logits = logits.float()
    best, likeliest = logits.max(-1)
    chosen = logits[rows, targets]
    shape = _shape(logits, rows, chosen) if per_token else None
    # In place: a second array of this size would not fit the processor's cache.
    total = logits.sub_(best.unsqueeze(-1)).exp_().sum(-1).double()
    logprobs = (chosen.double() - (best.double() + total.log())[rows]).tolist()
    greedy = (likeliest[rows] == targets).tolist()
    if shape is None:
        return [Read(*one) for one in zip(logprobs, greedy, strict=True)]
    return [
        Read(logprob, same, TokenStatistics(logprob, *known))
        for logprob, same, known in zip(logprobs, greedy, shape, strict=True)
    ]


def likelihood(tokens: Scored, read: list[Read]) -> Likelihood:
    """Add up what was read of a continuation."""
    return Likelihood(
        total=fsum(one.logprob for one in read),
        tokens=len(tokens.continuation),
        prompt_tokens=len(tokens.context),
        greedy=all(one.likeliest for one in read),
        # Neighbours may have asked for statistics where this one did not.
        per_token=tuple(one.statistics for one in read if tokens.per_token and one.statistics),
    )


def _shape(logits: Tensor, rows: Tensor, chosen: Tensor) -> Iterator[tuple[float, float, int]]:
    """Give mean and variance of the log-probability, and the rank, for every target.

    Source: Zhang et al., Min-K%++, ICLR 2025, equations 4 and 5.
    """
    logprobs = logits.log_softmax(-1)
    weights = logprobs.exp()
    # A token that is ruled out weighs nothing, and 0 times minus infinity is no number.
    logprobs.masked_fill_(weights == 0, 0.0)
    mean = (weights * logprobs).sum(-1).double()
    logprobs.sub_(mean.to(logprobs.dtype).unsqueeze(-1)).square_()
    variance = weights.mul_(logprobs).sum(-1).double()
    ranks = 1 + (logits[rows] > chosen.unsqueeze(-1)).sum(-1)
    return zip(mean[rows].tolist(), variance[rows].tolist(), ranks.tolist(), strict=True)
