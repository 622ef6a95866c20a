"""What a meter is: it reads energy counters around a block of requests, or says why it cannot."""

from dataclasses import dataclass
from typing import Protocol

from toetssteen.records import Reading


class Meter(Protocol):
    """Reads counters at both edges of a block."""

    def open(self) -> None:
        """Read the counters before a block."""
        ...

    def close(self) -> tuple[Reading, ...]:
        """Read them again; one reading a source, with joules or with the reason for none."""
        ...


@dataclass(frozen=True, slots=True)
class NoMeter:
    """The meter of a machine whose energy cannot be read.

    Args:
        reason: why not, in words that the report can print.
    """

    reason: str = "energy was not metered"

    def open(self) -> None:
        """Nothing to read."""

    def close(self) -> tuple[Reading, ...]:
        """Say that nothing is known."""
        return (Reading("none", None, "unknown", "unknown", "none", self.reason),)
