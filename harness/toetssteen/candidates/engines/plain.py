"""The plain engine: every row computed by the model as it was made, in batches of like length.

For models that cannot be packed, and the reference for those that can. What several
continuations have before them is computed once where the model's cache can be branched.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any, TypeVar

import torch
from transformers import (
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.cache_utils import DynamicLayer

from toetssteen.candidates.engines.budget import Budget, each_batch, no_room
from toetssteen.candidates.engines.reading import Read, Scored, likelihood, read_tokens
from toetssteen.candidates.engines.speaking import BENDING, Speaker, choose
from toetssteen.candidates.engines.trees import Tokens
from toetssteen.records import Failure, Likelihood

# What torch and transformers make; their types cost a minute to check and say little here.
Tensor = Any
Model = Any
Row = TypeVar("Row")

# In standard deviations of the logits: rounding stays below, a state that ran through padding does
# not.
PADDING_TOLERANCE = {
    torch.float64: 1e-3,
    torch.float32: 1e-2,
    torch.float16: 0.1,
    torch.bfloat16: 0.3,
}


class Plain:
    """A causal model of transformers, as it is."""

    def __init__(self, model: Model, budget: Budget, *, rows: int, pad: int) -> None:
        """Wrap a loaded model.

        Args:
            model: loaded.
            budget: tokens a batch, padding included.
            rows: at most so many side by side.
            pad: the token that fills short rows.
        """
        self._model = model
        self._budget = budget
        self._rows = rows
        self._pad = pad
        self._accepts = frozenset(signature(model.forward).parameters)
        # A recurrent state may run on through padding; then only equal lengths stand together.
        self.pads = self._padding_is_harmless()

    # --- likelihood --------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, asked: Sequence[Scored]) -> Mapping[Scored, Likelihood | Failure]:
        """Score requests: equal ones once, and what several have before them once."""
        by_context: dict[Tokens, set[Scored]] = defaultdict(set)
        for tokens in asked:
            by_context[tokens.context].add(tokens)
        shared = {
            context: sorted(group, key=_order)
            for context, group in by_context.items()
            if self.pads and _worth_sharing(context, group)
        }
        alone = {
            tokens
            for context, group in by_context.items()
            if context not in shared
            for tokens in group
        }
        results: dict[Scored, Likelihood | Failure] = {}
        most = max((len(group) for group in shared.values()), default=1)
        self._each(
            self._batches(shared, key=tuple, most=max(1, self._rows // most)),
            lambda contexts: results.update(self._siblings([shared[c] for c in contexts])),
            lambda context: alone.update(shared[context]),  # without siblings each may fit
        )
        self._each(
            self._batches(alone, key=_order, most=self._rows),
            lambda batch: results.update(self._whole(batch)),
            lambda tokens: results.update({tokens: no_room(len(tokens.row))}),
        )
        return results

    def _whole(self, batch: Sequence[Scored]) -> Iterator[tuple[Scored, Likelihood]]:
        """Score each request in a row of its own."""
        keep = max(len(tokens.continuation) for tokens in batch)
        logits = self._forward([tokens.row for tokens in batch], keep=keep).logits[:, -keep:]
        for tokens, last in zip(batch, logits, strict=True):
            yield tokens, _likelihood(tokens, last[-len(tokens.continuation) :])

    def _siblings(self, groups: Sequence[Sequence[Scored]]) -> Iterator[tuple[Scored, Likelihood]]:
        """Score continuations that share a context on what was computed for the context."""
        contexts = [group[0].context for group in groups]
        out = self._forward(contexts, keep=1, cache=True)
        flat = [(row, tokens) for row, group in enumerate(groups) for tokens in group]
        tails = [tokens.continuation[:-1] for _, tokens in flat]
        # On no device: layers may lie on several, and an index may come from outside.
        rows = torch.tensor([row for row, _ in flat])
        logits = out.logits[:, -1][rows].unsqueeze(1)
        if any(tails):
            cache = getattr(out, "past_key_values", None)
            if not _can_branch(cache):
                yield from self._whole([tokens for _, tokens in flat])
                return
            tail = self._branch(cache, rows, contexts, tails)
            logits = torch.cat([logits, tail], 1)
        for (_, tokens), last in zip(flat, logits, strict=True):
            yield tokens, _likelihood(tokens, last[: len(tokens.continuation)])

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
        return self._model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, **extra
        ).logits

    # --- generation --------------------------------------------------------------------------

    @torch.inference_mode()
    def say(self, speakers: Sequence[Speaker]) -> Mapping[int, Failure]:
        """Let every speaker finish; return those, by place, that do not fit the memory."""
        failed: dict[int, Failure] = {}
        # What a state makes of padding it may make of neighbours too: RWKV mixes them.
        most = self._rows if self.pads else 1
        self._each(
            self._batches(range(len(speakers)), key=lambda i: speakers[i].tokens, most=most),
            lambda places: self._converse([speakers[i] for i in places]),
            lambda i: failed.update({i: no_room(len(speakers[i].tokens))}),
        )
        return failed

    def _converse(self, speakers: Sequence[Speaker]) -> None:
        # Who ran out of memory before goes on from what was said.
        unfinished = [s for s in speakers if s.finish is None]
        if not unfinished:
            return
        ids, mask = self._pad_left([s.tokens for s in unfinished])
        self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max(s.prompt.max_tokens - len(s.said) for s in unfinished),
            do_sample=False,
            pad_token_id=self._pad,
            logits_processor=LogitsProcessorList([Choosing(unfinished, self._pad)]),
            stopping_criteria=StoppingCriteriaList([Finished(unfinished)]),
            **BENDING,
        )

    # --- the model ---------------------------------------------------------------------------

    def _forward(self, rows: Sequence[Tokens], *, keep: int, cache: bool = False) -> Model:
        """Run the rows, padded on the left; logits are computed for the last `keep` positions."""
        ids, mask = self._pad_left(rows)
        extra: dict[str, Any] = {}
        if "position_ids" in self._accepts:
            extra["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        if "logits_to_keep" in self._accepts:
            extra["logits_to_keep"] = keep
        return self._model(input_ids=ids, attention_mask=mask, use_cache=cache, **extra)

    def _pad_left(self, rows: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :] = torch.tensor(row)
            mask[i, width - len(row) :] = 1
        return ids.to(self._model.device), mask.to(self._model.device)

    @torch.inference_mode()
    def _padding_is_harmless(self) -> bool:
        long, short = tuple(range(2, 26)), tuple(range(7, 16))
        alone = self._forward([short], keep=1).logits[0, -1].float()
        beside = self._forward([long, short], keep=1).logits[1, -1].float()
        apart = float((alone - beside).abs().max())
        return apart <= PADDING_TOLERANCE[self._model.dtype] * (float(alone.std()) or 1.0)

    # --- batches -----------------------------------------------------------------------------

    def _each(
        self,
        batches: Iterable[list[Row]],
        work: Callable[[list[Row]], None],
        give_up: Callable[[Row], None],
    ) -> None:
        each_batch(batches, work, budget=self._budget, give_up=give_up)

    def _batches(
        self, rows: Iterable[Row], *, key: Callable[[Row], Tokens], most: int
    ) -> Iterator[list[Row]]:
        """Cut rows into batches of like length; ties in the ids' order, so that runs agree."""
        batch: list[Row] = []
        for row in sorted(rows, key=lambda row: (len(key(row)), key(row)), reverse=True):
            longest = len(key(batch[0])) if batch else 0
            full = len(batch) >= most or (len(batch) + 1) * longest > self._budget.tokens
            if batch and (full or not (self.pads or len(key(row)) == longest)):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch


class Choosing(LogitsProcessor):
    """Lets every speaker choose its token, and leaves the model's generation no other."""

    def __init__(self, speakers: Sequence[Speaker], pad: int) -> None:
        self._speakers = speakers
        self._pad = pad

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        chosen = [self._pad] * len(self._speakers)
        speaking = [i for i, s in enumerate(self._speakers) if s.finish is None]
        said = choose(scores[speaking], [self._speakers[i] for i in speaking])
        for i, (token, logprob) in zip(speaking, said, strict=True):
            self._speakers[i].take(token, logprob)
            chosen[i] = token
        only = torch.full_like(scores, float("-inf"))
        only[torch.arange(len(chosen)), chosen] = 0.0
        return only


class Finished(StoppingCriteria):
    """Ends a row once its speaker is done."""

    def __init__(self, speakers: Sequence[Speaker]) -> None:
        self._speakers = speakers

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:  # noqa: ARG002
        done = [s.finish is not None for s in self._speakers]
        return torch.tensor(done, device=input_ids.device)


def _likelihood(tokens: Scored, logits: Tensor) -> Likelihood:
    """Read a continuation off the logits before its tokens."""
    positions = torch.arange(len(logits), device=logits.device)
    targets = torch.tensor(tokens.continuation, device=logits.device)
    read: list[Read] = read_tokens(logits.clone(), positions, targets, per_token=tokens.per_token)
    return likelihood(tokens, read)


def _order(tokens: Scored) -> tuple[int, ...]:
    """Order by what goes through the model; the cut between context and continuation last."""
    return (*tokens.context, *tokens.continuation, len(tokens.context))


def _worth_sharing(context: Tokens, group: Collection[Scored]) -> bool:
    """Is more computed before the continuations than in them?"""
    return len(group) > 1 and len(context) > max(len(tokens.continuation) for tokens in group)


def _can_branch(cache: Model) -> bool:
    """Can rows of the cache be taken apart? Not with windows, recurrent states or own classes."""
    return isinstance(cache, DynamicCache) and all(
        type(layer) is DynamicLayer for layer in cache.layers
    )
