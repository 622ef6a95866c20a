"""Which group's number may be shown: small cells name people, and say little."""

from enum import StrEnum

SUPPRESSED_BELOW = 10  # a cell this small can point at a person
INDICATIVE_BELOW = 30  # its interval spans a third of the scale


class Cell(StrEnum):
    """How a group's number is shown."""

    SHOWN = "shown"
    INDICATIVE = "indicative"
    SUPPRESSED = "suppressed"


def cell(n: int) -> Cell:
    """Return how the number of a group of n people or items is shown.

    Raises:
        ValueError: n is negative.
    """
    if n < 0:
        raise ValueError(f"a group cannot have {n} members")
    if n < SUPPRESSED_BELOW:
        return Cell.SUPPRESSED
    return Cell.INDICATIVE if n < INDICATIVE_BELOW else Cell.SHOWN
