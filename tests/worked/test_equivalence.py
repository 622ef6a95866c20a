"""Equivalence and the four words, worked by hand."""

import pytest

from toetssteen.statistics import Interval
from toetssteen.statistics.equivalence import Verdict, tost, verdict, verdict_of_interval
from toetssteen.statistics.means import cluster_mean
from toetssteen.statistics.studentised import Studentised


def test_four_templates_do_not_show_equivalence() -> None:
    """Differences [[.1, .1], [0, .1], [.2, 0], [0, 0]] against a margin of .05.

    Schuirmann (1987): mean .0625, standard error .0239357, 3 df.

        against "at most -.05"   t = (.0625 + .05) / .0239357 =  4.700097, p = .009110
        against "at least .05"   t = (.05 - .0625) / .0239357 = -.522233
            u = -.522233 / sqrt(3) = -.301511
            p = 1/2 - (u / (1 + u^2) + atan u) / pi = 1/2 + (.276385 + .292843) / pi = .681191

    Equivalence needs both: p = .681, and the difference has p = .080: inconclusive.
    """
    mean = cluster_mean([0.1, 0.1, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0], "aabbccdd")
    found = tost(mean, margin=0.05)
    assert (round(found.above, 6), round(found.below, 6)) == (0.00911, 0.681191)
    assert round(found.p, 3) == 0.681
    says = verdict(mean.value, margin=0.05, difference_p=mean.p_value(), equivalence_p=found.p)
    assert says is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("value", "difference_p", "equivalence_p", "says"),
    [
        (0.08, 0.01, 0.90, "difference"),
        (-0.05, 0.01, 0.50, "difference"),  # the margin itself matters
        (0.02, 0.01, 0.90, "small difference"),
        (0.02, 0.01, 0.01, "small difference"),  # shown, and shown to be small
        (0.02, 0.30, 0.01, "equivalent"),
        (0.02, 0.30, 0.30, "inconclusive"),
        (0.08, 0.05, 0.05, "inconclusive"),  # a p-value of alpha shows nothing
    ],
)
def test_the_four_words(
    value: float, difference_p: float, equivalence_p: float, says: str
) -> None:
    found = verdict(value, margin=0.05, difference_p=difference_p, equivalence_p=equivalence_p)
    assert found == says


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(-0.03, 0.04, "equivalent"), (-0.03, 0.05, "inconclusive"), (-0.06, 0.04, "inconclusive")],
)
def test_an_interval_within_the_margin_shows_equivalence(
    low: float, high: float, says: str
) -> None:
    interval = Interval(0.01, low, high, "newcombe")
    assert verdict_of_interval(interval, margin=0.05, difference_p=0.6) == says


def test_a_candidate_that_cannot_tell_names_apart_is_equivalent() -> None:
    """All 24 templates differ by exactly 0: .5^24 on either side. Of 4 templates, .5^4 = .0625."""
    blind = Studentised(0.0, 0.0, 23, "cluster-t (24 clusters)")
    found = tost(blind, margin=0.05)
    assert (found.above, found.below) == (0.5**24, 0.5**24)
    says = verdict(0.0, margin=0.05, difference_p=blind.p_value(), equivalence_p=found.p)
    assert says is Verdict.EQUIVALENT
    assert tost(Studentised(0.0, 0.0, 3, "t"), margin=0.05).p == 0.0625


def test_a_constant_gap_beyond_the_margin_is_a_difference() -> None:
    """Every one of 24 templates grants the one and refuses the other."""
    biased = Studentised(-1.0, 0.0, 23, "cluster-t (24 clusters)")
    found = tost(biased, margin=0.05)
    assert found.p == 1.0
    says = verdict(-1.0, margin=0.05, difference_p=biased.p_value(), equivalence_p=found.p)
    assert says is Verdict.DIFFERENCE


def test_a_margin_of_nothing_is_refused() -> None:
    interval = Interval(0.0, 0.0, 0.0, "t")
    with pytest.raises(ValueError, match="margin must be above 0"):
        tost(Studentised(0.0, 1.0, 3, "t"), margin=0.0)
    with pytest.raises(ValueError, match="margin must be above 0"):
        verdict_of_interval(interval, margin=-0.05, difference_p=1.0)
