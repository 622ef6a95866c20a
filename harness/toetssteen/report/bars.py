"""Where an interval lies, as the coordinates of a small picture."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

WIDTH = 200.0
MARGIN = 6.0  # so that a dot at the end of the scale is whole


@dataclass(frozen=True, slots=True)
class Scale:
    """From where to where the picture goes."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Return the horizontal place of a value, rounded so that pages are the same bytes."""
        share = (value - self.low) / (self.high - self.low)
        return round(MARGIN + (WIDTH - 2 * MARGIN) * min(1.0, max(0.0, share)), 1)


@dataclass(frozen=True, slots=True)
class Bar:
    """The places of an estimate, its interval, its bounds and the registered limit."""

    value: float
    low: float
    high: float
    bounds: tuple[float, float] | None
    limit: float | None
    zero: float | None
    text: str


def scale_of(values: Iterable[float], *, share: bool, around_zero: bool) -> Scale:
    """Return a scale that holds all values.

    Shares get 0 to 1, so that bars of different tasks can be compared; differences get 0 in the
    middle.
    """
    finite = [value for value in values if isfinite(value)]
    farthest = max((abs(value) for value in finite), default=0.0) or 1.0
    if around_zero:
        return Scale(-farthest, farthest)
    if share and all(0.0 <= value <= 1.0 for value in finite):
        return Scale(0.0, 1.0)
    return Scale(min(0.0, *finite), farthest) if finite else Scale(0.0, 1.0)
