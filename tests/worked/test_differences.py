"""Differences between two proportions, worked by hand."""

from math import sqrt

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from toetssteen.statistics import Interval
from toetssteen.statistics.differences import (
    mcnemar,
    newcombe,
    square_and_add,
    tango,
    unpaired_p,
)


def test_thirty_against_twenty_of_a_hundred() -> None:
    """Newcombe (1998), Statistics in Medicine 17:873-890, method 10.

    Wilson: 30/100 in [.218949, .395849], 20/100 in [.133367, .288829]; difference .1.

        below   sqrt((.3 - .218949)^2 + (.288829 - .2)^2) = sqrt(.006569 + .007891) = .120249
        above   sqrt((.395849 - .3)^2 + (.2 - .133367)^2) = sqrt(.009187 + .004440) = .116734

        .1 - .120249 = -.020249; .1 + .116734 = .216734
    """
    interval = newcombe(30, 100, 20, 100)
    assert round(interval.value, 12) == 0.1
    assert round(interval.low, 6) == -0.020249
    assert round(interval.high, 6) == 0.216734
    assert interval.method == "newcombe"


def test_none_of_fifteen_against_five_of_forty() -> None:
    """A group without successes; the textbook interval [-.227, -.023] calls it a difference.

    Wilson: 0/15 in [0, .203883], 5/40 in [.054595, .261121]; difference -.125.

        below   sqrt((0 - 0)^2 + (.261121 - .125)^2)        = .136121
        above   sqrt((.203883 - 0)^2 + (.125 - .054595)^2) = sqrt(.041568 + .004957) = .215697

        -.125 - .136121 = -.261121; -.125 + .215697 = .090697
    """
    interval = newcombe(0, 15, 5, 40)
    assert round(interval.low, 6) == -0.261121
    assert round(interval.high, 6) == 0.090697


def test_the_chance_of_thirty_against_twenty_if_nothing_differs() -> None:
    """Campbell (2007), Statistics in Medicine 26:3661-3675. Together 50 of 200: .25.

    chi-squared   .1^2 / (.25 * .75 * (1/100 + 1/100)) * 199/200 = 2.666667 * .995 = 2.653333
    z             sqrt(2.653333) = 1.628906; 2 P(Z > 1.628906) = .103333
    """
    assert round(unpaired_p(30, 100, 20, 100), 4) == 0.1033
    assert unpaired_p(20, 100, 30, 100) == unpaired_p(30, 100, 20, 100)
    assert unpaired_p(0, 15, 0, 40) == unpaired_p(15, 15, 40, 40) == 1.0


def test_any_two_intervals_can_be_squared_and_added() -> None:
    """.5 in [.2, .8] and .3 in [-.1, .7]: sqrt(.3^2 + .4^2) = .5 on either side of .2."""
    one, other = Interval(0.5, 0.2, 0.8, "a"), Interval(0.3, -0.1, 0.7, "b")
    interval = square_and_add(one, other)
    assert [round(x, 12) for x in (interval.low, interval.value, interval.high)] == [
        -0.3,
        0.2,
        0.7,
    ]
    assert interval.method == "square-and-add (a; b)"


def test_fifteen_against_five_discordant_pairs() -> None:
    """McNemar, exact: 5 or fewer of 20 fair coins, twice.

        1 + 20 + 190 + 1140 + 4845 + 15504 = 21700
        2 * 21700 / 2^20 = .041389
    mid-p: half of P(5) less on either side: .041389 - 15504 / 2^20 = .041389 - .014786 = .026604

    Fagerland, Lydersen and Laake (2013), BMC Medical Research Methodology 13:91, eq. for mid-p.
    """
    p = mcnemar(15, 5)
    assert (round(p.exact, 6), round(p.mid_p, 6)) == (0.041389, 0.026604)
    assert mcnemar(5, 15) == p


def test_the_pairs_of_two_dutch_models() -> None:
    """BERTje against mBERT: 344 against 309; against RobBERT 307 each, so p = 1."""
    assert round(mcnemar(344, 309).exact, 4) == 0.1833
    assert mcnemar(307, 307).exact == 1.0
    assert mcnemar(0, 0).exact == mcnemar(0, 0).mid_p == 1.0


def test_hyper_responsiveness_of_twenty_one_children() -> None:
    """1 against 7 of 21 pairs (Fagerland, Lydersen and Laake 2013, table 1).

    Tango (1998), Statistics in Medicine 17:891-908. At the upper bound d = -.026003:

        b - c - n d     1 - 7 + .546063 = -5.453937
        half            -8 + (42 - 1 + 7)(-.026003) = -9.248144
        root            sqrt(half^2 + 8 * 21 * 7 * d(1 - d)) = sqrt(85.5282 - 31.3746) = 7.358909
        q               (7.358909 + 9.248144) / (4 * 21) = .197703
        variance        21 (2 * .197703 + d(1 - d)) = 21 (.395406 - .026679) = 7.743265
        score           -5.453937 / 2.782672 = -1.95996

    McNemar: 2 * (1 + 8) / 2^8 = .0703; mid-p .0703 - 8 / 2^8 = .0391.
    """
    interval = tango(1, 7, 21)
    assert round(interval.value, 6) == -0.285714
    assert (round(interval.low, 3), round(interval.high, 3)) == (-0.517, -0.026)
    p = mcnemar(1, 7)
    assert (round(p.exact, 4), round(p.mid_p, 4)) == (0.0703, 0.0391)


def test_no_discordant_pair_still_leaves_a_difference_possible() -> None:
    """0 and 0 of 20, for a difference d > 0.

    half     2 n d = 40 d, and root = 40 d as c = 0, so q = (40 d - 40 d) / 80 = 0
    score    n d = z sqrt(n d (1 - d)), so d = z^2 / (n + z^2)
    bound    3.841459 / 23.841459 = .161125, as Wilson's for 0 of 20
    """
    interval = tango(0, 0, 20)
    assert interval.value == 0.0
    assert round(interval.high, 6) == 0.161125
    assert interval.low == -interval.high


def test_when_every_pair_differs_one_way_the_bound_is_one() -> None:
    assert tango(20, 0, 20).high == 1.0
    assert 0.5 < tango(20, 0, 20).low < 1.0


@pytest.mark.parametrize(
    ("b", "c", "n"), [(1, 7, 21), (40, 20, 160), (0, 3, 12), (344, 309, 1463)]
)
def test_the_bounds_of_tango_are_where_the_score_test_just_rejects(b: int, c: int, n: int) -> None:
    """With the likeliest q found by maximising the likelihood, not by Tango's closed form."""
    interval = tango(b, c, n)
    for d in (interval.low, interval.high):
        ends = (max(0.0, -d) + 1e-12, (1 - d) / 2 - 1e-12)

        def surprise(q: float, d: float = d) -> float:
            return -(b * np.log(q + d) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - d))

        q = minimize_scalar(surprise, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
        score = (b - c - n * d) / sqrt(n * (2 * q + d * (1 - d)))
        assert abs(score) == pytest.approx(1.959964, abs=1e-4)


def test_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        mcnemar(-1, 2)
    with pytest.raises(ValueError, match="no pairs"):
        tango(0, 0, 0)
    with pytest.raises(ValueError, match="do not fit in 5 pairs"):
        tango(3, 3, 5)
    with pytest.raises(ValueError, match="no trials"):
        newcombe(0, 0, 1, 2)
    for counts in ((0, 0, 1, 2), (3, 2, 1, 2), (-1, 2, 1, 2)):
        with pytest.raises(ValueError, match="are no proportions"):
            unpaired_p(*counts)
