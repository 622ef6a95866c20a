"""How far apart groups are, beside what chance makes of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import ClassVar

from toetssteen.metrics import Rng, degenerate
from toetssteen.metrics.among import among
from toetssteen.metrics.averages import value_of
from toetssteen.records import Better, Estimate, Marked, Score, Status
from toetssteen.statistics.cells import Cell, cell
from toetssteen.statistics.gaps import largest_gap


@dataclass(frozen=True, slots=True)
class LargestGap:
    """The gap between the group with the highest and the one with the lowest mean.

    It is never 0, also where nothing is the matter, so it has no interval around 0: what shuffled
    groups give (median, 95th percentile) and a p-value stand beside it. Labels are shuffled
    within clusters where a cluster holds several groups; groups under ten items are left out.

    Args:
        group: the task's group column.
        part: a part of the score instead of its value.
        unit: what is counted.
        among: group column → value of the items that count; all of them unless given.
    """

    group: str
    part: str | None = None
    unit: str = ""
    among: Mapping[str, str] = field(default_factory=dict)
    better: Better = field(default="near_zero", init=False)
    by_group: ClassVar[bool] = False

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate the gap and its null."""
        marked = among(marked, self.among)
        no_number = degenerate(
            marked.scores, unit=self.unit, others=marked.others, part=bool(self.among)
        )
        if no_number is not None:
            return no_number
        scored = [
            (score, value)
            for score in marked.scores
            if (value := value_of(score, self.part)) is not None
        ]
        missing = len(marked.scores) - len(scored)
        return gap_between(
            [s for s, _ in scored], [v for _, v in scored], self.group, missing, rng
        )


def gap_between(
    scores: Sequence[Score], values: Sequence[float], group: str, unscored: int, rng: Rng
) -> Estimate:
    """Return the largest gap in a value between the groups of one column.

    One value a cluster and group, because answers of one cluster hang together; of two crossed
    kinds of cluster the one with fewer.

    Args:
        scores: of the items that have a value.
        values: one a score.
        group: the column.
        unscored: how many items have no value.
        rng: draws the permutations.
    """
    counted = Counter(score.groups[group] for score in scores)
    large = {name for name, n in counted.items() if cell(n) is not Cell.SUPPRESSED}
    kept = [(s, v) for s, v in zip(scores, values, strict=True) if s.groups[group] in large]
    n = len(kept)
    if len(large) < 2:
        reason = "fewer than two groups of ten items"
        return Estimate.none(Status.NOT_RESOLVABLE, reason, n=n, unscored=unscored)
    kind = _fewest([score for score, _ in kept])
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for score, value in kept:
        cluster = score.item if kind is None else score.clusters[kind]
        cells[score.groups[group], cluster].append(value)
    clusters = [cluster for _, cluster in cells]
    crossed = len(set(clusters)) < len(clusters)
    means = [fsum(inside) / len(inside) for inside in cells.values()]
    try:
        gap = largest_gap(
            means, [name for name, _ in cells], rng=rng, strata=clusters if crossed else None
        )
    except ValueError as error:
        return Estimate.none(Status.UNINFORMATIVE, str(error), n=n, unscored=unscored)
    return Estimate(
        value=gap.observed,
        low=None,
        high=None,
        n=n,
        unscored=unscored,
        method=gap.method,
        status=Status.MEASURED,
        clusters=len(set(clusters)) if kind is not None else None,
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
