"""Token sequences as prefix trees: what several of them begin with stands, and is computed, once.

A tree is one row for the model. Its nodes are tokens in preorder, so that a node's descendants
stand right behind it: node `q` looks at node `k` exactly when `k <= q < end[k]`. That one
comparison is the whole attention mask.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil
from typing import Protocol

Tokens = tuple[int, ...]

# A row wider than this pays more for attention over its neighbours than sharing saves.
ROW = 128
# Fewer shared tokens than this are not worth a common row: every text begins at a start token.
JOIN = 2
# A header ends at a multiple of this: an accidental token more would make another header of it.
STEP = 16
# With fewer branches behind it, a header is cheaper inside each of them.
BRANCHES = 4


@dataclass(frozen=True, slots=True)
class Strand:
    """A sequence that goes through the model.

    Args:
        tokens: all of them, from the start of the text.
        read_from: the first position of which the prediction is read.
    """

    tokens: Tokens
    read_from: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Strands that are computed as one row.

    Args:
        header: the tokens before all of them that are computed apart, once.
        tokens: of every node, in preorder.
        depths: position of every node in the strands that it is part of.
        ends: for every node, the first node that is no descendant of it.
        members: which of the planned strands these are.
        paths: for each member, its nodes behind the header.
    """

    header: Tokens
    tokens: Tokens
    depths: tuple[int, ...]
    ends: tuple[int, ...]
    members: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        """Count the nodes: what the model computes."""
        return len(self.tokens)


class Limit(Protocol):
    """How many tokens a batch may hold; it may shrink while batches are given."""

    tokens: int


def plan_trees(strands: Sequence[Strand]) -> list[Tree]:
    """Cut strands into trees, so that little is computed twice and no row is too wide.

    The cut depends on these strands alone, never on what was planned before: a run that is
    resumed computes the same rows.

    Args:
        strands: no two alike; each has at least one token, and `read_from` lies in it.
    """
    order = sorted(range(len(strands)), key=lambda i: strands[i].tokens)
    return list(_planner(strands, order).split(0, len(order), 0)) if order else []


def tree_of(strands: Sequence[Strand], header: int = 0) -> Tree:
    """Return strands as one tree whose first `header` tokens, which all share, stand apart."""
    order = sorted(range(len(strands)), key=lambda i: strands[i].tokens)
    return _planner(strands, order).grow(0, len(order), header)


def batches(trees: Iterable[Tree], budget: Limit) -> Iterator[list[Tree]]:
    """Give trees with one header and of like size together, no more nodes than the budget.

    The batches of one header are about equally large: a last one with the crumbs would cost
    more time than its size. A tree that is larger than the budget comes alone.
    """
    ordered = sorted(trees, key=lambda tree: (tree.header, -len(tree), tree.tokens))
    for _, alike in groupby(ordered, key=lambda tree: tree.header):
        group = list(alike)
        left = sum(map(len, group))
        batch: list[Tree] = []
        size = 0
        for tree in group:
            # What is left, spread over as many batches as it needs at least.
            even = left / ceil(left / budget.tokens)
            if batch and (size + len(tree) > budget.tokens or size >= even):
                yield batch
                left -= size
                batch, size = [], 0
            batch.append(tree)
            size += len(tree)
        yield batch


@dataclass(frozen=True, slots=True)
class _Planner:
    """Strands in their order, with what each shares with the one before it."""

    strands: Sequence[Strand]
    order: Sequence[int]
    shared: Sequence[int]

    def split(self, low: int, high: int, header: int) -> Iterator[Tree]:
        """Give the trees of `order[low:high]`, whose first `header` tokens are computed apart."""
        longest = max(len(self._strand(i).tokens) for i in range(low, high)) - header
        if high - low == 1 or self._nodes(low, high, header) <= max(ROW, 2 * longest):
            yield self.grow(low, high, header)
            return
        common = min(self.shared[low + 1 : high])
        # Nothing is read from a header: its last possible token stands before the first read.
        common = min(common, *(self._strand(i).read_from for i in range(low, high)))
        ahead = common // STEP * STEP
        if ahead > header:
            branches = 1 + sum(self.shared[i] - common < JOIN for i in range(low + 1, high))
            if branches >= BRANCHES:
                yield from self.split(low, high, ahead)
                return
        for start, end in self._parts(low, high, header):
            yield from self.split(start, end, header)

    def _parts(self, low: int, high: int, header: int) -> Iterator[tuple[int, int]]:
        """Cut where neighbours share too little, or else where they share least."""
        least = min(self.shared[low + 1 : high])
        enough = max(header + JOIN, least + 1)
        start = low
        for i in range(low + 1, high):
            if self.shared[i] < enough:
                yield start, i
                start = i
        yield start, high

    def _nodes(self, low: int, high: int, header: int) -> int:
        first = len(self._strand(low).tokens) - header
        return first + sum(
            len(self._strand(i).tokens) - max(header, self.shared[i]) for i in range(low + 1, high)
        )

    def grow(self, low: int, high: int, header: int) -> Tree:
        """Make one tree of `order[low:high]`."""
        tokens: list[int] = []
        depths: list[int] = []
        ends: list[int] = []
        path: list[int] = []
        paths = []
        for i in range(low, high):
            strand = self._strand(i)
            kept = self.shared[i] - header if i > low else 0
            for node in path[kept:]:
                ends[node] = len(tokens)
            del path[kept:]
            for depth in range(header + kept, len(strand.tokens)):
                path.append(len(tokens))
                tokens.append(strand.tokens[depth])
                depths.append(depth)
                ends.append(0)
            paths.append(tuple(path))
        for node in path:
            ends[node] = len(tokens)
        return Tree(
            header=self._strand(low).tokens[:header],
            tokens=tuple(tokens),
            depths=tuple(depths),
            ends=tuple(ends),
            members=tuple(self.order[low:high]),
            paths=tuple(paths),
        )

    def _strand(self, i: int) -> Strand:
        return self.strands[self.order[i]]


def _planner(strands: Sequence[Strand], order: Sequence[int]) -> _Planner:
    shared = [_shared(strands[a], strands[b]) for a, b in pairwise(order)]
    return _Planner(strands, order, [0, *shared])


def _shared(one: Strand, other: Strand) -> int:
    """Count the tokens with which both begin."""
    count = 0
    for a, b in zip(one.tokens, other.tokens, strict=False):
        if a != b:
            break
        count += 1
    return count
