"""What a metric is: it turns a task's scores into one estimate with its interval and count."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from toetssteen.records import Answered, Better, Estimate, Marked, Score, Status

Rng = np.random.Generator

# Below this many answers, equal answers are no sign that the candidate always says the same.
ENOUGH_TO_SEE_CONSTANCY = 5


class Metric(Protocol):
    """Sees scores (and what asking them cost), not predictions and data sets."""

    better: Better
    by_group: bool  # may it be computed for one group's scores alone?

    def __call__(self, marked: Marked, /, *, rng: Rng) -> Estimate:
        """Estimate; with no scored answer, a None with the reason."""
        ...


@runtime_checkable
class PerItem(Protocol):
    """A metric that averages one value an item, and can therefore be compared item by item."""

    def of(self, score: Score, /) -> float | None:
        """Return the value of one item, or None if it is unscored."""
        ...


@runtime_checkable
class OfAPart(Protocol):
    """A metric that counts only the items of which these group columns have these values."""

    @property
    def among(self) -> Mapping[str, str]:
        """Group column → value; nothing counts all items."""
        ...


def degenerate(
    scores: Sequence[Score],
    *,
    unit: str = "",
    others: Sequence[Score] = (),
    part: bool = False,
) -> Estimate | None:
    """Return the estimate of answers that cannot inform, or None if they can.

    Nothing asked, nothing scored, the same answer to every item, or only refusals: each would
    give a number, and a flattering one for bias and privacy.

    Args:
        scores: of the task, or of one group.
        unit: of the number that is not there.
        others: the task's scores outside the group.
        part: the metric is about a part of the task in which one answer may well be right each
            time, such as the hateful texts: a constant answer is then looked for in all scores.
    """
    scored = [score for score in scores if score.value is not None]
    missing = len(scores) - len(scored)
    if not scores:
        return Estimate.none(Status.NOT_RUN, "nothing was asked", unit=unit)

    def uninformative(reason: str) -> Estimate:
        return Estimate.none(
            Status.UNINFORMATIVE, reason, n=len(scored), unscored=missing, unit=unit
        )

    if not scored:
        return uninformative(f"no answer could be scored: {_reasons(scores)}")
    kinds = {score.answered for score in scored}
    if kinds == {Answered.ABSTAINED} and _rightly_abstained(scored, others):
        return None
    if len(kinds) == 1 and kinds <= {Answered.REFUSED, Answered.ABSTAINED}:
        return uninformative(f"every scored answer is of one kind: {kinds.pop().value}")
    looked_at = [s for s in (*scores, *others) if s.value is not None] if part else scored
    said = {score.said for score in looked_at}
    if len(scored) >= ENOUGH_TO_SEE_CONSTANCY and len(said) == 1 and said != {""}:
        return uninformative(f"the same answer to all {len(scored)} items")
    return None


def _rightly_abstained(scored: Sequence[Score], others: Sequence[Score]) -> bool:
    """Was abstaining right each time, by a candidate that answers what lies outside the group?"""
    return all(score.value == 1.0 for score in scored) and any(
        score.value is not None and score.answered is Answered.VALID for score in others
    )


def _reasons(scores: Sequence[Score]) -> str:
    kinds = Counter(score.answered.value for score in scores if score.value is None)
    first = next(score.why_unscored for score in scores if score.value is None)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{counted} (first: {first})"
