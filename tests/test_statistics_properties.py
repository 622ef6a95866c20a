"""What always holds of comparisons, clusters, curves and plans, whatever the numbers."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import fields, replace
from math import isfinite, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from toetssteen.statistics import Interval, gaps
from toetssteen.statistics.bootstrap import (
    Array,
    bca,
    bootstrap_t,
    cluster_totals,
    jackknife,
    statistic_interval,
)
from toetssteen.statistics.bounds import Answers, Bounds, difference_bounds, rate_bounds
from toetssteen.statistics.clusters import Sample, difference, two_way, two_way_t
from toetssteen.statistics.differences import mcnemar, newcombe, square_and_add, tango
from toetssteen.statistics.equivalence import Verdict, tost, verdict
from toetssteen.statistics.gaps import largest_gap
from toetssteen.statistics.multiplicity import benjamini_hochberg, holm
from toetssteen.statistics.planning import (
    Clustering,
    Demands,
    MeanDifference,
    OneProportion,
    PairedProportions,
    Question,
    TwoProportions,
    bound_without_event,
    detectable,
    trials_without_event,
    units_needed,
)
from toetssteen.statistics.proportions import cluster_rate, lower_bound, upper_bound
from toetssteen.statistics.ratios import cluster_ratio
from toetssteen.statistics.roc import area_under_curve, tpr_at_fpr
from toetssteen.statistics.studentised import Studentised

Row = tuple[float, str, str]
Rows = list[Row]

NUMBERS = st.floats(-1e3, 1e3)
ENDS = st.sampled_from([0.0, 1.0])
SCORES = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=25)
SHARES = st.floats(0, 1)


def for_all(*strategies: st.SearchStrategy[Any], few: bool = False) -> Callable[..., Any]:
    """Give whatever hypothesis finds, on however slow a machine."""
    examples = 25 if few else 60
    return lambda test: settings(deadline=None, max_examples=examples)(given(*strategies)(test))


def rows(values: st.SearchStrategy[float]) -> st.SearchStrategy[Rows]:
    """Values in at least two templates and two names."""
    some = st.lists(
        st.tuples(values, st.sampled_from("abcd"), st.sampled_from("uvwxyz")),
        min_size=2,
        max_size=30,
    )
    return some.filter(lambda found: all(len({row[i] for row in found}) > 1 for i in (1, 2)))


def shuffled(some: st.SearchStrategy[Rows]) -> st.SearchStrategy[tuple[Rows, Rows]]:
    return some.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found)))


def columns(found: Rows) -> tuple[list[float], list[str], list[str]]:
    return [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]


def counts(most: int = 60) -> st.SearchStrategy[tuple[int, int]]:
    """So many of so many."""
    return st.integers(1, most).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def pairs() -> st.SearchStrategy[tuple[int, int, int]]:
    """Pairs with the property in the first reading only, the second only, and all pairs."""
    three = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
    return three.filter(lambda found: sum(found) > 0).map(lambda f: (f[0], f[1], sum(f)))


def ordered(interval: Interval) -> bool:
    return interval.low <= interval.value <= interval.high


def mirrored(one: Interval, other: Interval) -> bool:
    return (other.low, other.value, other.high) == (-one.high, -one.value, -one.low)


def share(sums: Array) -> Array:
    return sums[..., 1] / sums[..., 0]


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def tried(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a function returns, or why it refuses."""
    try:
        return function(*arguments, **options)
    except ValueError as refused:
        return str(refused)


# --- the order of items changes nothing ------------------------------------------------------


@for_all(shuffled(rows(NUMBERS)))
def test_items_in_another_order_give_the_same_two_way_mean(both: tuple[Rows, Rows]) -> None:
    one, other = (two_way(*columns(found)) for found in both)
    assert one == other


@for_all(shuffled(rows(ENDS)))
def test_items_in_another_order_give_the_same_rate(both: tuple[Rows, Rows]) -> None:
    one, other = (cluster_rate(*columns(found)[:2]) for found in both)
    assert one == other


@for_all(shuffled(rows(NUMBERS)), rows(NUMBERS))
def test_items_in_another_order_give_the_same_difference(
    both: tuple[Rows, Rows], against: Rows
) -> None:
    one, other = (
        tried(difference, Sample(*columns(found)), Sample(*columns(against))) for found in both
    )
    assert one == other


@for_all(shuffled(rows(ENDS)), few=True)
def test_items_and_clusters_in_another_order_give_the_same_resamples(
    both: tuple[Rows, Rows],
) -> None:
    renamed = {"a": "d", "b": "c", "c": "b", "d": "a"}
    found = []
    for some, names in zip(both, ({}, renamed), strict=True):
        values, clusters, _ = columns(some)
        totals = cluster_totals(
            [[1.0] * len(values), values], [names.get(one, one) for one in clusters]
        )
        found.append([bca(totals, share, rng=rng(), resamples=99), jackknife(totals, share)])
    assert found[0] == found[1]


@for_all(shuffled(rows(NUMBERS | ENDS)), few=True)
def test_items_in_another_order_are_shuffled_alike(both: tuple[Rows, Rows]) -> None:
    one, other = (
        tried(
            largest_gap, *columns(found)[:2], strata=columns(found)[2], rng=rng(), permutations=49
        )
        for found in both
    )
    assert one == other


@for_all(
    SCORES.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))),
    SCORES.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))),
)
def test_scores_in_another_order_give_the_same_curve(
    ours: tuple[list[float], list[float]], theirs: tuple[list[float], list[float]]
) -> None:
    assume(len({*ours[0], *theirs[0]}) > 1)
    assert area_under_curve(ours[0], theirs[0]) == area_under_curve(ours[1], theirs[1])
    one, other = (
        tpr_at_fpr(ours[i], theirs[i], alpha=0.5) if len(theirs[0]) > 1 else None for i in (0, 1)
    )
    assert one == other


# --- low <= value <= high, and no further than the scale -------------------------------------


@for_all(rows(ENDS))
def test_a_clustered_rate_stays_on_its_scale_and_is_never_a_point(found: Rows) -> None:
    interval = cluster_rate(*columns(found)[:2])
    assert ordered(interval)
    assert 0.0 <= interval.low < interval.high <= 1.0


@for_all(counts())
def test_one_sided_bounds_lie_around_the_rate(case: tuple[int, int]) -> None:
    assert 0.0 <= lower_bound(*case) <= case[0] / case[1] <= upper_bound(*case) <= 1.0


@for_all(counts(), counts())
def test_a_difference_of_two_groups_stays_on_its_scale(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    interval = newcombe(*one, *other)
    assert ordered(interval)
    assert -1.0 <= interval.low < interval.high <= 1.0


@for_all(pairs())
def test_a_paired_difference_stays_on_its_scale(case: tuple[int, int, int]) -> None:
    interval = tango(*case)
    assert ordered(interval)
    assert -1.0 <= interval.low < interval.high <= 1.0


@for_all(rows(NUMBERS))
def test_a_two_way_mean_lies_in_its_interval(found: Rows) -> None:
    assert ordered(two_way_t(*columns(found)))


@for_all(st.integers(4, 15), st.integers(0, 2**32 - 1), few=True)
def test_a_ratio_lies_in_its_intervals(k: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    answered = draw.integers(2, 9, size=k)
    totals = np.stack([answered, draw.binomial(answered, 0.6)], 1).astype(float)
    lean = cluster_ratio(
        (2 * totals[:, 1] - totals[:, 0]).tolist(), totals[:, 0].tolist(), range(k), within=(-1, 1)
    )
    assert ordered(lean)
    assert -1.0 <= lean.low <= lean.high <= 1.0
    turned = rng().permutation(k)
    again = totals[turned]
    assert lean == cluster_ratio(
        (2 * again[:, 1] - again[:, 0]).tolist(),
        again[:, 0].tolist(),
        turned.tolist(),
        within=(-1, 1),
    )
    mirrored = cluster_ratio(
        (totals[:, 0] - 2 * totals[:, 1]).tolist(), totals[:, 0].tolist(), range(k), within=(-1, 1)
    )
    assert (mirrored.low, mirrored.value, mirrored.high) == (-lean.high, -lean.value, -lean.low)
    assert ordered(statistic_interval(totals, share, rng=rng()))
    whole = bca(totals, share, rng=rng(), resamples=199)
    assert ordered(whole)
    assert 0.0 <= whole.low <= whole.high <= 1.0
    drawn = tried(bootstrap_t, totals, share, rng=rng(), resamples=199)
    assert isinstance(drawn, str) or ordered(drawn)


@for_all(SCORES, SCORES)
def test_an_area_lies_in_its_interval(ours: list[float], theirs: list[float]) -> None:
    assume(len({*ours, *theirs}) > 1)
    interval = area_under_curve(ours, theirs).interval()
    assert ordered(interval)
    assert 0.0 <= interval.low < interval.high <= 1.0


@for_all(counts(), st.integers(0, 30))
def test_what_is_valid_lies_within_what_is_possible(case: tuple[int, int], unscored: int) -> None:
    bounds = rate_bounds(Answers(*case, unscored))
    assert 0.0 <= bounds.low <= case[0] / case[1] <= bounds.high <= 1.0


@for_all(st.floats(0.5, 0.98))
def test_asking_for_more_certainty_never_narrows(level: float) -> None:
    values, clusters = [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0], "aabbccdd"
    for narrow, wide in (
        (cluster_rate(values, clusters, level=level), cluster_rate(values, clusters, level=0.99)),
        (newcombe(3, 9, 4, 7, level=level), newcombe(3, 9, 4, 7, level=0.99)),
        (tango(3, 1, 9, level=level), tango(3, 1, 9, level=0.99)),
    ):
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high


# --- swapping what is compared ---------------------------------------------------------------


@for_all(counts(), counts())
def test_swapping_two_groups_mirrors_the_interval(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert mirrored(newcombe(*one, *other), newcombe(*other, *one))
    ours, theirs = (Interval(0.4, 0.1, 0.9, "a"), Interval(0.3, 0.2, 0.5, "b"))
    assert mirrored(square_and_add(ours, theirs), square_and_add(theirs, ours))


@for_all(pairs())
def test_swapping_two_readings_mirrors_the_interval_and_keeps_the_p(
    case: tuple[int, int, int],
) -> None:
    b, c, n = case
    assert mirrored(tango(b, c, n), tango(c, b, n))
    assert mcnemar(b, c) == mcnemar(c, b)


@for_all(rows(NUMBERS), rows(NUMBERS), st.sampled_from([2, 3]))
def test_swapping_two_samples_flips_the_sign_and_nothing_else(
    ours: Rows, theirs: Rows, columns_used: int
) -> None:
    one, other = (Sample(*columns(found)[:columns_used]) for found in (ours, theirs))
    forward, back = tried(difference, one, other), tried(difference, other, one)
    if isinstance(forward, Studentised):
        forward = replace(forward, value=-forward.value)
    assert back == forward


@for_all(counts(), st.integers(0, 9), counts(), st.integers(0, 9))
def test_swapping_two_groups_mirrors_what_is_possible(
    one: tuple[int, int], some: int, other: tuple[int, int], more: int
) -> None:
    first, second = Answers(*one, some), Answers(*other, more)
    forward, back = difference_bounds(first, second), difference_bounds(second, first)
    assert back == Bounds(-forward.high, -forward.low)


@for_all(SCORES, SCORES)
def test_turning_the_scores_round_turns_the_area_round(
    ours: list[float], theirs: list[float]
) -> None:
    assume(len({*ours, *theirs}) > 1)
    one = area_under_curve(ours, theirs)
    other = area_under_curve([-x for x in ours], [-x for x in theirs])
    swapped = area_under_curve(theirs, ours)
    assert other.value == pytest.approx(1 - one.value, abs=1e-12)
    assert swapped.value == pytest.approx(1 - one.value, abs=1e-12)
    assert other.standard_error == pytest.approx(one.standard_error, abs=1e-12)


@for_all(rows(ENDS))
def test_counting_the_misses_mirrors_the_clustered_rate(found: Rows) -> None:
    values, clusters, _ = columns(found)
    hits = cluster_rate(values, clusters)
    misses = cluster_rate([1.0 - value for value in values], clusters)
    assert [1 - misses.high, 1 - misses.value, 1 - misses.low] == pytest.approx(
        [hits.low, hits.value, hits.high], abs=1e-7
    )


# --- against other computations --------------------------------------------------------------


@for_all(rows(st.floats(-100, 100)))
def test_two_ways_agree_with_the_sandwich_of_a_regression_on_a_constant(found: Rows) -> None:
    values, first, second = columns(found)
    one, other = _sandwich(values, first), _sandwich(values, second)
    both = _sandwich(values, list(zip(first, second, strict=True)))
    ours = two_way(values, first, second)
    known = max(one, other, one + other - both)
    assert ours.standard_error == pytest.approx(sqrt(max(0.0, known)), rel=1e-6, abs=1e-6)


def _sandwich(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Return n^-2 sum over pairs of items in one cluster of u_i u_j, times K/(K-1)."""
    y = np.array(values)
    residuals = y - y.mean()
    same = np.array([[one == other for other in clusters] for one in clusters])
    k = len(set(clusters))
    if k < 2:
        return 0.0
    return float(k / (k - 1) * residuals @ same @ residuals / len(y) ** 2)


@for_all(SCORES, SCORES)
def test_ranks_agree_with_counting_every_pair(ours: list[float], theirs: list[float]) -> None:
    assume(len({*ours, *theirs}) > 1)
    wins = np.array([[(x > y) + (x == y) / 2 for y in theirs] for x in ours])
    variance = wins.mean(1).var(ddof=1) / len(ours) + wins.mean(0).var(ddof=1) / len(theirs)
    area = area_under_curve(ours, theirs)
    assert area.value == pytest.approx(wins.mean(), abs=1e-12)
    assert area.standard_error == pytest.approx(sqrt(variance), abs=1e-7)


@for_all(SCORES, SCORES, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_the_threshold_is_the_best_of_all_that_are_allowed(
    ours: list[float], theirs: list[float], alpha: float
) -> None:
    assume(alpha * len(theirs) >= 1)
    point = tpr_at_fpr(ours, theirs, alpha=alpha)
    possible = [np.inf, *ours, *theirs]
    allowed = [at for at in possible if sum(y >= at for y in theirs) <= alpha * len(theirs) + 1e-9]
    best = max(sum(x >= at for x in ours) for at in allowed)
    assert point.tpr.value == best / len(ours)
    assert point.fpr.value <= alpha + 1e-9
    if point.threshold is not None:
        assert point.tpr.value == sum(x >= point.threshold for x in ours) / len(ours)
        assert point.fpr.value == sum(y >= point.threshold for y in theirs) / len(theirs)


@for_all(st.floats(-3, 3), st.floats(0.01, 2), st.integers(1, 40))
def test_the_tests_agree_with_the_intervals(value: float, error: float, df: int) -> None:
    estimate = Studentised(value, error, df, "t")
    wide, narrow = estimate.interval(), estimate.interval(level=0.9)
    assume(min(abs(wide.low), abs(wide.high)) > 1e-6)
    assert (estimate.p_value() < 0.05) == (wide.low > 0 or wide.high < 0)
    assume(min(abs(abs(narrow.low) - 1), abs(abs(narrow.high) - 1)) > 1e-6)
    within = narrow.low > -1 and narrow.high < 1
    assert (tost(estimate, margin=1.0).p < 0.05) == within


def test_two_values_are_shuffled_as_numbers_are() -> None:
    """The hypergeometric short cut has the moments of really shuffling."""
    place = gaps._Stratum(np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0]), np.array([1, 3, 2]))
    for way in (gaps._shuffled, gaps._shuffled_numbers):
        drawn = way(place, rng=rng(), permutations=20_000)
        assert drawn.sum(axis=1) == pytest.approx(np.full(20_000, 4.0))
        assert drawn.mean(axis=0) == pytest.approx(4 / 6 * place.sizes, abs=0.02)
        # hypergeometric: n p (1 - p) (N - n) / (N - 1)
        spread = place.sizes * 4 / 6 * 2 / 6 * (6 - place.sizes) / 5
        assert drawn.var(axis=0) == pytest.approx(spread, abs=0.02)


# --- corrections -----------------------------------------------------------------------------

P_VALUES = st.lists(st.none() | SHARES, max_size=12)


@for_all(P_VALUES)
def test_adjusted_values_never_fall_below_the_raw_ones_and_keep_their_order(
    raw: list[float | None],
) -> None:
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(raw)
        assert [p is None for p in adjusted] == [p is None for p in raw]
        both = sorted(
            (p, q) for p, q in zip(raw, adjusted, strict=True) if p is not None and q is not None
        )
        assert all(p <= q + 1e-15 and q <= 1 for p, q in both)
        assert [q for _, q in both] == sorted(q for _, q in both)


@for_all(
    P_VALUES.flatmap(lambda some: st.tuples(st.just(some), st.permutations(range(len(some)))))
)
def test_adjusted_values_follow_their_hypotheses(
    case: tuple[list[float | None], list[int]],
) -> None:
    raw, order = case
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(raw)
        assert adjust([raw[i] for i in order]) == [adjusted[i] for i in order]


@for_all(P_VALUES)
def test_holm_is_never_bolder_than_the_exploratory_correction(raw: list[float | None]) -> None:
    for sure, explored in zip(holm(raw), benjamini_hochberg(raw), strict=True):
        assert sure is None or explored is None or sure >= explored - 1e-12


# --- planning --------------------------------------------------------------------------------

DEMANDS = st.builds(
    Demands,
    alpha=st.floats(0.001, 0.2),
    power=st.floats(0.5, 0.99),
    family=st.integers(1, 50),
    two_sided=st.booleans(),
)
QUESTIONS: st.SearchStrategy[Question] = st.one_of(
    st.builds(OneProportion, st.floats(0.05, 0.95)),
    st.builds(TwoProportions, st.floats(0.05, 0.95)),
    st.builds(TwoProportions, st.floats(0.05, 0.95), st.floats(0.05, 0.95)),
    st.builds(PairedProportions, st.floats(0.02, 0.9)),
    st.builds(MeanDifference, st.floats(0.1, 5)),
)


@for_all(QUESTIONS, st.floats(0.05, 0.95), st.sampled_from([-1, 1]), DEMANDS)
def test_items_and_effect_invert_each_other(
    question: Question, part: float, sign: int, demands: Demands
) -> None:
    effect = sign * part * min(question.most(sign), 2.0)
    units = units_needed(question, effect, demands)
    assert detectable(question, units, demands, sign=sign) == pytest.approx(effect, rel=1e-9)


@for_all(st.floats(0.1, 5), st.floats(2.5, 5_000), st.integers(1, 2), DEMANDS)
def test_with_students_quantiles_too(
    sd: float, units: float, spent: int, demands: Demands
) -> None:
    assume(units >= spent + 1)
    question = MeanDifference(sd, spent)
    effect = detectable(question, units, demands)
    assert units_needed(question, effect, demands) == pytest.approx(units, rel=1e-9)
    assert effect > detectable(MeanDifference(sd), units, demands)


@for_all(QUESTIONS, st.floats(0.1, 0.9))
def test_a_smaller_effect_needs_more_items(question: Question, part: float) -> None:
    effect = part * min(question.most(1), 2.0)
    assert units_needed(question, effect / 2) > units_needed(question, effect)


@for_all(st.floats(1e-6, 0.5), st.floats(0.5, 0.999))
def test_trials_and_bound_invert_each_other(rate: float, level: float) -> None:
    trials = trials_without_event(rate, level=level)
    assert bound_without_event(trials, level=level) == pytest.approx(rate, rel=1e-9)


@for_all(st.integers(1, 3_000))
def test_the_planned_bound_is_the_one_that_will_be_found(n: int) -> None:
    assert bound_without_event(n) == pytest.approx(upper_bound(0, n), rel=1e-9)


@for_all(st.floats(1, 50), SHARES, st.floats(1, 500))
def test_clusters_and_items_invert_each_other(size: float, icc: float, units: float) -> None:
    clustering = Clustering(size, icc)
    assert clustering.units(clustering.clusters(units)) == pytest.approx(units)
    assert clustering.clusters(units) * size >= units * (1 - 1e-12)


# --- nothing is undefined in silence ---------------------------------------------------------


@for_all(
    st.floats(-1, 1),
    st.sampled_from([0.0, 1e-17, 0.01, 1.0]),
    st.integers(1, 60),
    st.floats(0.01, 1),
)
def test_every_value_gets_a_p_and_a_word(
    value: float, error: float, df: int, margin: float
) -> None:
    estimate = Studentised(value, error, df, "t")
    p, equivalence = estimate.p_value(), tost(estimate, margin=margin).p
    assert 0 <= p <= 1
    assert 0 <= equivalence <= 1
    word = verdict(value, margin=margin, difference_p=p, equivalence_p=equivalence)
    assert word in Verdict
    if word is Verdict.EQUIVALENT:
        assert abs(value) < margin


@for_all(rows(ENDS), SCORES)
def test_no_number_is_ever_nan(found: Rows, scores: list[float]) -> None:
    values, first, second = columns(found)
    assume(len(set(values)) > 1)
    results: list[Any] = [
        cluster_rate(values, first),
        two_way(values, first, second),
        two_way_t(values, first, second),
        area_under_curve([*scores, 9.0], values),
        area_under_curve([*scores, 9.0], values).interval(),
        largest_gap(values, first, rng=rng(), permutations=19),
    ]
    for result in results:
        numbers = [getattr(result, field.name) for field in fields(result)]
        assert all(isfinite(number) for number in numbers if isinstance(number, float))
