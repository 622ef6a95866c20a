"""Corrections for many questions, worked by hand."""

import pytest

from toetssteen.statistics.multiplicity import benjamini_hochberg, holm

P = (0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216)


def rounded(adjusted: list[float | None]) -> list[float | None]:
    return [None if p is None else round(p, 6) for p in adjusted]


def test_holm_of_ten() -> None:
    """Holm (1979): times 10, 9, 8, ..., and never below the one before.

    10 * .001 = .01     9 * .008 = .072    8 * .039 = .312
    7 * .041 = .287, 6 * .042 = .252, 5 * .06 = .3, 4 * .074 = .296: stay at .312
    3 * .205 = .615;  2 * .212 = .424, 1 * .216 = .216: stay at .615
    """
    assert rounded(holm(P)) == [0.01, 0.072, *[0.312] * 5, *[0.615] * 3]


def test_benjamini_and_hochberg_of_ten() -> None:
    """Benjamini and Hochberg (1995): times 10/rank, and never above the one after.

    10/10 * .216 = .216;  10/9 * .212 = .235556, 10/8 * .205 = .25625: stay at .216
    10/7 * .074 = .105714;  10/6 * .06 = .1;  10/5 * .042 = .084
    10/4 * .041 = .1025, 10/3 * .039 = .13: stay at .084;  10/2 * .008 = .04;  10 * .001 = .01
    """
    expected = [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.105714, 0.216, 0.216, 0.216]
    assert rounded(benjamini_hochberg(P)) == expected


def test_what_was_not_tested_stays_none_and_does_not_count() -> None:
    """Two tests, not three: Holm 2 * .01 = .02 and .04; BH 2/1 * .01 = .02, 2/2 * .04 = .04."""
    assert holm([0.04, None, 0.01]) == [0.04, None, 0.02]
    assert benjamini_hochberg([0.04, None, 0.01]) == [0.04, None, 0.02]
    assert holm([None]) == benjamini_hochberg([None]) == [None]
    assert holm([]) == benjamini_hochberg([]) == []


@pytest.mark.parametrize("p", [-0.01, 1.01, float("nan")])
def test_what_is_no_probability_is_refused(p: float) -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match="between 0 and 1"):
            adjust([0.5, p])
