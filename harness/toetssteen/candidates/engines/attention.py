"""Attention over packed rows: the one place where tokens of a batch meet.

transformers lets a model be given another attention function by name. Everything else in a
decoder works on one token at a time, so with this function all tokens of a batch can stand in
one flat row, without padding, and only here are they told apart.
"""

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from toetssteen.candidates.engines.trees import Tree

NAME = "toetssteen_packed"
Tensor = Any
Model = Any
Device = Any
# Queries at a time: what a long text computes against itself would take its length squared.
QUERIES = 512
# What some models do inside attention, and this function does not.
_UNKNOWN = ("softcap", "s_aux", "position_bias", "cache", "head_mask")


class CannotPackError(Exception):
    """The model's attention does something that packed rows do not carry."""


class Layout(Protocol):
    """How the tokens of the flat row in flight belong together.

    Args:
        windows: those that layers asked for so far; see `attend`.
    """

    windows: set[int | None]

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """Return what every token reads, (tokens, heads, width).

        Args:
            layer: number of the layer.
            query: (heads, tokens, width), positions already turned in.
            key: (key heads, tokens, width).
            value: (key heads, tokens, width).
            scale: of the products; None for one over the root of the width.
            window: how many tokens back a token may look, itself included; None for all.
        """
        ...


layout: ContextVar[Layout] = ContextVar("layout")


# Who looks at whom is new in every batch: compiled, it would be compiled again for each.
@torch.compiler.disable
def _attention(
    module: Model,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **more: object,
) -> tuple[Tensor, None]:
    """Hand one layer's attention to the layout in force."""
    if strange := [name for name in _UNKNOWN if more.get(name) is not None]:
        raise CannotPackError(f"its attention uses {', '.join(strange)}")
    read = layout.get().attend(
        module.layer_idx, query[0], key[0], value[0], scale=scaling, window=sliding_window
    )
    return read.unsqueeze(0), None


AttentionInterface.register(NAME, _attention)


# What later tokens look at: per layer keys and values, each (key heads, tokens, width).
KeyValues = Sequence[tuple[Tensor, Tensor]]


class Trees:
    """A batch of trees with one header; none of them sees another."""

    def __init__(
        self,
        trees: Sequence[Tree],
        device: Device,
        header: KeyValues | None = None,
        *,
        keep: bool = False,
    ) -> None:
        """Lay trees behind one another in the flat row.

        Args:
            trees: in the order in which their nodes stand in the row.
            device: where the model computes.
            header: keys and values of their header.
            keep: note keys and values of all nodes in `kept`.
        """
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.windows: set[int | None] = set()
        self._keep = keep
        self._header = header
        # A processor calls attention for every tree, and computes no padding. To a graphics card
        # a call is dear and padding is cheap.
        self._rows = _Padded(trees, device) if device.type == "cuda" else _Apart(trees, device)

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """See `Layout`."""
        self.windows.add(window)
        if self._keep:
            if layer != len(self.kept):
                raise CannotPackError("its layers do not come in order")
            self.kept.append((key, value))
        header = None if self._header is None else self._header[layer]
        return self._rows.read(query, key, value, header, scale, window)


class _Apart:
    """Trees computed one after another, each on its own keys."""

    def __init__(self, trees: Sequence[Tree], device: Device) -> None:
        self._trees = trees
        self._device = device
        self._masks: dict[int | None, list[list[Tensor | None]]] = {}

    def read(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        header: tuple[Tensor, Tensor] | None,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """Return what every token reads, (tokens, heads, width)."""
        if window not in self._masks:
            self._masks[window] = [
                [_ready(mask, query, len(tree)) for mask in self._mask(tree, window)]
                for tree in self._trees
            ]
        read = query.new_empty((*query.shape[:2], value.shape[-1]))
        start = 0
        for tree, masks in zip(self._trees, self._masks[window], strict=True):
            end = start + len(tree)
            keys, values = key[:, start:end], value[:, start:end]
            if header is not None:
                keys = torch.cat([header[0], keys], 1)
                values = torch.cat([header[1], values], 1)
            for at, mask in zip(range(start, end, QUERIES), masks, strict=True):
                until = min(at + QUERIES, end)
                read[:, at:until] = scaled_dot_product_attention(
                    query[None, :, at:until],
                    keys[None],
                    values[None],
                    attn_mask=_ready(mask, query),
                    is_causal=mask is None,
                    scale=scale,
                    enable_gqa=True,
                )[0]
            start = end
        return read.transpose(0, 1)

    def _mask(self, tree: Tree, window: int | None) -> Iterator[Tensor | None]:
        """Give who looks at whom, (queries, header + nodes), for QUERIES nodes at a time."""
        alone = len(tree.paths) == 1 and not tree.header and window is None
        if alone and len(tree) <= QUERIES:
            yield None  # a text by itself: everybody looks at all before
            return
        ends = torch.tensor(tree.ends, device=self._device)
        depths = torch.tensor(tree.depths, device=self._device)
        yield from _masks(ends[None], depths[None], len(tree.header), window)


class _Padded:
    """Trees computed side by side, the shorter ones padded."""

    def __init__(self, trees: Sequence[Tree], device: Device) -> None:
        width = max(map(len, trees))
        index: list[int] = []
        flat: list[int] = []
        ends: list[list[int]] = []
        depths: list[list[int]] = []
        start = 0
        for row, tree in enumerate(trees):
            pad = width - len(tree)
            index += [*range(start, start + len(tree)), *[0] * pad]
            flat += range(row * width, row * width + len(tree))
            # Padding looks at itself, so that its softmax is not over nothing.
            ends.append([*tree.ends, *range(len(tree) + 1, width + 1)])
            depths.append([*tree.depths, *[0] * pad])
            start += len(tree)
        self._before = len(trees[0].header)
        self._index = torch.tensor(index, device=device)
        self._flat = torch.tensor(flat, device=device)
        self._ends = torch.tensor(ends, device=device)
        self._depths = torch.tensor(depths, device=device)
        self._masks: dict[int | None, list[Tensor]] = {}

    def read(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        header: tuple[Tensor, Tensor] | None,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """Return what every token reads, (tokens, heads, width)."""
        if window not in self._masks:
            self._masks[window] = [
                _ready(mask, query, self._ends.shape[1])
                for mask in _masks(self._ends, self._depths, self._before, window)
            ]
        rows, width = self._ends.shape
        queries = self._side_by_side(query)
        keys, values = self._side_by_side(key), self._side_by_side(value)
        if header is not None:
            keys = torch.cat([header[0].expand(rows, -1, -1, -1), keys], 2)
            values = torch.cat([header[1].expand(rows, -1, -1, -1), values], 2)
        read = [
            scaled_dot_product_attention(
                queries[:, :, at : at + QUERIES],
                keys,
                values,
                attn_mask=_ready(mask, query),
                scale=scale,
                enable_gqa=True,
            )
            for at, mask in zip(range(0, width, QUERIES), self._masks[window], strict=True)
        ]
        laid = torch.cat(read, 2).transpose(1, 2).reshape(rows * width, len(query), -1)
        return laid[self._flat]

    def _side_by_side(self, flat: Tensor) -> Tensor:
        """(heads, tokens, size) to (rows, heads, width, size)."""
        rows, width = self._ends.shape
        return flat[:, self._index].view(len(flat), rows, width, -1).transpose(0, 1)


def _masks(ends: Tensor, depths: Tensor, before: int, window: int | None) -> Iterator[Tensor]:
    """Give who looks at whom, for QUERIES nodes at a time.

    Args:
        ends: (rows, nodes), see `Tree`.
        depths: (rows, nodes), see `Tree`.
        before: length of the header, which everybody looks at.
        window: how many tokens back a token may look, itself included; None for all.

    Yields:
        (rows, queries, header + nodes).
    """
    rows, width = ends.shape
    nodes = torch.arange(width, device=ends.device)
    header = torch.arange(before, device=ends.device).expand(rows, -1)
    stand = torch.cat([header, depths], 1)
    for at in range(0, width, QUERIES):
        asking = nodes[at : at + QUERIES, None]
        mask = (nodes <= asking) & (asking < ends[:, None, :])
        mask = torch.cat([mask.new_ones(rows, len(asking), before), mask], 2)
        if window is not None:
            mask &= depths[:, at : at + QUERIES, None] - stand[:, None, :] < window
        yield mask


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """Return who looks at whom, (rows, queries, keys), as what is added to the products.

    Of this form, (rows, 1, queries, keys), torch's fast attention takes a mask; of a mask of
    booleans with fewer axes it computes every step apart, in twice the time.
    """
    return torch.zeros(mask.shape, dtype=like.dtype, device=mask.device).masked_fill_(
        ~mask, float("-inf")
    )[:, None]


def _ready(mask: Tensor | None, like: Tensor, nodes: int = 0) -> Tensor | None:
    """Return a mask as it is added; that of many nodes stays as it is, a quarter of the size."""
    if mask is None or mask.is_floating_point() or nodes > QUERIES:
        return mask
    return _added(mask, like)


class Steps:
    """One new token for each of some conversations, with the keys and values of all before it."""

    def __init__(
        self, memory: Sequence[tuple[Tensor, Tensor]], lengths: Tensor, longest: int
    ) -> None:
        """Number the slots and the places in them.

        Args:
            memory: per layer keys and values, each (slots, key heads, room, width).
            lengths: (rows,) tokens that each conversation holds; its new one comes behind.
            longest: the largest of them.
        """
        self.windows: set[int | None] = set()
        self._memory = memory
        self._lengths = lengths
        self._until = longest + 1
        self._rows = torch.arange(len(lengths), device=lengths.device)
        self._masks: dict[int | None, Tensor] = {}

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """See `Layout`."""
        self.windows.add(window)
        rows, until = len(self._lengths), self._until
        keys, values = self._memory[layer]
        keys[self._rows, :, self._lengths] = key.transpose(0, 1)
        values[self._rows, :, self._lengths] = value.transpose(0, 1)
        if window not in self._masks:
            self._masks[window] = _added(self._mask(window), query)
        heads, _, size = query.shape
        groups = heads // key.shape[0]
        read = scaled_dot_product_attention(
            query.transpose(0, 1).reshape(rows, -1, groups, size),
            keys[:rows, :, :until],
            values[:rows, :, :until],
            attn_mask=self._masks[window].expand(-1, -1, groups, -1),
            scale=scale,
        )
        return read.reshape(rows, heads, -1)

    def _mask(self, window: int | None) -> Tensor:
        """Return what each conversation looks at, (rows, 1, places)."""
        stand = torch.arange(self._until, device=self._lengths.device)
        mask = stand <= self._lengths[:, None]
        if window is not None:
            mask &= self._lengths[:, None] - stand < window
        return mask[:, None]
