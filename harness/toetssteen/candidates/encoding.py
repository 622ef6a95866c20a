"""From requests to token ids: the conversation rendered, and the context cut from what follows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from toetssteen.candidates.engines.reading import Scored
from toetssteen.candidates.engines.speaking import Prompt
from toetssteen.candidates.engines.trees import Tokens
from toetssteen.errors import CandidateError
from toetssteen.records import Generate, Loglikelihood, Message
from toetssteen.spec import CandidateSpec

Tokenizer = Any
Text = tuple[str, bool]  # with True, the special tokens that the tokenizer begins a text with


@dataclass(frozen=True, slots=True)
class _Cut:
    """A likelihood request as texts: one whole with the part that is context, or two apart."""

    context: Text
    whole: Text = ("", False)
    apart: Text = ("", False)


class Encoder:
    """A tokenizer, with what the card says about prompts."""

    def __init__(self, tokenizer: Tokenizer, card: CandidateSpec) -> None:
        """Wrap a tokenizer."""
        self._tokenizer = tokenizer
        self._card = card
        self._sampling = card.sampling.record if card.sampling else None

    def likelihoods(self, requests: Sequence[Loglikelihood]) -> list[Scored]:
        """Cut requests into context and continuation tokens.

        The rule: after a rendered conversation the continuation starts a turn, so both are
        encoded apart. After plain text both are encoded together and cut behind the context's
        own number of tokens; white space at the end of the context goes with the continuation,
        because tokenizers join it with the word that follows. With nothing before it, the
        continuation is scored from the start token.
        """
        cuts = [self._cut(request) for request in requests]
        ids = self._encode(chain.from_iterable((c.context, c.whole, c.apart) for c in cuts))
        return [
            Scored(*self._split(cut, ids), request.per_token)
            for cut, request in zip(cuts, requests, strict=True)
        ]

    def prompts(self, requests: Sequence[Generate]) -> list[Prompt]:
        """Render and encode what is to be continued; nothing at all begins at the start token."""
        texts = [
            (self._render(r.messages) + r.context, not self._templated(r.messages))
            for r in requests
        ]
        ids = self._encode(texts)
        return [
            Prompt(
                tokens=ids[text] or (self._start_token(),),
                max_tokens=request.max_tokens,
                stop=request.stop,
                sampling=request.sampling or self._sampling,
                logprobs=request.logprobs,
            )
            for text, request in zip(texts, requests, strict=True)
        ]

    def _cut(self, request: Loglikelihood) -> _Cut:
        rendered = self._render(request.messages)
        templated = self._templated(request.messages)
        if templated and not request.context:
            return _Cut(context=(rendered, False), apart=(request.continuation, False))
        before = rendered + request.context
        context = before.rstrip()
        continuation = before[len(context) :] + request.continuation
        if not context:
            return _Cut(context=("", False), apart=(continuation, False))
        special = not templated
        return _Cut(context=(context, special), whole=(context + continuation, special))

    def _split(self, cut: _Cut, ids: Mapping[Text, Tokens]) -> tuple[Tokens, Tokens]:
        if not cut.whole[0]:
            # Without a context there is no token to read from but the one that starts a text.
            return ids[cut.context] or (self._start_token(),), ids[cut.apart]
        whole, length = ids[cut.whole], len(ids[cut.context])
        return whole[:length] or (self._start_token(),), whole[length:]

    def _encode(self, texts: Iterable[Text]) -> dict[Text, Tokens]:
        """Encode every different text once; a tokenizer takes them faster together."""
        ids: dict[Text, Tokens] = {}
        distinct = list(dict.fromkeys(texts))
        for special in (False, True):
            some = [text for text in distinct if text[1] is special]
            if some:
                encoded = self._tokenizer([text for text, _ in some], add_special_tokens=special)
                ids.update(zip(some, map(tuple, encoded["input_ids"]), strict=True))
        return ids

    def _templated(self, messages: tuple[Message, ...]) -> bool:
        return bool(messages) and self._card.chat_template

    def _render(self, messages: tuple[Message, ...]) -> str:
        """Return the conversation as the model wants to read it."""
        if not messages:
            return ""
        turns = [{"role": m.role, "content": m.content} for m in messages]
        if self._card.system_prompt is not None:
            turns.insert(0, {"role": "system", "content": self._card.system_prompt})
        if not self._card.chat_template:
            return "".join(turn["content"] + "\n\n" for turn in turns)
        text: str = self._tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        )
        return text

    def _start_token(self) -> int:
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise CandidateError("the tokenizer has no start or end token to begin a text with")
