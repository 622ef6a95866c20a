"""Two groups compared inside strata: is the difference still there among comparable cases?"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from scipy.special import chdtrc, ndtri

from toetssteen.statistics import Interval


@dataclass(frozen=True, slots=True)
class Side:
    """One group: for every case 0 or 1, and the stratum it lies in."""

    values: Sequence[float]
    strata: Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class Stratified:
    """The pooled difference with its interval, and the test of no difference in any stratum."""

    interval: Interval
    p_value: float
    strata: int  # in which both groups occur; the others say nothing
    n1: int  # cases of the first group in those strata
    n0: int  # and of the second


@dataclass(frozen=True, slots=True)
class _Table:
    """One stratum: successes and cases of both groups."""

    x1: int
    n1: int
    x0: int
    n0: int

    @property
    def n(self) -> int:
        return self.n1 + self.n0


def mantel_haenszel(first: Side, second: Side, *, level: float = 0.95) -> Stratified:
    """Return the Mantel-Haenszel difference of two rates, first minus second.

    Strata are weighed by n1 n0 / n, and the variance is Sato's (1989), Biometrics 45:1323-1324,
    which holds for a few large strata and for many small ones. The test is that of Cochran,
    Mantel and Haenszel without continuity correction: Mantel and Haenszel (1959), JNCI
    22:719-748.

    Raises:
        ValueError: a value that is neither 0 nor 1, no stratum in which both groups occur, or
            nothing that varies within the strata: an interval of no width would claim certainty.
    """
    tables = _tables(first, second)
    if not tables:
        raise ValueError("the groups have no stratum in common")
    weights = [table.n1 * table.n0 / table.n for table in tables]
    whole = fsum(weights)
    value = (
        fsum(
            w * (table.x1 / table.n1 - table.x0 / table.n0)
            for w, table in zip(weights, tables, strict=True)
        )
        / whole
    )
    variance = fsum(value * _p(table) + _q(table) for table in tables) / whole**2
    if variance <= 0:
        raise ValueError("nothing varies within the strata: there is no spread to go by")
    half = -float(ndtri((1 - level) / 2)) * sqrt(variance)
    method = f"mantel-haenszel ({len(tables)} strata)"
    interval = Interval(value, max(-1.0, value - half), min(1.0, value + half), method)
    n1, n0 = sum(table.n1 for table in tables), sum(table.n0 for table in tables)
    return Stratified(interval, _test(tables), len(tables), n1, n0)


def _tables(first: Side, second: Side) -> list[_Table]:
    counts = []
    for side in (first, second):
        if not set(side.values) <= {0.0, 1.0}:
            raise ValueError("a rate needs values 0 and 1")
        pairs = list(zip(side.values, side.strata, strict=True))
        cases = Counter(stratum for _, stratum in pairs)
        counts.append((Counter(stratum for value, stratum in pairs if value == 1.0), cases))
    (x1, n1), (x0, n0) = counts
    shared = sorted(n1.keys() & n0.keys(), key=repr)
    return [_Table(x1[s], n1[s], x0[s], n0[s]) for s in shared]


def _p(t: _Table) -> float:
    """Sato's P of one stratum."""
    return (t.n1**2 * t.x0 - t.n0**2 * t.x1 + t.n1 * t.n0 * (t.n0 - t.n1) / 2) / t.n**2


def _q(t: _Table) -> float:
    """Sato's Q of one stratum."""
    return (t.x1 * (t.n0 - t.x0) + t.x0 * (t.n1 - t.x1)) / (2 * t.n)


def _test(tables: Sequence[_Table]) -> float:
    excess = fsum(t.x1 - t.n1 * (t.x1 + t.x0) / t.n for t in tables)
    spread = fsum(
        t.n1 * t.n0 * (t.x1 + t.x0) * (t.n - t.x1 - t.x0) / (t.n**2 * (t.n - 1))
        for t in tables
        if t.n > 1
    )
    if spread == 0:
        return 1.0  # all alike in every stratum: no evidence of a difference
    return float(chdtrc(1, excess**2 / spread))
