"""Intervals for a mean: independent values, or values that hang together in clusters."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from math import fsum, sqrt

from toetssteen.statistics import Interval
from toetssteen.statistics.studentised import Studentised

# Sums are `fsum`, which rounds once: the same items in another order give the same digits.


def student(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Return Student's t interval for the mean of independent values.

    Raises:
        ValueError: fewer than two values.
    """
    return independent_mean(values).interval(level=level)


def independent_mean(values: Sequence[float]) -> Studentised:
    """Return the mean of independent values with its standard error and n - 1 df.

    Raises:
        ValueError: fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError("the spread of fewer than two values is not known")
    mean = fsum(values) / n
    variance = fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Studentised(mean, sqrt(variance / n), n - 1, "t")


def cluster_t(
    values: Sequence[float], clusters: Sequence[Hashable], *, level: float = 0.95
) -> Interval:
    """Return a t interval for a mean whose items hang together in K clusters.

    The variance is that of the cluster totals around the mean (the linearised, cluster-robust
    form) with K/(K-1) and K-1 degrees of freedom. With clusters of equal size it is the plain t
    interval over the K cluster means. Cameron and Miller (2015), Journal of Human Resources
    50:317-372, sections II.B and VI.D.

    Raises:
        ValueError: fewer than two clusters.
    """
    return cluster_mean(values, clusters).interval(level=level)


def cluster_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Studentised:
    """Return the mean of `cluster_t` with its standard error and K - 1 df.

    Raises:
        ValueError: fewer than two clusters.
    """
    deviations: dict[Hashable, list[float]] = defaultdict(list)
    mean = fsum(values) / len(values)
    for value, cluster in zip(values, clusters, strict=True):
        deviations[cluster].append(value - mean)
    k = len(deviations)
    if k < 2:
        raise ValueError("the spread between fewer than two clusters is not known")
    between = fsum(fsum(inside) ** 2 for inside in deviations.values())
    standard_error = sqrt(k / (k - 1) * between) / len(values)
    return Studentised(mean, standard_error, k - 1, f"cluster-t ({k} clusters)")
