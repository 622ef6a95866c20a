"""Members against non-members, worked by hand."""

import pytest

from toetssteen.statistics.roc import Area, area_under_curve, tpr_at_fpr

MEMBERS, NON_MEMBERS = [5.0, 4.0, 3.0, 1.0], [4.5, 2.0, 1.0, 0.0]


def test_four_members_against_four_others() -> None:
    """Members 5, 4, 3, 1; others 4.5, 2, 1, 0.

        5 is above 4; 4 above 3; 3 above 3; 1 above 1 and ties with 1: 11.5 of 16 = .71875

    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845, eq. 5 and 6:

        of each member      1, .75, .75, .375     squares around .71875 sum to .199219
        of each other       .25, .75, .875, 1     squares around .71875 sum to .324219
        variance            .199219 / 3 / 4 + .324219 / 3 / 4 = .016602 + .027018 = .043620
        standard error      .208854

    On the logit scale: ln(.71875 / .28125) = .938270; .208854 / (.71875 * .28125) = 1.033174

        .938270 +- 1.959964 * 1.033174 = -1.086714, 2.963254
        1 / (1 + exp(1.086714)) = .252239; 1 / (1 + exp(-2.963254)) = .950886
    """
    area = area_under_curve(MEMBERS, NON_MEMBERS)
    assert area.value == 0.71875
    assert round(area.standard_error, 6) == 0.208854
    interval = area.interval()
    assert (round(interval.low, 6), round(interval.high, 6)) == (0.252239, 0.950886)
    assert interval.method == "delong (logit)"
    # z = .938270 / 1.033174 = .908143; 2 P(Z > .908143) = .363802
    assert round(area.p_value(), 4) == 0.3638


def test_perfect_separation_is_not_certainty() -> None:
    """All of 5 members above all of 8 others: DeLong's standard error is 0.

    5 disjoint pairs, all ordered alike: p^5 = .025, p = .025^.2 = .478176. Sign test: 2 / 2^5.
    """
    area = area_under_curve([6, 7, 8, 9, 10], [0, 0, 1, 1, 2, 3, 4, 5])
    interval = area.interval()
    assert (interval.value, round(interval.low, 6), interval.high) == (1.0, 0.478176, 1.0)
    assert interval.method == "clopper-pearson (5 pairs: perfect separation)"
    assert area.p_value() == 0.0625
    assert area_under_curve([0, 1], [2, 3, 4]).interval().low == 0.0


def test_ten_thousand_of_each_have_a_narrow_interval() -> None:
    """At .607 with a standard error of .004, logit and plain agree: [.599, .615]."""
    interval = Area(0.607, 0.00398, 10_000, 10_000).interval()
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.599, 0.615)


def test_one_of_four_others_may_be_accused() -> None:
    """A quarter of 4 allows one false positive: the threshold is 3 (4.5 is accused, 2 is not).

    5, 4 and 3 are found: 3 of 4 = .75. Clopper-Pearson 3 of 4 [.194120, .993691], 1 of 4
    [.006309, .805880].
    """
    point = tpr_at_fpr(MEMBERS, NON_MEMBERS, alpha=0.25)
    assert point.threshold == 3.0
    assert (point.tpr.value, point.fpr.value) == (0.75, 0.25)
    assert (round(point.tpr.low, 6), round(point.tpr.high, 6)) == (0.19412, 0.993691)
    assert (round(point.fpr.low, 6), round(point.fpr.high, 6)) == (0.006309, 0.80588)


def test_one_false_positive_of_a_hundred_is_not_one_percent() -> None:
    """Clopper-Pearson 1 of 100: the true rate is anywhere in [.03 %, 5.45 %]."""
    point = tpr_at_fpr([50.5] * 10, [float(i) for i in range(100)], alpha=0.01)
    assert point.fpr.value == 0.01
    assert [round(100 * x, 2) for x in (point.fpr.low, point.fpr.high)] == [0.03, 5.45]


def test_a_tie_is_accused_as_a_whole_or_not_at_all() -> None:
    """Three others share the highest score and one may be accused: no score is high enough."""
    point = tpr_at_fpr([9.0, 1.0], [9.0, 9.0, 9.0, 0.0], alpha=0.25)
    assert (point.threshold, point.tpr.value, point.fpr.value) == (None, 0.0, 0.0)
    above = tpr_at_fpr([9.5, 9.0], [9.0, 9.0, 9.0, 0.0], alpha=0.25)
    assert (above.threshold, above.tpr.value, above.fpr.value) == (9.5, 0.5, 0.0)


@pytest.mark.parametrize(("alpha", "needed"), [(0.01, 100), (0.001, 1000), (0.3, 4), (0.29, 4)])
def test_too_few_others_for_the_rate_asked(alpha: float, needed: int) -> None:
    with pytest.raises(
        ValueError, match=f"not resolvable: {needed - 1} non-members, {needed} are"
    ):
        tpr_at_fpr([1.0], [0.0] * (needed - 1), alpha=alpha)
    assert tpr_at_fpr([1.0], [0.0] * needed, alpha=alpha).tpr.value == 1.0


def test_floating_point_costs_no_false_positive() -> None:
    """.29 * 100 is 28.999999999999996, and 29 may be accused."""
    point = tpr_at_fpr([1.0], [float(i) for i in range(100)], alpha=0.29)
    assert point.fpr.value == 0.29


def test_scores_that_separate_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="all scores are equal"):
        area_under_curve([1.0, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="fewer than two"):
        area_under_curve([1.0], [0.0, 2.0])
    with pytest.raises(ValueError, match="not a finite number"):
        area_under_curve([1.0, float("nan")], [0.0, 2.0])
    with pytest.raises(ValueError, match="no members"):
        tpr_at_fpr([], [0.0] * 4, alpha=0.25)
    with pytest.raises(ValueError, match="between 0 and 1"):
        tpr_at_fpr([1.0], [0.0], alpha=1.0)
