"""The answers that lie in a file, found by key without holding them in memory."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock

import numpy as np

from toetssteen.records import Answer

# Of a 64-bit entry the low bits say the block, the others what is left of the key's hash. So of a
# million keys that are not there, a handful at most cost a look into a block for nothing.
BLOCK_BITS = 28
BLOCK = (1 << BLOCK_BITS) - 1
RECENT = 1 << 14
BLOCKS_HELD = 4


class KeyIndex:
    """Says in which block a key may be: 8 bytes a key, where a dict takes some 150.

    Entries are sorted and searched by halves. What was added last stands in a dict until there is
    enough of it to be worth sorting in, so that adding costs the same however much there is.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._sorted = array("Q")
        self._recent: dict[str, int] = {}

    def add(self, key: str, block: int) -> None:
        """Note that the key is in the block, and no longer where it was before."""
        self._recent[key] = block
        if len(self._recent) >= RECENT:
            self._sort_in()

    def blocks(self, key: str) -> Iterator[int]:
        """Give the blocks where the key may be, the last one first."""
        if key in self._recent:
            yield self._recent[key]
        entry = _entry(key, BLOCK)
        place = bisect_right(self._sorted, entry)
        while place and (found := self._sorted[place - 1]) | BLOCK == entry:
            yield found & BLOCK
            place -= 1

    def _sort_in(self) -> None:
        self._sorted.extend(_entry(key, block) for key, block in self._recent.items())
        # Stable is the sort that makes use of what is in order already.
        np.asarray(self._sorted).sort(kind="stable")
        self._recent.clear()


def _entry(key: str, block: int) -> int:
    if block > BLOCK:
        raise OverflowError(f"a run holds at most {BLOCK + 1} blocks")
    return (hash(key) << BLOCK_BITS & 0xFFFF_FFFF_FFFF_FFFF) | block


class KeptAnswers(Mapping[str, Answer]):
    """The answers of a run by key; a block is read when one of its answers is asked for.

    Whoever asks for one answer mostly asks for the next one too, so the last blocks that were
    read are held. One thread may add while another asks.
    """

    def __init__(
        self, read: Callable[[int, int], Mapping[str, bytes]], parse: Callable[[bytes], Answer]
    ) -> None:
        """Begin empty.

        Args:
            read: gives, by key, the lines between two places of the file.
            parse: makes an answer of a line.
        """
        self._read = read
        self._parse = parse
        self._index = KeyIndex()
        self._starts = array("Q")
        self._ends = array("Q")
        self._held: dict[int, Mapping[str, bytes]] = {}
        self._lock = Lock()

    def add(self, keys: Sequence[str], start: int, end: int) -> None:
        """Note that the answers under the keys lie between those two places of the file."""
        with self._lock:
            block = len(self._starts)
            self._starts.append(start)
            self._ends.append(end)
            for key in keys:
                self._index.add(key, block)

    def __getitem__(self, key: str) -> Answer:
        """Return the last answer that was kept under the key.

        Raises:
            KeyError: there is none.
            ContentError: the file was damaged since it was opened.
        """
        with self._lock:
            block = self._where(key)
            if block is None:
                raise KeyError(key)
            line = self._block(block)[key]
        return self._parse(line)

    def __contains__(self, key: object) -> bool:
        """Say whether there is an answer, without making it."""
        with self._lock:
            return isinstance(key, str) and self._where(key) is not None

    def __len__(self) -> int:
        """Count the keys that have an answer, which takes reading the file."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[str]:
        """Give every key once, where it was kept last."""
        for block in range(len(self._starts)):
            with self._lock:
                here = [key for key in self._block(block) if self._where(key) == block]
            yield from here

    def _where(self, key: str) -> int | None:
        return next((b for b in self._index.blocks(key) if key in self._block(b)), None)

    def _block(self, block: int) -> Mapping[str, bytes]:
        held = self._held.pop(block, None)
        if held is None:
            held = self._read(self._starts[block], self._ends[block])
        self._held[block] = held
        while len(self._held) > BLOCKS_HELD:
            del self._held[next(iter(self._held))]
        return held
