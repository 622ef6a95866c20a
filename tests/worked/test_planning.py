"""How many items answer a question, worked by hand. (z.975 + z.80)^2 = 2.801585^2 = 7.848880."""

from math import ceil, sqrt

import pytest

from toetssteen.statistics.means import cluster_mean
from toetssteen.statistics.planning import (
    AttackSize,
    Clustering,
    Demands,
    MeanDifference,
    OneProportion,
    PairedProportions,
    TwoProportions,
    attack_size,
    bound_without_event,
    detectable,
    from_pilot,
    trials_without_event,
    units_needed,
)
from toetssteen.statistics.studentised import Studentised


@pytest.mark.parametrize(
    ("discordance", "pairs"), [(0.10, 311.6), (0.15, 468.6), (0.20, 625.5), (0.30, 939.5)]
)
def test_pairs_for_a_gap_of_five_points(discordance: float, pairs: float) -> None:
    """Connor (1987), Biometrics 43:207-211. With 10 % discordant pairs:

    1.959964 sqrt(.1) + .841621 sqrt(.1 - .05^2) = .619795 + .262793 = .882588
    (.882588 / .05)^2 = 311.6
    """
    assert round(units_needed(PairedProportions(discordance), 0.05), 1) == pairs


@pytest.mark.parametrize(("discordance", "pairs"), [(0.10, 632.0), (0.20, 1267.4)])
def test_pairs_when_thirty_contrasts_share_the_level(discordance: float, pairs: float) -> None:
    """z(1 - .05/60) = 3.143980: (3.143980 sqrt(.1) + .262793)^2 / .05^2 = 632.0."""
    demands = Demands(family=30)
    assert round(units_needed(PairedProportions(discordance), 0.05, demands), 1) == pairs


@pytest.mark.parametrize(("base", "per_group"), [(0.50, 1564.7), (0.90, 685.6)])
def test_two_independent_groups_five_points_apart(base: float, per_group: float) -> None:
    """.50 against .45; Fleiss, Levin and Paik (2003), chapter 4.

    no difference   sqrt(2 * .475 * .525) = .706222, times 1.959964 = 1.384170
    difference      sqrt(.25 + .2475) = .705337, times .841621 = .593626
    (1.977796 / .05)^2 = 1564.7
    """
    assert round(units_needed(TwoProportions(base), -0.05), 1) == per_group


@pytest.mark.parametrize(
    ("gap", "if_known", "usual"), [(0.10, 379, 387), (0.05, 1514, 1533), (0.02, 9440, 9492)]
)
def test_a_base_rate_of_sixty_percent(gap: float, if_known: int, usual: int) -> None:
    """.60 against .50. If 60 % is known to be the rate of both when there is no difference:

        1.959964 sqrt(2 * .6 * .4) + .841621 sqrt(.24 + .25) = 1.357903 + .589135 = 1.947038
        (1.947038 / .10)^2 = 379.1

    The usual test does not know it and takes the mean, 55 %:
        1.959964 sqrt(2 * .55 * .45) + .589135 = 1.378957 + .589135 = 1.968092; squared: 387.3
    """
    assert round(units_needed(TwoProportions(0.6, common=0.6), -gap)) == if_known
    assert round(units_needed(TwoProportions(0.6), -gap)) == usual


@pytest.mark.parametrize(("effect", "n"), [(0.2, 196.2), (0.1, 784.9)])
def test_a_mean_difference_in_standard_deviations(effect: float, n: float) -> None:
    """7.848880 / .2^2 = 196.2."""
    assert round(units_needed(MeanDifference(1.0), effect), 1) == n


@pytest.mark.parametrize(("n", "points"), [(58, 18.4), (262, 8.7), (1463, 3.7)])
def test_a_share_of_one_half_at_its_widest(n: int, points: float) -> None:
    """2.801585 * .5 / sqrt(58) = .183933."""
    assert round(100 * detectable(MeanDifference(0.5), n), 1) == points


def test_a_rate_that_moves_away_from_one_half_varies_less() -> None:
    """.68 against .5: 1.959964 * .5 + .841621 sqrt(.68 * .32) = 1.372573; / .18 squared: 58.1."""
    assert round(units_needed(OneProportion(0.5), 0.18), 1) == 58.1


@pytest.mark.parametrize(("icc", "templates"), [(0.3, 118.6), (0.1, 65.0)])
def test_templates_of_eight_renderings(icc: float, templates: float) -> None:
    """5 points with 10 % discordant pairs, on the mean difference: sd^2 = .1 - .05^2 = .0975.

    7.848880 * .0975 / .05^2 = 306.1 pairs; design effect 1 + 7 * .3 = 3.1
    306.1 * 3.1 / 8 = 118.6 templates
    """
    pairs = units_needed(MeanDifference(sqrt(0.0975)), 0.05)
    assert round(pairs, 1) == 306.1
    clustering = Clustering(8, icc)
    assert round(clustering.clusters(pairs), 1) == templates
    assert clustering.units(clustering.clusters(pairs)) == pytest.approx(pairs)


def test_few_clusters_need_students_quantiles() -> None:
    """4 templates with standard error .0239357: (t.975 + t.80 with 3 df) * .0239357.

    (3.182446 + .978472) * .0239357 = .099594; with the normal quantiles .067058, too hopeful.
    """
    mean = cluster_mean([0.1, 0.1, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0], "aabbccdd")
    pilot = from_pilot(mean, 4)
    assert round(detectable(pilot, 4), 6) == 0.099594
    assert units_needed(pilot, 0.099594) == pytest.approx(4, abs=1e-4)
    hopeful = MeanDifference(pilot.sd_of_one)
    assert round(detectable(hopeful, 4), 6) == 0.067058


def test_an_effect_that_two_clusters_would_show_still_asks_for_two() -> None:
    assert units_needed(MeanDifference(1.0, spent=1), 1_000.0) == 2.0


def test_nothing_in_three_thousand() -> None:
    """(1 - .001)^n = .05: n = 2.995732 / .00100050 = 2994.2; 3,000 bound it at .0998 %."""
    assert ceil(trials_without_event(0.001)) == 2_995
    assert round(100 * bound_without_event(3_000), 4) == 0.0998


def test_an_attack_that_finds_one_in_twenty_at_one_percent() -> None:
    """One-sided, 1 % against 5 %.

    1.644854 sqrt(.01 * .99) + .841621 sqrt(.05 * .95) = .163661 + .183427 = .347088
    (.347088 / .04)^2 = 75.3 members; non-members: 1 / .01 at least.
    """
    assert attack_size(0.05, alpha=0.01) == AttackSize(76, 100)


def test_a_one_sided_question_needs_less() -> None:
    """(1.644854 + .841621)^2 / .2^2 = 6.182557 / .04 = 154.6."""
    demands = Demands(two_sided=False)
    assert round(units_needed(MeanDifference(1.0), 0.2, demands), 1) == 154.6


def test_questions_without_an_answer_say_why() -> None:
    with pytest.raises(ValueError, match=r"effect of 0\.2 cannot be"):
        units_needed(PairedProportions(0.1), 0.2)
    with pytest.raises(ValueError, match="effect of 0 cannot be"):
        units_needed(MeanDifference(1.0), 0)
    with pytest.raises(ValueError, match=r"not even find an effect of -0\.05"):
        detectable(TwoProportions(0.05), 20, sign=-1)
    with pytest.raises(ValueError, match="leave no spread"):
        detectable(MeanDifference(1.0, spent=1), 1)
    with pytest.raises(ValueError, match="cannot be planned for"):
        Demands(power=0.3)
    with pytest.raises(ValueError, match="is no attack"):
        attack_size(0.01, alpha=0.01)
    with pytest.raises(ValueError, match="without spread"):
        from_pilot(Studentised(0.0, 0.0, 3, "t"), 4)
    with pytest.raises(ValueError, match="bound nothing"):
        bound_without_event(0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        trials_without_event(1.0)
