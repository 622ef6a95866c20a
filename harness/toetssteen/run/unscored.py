"""Do answers that cannot be scored fall on one group more than on another?

Dropping them hides that: a candidate that refuses half of one group's requests treats that group
differently, whatever its other answers say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from toetssteen.metrics import Rng
from toetssteen.metrics.groups import gap_between
from toetssteen.records import Answered, Estimate, Score

UNSCORED_GAP = "unscored_gap"


def unscored_gaps(scores: Sequence[Score], *, rng: Rng) -> Iterator[tuple[str, Estimate]]:
    """Give, for each way of grouping, the largest gap between groups in answers that fail them.

    Unscored answers and refusals count, also where a refusal has a score. Nothing is given where
    nothing is missing, or where there is one group.
    """
    missing = [
        float(score.value is None or score.answered is Answered.REFUSED) for score in scores
    ]
    unscored = sum(score.value is None for score in scores)
    if not any(missing):
        return
    for dimension in scores[0].groups:
        if len({score.groups[dimension] for score in scores}) > 1:
            estimate = gap_between(scores, missing, dimension, 0, rng)
            yield dimension, replace(estimate, n=len(scores) - unscored, unscored=unscored)
