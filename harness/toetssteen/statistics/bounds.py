"""What a rate could be if the answers that cannot be scored were known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one group: how many can be scored, how many of those are favourable.

    Args:
        favourable: scored, and for the person.
        valid: scored.
        unscored: refused, off-format, empty, truncated, filtered or failed.
    """

    favourable: int
    valid: int
    unscored: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest and the highest value that the unscored answers leave possible."""

    low: float
    high: float


def rate_bounds(answers: Answers) -> Bounds:
    """Return the rate with every unscored answer unfavourable, and with every one favourable.

    Manski (1989), Journal of Human Resources 24:343-360; Horowitz and Manski (2000), JASA
    95:77-84. No assumption about why answers are missing; no sampling error either, so these
    stand beside an interval, not in its place.

    Raises:
        ValueError: there are no answers, or the counts contradict each other.
    """
    if not 0 <= answers.favourable <= answers.valid or answers.unscored < 0:
        raise ValueError(f"these counts contradict each other: {answers}")
    n = answers.valid + answers.unscored
    if n == 0:
        raise ValueError("a rate of no answers is not defined")
    return Bounds(answers.favourable / n, (answers.favourable + answers.unscored) / n)


def difference_bounds(first: Answers, second: Answers) -> Bounds:
    """Return the bounds of the first rate minus the second.

    The least: all of the first group's unscored answers unfavourable, all of the second's
    favourable; the most: the other way round.

    Raises:
        ValueError: a group has no answers, or its counts contradict each other.
    """
    one, other = rate_bounds(first), rate_bounds(second)
    return Bounds(one.low - other.high, one.high - other.low)
