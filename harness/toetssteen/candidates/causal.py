"""A causal language model run by transformers: likelihood and greedy generation, in batches.

This is the plain computation: every row is computed whole, except that what several continuations
have before them is computed once. Rows are padded on the left, so that the scored positions stand
at the end and the head is only run there.
"""

import platform
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from inspect import signature
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.utils import logging as transformers_logging

from toetssteen.candidates import gguf
from toetssteen.candidates.weights import LocalWeights
from toetssteen.errors import CandidateError
from toetssteen.records import (
    Failure,
    Finish,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Message,
    Request,
    Response,
)
from toetssteen.spec import CandidateSpec

Tokens = tuple[int, ...]
# What torch and transformers make; their types cost a minute to check and say little here.
Tensor = Any
Model = Any
Row = TypeVar("Row")


def open_causal(card: CandidateSpec, weights: LocalWeights) -> "Causal":
    """Load weights and tokenizer as the card says.

    Raises:
        CandidateError: they cannot be loaded, or the card asks for a chat template that the
            tokenizer does not have.
    """
    folder = weights.folder
    if weights.gguf is not None:
        folder = gguf.as_safetensors(folder, weights.gguf, weights.digest)
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=card.trust_remote_code
        )
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, card.dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=card.trust_remote_code,
        ).to(card.device)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise CandidateError(f"{folder}: cannot be loaded: {_first_line(error)}") from None
    model.eval()
    if card.chat_template and not tokenizer.chat_template:
        raise CandidateError(
            f"{folder}: the card says chat_template: true, but the tokenizer has none; set it to "
            "false, or use the weights of the chat-tuned model"
        )
    return Causal(model, tokenizer, card=card, digest=weights.digest)


@dataclass(frozen=True, slots=True)
class _Scored:
    """A likelihood request as token ids."""

    context: Tokens
    continuation: Tokens

    @property
    def row(self) -> Tokens:
        """What goes through the model: nothing is read after the last but one token."""
        return self.context + self.continuation[:-1]


class Causal:
    """A causal language model, opened."""

    def __init__(
        self,
        model: Model,
        tokenizer: Model,
        *,
        card: CandidateSpec,
        digest: str,
    ) -> None:
        """Wrap a loaded model; use `open_causal` to load one from a card."""
        self._model = model
        self._tokenizer = tokenizer
        self._card = card
        self._digest = digest
        self._pad = tokenizer.pad_token_id or 0
        self._ends = _end_tokens(model, tokenizer)
        known = getattr(model.config, "max_position_embeddings", None)
        # A card may ask for less than the model can; more would be made up.
        self._room: int = min(filter(None, (card.context_length, known)), default=2048)
        self._accepts = frozenset(signature(model.forward).parameters)

    # --- the protocol ------------------------------------------------------------------------

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer every request, in order; one that does not fit the context is a `Failure`."""
        answers: dict[int, Response] = {}
        scored: dict[int, _Scored] = {}
        prompts: dict[tuple[int, tuple[str, ...]], dict[int, Tokens]] = defaultdict(dict)
        for place, request in enumerate(requests):
            match request:
                case Loglikelihood():
                    tokens = self._encode_scored(request)
                    length = len(tokens.context) + len(tokens.continuation)
                    if not tokens.continuation:
                        answers[place] = Failure("error", "the continuation has no tokens")
                    elif length > self._room:
                        answers[place] = self._too_long(length)
                    else:
                        scored[place] = tokens
                case Generate():
                    prompt = self._encode_prompt(request)
                    if len(prompt) + request.max_tokens > self._room:
                        answers[place] = self._too_long(len(prompt) + request.max_tokens)
                    else:
                        prompts[request.max_tokens, request.stop][place] = prompt
        answers.update(self._score(scored))
        for (max_tokens, stop), rows in prompts.items():
            answers.update(self._generate(rows, max_tokens=max_tokens, stop=stop))
        return [answers[place] for place in range(len(requests))]

    def describe(self) -> Mapping[str, str]:
        """Say what answered, down to the versions that could change a digit."""
        template = self._tokenizer.chat_template or ""
        described = {
            "adapter": "causal",
            "weights_sha256": self._digest,
            "architecture": type(self._model).__name__,
            "parameters": str(sum(p.numel() for p in self._model.parameters())),
            "dtype": self._card.dtype,
            "device": str(self._model.device),
            "context_length": str(self._room),
            "chat_template": "yes" if self._card.chat_template else "no",
            "chat_template_sha256": sha256(str(template).encode()).hexdigest(),
            "torch": torch.__version__,
            "transformers": version("transformers"),
            "tokenizers": version("tokenizers"),
            "threads": str(torch.get_num_threads()),
            "machine": platform.machine(),
        }
        if template and not self._card.chat_template:
            described["warning"] = (
                "the tokenizer has a chat template, but the card says chat_template: false"
            )
        return described

    def close(self) -> None:
        """Give the memory back."""
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # --- tokens ------------------------------------------------------------------------------

    def _encode_scored(self, request: Loglikelihood) -> _Scored:
        """Cut a request into context and continuation tokens.

        The rule: after a rendered conversation the continuation starts a turn, so both are
        encoded apart. After plain text both are encoded together and cut behind the context's
        own number of tokens; white space at the end of the context goes with the continuation,
        because tokenizers join it with the word that follows. With nothing before it, the
        continuation is scored from the start token.
        """
        if request.messages and self._card.chat_template and not request.context:
            prompt = self._render(request.messages)
            return _Scored(self._encode(prompt), self._encode(request.continuation))
        before = self._render(request.messages) + request.context
        context = before.rstrip()
        continuation = before[len(context) :] + request.continuation
        if not context:
            return _Scored((self._start_token(),), self._encode(continuation))
        special = not (request.messages and self._card.chat_template)
        whole = self._encode(context + continuation, special=special)
        cut = len(self._encode(context, special=special))
        return _Scored(whole[:cut], whole[cut:])

    def _encode_prompt(self, request: Generate) -> Tokens:
        templated = bool(request.messages) and self._card.chat_template
        text = self._render(request.messages) + request.context
        return self._encode(text, special=not templated) or (self._start_token(),)

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

    def _encode(self, text: str, *, special: bool = False) -> Tokens:
        return tuple(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _start_token(self) -> int:
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise CandidateError("the tokenizer has no start or end token to begin a text with")

    def _too_long(self, length: int) -> Failure:
        return Failure("too_long", f"needs {length} tokens, the context holds {self._room}")

    # --- likelihood --------------------------------------------------------------------------

    def _score(self, scored: Mapping[int, _Scored]) -> dict[int, Response]:
        """Score requests: equal ones once, and what several have before them once."""
        by_context: dict[Tokens, set[_Scored]] = defaultdict(set)
        for tokens in scored.values():
            by_context[tokens.context].add(tokens)
        shared = {c: sorted(g, key=_order) for c, g in by_context.items() if _worth_sharing(c, g)}
        results: dict[_Scored, Likelihood] = {}
        most = max((len(group) for group in shared.values()), default=1)
        for contexts in _batches(shared, key=tuple, size=2 * self._card.batch_size // most):
            results.update(self._score_siblings(contexts, [shared[c] for c in contexts]))
        alone = {tokens for tokens in scored.values() if tokens not in results}
        for batch in _batches(alone, key=_order, size=self._card.batch_size):
            results.update(self._score_rows(batch))
        return {place: results[tokens] for place, tokens in scored.items()}

    def _score_rows(self, batch: Sequence[_Scored]) -> dict[_Scored, Likelihood]:
        """Score each request in a row of its own."""
        keep = max(len(tokens.continuation) for tokens in batch)
        logits = self._forward([tokens.row for tokens in batch], keep=keep).logits[:, -keep:]
        return {
            tokens: _likelihood(tokens, last.float().log_softmax(-1))
            for tokens, last in zip(batch, logits, strict=True)
        }

    def _score_siblings(
        self, contexts: Sequence[Tokens], groups: Sequence[Sequence[_Scored]]
    ) -> dict[_Scored, Likelihood]:
        """Score the continuations of each context on what was computed for the context."""
        out = self._forward(contexts, keep=1, cache=True)
        flat = [(row, tokens) for row, group in enumerate(groups) for tokens in group]
        tails = [tokens.continuation[:-1] for _, tokens in flat]
        rows = torch.tensor([row for row, _ in flat], device=self._model.device)
        first = out.logits[:, -1][rows].unsqueeze(1)
        if not any(tails):
            logits = first
        elif _can_branch(out.past_key_values):
            logits = torch.cat(
                [first, self._branch(out.past_key_values, rows, contexts, tails)], 1
            )
        else:
            return self._score_rows([tokens for _, tokens in flat])
        return {
            tokens: _likelihood(tokens, last[: len(tokens.continuation)].float().log_softmax(-1))
            for (_, tokens), last in zip(flat, logits, strict=True)
        }

    def _branch(
        self, cache: Model, rows: Tensor, contexts: Sequence[Tokens], tails: list[Tokens]
    ) -> Tensor:
        """Return the logits behind every tail token: (branches, longest tail, vocabulary)."""
        _, mask = self._pad_left(contexts)
        cache.batch_select_indices(rows)
        width = max(len(tail) for tail in tails)
        # Padding stands on the right here: a causal model never looks ahead to it.
        padded = [[*tail, *[self._pad] * (width - len(tail))] for tail in tails]
        ids = torch.tensor(padded, device=self._model.device)
        mask = torch.cat([mask[rows], torch.ones_like(ids)], 1)
        positions = (mask.cumsum(-1) - 1)[:, -width:]
        extra = {"position_ids": positions} if "position_ids" in self._accepts else {}
        with torch.inference_mode():
            out = self._model(input_ids=ids, attention_mask=mask, past_key_values=cache, **extra)
        return out.logits

    def _forward(self, rows: Sequence[Tokens], *, keep: int, cache: bool = False) -> Model:
        """Run rows through the model; the head only at the last `keep` positions if it can."""
        ids, mask = self._pad_left(rows)
        extra = {}
        if "position_ids" in self._accepts:
            extra["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        if "logits_to_keep" in self._accepts:
            extra["logits_to_keep"] = keep
        with torch.inference_mode():
            return self._model(input_ids=ids, attention_mask=mask, use_cache=cache, **extra)

    def _pad_left(self, rows: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :] = torch.tensor(row)
            mask[i, width - len(row) :] = 1
        return ids.to(self._model.device), mask.to(self._model.device)

    # --- generation --------------------------------------------------------------------------

    def _generate(
        self, prompts: Mapping[int, Tokens], *, max_tokens: int, stop: tuple[str, ...]
    ) -> dict[int, Response]:
        by_row: dict[Tokens, list[int]] = defaultdict(list)
        for place, tokens in prompts.items():
            by_row[tokens].append(place)
        answers: dict[int, Response] = {}
        for batch in _batches(by_row, key=tuple, size=self._card.batch_size):
            for row, said in zip(batch, self._continue(batch, max_tokens, stop), strict=True):
                generation = self._read(said, prompt=row, stop=stop)
                answers.update(dict.fromkeys(by_row[row], generation))
        return answers

    def _continue(
        self, rows: Sequence[Tokens], max_tokens: int, stop: tuple[str, ...]
    ) -> list[list[int]]:
        ids, mask = self._pad_left(rows)
        ends = [_stop_at(stop, self._tokenizer, ids.shape[1])] if stop else None
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=self._pad,
                stopping_criteria=ends,
            )
        said: list[list[int]] = out[:, ids.shape[1] :].tolist()
        return said

    def _read(self, said: list[int], *, prompt: Tokens, stop: tuple[str, ...]) -> Generation:
        """Cut what was said at its end token or stop string, whichever came first."""
        finish: Finish = "length"
        end = next((i for i, token in enumerate(said) if token in self._ends), None)
        if end is not None:
            said, finish = said[:end], "stop"
        text: str = self._tokenizer.decode(said, skip_special_tokens=True)
        found = [at for at in (text.find(s) for s in stop) if at >= 0]
        if found:
            text, finish = text[: min(found)], "stop"
        return Generation(text, finish, tokens=len(said), prompt_tokens=len(prompt))


def _likelihood(tokens: _Scored, logprobs: Tensor) -> Likelihood:
    count = len(tokens.continuation)
    read = logprobs[-count:]
    targets = torch.tensor(tokens.continuation, device=read.device)
    chosen = read.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return Likelihood(
        total=float(chosen.double().sum()),
        tokens=count,
        prompt_tokens=len(tokens.context),
        greedy=bool((read.argmax(-1) == targets).all()),
    )


def _order(tokens: _Scored) -> tuple[int, ...]:
    """Order by what goes through the model; the cut between context and continuation last."""
    return (*tokens.context, *tokens.continuation, len(tokens.context))


def _worth_sharing(context: Tokens, group: Collection[_Scored]) -> bool:
    """Is more computed before the continuations than in them?"""
    return len(group) > 1 and len(context) > max(len(tokens.continuation) for tokens in group)


def _can_branch(cache: Model) -> bool:
    """Can rows of the cache be taken apart? Not with windows, recurrent states or own classes."""
    return isinstance(cache, DynamicCache) and all(
        type(layer) is DynamicLayer for layer in cache.layers
    )


def _batches(rows: Iterable[Row], *, key: Callable[[Row], Tokens], size: int) -> list[list[Row]]:
    """Cut rows into batches of like length; ties in the ids' order, so that runs agree."""
    ordered = sorted(rows, key=lambda row: (len(key(row)), key(row)), reverse=True)
    size = max(1, size)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def _stop_at(stop: tuple[str, ...], tokenizer: Model, start: int) -> Callable[..., Tensor]:
    """Return a criterion that ends a row once a stop string stands in what it said."""

    def done(ids: Tensor, _scores: Tensor, **_: object) -> Tensor:
        said = tokenizer.batch_decode(ids[:, start:], skip_special_tokens=True)
        return torch.tensor([any(s in text for s in stop) for text in said], device=ids.device)

    return done


def _end_tokens(model: Model, tokenizer: Model) -> frozenset[int]:
    """Return the tokens that end an answer, by tokenizer and generation settings."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in [*listed, tokenizer.eos_token_id] if t is not None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
