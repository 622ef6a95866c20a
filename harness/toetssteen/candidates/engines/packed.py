"""The fast engine: shared tokens once, nothing padded, the vocabulary only where it is read.

Requests become prefix trees, trees become one flat row, and only attention knows which token
belongs where (`attention.py`). What stands before many trees is computed once, and its keys and
values are kept. Conversations are continued side by side; one that is done makes room at once.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from toetssteen.candidates.engines import attention
from toetssteen.candidates.engines.attention import KeyValues, Layout, Steps, Trees
from toetssteen.candidates.engines.budget import (
    Budget,
    conversations_that_fit,
    each_batch,
    is_out_of_memory,
    no_room,
    release,
)
from toetssteen.candidates.engines.conversations import GROWTH, Conversations
from toetssteen.candidates.engines.matrices import LaidOut
from toetssteen.candidates.engines.reading import POSITIONS, Read, Scored, likelihood, read_tokens
from toetssteen.candidates.engines.speaking import Speaker, choose
from toetssteen.candidates.engines.trees import Strand, Tokens, Tree, batches, plan_trees, tree_of
from toetssteen.records import Failure, Likelihood

Model = Any
Tensor = Any

HEADERS = 4  # kept at a time, the last used


class Packed:
    """A decoder that computes trees; `packing.pack` makes one and checks that it may."""

    def __init__(self, model: Model, budget: Budget, *, rows: int) -> None:
        """Take over a model whose attention is `attention.NAME`.

        Args:
            model: of transformers, with a decoder and a head.
            budget: tokens a batch.
            rows: conversations side by side.
        """
        self._model = model
        self._decoder = model.get_decoder()
        self._head = model.get_output_embeddings()
        self._scale = _logit_scale(model)
        self._budget = budget
        self._rows = rows
        self._headers: OrderedDict[Tokens, KeyValues] = OrderedDict()
        # How far back layers look, as they told attention; None: as far as there is.
        self.windows: set[int | None] = set()

    # --- likelihood --------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, asked: Sequence[Scored]) -> Mapping[Scored, Likelihood | Failure]:
        """Score continuations; each is computed once, however often it is asked."""
        by_row: dict[Tokens, list[Scored]] = {}
        for tokens in dict.fromkeys(asked):
            by_row.setdefault(tokens.row, []).append(tokens)
        strands = _strands((tokens.row, tokens.first) for tokens in asked)
        results: dict[Scored, Likelihood | Failure] = {}

        def work(trees: Sequence[Tree]) -> None:
            states, _ = self._forward_trees(trees)
            places = [
                (tokens, path[tokens.first - len(trees[0].header) :])
                for member, path in _paths(trees)
                for tokens in by_row[strands[member].tokens]
            ]
            results.update(self._read(states, places))

        torn: list[Tree] = []

        def tear(tree: Tree) -> None:
            # Strands that do not fit together may fit one by one.
            for member in tree.members:
                alone = tree_of([strands[member]], len(tree.header))
                torn.append(replace(alone, members=(member,)))

        def give_up(tree: Tree) -> None:
            for tokens in by_row[strands[tree.members[0]].tokens]:
                results[tokens] = no_room(len(tokens.row))

        each_batch(
            batches(plan_trees(strands), self._budget), work, budget=self._budget, give_up=tear
        )
        each_batch(batches(torn, self._budget), work, budget=self._budget, give_up=give_up)
        return results

    def _read(
        self, states: Tensor, places: Sequence[tuple[Scored, list[int]]]
    ) -> Iterator[tuple[Scored, Likelihood]]:
        """Read every continuation off the states before its tokens."""
        wanted = [
            (node, target, tokens.per_token)
            for tokens, nodes in places
            for node, target in zip(nodes, tokens.continuation, strict=True)
        ]
        found: dict[int, Read] = {}
        for some in _chunks([node for node, _, _ in wanted]):
            nodes = sorted({wanted[i][0] for i in some})
            row = {node: at for at, node in enumerate(nodes)}
            rows = self._tensor([row[wanted[i][0]] for i in some])
            targets = self._tensor([wanted[i][1] for i in some])
            read = read_tokens(
                self._logits_for(states[self._tensor(nodes)], rows, targets),
                rows,
                targets,
                per_token=any(wanted[i][2] for i in some),
            )
            found.update(zip(some, read, strict=True))
        start = 0
        for tokens, path in places:
            yield tokens, likelihood(tokens, [found[start + i] for i in range(len(path))])
            start += len(path)

    # --- generation --------------------------------------------------------------------------

    @torch.inference_mode()
    def say(self, speakers: Sequence[Speaker]) -> Mapping[int, Failure]:
        """Let every speaker finish; return those, by place, that do not fit the memory."""
        # Neighbours begin alike, and what they begin with is computed once.
        order = sorted(range(len(speakers)), key=lambda i: speakers[i].prompt.tokens)
        failed: dict[int, Failure] = {}
        rows, tokens = self._rows, self._budget.tokens
        while waiting := [i for i in order if speakers[i].finish is None and i not in failed]:
            asked = [speakers[i].prompt for i in waiting]
            room = max(len(prompt.tokens) + prompt.max_tokens for prompt in asked)
            slots = min(self._rows, len(waiting), conversations_that_fit(self._model, room))
            try:
                self._converse(deque(waiting), speakers, Conversations(slots))
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Nobody starts anew: they go on from what they have said, fewer at a time.
            self._headers.clear()
            self._budget.shortages += 1
            self._budget.halve()
            self._rows = max(1, slots // 2)
            if slots == 1:
                place = next(i for i in waiting if speakers[i].finish is None)
                failed[place] = no_room(len(speakers[place].tokens))
                # It was this one that was too large, not the company that the others keep.
                self._rows, self._budget.tokens = rows, tokens
            release()
        return failed

    def _converse(
        self, waiting: deque[int], speakers: Sequence[Speaker], table: Conversations
    ) -> None:
        """Keep the slots filled until everybody is done."""
        active: list[int] = []
        while waiting or active:
            free = table.slots - len(active)
            # A prompt alone fills no batch: wait for a few, unless there is nothing else to do.
            if waiting and free >= max(1, min(len(waiting), table.slots // 8)):
                arriving = [waiting.popleft() for _ in range(min(free, len(waiting)))]
                active += self._arrive({i: speakers[i] for i in arriving}, table)
                _leave(speakers, table, active)
            if active:
                self._step([speakers[i] for i in active], table)
                _leave(speakers, table, active)

    def _arrive(self, arriving: Mapping[int, Speaker], table: Conversations) -> list[int]:
        """Compute the prompts, let each say its first token; return them by their slots."""
        strands = _strands((s.tokens, len(s.tokens) - 1) for s in arriving.values())
        at: dict[Tokens, list[int]] = {}
        for place, speaker in arriving.items():
            at.setdefault(speaker.tokens, []).append(place)
        # Room for what most will say, so that slots seldom grow.
        room = max(
            len(s.tokens) + min(GROWTH, s.prompt.max_tokens - len(s.said))
            for s in arriving.values()
        )
        entered: list[int] = []
        for trees in batches(plan_trees(strands), self._budget):
            states, nodes = self._forward_trees(trees, keep=True)
            header = self._header(trees[0].header)
            table.reserve(room, nodes)
            ready = [
                (place, path)
                for member, path in _paths(trees)
                for place in at[strands[member].tokens]
            ]
            for _, path in ready:
                table.add(header, nodes, self._tensor(path))
            places = [place for place, _ in ready]
            last = self._tensor([path[-1] for _, path in ready])
            self._choose(states[last], [arriving[place] for place in places])
            entered += places
        return entered

    def _step(self, speakers: Sequence[Speaker], table: Conversations) -> None:
        """Let everybody say one token more."""
        table.reserve(max(table.lengths) + 1)
        steps = Steps(table.memory, self._tensor(table.lengths), max(table.lengths))
        states = self._forward([s.said[-1] for s in speakers], table.lengths, steps)
        table.lengthen()
        self._choose(states, speakers)

    def _choose(self, states: Tensor, speakers: Sequence[Speaker]) -> None:
        chosen = choose(self._logits(states), speakers)
        for speaker, (token, logprob) in zip(speakers, chosen, strict=True):
            speaker.take(token, logprob)

    # --- the trial ---------------------------------------------------------------------------

    @torch.inference_mode()
    def trial(self, branching: Sequence[Strand], alone: Strand, *, header: int) -> Tensor:
        """Return the logits behind strands in every way in which this engine computes them.

        Args:
            branching: strands in their order, that begin alike.
            alone: one more.
            header: with how many tokens all of them begin.

        Returns:
            (3 * strands, vocabulary): behind branching and alone, first as trees side by side,
            then behind a header, then with the last token of each said side by side.
        """
        states = [
            self._ends([tree_of(branching, ahead), tree_of([alone], ahead)])
            for ahead in (0, header)
        ]
        said = [*branching, alone]
        before = [tree_of([Strand(s.tokens[:-1], 0)]) for s in said]
        _, nodes = self._forward_trees(before, keep=True)
        table = Conversations(len(said))
        table.reserve(max(map(len, before)) + 1, nodes)
        for _, path in _paths(before):
            table.add(None, nodes, self._tensor(path))
        steps = Steps(table.memory, self._tensor(table.lengths), max(table.lengths))
        states.append(self._forward([s.tokens[-1] for s in said], table.lengths, steps))
        return self._logits(torch.cat(states)).float()

    def _ends(self, trees: Sequence[Tree]) -> Tensor:
        states, _ = self._forward_trees(trees)
        return states[self._tensor([path[-1] for _, path in _paths(trees)])]

    # --- the model ---------------------------------------------------------------------------

    def _forward_trees(
        self, trees: Sequence[Tree], *, keep: bool = False
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return the state behind every node, (nodes, width), and keys and values if kept."""
        rows = Trees(trees, self._model.device, self._header(trees[0].header), keep=keep)
        tokens = [token for tree in trees for token in tree.tokens]
        depths = [depth for tree in trees for depth in tree.depths]
        return self._forward(tokens, depths, rows), rows.kept

    def _forward(self, tokens: Sequence[int], positions: Sequence[int], rows: Layout) -> Tensor:
        token = attention.layout.set(rows)
        try:
            out = self._decoder(
                input_ids=self._tensor(tokens).unsqueeze(0),
                position_ids=self._tensor(positions).unsqueeze(0),
                use_cache=False,
            )
        finally:
            attention.layout.reset(token)
        self.windows |= rows.windows
        return out.last_hidden_state[0]

    def _logits(self, states: Tensor) -> Tensor:
        """Return the logits behind states: (states, vocabulary)."""
        logits = self._head(states)
        return logits if self._scale == 1.0 else logits * self._scale

    def _logits_for(self, states: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
        """Return the logits, those of the targets added up in double and then rounded.

        In the sum over the vocabulary the errors of single logits cancel out; that of the target
        counts in full. It is one of tens of thousands, and costs next to nothing.
        """
        logits = self._logits(states)
        if isinstance(self._head, LaidOut) and self._head.keeps_weights:
            exact = self._head.exactly(states[rows], targets) * self._scale
            logits[rows, targets] = exact.to(logits.dtype)
        return logits

    def _header(self, tokens: Tokens) -> KeyValues | None:
        """Return keys and values of what stands before many trees, computed once."""
        if not tokens:
            return None
        if tokens not in self._headers:
            _, kept = self._forward_trees([tree_of([Strand(tokens, 0)])], keep=True)
            self._headers[tokens] = kept
            while len(self._headers) > HEADERS:
                self._headers.popitem(last=False)
        self._headers.move_to_end(tokens)
        return self._headers[tokens]

    def _tensor(self, numbers: Sequence[int]) -> Tensor:
        made = torch.tensor(numbers, dtype=torch.long)
        if self._model.device.type == "cuda":
            made = made.pin_memory()
        return made.to(self._model.device, non_blocking=True)


def _logit_scale(model: Model) -> float:
    """Return what some families multiply or divide their logits by; a trial shows if it is so."""
    config = model.config.get_text_config()
    times = getattr(config, "logit_scale", None) or 1.0
    return float(times) / (getattr(config, "logits_scaling", None) or 1.0)


def _leave(speakers: Sequence[Speaker], table: Conversations, active: list[int]) -> None:
    """Let who is done go; the last slot moves into the one that comes free."""
    for slot in reversed(range(len(active))):
        if speakers[active[slot]].finish is not None:
            table.free(slot)
            active[slot] = active[-1]
            active.pop()


def _strands(rows: Iterable[tuple[Tokens, int]]) -> list[Strand]:
    """Return every different row once, read from the first place that anybody reads."""
    first: dict[Tokens, int] = {}
    for tokens, read_from in rows:
        first[tokens] = min(read_from, first.get(tokens, read_from))
    return [Strand(tokens, read_from) for tokens, read_from in first.items()]


def _paths(trees: Sequence[Tree]) -> Iterator[tuple[int, list[int]]]:
    """Give every member of the trees with its nodes, counted along the flat row."""
    start = 0
    for tree in trees:
        for member, path in zip(tree.members, tree.paths, strict=True):
            yield member, [start + node for node in path]
        start += len(tree)


def _chunks(nodes: Sequence[int]) -> Iterator[list[int]]:
    """Order readings by their nodes, and cut where POSITIONS different nodes are together."""
    some: list[int] = []
    seen: set[int] = set()
    for i in sorted(range(len(nodes)), key=nodes.__getitem__):
        if len(seen) == POSITIONS and nodes[i] not in seen:
            yield some
            some, seen = [], set()
        some.append(i)
        seen.add(nodes[i])
    if some:
        yield some
