"""Keys and values of conversations in flight: one slot each, slots without gaps."""

from collections.abc import Sequence
from typing import Any

from toetssteen.candidates.engines.attention import KeyValues

Tensor = Any

# Tokens by which full slots grow: memory that is never used is only reserved, growing copies.
GROWTH = 64


class Conversations:
    """What the model remembers of some conversations; memory is taken at the first `reserve`."""

    def __init__(self, slots: int) -> None:
        """Keep at most `slots` conversations."""
        self.slots = slots
        self.memory: list[tuple[Tensor, Tensor]] = []
        self.lengths: list[int] = []

    def reserve(self, room: int, like: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        """See to it that every slot holds `room` tokens.

        Grows one layer at a time, so that no more than one is held twice.

        Args:
            room: in tokens.
            like: keys and values per layer, (heads, tokens, width): what the slots will hold.
        """
        if not self.memory:
            self.memory = [
                (self._zeros(keys, room), self._zeros(values, room)) for keys, values in like
            ]
        have = self.memory[0][0].shape[2]
        if room > have:
            for layer, pair in enumerate(self.memory):
                grown = [self._zeros(old[0], room + GROWTH) for old in pair]
                for new, old in zip(grown, pair, strict=True):
                    new[:, :, :have] = old
                self.memory[layer] = (grown[0], grown[1])

    def add(
        self, header: KeyValues | None, nodes: Sequence[tuple[Tensor, Tensor]], path: Tensor
    ) -> None:
        """Put a conversation into the next slot: its header, then its own nodes."""
        before = header[0][0].shape[1] if header else 0
        slot, length = len(self.lengths), before + len(path)
        for layer, (mine, new) in enumerate(zip(self.memory, nodes, strict=True)):
            for kind in (0, 1):
                if header:
                    mine[kind][slot, :, :before] = header[layer][kind]
                mine[kind][slot, :, before:length] = new[kind][:, path]
        self.lengths.append(length)

    def lengthen(self) -> None:
        """Count the token that was put behind every conversation."""
        self.lengths = [length + 1 for length in self.lengths]

    def free(self, slot: int) -> None:
        """Empty a slot by moving the last one into it."""
        length = self.lengths.pop()
        last = len(self.lengths)
        if slot != last:
            for pair in self.memory:
                for one in pair:
                    one[slot, :, :length] = one[last, :, :length]
            self.lengths[slot] = length

    def _zeros(self, like: Tensor, room: int) -> Tensor:
        # Zeros, because what is masked is still multiplied, and 0 times a stray NaN is NaN.
        heads, _, width = like.shape
        return like.new_zeros((self.slots, heads, room, width))
