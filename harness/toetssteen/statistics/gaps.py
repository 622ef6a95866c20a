"""The largest gap between groups, beside the gap that chance alone makes.

The highest rate of ten groups is above the lowest even when all are treated alike; with 200
people each and a rate of 30 % by about 10 points. So the gap is shown beside its distribution
when people are shuffled over the groups, and not beside 0.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PERMUTATIONS = 1_999
ROUNDING = 1e-10  # equal gaps, summed in another order
CELLS_AT_ONCE = 4_000_000  # of the matrix of shuffled values: 32 MB


@dataclass(frozen=True, slots=True)
class LargestGap:
    """The gap between the highest and the lowest group mean, and what shuffling makes of it.

    Args:
        observed: the gap.
        null_mean: mean gap when groups are exchangeable.
        null_median: median of the same.
        null_95: 95th percentile; a gap below it is no sign of unequal treatment.
        p_value: (1 + gaps as large as observed) / (1 + permutations).
        permutations: how many.
        method: how it was found.
    """

    observed: float
    null_mean: float
    null_median: float
    null_95: float
    p_value: float
    permutations: int
    method: str


@dataclass(frozen=True, slots=True)
class _Stratum:
    """The values of one stratum in ascending order, and how many fall to each group."""

    values: Array
    sizes: NDArray[np.int64]


def largest_gap(
    values: Sequence[float],
    groups: Sequence[Hashable],
    *,
    rng: np.random.Generator,
    strata: Sequence[Hashable] | None = None,
    permutations: int = PERMUTATIONS,
) -> LargestGap:
    """Return the largest gap between group means with its permutation null.

    Group labels are shuffled over items within strata, so what differs between strata (a region,
    a template) explains no gap. P-value: Phipson and Smyth (2010), Statistical Applications in
    Genetics and Molecular Biology 9(1):39. The items must be exchangeable: where a person or a
    name has many, pass one value for each.

    Args:
        values: one number an item.
        groups: the group of each item; leave out groups too small to show.
        rng: draws the permutations.
        strata: labels are exchanged only between items of one stratum.
        permutations: how many.

    Raises:
        ValueError: fewer than two groups, all values equal, or no stratum in which both the
            groups and the values differ, so that shuffling changes nothing.
    """
    places = _strata(values, groups, [0] * len(values) if strata is None else strata)
    names = sorted(set(groups), key=repr)
    inside: dict[Hashable, list[float]] = defaultdict(list)
    for value, group in zip(values, groups, strict=True):
        inside[group].append(value)
    counts = np.array([len(inside[name]) for name in names])
    means = [fsum(inside[name]) / len(inside[name]) for name in names]
    observed = max(means) - min(means)
    sums = sum(
        (_shuffled(place, rng=rng, permutations=permutations) for place in places),
        start=np.zeros((permutations, len(names))),
    )
    null = np.sort(np.ptp(sums / counts, axis=1))
    as_large = int(np.sum(null >= observed - ROUNDING * max(1.0, observed)))
    return LargestGap(
        observed=observed,
        null_mean=fsum(null) / permutations,
        null_median=float(np.quantile(null, 0.5)),
        null_95=float(np.quantile(null, 0.95)),
        p_value=(1 + as_large) / (1 + permutations),
        permutations=permutations,
        method=f"permutation of {len(names)} groups within {len(places)} strata",
    )


def _strata(
    values: Sequence[float], groups: Sequence[Hashable], strata: Sequence[Hashable]
) -> list[_Stratum]:
    """Sort items into strata, and strata and values by themselves: order must not matter."""
    if len(set(groups)) < 2:
        raise ValueError("a gap needs two groups")
    if min(values) == max(values):
        raise ValueError("all values are equal: there is nothing that groups could differ in")
    names = {name: i for i, name in enumerate(sorted(set(groups), key=repr))}
    members: dict[Hashable, list[float]] = defaultdict(list)
    sizes: dict[Hashable, list[int]] = defaultdict(lambda: [0] * len(names))
    for value, group, stratum in zip(values, groups, strata, strict=True):
        members[stratum].append(value)
        sizes[stratum][names[group]] += 1
    found = [
        _Stratum(np.sort(np.array(members[stratum], dtype=np.float64)), np.array(sizes[stratum]))
        for stratum in sorted(members, key=repr)
    ]
    if not any(_can_move(place) for place in found):
        raise ValueError("in no stratum do both groups and values differ: nothing can be shuffled")
    return found


def _can_move(place: _Stratum) -> bool:
    return bool(np.sum(place.sizes > 0) > 1 and place.values[0] < place.values[-1])


def _shuffled(place: _Stratum, *, rng: np.random.Generator, permutations: int) -> Array:
    """Return each group's sum in each permutation: shape (permutations, groups)."""
    low, high = place.values[0], place.values[-1]
    ones = int(np.sum(place.values == high))
    if low == high or ones + np.sum(place.values == low) < len(place.values):
        return _shuffled_numbers(place, rng=rng, permutations=permutations)
    # Two values only: how many of the high ones each group gets is hypergeometric.
    got = rng.multivariate_hypergeometric(place.sizes, ones, size=permutations)
    shuffled: Array = place.sizes * low + got * (high - low)
    return shuffled


def _shuffled_numbers(place: _Stratum, *, rng: np.random.Generator, permutations: int) -> Array:
    n, ends = len(place.values), np.cumsum(place.sizes)
    rows = max(1, CELLS_AT_ONCE // n)
    blocks = []
    for start in range(0, permutations, rows):
        block = np.tile(place.values, (min(rows, permutations - start), 1))
        rng.permuted(block, axis=1, out=block)
        running = np.cumsum(block, axis=1)
        upto = np.where(ends > 0, running[:, ends - 1], 0.0)
        blocks.append(np.diff(upto, axis=1, prepend=0.0))
    return np.concatenate(blocks)
