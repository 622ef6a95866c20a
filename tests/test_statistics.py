"""What always holds of the intervals, whatever the numbers."""

from collections.abc import Callable, Sequence
from math import comb, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from toetssteen.metrics import Metric
from toetssteen.metrics.averages import Gap, Mean, Rate
from toetssteen.metrics.energy import EnergyPerThousand
from toetssteen.records import (
    Answered,
    Block,
    Estimate,
    Item,
    Likelihood,
    Marked,
    Reading,
    Score,
    Status,
)
from toetssteen.scorers.decisions import DecisionGap
from toetssteen.statistics import Interval
from toetssteen.statistics.means import cluster_t, student
from toetssteen.statistics.proportions import clopper_pearson, wilson

Pairs = list[tuple[float, str]]

NUMBERS = st.floats(-1e6, 1e6)
SHARES = st.floats(0, 1)
CLUSTERS = st.sampled_from("abcdef")
ENDS = st.sampled_from([0.0, 1.0])


def for_all(*strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Give whatever hypothesis finds, on however slow a machine."""
    return lambda test: settings(deadline=None)(given(*strategies)(test))


def pairs(values: st.SearchStrategy[float]) -> st.SearchStrategy[Pairs]:
    """Values in at least two clusters of any sizes."""
    some = st.lists(st.tuples(values, CLUSTERS), min_size=2, max_size=30)
    return some.filter(lambda found: len({cluster for _, cluster in found}) > 1)


def shuffled(values: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Pairs, Pairs]]:
    return pairs(values).flatmap(lambda found: st.tuples(st.just(found), st.permutations(found)))


def scores(found: Pairs, *, failed: int = 0) -> tuple[Score, ...]:
    scored = [
        Score.of(Item(str(i), {}, clusters={"template": cluster}), value)
        for i, (value, cluster) in enumerate(found)
    ]
    return (*scored, *all_failed(failed))


def all_failed(n: int) -> tuple[Score, ...]:
    return tuple(
        Score.unscored(
            Item(f"failed-{i}", {}, clusters={"template": "a"}), Answered.FAILED, "error: no route"
        )
        for i in range(n)
    )


def estimate(metric: Metric, marked: tuple[Score, ...]) -> Estimate:
    return metric(Marked(marked), rng=np.random.default_rng(1))


def ordered(interval: Interval | Estimate) -> bool:
    assert interval.low is not None
    assert interval.value is not None
    assert interval.high is not None
    return interval.low <= interval.value <= interval.high


# --- the order of items changes nothing ------------------------------------------------------


@for_all(shuffled(NUMBERS))
def test_the_same_values_in_another_order_give_the_same_digits(both: tuple[Pairs, Pairs]) -> None:
    one, other = ([value for value, _ in found] for found in both)
    assert student(one) == student(other)


@for_all(shuffled(NUMBERS))
def test_the_same_clusters_in_another_order_give_the_same_digits(
    both: tuple[Pairs, Pairs],
) -> None:
    one, other = (cluster_t(*zip(*found, strict=True)) for found in both)
    assert one == other


@for_all(shuffled(ENDS), st.integers(0, 3))
def test_the_same_items_in_another_order_give_the_same_rate(
    both: tuple[Pairs, Pairs], failed: int
) -> None:
    one, other = (estimate(Rate(), scores(found, failed=failed)) for found in both)
    assert one == other


@for_all(shuffled(NUMBERS), st.integers(0, 3))
def test_the_same_items_in_another_order_give_the_same_mean_and_gap(
    both: tuple[Pairs, Pairs], failed: int
) -> None:
    for metric in (Mean(), Mean(bounds=(-1e6, 1e6)), Gap()):
        one, other = (estimate(metric, scores(found, failed=failed)) for found in both)
        assert one == other


# --- low <= value <= high --------------------------------------------------------------------


@for_all(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_lies_in_its_interval_and_the_interval_in_0_to_1(
    case: tuple[int, int],
) -> None:
    for interval in (wilson(*case), clopper_pearson(*case)):
        assert ordered(interval)
        assert interval.low >= 0.0
        assert interval.high <= 1.0
        assert interval.low < interval.high


@for_all(pairs(NUMBERS))
def test_a_mean_lies_in_its_interval(found: Pairs) -> None:
    values, clusters = zip(*found, strict=True)
    assert ordered(student(values))
    assert ordered(cluster_t(values, clusters))


@example([(0.0, "a"), (1.0, "a"), (0.0, "b"), (1.0, "b")], 0)
@example([(x, c) for c in "abc" for x in (0.0, 0.0, 1.0)], 0)  # thirds: rounding leaves a spread
@example([(x, c) for c in "abcdef" for x in (1.0, 1.0, 0.0)], 2)
@for_all(pairs(ENDS), st.integers(0, 3))
def test_a_rate_lies_in_an_interval_that_is_never_a_point(found: Pairs, failed: int) -> None:
    rate = estimate(Rate(), scores(found, failed=failed))
    assert ordered(rate)
    assert rate.low is not None
    assert rate.high is not None
    assert 0.0 <= rate.low < rate.high <= 1.0


@example([(0.0, "a"), (0.0, "a"), (0.0, "b")], 0)
@example([(1.0, "a"), (1.0, "b")], 1)
@example([(0.5, "a"), (0.5, "b"), (0.5, "c")], 0)
@for_all(pairs(SHARES), st.integers(0, 3))
def test_a_bounded_mean_lies_in_an_interval_that_is_never_a_point(
    found: Pairs, failed: int
) -> None:
    mean = estimate(Mean(bounds=(0, 1)), scores(found, failed=failed))
    assert ordered(mean)
    assert mean.low is not None
    assert mean.high is not None
    assert 0.0 <= mean.low < mean.high <= 1.0


@for_all(pairs(ENDS), st.integers(1, 5), st.sampled_from(["higher", "lower"]))
def test_what_is_unscored_can_move_the_rate_no_further_than_its_bounds(
    found: Pairs, failed: int, better: str
) -> None:
    rate = estimate(
        Rate(better="higher" if better == "higher" else "lower"), scores(found, failed=failed)
    )
    assert rate.if_worst is not None
    assert rate.if_best is not None
    hits = sum(value for value, _ in found)
    n = len(found) + failed
    bounds = sorted([hits / n, (hits + failed) / n], reverse=better == "lower")
    assert [rate.if_worst, rate.if_best] == pytest.approx(bounds, abs=1e-12)


@for_all(pairs(NUMBERS))
def test_asking_for_more_certainty_never_narrows_the_interval(found: Pairs) -> None:
    values, clusters = zip(*found, strict=True)
    for narrow, wide in (
        (student(values, level=0.9), student(values, level=0.99)),
        (cluster_t(values, clusters, level=0.9), cluster_t(values, clusters, level=0.99)),
        (wilson(1, len(values), level=0.9), wilson(1, len(values), level=0.99)),
        (clopper_pearson(1, 9, level=0.9), clopper_pearson(1, 9, level=0.99)),
    ):
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high


# --- swapping what is compared ---------------------------------------------------------------

LOGS = st.floats(-40, 0)


@for_all(st.lists(st.tuples(LOGS, LOGS, LOGS, LOGS, CLUSTERS, st.booleans()), min_size=2))
def test_swapping_the_two_people_flips_the_sign_and_nothing_else(
    cases: list[tuple[float, float, float, float, str, bool]],
) -> None:
    assume(len({case[4] for case in cases}) > 1)
    assume(len({repr(case[:4]) for case in cases}) > 1)  # equal answers to all are uninformative
    ours, swapped = [], []
    for i, (a, b, c, d, cluster, favourable) in enumerate(cases):
        item = Item(
            str(i),
            {"favourable": "yes" if favourable else "no"},
            clusters={"template": cluster},
        )
        ours.append(DecisionGap().score(item, [Likelihood(x, 1) for x in (a, b, c, d)]))
        swapped.append(DecisionGap().score(item, [Likelihood(x, 1) for x in (c, d, a, b)]))
    one, other = estimate(Gap(), tuple(ours)), estimate(Gap(), tuple(swapped))
    if one.value is None or one.low is None or one.high is None:
        # One decision for all and no gap shown: uninformative, whoever is called the other.
        assert (other.value, other.status) == (None, Status.UNINFORMATIVE)
    else:
        assert (other.value, other.low, other.high) == (-one.value, -one.high, -one.low)
    assert [score.parts["flip"] for score in ours] == [score.parts["flip"] for score in swapped]


@for_all(pairs(ENDS))
def test_counting_the_misses_instead_of_the_hits_mirrors_the_rate(found: Pairs) -> None:
    hits = estimate(Rate(), scores(found))
    misses = estimate(Rate(), scores([(1.0 - value, cluster) for value, cluster in found]))
    assert None not in (hits.low, hits.high, misses.low, misses.high)
    mirrored = (misses.value, misses.high, misses.low)
    assert [1 - x for x in mirrored if x is not None] == pytest.approx(
        [hits.value, hits.low, hits.high], abs=1e-9
    )


# --- nothing is silently zero ----------------------------------------------------------------


@for_all(st.integers(1, 40))
def test_when_every_answer_failed_there_is_no_number(n: int) -> None:
    reading = Reading("package-0", 100.0, "measured", "cpu_package", "powercap/1")
    blocks = tuple(Block(f"t#{i}", "t", n, 40.0, (reading,)) for i in range(2))
    for metric in (Rate(), Rate(better="lower"), Mean(bounds=(0, 1)), Gap(), EnergyPerThousand()):
        none = metric(Marked(all_failed(n), blocks), rng=np.random.default_rng(1))
        assert (none.value, none.low, none.high, none.if_worst, none.if_best) == (None,) * 5
        assert none.status is Status.UNINFORMATIVE
        assert none.reason
        assert (none.n, none.unscored) == (0, n)


# --- against other computations --------------------------------------------------------------


@for_all(pairs(st.floats(-100, 100)))
def test_unequal_clusters_agree_with_the_sandwich_of_a_regression_on_a_constant(
    found: Pairs,
) -> None:
    values, clusters = zip(*found, strict=True)
    mean, error, df = _sandwich(values, clusters)
    half = t.ppf(0.975, df) * error
    interval = cluster_t(values, clusters)
    ours = [interval.value, interval.low, interval.high]
    assert ours == pytest.approx([mean, mean - half, mean + half], rel=1e-9, abs=1e-9)


def _sandwich(values: Sequence[float], clusters: Sequence[str]) -> tuple[float, float, int]:
    """(X'X)^-1 sum_g(X_g' u_g u_g' X_g) (X'X)^-1, times K/(K-1), with X a column of ones."""
    y, x = np.array(values), np.ones((len(values), 1))
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ y
    residuals = y - x @ beta
    names = sorted(set(clusters))
    filling = np.zeros((1, 1))
    for name in names:
        inside = np.array([cluster == name for cluster in clusters])
        moment = x[inside].T @ residuals[inside]
        filling += np.outer(moment, moment)
    k = len(names)
    variance = k / (k - 1) * bread @ filling @ bread
    return float(beta[0]), sqrt(float(variance[0, 0])), k - 1


@for_all(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=12))
def test_clusters_of_two_are_student_on_the_cluster_means(twos: list[tuple[float, float]]) -> None:
    values = [value for two in twos for value in two]
    interval = cluster_t(values, [i for i, _ in enumerate(twos) for _ in range(2)])
    means = student([(a + b) / 2 for a, b in twos])
    ours = [interval.value, interval.low, interval.high]
    assert ours == pytest.approx([means.value, means.low, means.high], rel=1e-9, abs=1e-6)


def test_wilson_bounds_are_where_the_score_test_just_rejects() -> None:
    z = norm.ppf(0.975)
    for n in (1, 7, 40):
        for successes in range(n + 1):
            interval = wilson(successes, n)
            for p in (interval.low, interval.high):
                if 0 < p < 1:
                    assert abs(successes / n - p) == pytest.approx(z * sqrt(p * (1 - p) / n))


@pytest.mark.parametrize("n", [1, 5, 12, 24])
def test_clopper_pearson_covers_at_least_as_often_as_it_says(n: int) -> None:
    intervals = [clopper_pearson(successes, n) for successes in range(n + 1)]
    for p in np.linspace(0.001, 0.999, 333):
        covered = sum(
            comb(n, k) * p**k * (1 - p) ** (n - k)
            for k, interval in enumerate(intervals)
            if interval.low <= p <= interval.high
        )
        assert covered >= 0.95


# --- too little to say anything --------------------------------------------------------------


def test_one_cluster_has_no_spread_between_clusters() -> None:
    with pytest.raises(ValueError, match="fewer than two clusters"):
        cluster_t([0.0, 1.0, 1.0], "aaa")


@pytest.mark.parametrize("metric", [Rate(), Mean(), Mean(bounds=(0, 1)), Gap()])
def test_items_of_one_cluster_resolve_nothing(metric: Metric) -> None:
    one = scores([(0.0, "a"), (1.0, "a"), (1.0, "a")], failed=2)
    none = estimate(metric, one)
    assert (none.status, none.value) == (Status.NOT_RESOLVABLE, None)
    assert none.reason == "all scored items belong to one cluster"
    assert (none.n, none.unscored) == (3, 2)


def test_one_value_has_no_spread() -> None:
    with pytest.raises(ValueError, match="fewer than two values"):
        student([1.0])


@pytest.mark.parametrize("proportion", [wilson, clopper_pearson])
def test_a_proportion_needs_trials_and_no_more_hits_than_trials(proportion: type) -> None:
    with pytest.raises(ValueError, match="no trials"):
        proportion(0, 0)
    with pytest.raises(ValueError, match="a level lies between 0 and 1"):
        proportion(1, 2, level=95)
    with pytest.raises(ValueError, match="is no proportion"):
        proportion(3, 2)
    with pytest.raises(ValueError, match="is no proportion"):
        proportion(-1, 2)


def test_every_value_needs_its_cluster() -> None:
    with pytest.raises(ValueError, match="shorter"):
        cluster_t([0.0, 1.0, 1.0], "ab")
