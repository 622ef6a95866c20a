"""Means and differences whose items hang together in one or in two crossed ways.

Templates filled with names hang together twice: all fills of a template share its wording, and
all uses of a name share what the candidate makes of that name. Standard errors that know only
the templates call an unbiased candidate biased, because they treat the few names as if they
were everybody.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import fsum, sqrt

from toetssteen.statistics import Interval
from toetssteen.statistics.studentised import Studentised


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of one group, with the cluster of each; `crossed` is a second clustering."""

    values: Sequence[float]
    clusters: Sequence[Hashable]
    crossed: Sequence[Hashable] | None = None


@dataclass(frozen=True, slots=True)
class _Variance:
    value: float
    df: float
    clusters: int


def two_way_t(
    values: Sequence[float],
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    level: float = 0.95,
) -> Interval:
    """Return the t interval of `two_way`."""
    return two_way(values, first, second).interval(level=level)


def two_way(
    values: Sequence[float], first: Sequence[Hashable], second: Sequence[Hashable]
) -> Studentised:
    """Return a mean whose items hang together in two crossed clusterings.

    V = V_first + V_second - V_both, each with its own K/(K - 1), and min(K_first, K_second) - 1
    degrees of freedom: Cameron, Gelbach and Miller (2011), Journal of Business and Economic
    Statistics 29:238-249, section 2. Their V can be smaller than a one-way variance, even
    negative (MacKinnon, Nielsen and Webb 2024, arXiv:2406.08880, compare remedies). We take the
    largest of V and the two one-way variances, and the method says so when it is one of those:
    V as it is rejects an unbiased candidate too often (docs/statistics.md).

    Args:
        values: one number an item.
        first: the cluster of each item in one clustering, such as its template.
        second: its cluster in the other, such as its name.

    Raises:
        ValueError: fewer than two clusters in a clustering, or lengths differ.
    """
    mean = fsum(values) / len(values)
    influences = [(value - mean) / len(values) for value in values]
    keys = list(zip(first, second, strict=True))
    ways = [
        _one_sample(influences, [key[0] for key in keys]),
        _one_sample(influences, [key[1] for key in keys]),
    ]
    return _crossed(mean, ways, _one_sample(influences, keys))


def difference(first: Sample, second: Sample) -> Studentised:
    """Return the mean of the first group minus that of the second, for any clustering.

    Clusters that hold items of both groups (a template filled for both) pair the groups, with
    K - 1 degrees of freedom; clusters of their own (a name belongs to one group) leave each
    group its own variance, with Welch's degrees of freedom; where only some are shared, K - 2.
    With equal clusters this is the paired t test over clusters, or Welch's over cluster means.
    With a second clustering in both samples, variances add as in `two_way`.

    Raises:
        ValueError: too few clusters to know a spread, or only one sample has a second clustering.
    """
    means = [fsum(sample.values) / len(sample.values) for sample in (first, second)]
    value = means[0] - means[1]
    weighed = [
        [sign * (x - mean) / len(sample.values) for x in sample.values]
        for sign, mean, sample in zip((1, -1), means, (first, second), strict=True)
    ]
    way = _two_samples(weighed, [first.clusters, second.clusters])
    if first.crossed is None and second.crossed is None:
        method = f"cluster-t, difference ({way.clusters} clusters)"
        return Studentised(value, sqrt(way.value), way.df, method)
    if first.crossed is None or second.crossed is None:
        raise ValueError("both groups need the second clustering, or neither")
    crossed = [first.crossed, second.crossed]
    cells = [
        list(zip(sample.clusters, other, strict=True))
        for sample, other in zip((first, second), crossed, strict=True)
    ]
    other_way = _two_samples(weighed, crossed)
    return _crossed(value, [way, other_way], _two_samples(weighed, cells))


def _crossed(value: float, ways: Sequence[_Variance], both: _Variance) -> Studentised:
    df = min(way.df for way in ways)
    together = fsum([*(way.value for way in ways), -both.value])
    widest = max(ways, key=lambda way: way.value)
    method = f"two-way t ({ways[0].clusters} x {ways[1].clusters} clusters)"
    if together < widest.value:
        method = f"{method}, variance of the {widest.clusters} clusters alone"
        together = widest.value
    return Studentised(value, sqrt(together), df, method)


def _one_sample(influences: Sequence[float], clusters: Sequence[Hashable]) -> _Variance:
    sums = _sums(zip(influences, clusters, strict=True))
    k = len(sums)
    if k < 2:
        raise ValueError("the spread between fewer than two clusters is not known")
    return _Variance(k / (k - 1) * _squares(sums.values()), k - 1, k)


def _two_samples(
    influences: Sequence[Sequence[float]], clusters: Sequence[Sequence[Hashable]]
) -> _Variance:
    names = [set(one) for one in clusters]
    if names[0].isdisjoint(names[1]):
        return _welch(*(_one_sample(*group) for group in zip(influences, clusters, strict=True)))
    sums = _sums(chain.from_iterable(_paired(influences, clusters)))
    k = len(sums)
    df = k - 1 if names[0] == names[1] else k - 2
    if df < 1:
        raise ValueError("the spread between so few clusters is not known")
    return _Variance(k / df * _squares(sums.values()), df, k)


def _welch(one: _Variance, other: _Variance) -> _Variance:
    """Add the variances of two means; Welch (1947), Biometrika 34:28-35."""
    value = one.value + other.value
    parts = one.value**2 / one.df + other.value**2 / other.df
    df = value**2 / parts if parts > 0 else one.df + other.df
    return _Variance(value, df, one.clusters + other.clusters)


def _paired(
    influences: Sequence[Sequence[float]], clusters: Sequence[Sequence[Hashable]]
) -> Iterator[Iterator[tuple[float, Hashable]]]:
    for group in zip(influences, clusters, strict=True):
        yield zip(*group, strict=True)


def _sums(members: Iterable[tuple[float, Hashable]]) -> dict[Hashable, float]:
    inside: dict[Hashable, list[float]] = defaultdict(list)
    for influence, cluster in members:
        inside[cluster].append(influence)
    return {cluster: fsum(some) for cluster, some in inside.items()}


def _squares(sums: Iterable[float]) -> float:
    return fsum(one * one for one in sums)
