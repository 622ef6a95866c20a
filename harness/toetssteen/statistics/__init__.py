"""Intervals for proportions and means: pure, order-independent, without hidden randomness."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between its bounds, and the method that gave them."""

    value: float
    low: float
    high: float
    method: str
