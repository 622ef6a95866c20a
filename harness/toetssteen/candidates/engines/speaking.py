"""What a conversation says, token by token: how one is chosen, and when it is done."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from toetssteen.candidates.engines.trees import Tokens
from toetssteen.records import Failure, Finish, Generation, Sampling

Tensor = Any
Model = Any
Decode = Callable[[Sequence[int]], str]


# Settings by which a model's own files bend what it says, and what leaves it unbent.
BENDING: dict[str, Any] = {
    "num_beams": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_new_tokens": None,
    "min_length": 0,
    "bad_words_ids": None,
    "sequence_bias": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A generation request as token ids."""

    tokens: Tokens
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling | None = None
    logprobs: bool = False


@dataclass(slots=True)
class Speaker:
    """One conversation in flight.

    Args:
        prompt: what was asked.
        ends: tokens that end an answer.
        decode: tokens to text, without special tokens.
    """

    prompt: Prompt
    ends: frozenset[int]
    decode: Decode
    said: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    finish: Finish | None = None
    fault: str = ""  # why there is no answer, though the speaker is done

    @property
    def tokens(self) -> Tokens:
        """Everything there is to go on from."""
        return (*self.prompt.tokens, *self.said)

    def take(self, token: int, logprob: float | None = None) -> None:
        """Say one token more, unless it ends the answer or there is none."""
        if self.fault:
            return
        if token in self.ends:
            self._stop("stop")
            return
        self.said.append(token)
        if logprob is not None:
            self.logprobs.append(logprob)
        if self.prompt.stop and self._may_stop():
            text = self.decode(self.said)
            found = [at for at in (text.find(s) for s in self.prompt.stop) if at >= 0]
            if found:
                self._stop("stop", text[: min(found)])
                return
        if len(self.said) >= self.prompt.max_tokens:
            self._stop("length")

    def begin_again(self) -> None:
        """Forget what was said: seed, prompt and step decide it, so it will be said again."""
        self.said.clear()
        self.logprobs.clear()

    def fail(self, why: str) -> None:
        """Give up: nothing that was said is an answer."""
        self.fault = why
        self._stop("stop", "")

    def _stop(self, finish: Finish, text: str | None = None) -> None:
        self.finish = finish
        self.text = self.decode(self.said) if text is None else text

    def _may_stop(self) -> bool:
        """Does a stop string stand near the end? The whole text is only read where it may."""
        # A token holds at least one byte of text, and a character may be torn over four.
        window = max(len(s.encode()) for s in self.prompt.stop) + 4
        tail = self.decode(self.said[-window:])
        return any(s in tail for s in self.prompt.stop)


def generation(speaker: Speaker) -> Generation | Failure:
    """Return what a speaker said, once it is done."""
    if speaker.fault:
        return Failure("error", speaker.fault)
    if speaker.finish is None:
        raise RuntimeError("an engine returned before everybody had finished")
    return Generation(
        text=speaker.text,
        finish=speaker.finish,
        tokens=len(speaker.said),
        prompt_tokens=len(speaker.prompt.tokens),
        logprobs=tuple(speaker.logprobs),
    )


def end_tokens(model: Model, tokenizer: Model) -> frozenset[int]:
    """Return the tokens that end an answer, by tokenizer and generation settings."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in [*listed, tokenizer.eos_token_id] if t is not None)


def not_applied(model: Model) -> Iterator[str]:
    """Say which of the model's own settings would have bent what it says."""
    for name, neutral in BENDING.items():
        wanted = getattr(model.generation_config, name, None)
        if wanted not in (None, neutral):
            yield f"the model's own {name} of {wanted} is not applied"


def choose(logits: Tensor, speakers: Sequence[Speaker]) -> list[tuple[int, float | None]]:
    """Choose every speaker's next token, and say how likely it was where that is asked.

    A speaker for whom the model gives no finite number fails.

    Args:
        logits: (speakers, vocabulary).
        speakers: in the order of the rows.
    """
    best, likeliest = logits.max(-1)
    tokens = likeliest.tolist()
    for row, (speaker, known) in enumerate(zip(speakers, best.isfinite().tolist(), strict=True)):
        if not known:
            # The likeliest of numbers that are none would still be a token, and make a text.
            speaker.fail("the model gives no finite number for the next token")
        elif speaker.prompt.sampling is not None:
            tokens[row] = _draw(logits[row], speaker, speaker.prompt.sampling)
    logprobs: list[float | None] = [None] * len(tokens)
    for row, speaker in enumerate(speakers):
        if speaker.prompt.logprobs:
            values = logits[row].double()
            logprobs[row] = float(values[tokens[row]] - values.logsumexp(-1))
    return list(zip(tokens, logprobs, strict=True))


def _draw(logits: Tensor, speaker: Speaker, sampling: Sampling) -> int:
    """Draw a token by its place among the kept probabilities, the likeliest first."""
    values, ids = (logits.double() / sampling.temperature).sort(descending=True, stable=True)
    chances = values[: sampling.top_k].softmax(-1)
    before = chances.cumsum(-1) - chances
    kept = chances[before < sampling.top_p]
    total = kept.cumsum(-1)
    place = int(
        torch.searchsorted(total, _uniform(speaker, sampling) * float(total[-1]), right=True)
    )
    return int(ids[min(place, len(kept) - 1)])


def _uniform(speaker: Speaker, sampling: Sampling) -> float:
    """Return a number in [0, 1) that seed, prompt and step decide, and nothing else does."""
    asked = f"{sampling.seed} {speaker.prompt.tokens}".encode()
    key = int.from_bytes(sha256(asked).digest()[:16], "little")
    counter = len(speaker.said)
    return float(np.random.Generator(np.random.Philox(counter=counter, key=key)).random())
