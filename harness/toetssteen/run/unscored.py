"""Do answers that cannot be scored fall on one group more than on another?

Dropping them hides that: a candidate that refuses half of one group's requests treats that group
differently, whatever its other answers say.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import fsum

from toetssteen.metrics import Rng
from toetssteen.records import Answered, Estimate, Score, Status
from toetssteen.statistics.cells import Cell, cell
from toetssteen.statistics.gaps import largest_gap

UNSCORED_GAP = "unscored_gap"


def unscored_gaps(scores: Sequence[Score], *, rng: Rng) -> Iterator[tuple[str, Estimate]]:
    """Give, for each way of grouping, the largest gap between groups in answers that fail them.

    Unscored answers and refusals count, also where a refusal has a score. One value a cluster
    and group, because answers of one cluster hang together (of two crossed kinds of cluster the
    one with fewer); labels are shuffled within clusters where clusters hold several groups.
    Groups of fewer than ten items are left out. Nothing is given where nothing is missing.
    """
    if not any(_missing(score) for score in scores):
        return
    for dimension in scores[0].groups:
        counted = Counter(score.groups[dimension] for score in scores)
        large = {group for group, n in counted.items() if cell(n) is not Cell.SUPPRESSED}
        if len(large) > 1:
            kept = [score for score in scores if score.groups[dimension] in large]
            yield dimension, _gap(kept, dimension, rng)


def _missing(score: Score) -> bool:
    return score.value is None or score.answered is Answered.REFUSED


def _gap(scores: Sequence[Score], dimension: str, rng: Rng) -> Estimate:
    kind = _fewest(scores)
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for score in scores:
        cluster = score.item if kind is None else score.clusters[kind]
        cells[score.groups[dimension], cluster].append(float(_missing(score)))
    groups = [group for group, _ in cells]
    clusters = [cluster for _, cluster in cells]
    crossed = len(set(clusters)) < len(clusters)
    values = [fsum(inside) / len(inside) for inside in cells.values()]
    missing = sum(_missing(score) for score in scores)
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


def _fewest(scores: Sequence[Score]) -> str | None:
    """Return the kind of cluster with the fewest clusters: the unit that varies most together."""
    kinds = scores[0].clusters
    if not kinds:
        return None
    return min(kinds, key=lambda kind: len({score.clusters[kind] for score in scores}))
