"""Decisions by group, worked by hand on sixteen cases, and beside fairlearn on many."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from sklearn.metrics import accuracy_score, precision_score

from toetssteen.errors import ArgumentError, ContentError
from toetssteen.metrics.fairness import LabelContrast, LabelGap, LabelRate, Measure
from toetssteen.records import Answered, Estimate, Item, Marked, Score, Status
from toetssteen.statistics.strata import Side, mantel_haenszel

RNG = np.random.default_rng(0)
# Group A: eight cases, three truly positive. Group B: eight cases, two truly positive.
TRUTH = {"A": [1, 1, 1, 0, 0, 0, 0, 0], "B": [1, 1, 0, 0, 0, 0, 0, 0]}
DECIDED = {"A": [1, 1, 0, 1, 0, 0, 0, 0], "B": [1, 0, 1, 1, 1, 0, 0, 0]}


def case(group: str, number: int, decided: float, truth: float, **more: float) -> Score:
    item = Item(f"{group}{number}", {}, groups={"groep": group})
    parts = {"positive": truth, "correct": float(decided == truth), **more}
    return Score.of(item, decided, parts=parts, said=str(decided))


def sixteen(times: int = 1) -> list[Score]:
    return [
        case(group, 8 * again + number, decided, truth)
        for again in range(times)
        for group in TRUTH
        for number, (decided, truth) in enumerate(zip(DECIDED[group], TRUTH[group], strict=True))
    ]


def rate(measure: Measure, scores: Sequence[Score], others: Sequence[Score] = ()) -> Estimate:
    return LabelRate(measure)(Marked(tuple(scores), others=tuple(others)), rng=RNG)


def of_group(scores: Sequence[Score], name: str) -> tuple[list[Score], list[Score]]:
    inside = [score for score in scores if score.groups["groep"] == name]
    return inside, [score for score in scores if score.groups["groep"] != name]


@pytest.mark.parametrize(
    ("measure", "in_a", "in_b"),
    [
        ("selection_rate", 3 / 8, 4 / 8),
        ("true_positive_rate", 2 / 3, 1 / 2),  # of three, of two
        ("false_positive_rate", 1 / 5, 3 / 6),
        ("positive_predictive_value", 2 / 3, 1 / 4),
        ("false_discovery_rate", 1 / 3, 3 / 4),
        ("false_omission_rate", 1 / 5, 1 / 4),
        ("accuracy", 6 / 8, 4 / 8),
    ],
)
def test_sixteen_cases_by_hand(measure: Measure, in_a: float, in_b: float) -> None:
    """Definitions: Hardt, Price and Srebro (2016), section 2; Chouldechova (2017), section 1.1.

    A: decided for 1, 2 and 4, of which 1 and 2 rightly; 3 is missed. So 3 of 8 selected, 2 of 3
    found, 1 of 5 wrongly, 2 of 3 decisions right; of the 5 decided against, 1 was positive.
    B: decided for 1, 3, 4 and 5, of which 1 rightly; 2 is missed.
    """
    for name, expected in (("A", in_a), ("B", in_b)):
        assert rate(measure, *of_group(sixteen(), name)).value == pytest.approx(
            expected, abs=1e-15
        )


def test_the_largest_gap_is_the_one_of_the_group_rates() -> None:
    """|3/8 - 4/8| = .125: demographic parity difference; for the true positive rate 1/6."""
    gap = LabelGap("selection_rate", "groep")(Marked(tuple(sixteen(10))), rng=RNG)
    assert gap.value == pytest.approx(0.125)
    assert gap.p_value is not None
    found = LabelGap("true_positive_rate", "groep")(Marked(tuple(sixteen(10))), rng=RNG)
    assert found.value == pytest.approx(1 / 6)


@pytest.mark.parametrize("seed", range(5))
def test_clean_cases_give_what_fairlearn_gives(seed: int) -> None:
    """Fairlearn 0.15, MetricFrame: by group and the difference between groups, to 1e-12."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(["x", "y", "z"], 400)
    truth = rng.random(400) < 0.4
    decided = rng.random(400) < np.where(truth, 0.7, 0.2)
    scores = [
        replace(case("g", i, float(d), float(t)), groups={"groep": str(g)})
        for i, (g, d, t) in enumerate(zip(groups, decided, truth, strict=True))
    ]
    theirs: dict[Measure, object] = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "accuracy": accuracy_score,
        "positive_predictive_value": precision_score,
    }
    for measure, function in theirs.items():
        frame = MetricFrame(
            metrics=function, y_true=truth, y_pred=decided, sensitive_features=groups
        )
        for name in "xyz":
            ours = rate(measure, *of_group(scores, name)).value
            assert ours == pytest.approx(frame.by_group[name], abs=1e-12)
        gap = LabelGap(measure, "groep")(Marked(tuple(scores)), rng=rng)
        assert gap.value == pytest.approx(frame.difference(), abs=1e-12)


def test_a_group_without_positives_has_no_true_positive_rate() -> None:
    """Fairlearn says 0, the worst value there is; there is none."""
    scores = [case("A", i, float(i % 2), 0.0) for i in range(20)]
    others = [case("B", i, float(i % 2), 1.0) for i in range(20)]
    found = rate("true_positive_rate", scores, others)
    assert (found.value, found.status) == (None, Status.NOT_RESOLVABLE)
    assert "not defined" in found.reason


def test_a_group_that_is_never_selected_is_a_finding_not_a_constant() -> None:
    scores = [case("A", i, 0.0, float(i % 2)) for i in range(20)]
    others = [case("B", i, float(i % 2), 1.0) for i in range(20)]
    assert rate("selection_rate", scores, others).value == 0.0
    alone = rate("selection_rate", scores)
    assert (alone.value, alone.status) == (None, Status.UNINFORMATIVE)


def test_thirty_beside_twenty_of_a_hundred() -> None:
    """Newcombe (1998), method 10: 30/100 - 20/100 is .1, from -.020249 to .216734."""
    scores = [case("A", i, float(i < 30), 0.0) for i in range(100)]
    scores += [case("B", i, float(i < 20), 0.0) for i in range(100)]
    found = LabelContrast("selection_rate", "groep", "A", "B")(Marked(tuple(scores)), rng=RNG)
    assert (found.value, found.method) == (pytest.approx(0.1), "newcombe")
    assert found.low == pytest.approx(-0.020249, abs=1e-6)
    assert found.high == pytest.approx(0.216734, abs=1e-6)
    turned = LabelContrast("selection_rate", "groep", "B", "A")(Marked(tuple(scores)), rng=RNG)
    assert (turned.value, turned.low, turned.high) == (
        pytest.approx(-found.value),
        pytest.approx(-found.high),
        pytest.approx(-found.low),
    )


def test_calibration_by_group_by_hand() -> None:
    """Five cases held .2 probable and five held .8, of which 1 and 4 happen: 0 on average.

    Brier: 4 x .04 + .64 + 4 x .04 + .64 = 1.6 over 10 = .16.
    """
    happened = [0, 0, 0, 0, 1, 1, 1, 1, 1, 0]
    scores = [
        case("A", i, float(i > 4), float(truth), probability=0.2 if i < 5 else 0.8)
        for i, truth in enumerate(happened)
    ]
    assert rate("calibration", scores).value == pytest.approx(0.0, abs=1e-15)
    assert rate("brier", scores).value == pytest.approx(0.16)


def test_of_picked_cases_only_what_holds_among_them_is_said() -> None:
    """Who was investigated was picked: how many are missed among all cannot be known."""
    scores = [
        replace(s, parts={"positive_if_picked": s.parts["positive"]} if s.value else {})
        for s in sixteen(5)
    ]
    precision = rate("positive_predictive_value", scores)
    assert precision.value == pytest.approx(3 / 7)
    assert "picked cases only" in precision.flags
    between = LabelContrast("positive_predictive_value", "groep", "A", "B")
    assert "picked cases only" in between(Marked(tuple(scores)), rng=RNG).flags
    missed = rate("true_positive_rate", scores)
    assert (missed.value, missed.status) == (None, Status.NOT_MEASURABLE)
    assert "picked cases only" in missed.reason
    assert rate("selection_rate", scores).value == pytest.approx(7 / 16)


def test_an_invalid_prediction_is_counted_and_bounded() -> None:
    item = Item("stuk", {}, groups={"groep": "A"})
    scores = [*sixteen(), Score.unscored(item, Answered.OFF_FORMAT, "no label of the task")]
    found = rate("selection_rate", scores)
    assert (found.n, found.unscored) == (16, 1)
    assert (found.if_worst, found.if_best) == (pytest.approx(8 / 17), pytest.approx(7 / 17))


def test_an_invalid_prediction_counts_only_where_it_could_have_belonged() -> None:
    """Of sixteen cases 5 are truly positive, 3 of them found; one more, without an answer, is not.

    It widens the false positive rate (4 of 11, and 12 with it) and leaves the true one (3 of 5).
    """
    item = Item("stuk", {}, groups={"groep": "A"})
    truth = {"positive": 0.0}
    failed = Score.unscored(item, Answered.FAILED, "no answer", parts=truth)
    scores = [*sixteen(), failed]
    found = rate("true_positive_rate", scores)
    assert (found.value, found.unscored, found.if_worst) == (pytest.approx(3 / 5), 0, None)
    alarms = rate("false_positive_rate", scores)
    assert (alarms.value, alarms.unscored) == (pytest.approx(4 / 11), 1)
    assert (alarms.if_worst, alarms.if_best) == (pytest.approx(5 / 12), pytest.approx(4 / 12))


def test_a_small_group_is_not_compared() -> None:
    found = LabelContrast("selection_rate", "groep", "A", "B")(Marked(tuple(sixteen())), rng=RNG)
    assert (found.value, found.status) == (None, Status.NOT_RESOLVABLE)
    assert "groep=A: fewer than 10 cases" in found.reason


def test_what_a_district_explains_is_no_difference_between_groups() -> None:
    """Simpson's paradox by hand: in both districts A and B are treated alike.

        north: 40 of 80 of A, 10 of 20 of B      south: 2 of 20 of A, 8 of 80 of B

    Over all, A 42 of 100 and B 18 of 100: .24. Inside: (16 x 0 + 16 x 0) / 32 = 0.
    """
    scores = []
    counts = [("A", "n", 40, 80), ("B", "n", 10, 20), ("A", "s", 2, 20), ("B", "s", 8, 80)]
    for group, wijk, selected, n in counts:
        for i in range(n):
            one = case(group + wijk, i, float(i < selected), 0.0)
            scores.append(replace(one, groups={"groep": group, "wijk": wijk}))
    plain = LabelContrast("selection_rate", "groep", "A", "B")(Marked(tuple(scores)), rng=RNG)
    inside = LabelContrast("selection_rate", "groep", "A", "B", within="wijk")
    found = inside(Marked(tuple(scores)), rng=RNG)
    assert plain.value == pytest.approx(0.24)
    assert found.value == pytest.approx(0.0, abs=1e-15)
    assert found.p_value == pytest.approx(1.0)


def test_one_stratum_by_hand() -> None:
    """Sato (1989): 7 of 10 beside 4 of 10, D = .3.

    P = (100 x 4 - 100 x 7 + 0) / 400 = -.75; Q = (7 x 6 + 4 x 3) / 40 = 1.35; weight 5.
    Variance (.3 x -.75 + 1.35) / 25 = .045, and .7 x .3 / 10 + .4 x .6 / 10 = .045 too.
    Test: (7 - 5.5)^2 / (100 x 11 x 9 / (400 x 19)) = 2.25 / 1.302632 = 1.727273.
    """
    seven, four = [1.0] * 7 + [0.0] * 3, [1.0] * 4 + [0.0] * 6
    found = mantel_haenszel(Side(seven, ["w"] * 10), Side(four, ["w"] * 10))
    assert found.interval.value == pytest.approx(0.3)
    half = 1.959964 * 0.045**0.5
    assert found.interval.low == pytest.approx(0.3 - half, abs=1e-6)
    assert found.p_value == pytest.approx(0.188767, abs=1e-5)


def test_strata_give_the_test_of_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import StratifiedTable

    rng = np.random.default_rng(3)
    strata = rng.integers(0, 5, 300)
    first = (rng.random(150) < 0.3 + strata[:150] / 20).astype(float)
    second = (rng.random(150) < 0.2 + strata[150:] / 20).astype(float)
    found = mantel_haenszel(
        Side(list(first), list(strata[:150])), Side(list(second), list(strata[150:]))
    )
    tables = []
    for s in range(5):
        a, b = first[strata[:150] == s], second[strata[150:] == s]
        tables.append(np.array([[a.sum(), len(a) - a.sum()], [b.sum(), len(b) - b.sum()]]))
    theirs = StratifiedTable(tables).test_null_odds(correction=False)
    assert found.p_value == pytest.approx(theirs.pvalue, abs=1e-12)


@pytest.mark.slow
def test_the_interval_within_strata_holds_its_level() -> None:
    """Many small strata and a few large ones, 2,000 times each; a true difference of .1."""
    rng = np.random.default_rng(11)
    for count, size in ((40, 4), (4, 60)):
        held = 0
        for _ in range(2000):
            base = np.repeat(rng.uniform(0.2, 0.6, count), size)
            strata = np.repeat(np.arange(count), size)
            group = rng.random(count * size) < 0.4
            values = (rng.random(count * size) < base + 0.1 * group).astype(float)
            sides = [Side(list(values[g]), list(strata[g])) for g in (group, ~group)]
            interval = mantel_haenszel(*sides).interval
            held += interval.low <= 0.1 <= interval.high
        assert 0.93 <= held / 2000 <= 0.97


def test_two_strata_of_unequal_size_by_hand() -> None:
    """7/10 beside 4/10, and 3/20 beside 5/30: D = (5 x .3 - 12 x 1/60) / 17 = .0764706.

    P: -.75 + .92 = .17; Q: 1.35 + 1.60 = 2.95; variance (.0764706 x .17 + 2.95) / 289 = .0102526.
    """
    first = Side([1.0] * 7 + [0.0] * 3 + [1.0] * 3 + [0.0] * 17, ["n"] * 10 + ["z"] * 20)
    second = Side([1.0] * 4 + [0.0] * 6 + [1.0] * 5 + [0.0] * 25, ["n"] * 10 + ["z"] * 30)
    found = mantel_haenszel(first, second)
    assert found.interval.value == pytest.approx(1.3 / 17)
    assert found.interval.low == pytest.approx(-0.1219858, abs=1e-6)
    assert found.interval.high == pytest.approx(0.2749269, abs=1e-6)
    assert found.p_value == pytest.approx(0.448989, abs=1e-6)
    assert (found.n1, found.n0) == (30, 40)


def test_nothing_that_varies_is_no_certainty() -> None:
    """0 of 20 beside 0 of 20: the textbook interval has no width, and would be believed."""
    with pytest.raises(ValueError, match="no spread"):
        mantel_haenszel(Side([0.0] * 20, ["w"] * 20), Side([0.0] * 20, ["w"] * 20))


def test_a_column_that_is_not_there_is_named() -> None:
    contrast = LabelContrast("selection_rate", "wijk", "A", "B")
    with pytest.raises(ContentError, match="wijk: is no column under"):
        contrast(Marked(tuple(sixteen(2))), rng=RNG)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reference": "A"}, "another group"),
        ({"measure": "brier", "within": "wijk"}, "is for rates"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: dict[str, str], said: str) -> None:
    given = {"measure": "accuracy", "group": "groep", "of_group": "A", "reference": "B"}
    with pytest.raises(ArgumentError, match=said):
        LabelContrast(**given | arguments)  # type: ignore[arg-type]
