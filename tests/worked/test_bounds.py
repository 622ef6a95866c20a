"""What a rate could be if the unscored answers were known, worked by hand."""

import pytest

from toetssteen.statistics.bounds import Answers, Bounds, difference_bounds, rate_bounds

FIRST, SECOND = Answers(50, 100, 0), Answers(25, 50, 50)


def test_half_refused_leaves_half_the_scale_open() -> None:
    """25 yes, 25 no, 50 refused: from 25/100 to (25 + 50)/100. Manski (1989), JHR 24:343-360."""
    assert rate_bounds(SECOND) == Bounds(0.25, 0.75)
    assert rate_bounds(FIRST) == Bounds(0.5, 0.5)


def test_no_difference_among_valid_answers_can_hide_one_of_a_quarter() -> None:
    """Valid answers: 50 % yes in both groups, difference 0.

    Least: .5 - .75 = -.25; most: .5 - .25 = +.25.
    """
    assert difference_bounds(FIRST, SECOND) == Bounds(-0.25, 0.25)


@pytest.mark.parametrize("answers", [Answers(3, 2, 0), Answers(-1, 2, 0), Answers(1, 2, -1)])
def test_counts_that_contradict_each_other_are_refused(answers: Answers) -> None:
    with pytest.raises(ValueError, match="contradict"):
        rate_bounds(answers)


def test_no_answers_have_no_rate() -> None:
    with pytest.raises(ValueError, match="no answers"):
        difference_bounds(FIRST, Answers(0, 0, 0))
