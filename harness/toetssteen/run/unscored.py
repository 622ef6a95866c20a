"""Do answers that cannot be scored fall on one group more than on another?

Dropping them hides that: a candidate that refuses half of one group's requests treats that group
differently, whatever its other answers say.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import fsum

from toetssteen.metrics import Rng
from toetssteen.records import Estimate, Score, Status
from toetssteen.statistics.gaps import largest_gap

UNSCORED_GAP = "unscored_gap"


def unscored_gaps(scores: Sequence[Score], *, rng: Rng) -> Iterator[tuple[str, Estimate]]:
    """Give, for each way of grouping, the largest gap between groups in the unscored share.

    One value a cluster and group, because answers of one cluster hang together; labels are
    shuffled within clusters where clusters hold several groups. Nothing is given where every
    answer was scored.
    """
    if all(score.value is not None for score in scores):
        return
    for dimension in scores[0].groups:
        if len({score.groups[dimension] for score in scores}) > 1:
            yield dimension, _gap(scores, dimension, rng)


def _gap(scores: Sequence[Score], dimension: str, rng: Rng) -> Estimate:
    cells: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for score in scores:
        cluster = "|".join(score.clusters.values()) or score.item
        cells[score.groups[dimension], cluster].append(float(score.value is None))
    groups = [group for group, _ in cells]
    clusters = [cluster for _, cluster in cells]
    crossed = len(set(clusters)) < len(clusters)
    values = [fsum(inside) / len(inside) for inside in cells.values()]
    missing = sum(score.value is None for score in scores)
    n = len(scores) - missing
    try:
        gap = largest_gap(values, groups, rng=rng, strata=clusters if crossed else None)
    except ValueError as error:
        return Estimate.none(Status.UNINFORMATIVE, str(error), n=n, unscored=missing)
    return Estimate(
        value=gap.observed,
        low=None,
        high=None,
        n=n,
        unscored=missing,
        method=gap.method,
        status=Status.MEASURED,
        p_value=gap.p_value,
        null_median=gap.null_median,
        null_95=gap.null_95,
    )
