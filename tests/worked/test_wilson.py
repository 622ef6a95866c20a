"""Wilson's interval for one proportion, worked by hand."""

from toetssteen.statistics.proportions import wilson


def test_nothing_in_fifteen_may_still_be_one_in_five() -> None:
    """0 of 15.

    z = 1.959964, z^2 = 3.841459 (two-sided 95 %).

    Wilson (1927), JASA 22:209-212: the bounds solve (p - x/n)^2 = z^2 p(1 - p)/n. With x = 0:

        p^2 = z^2 p (1 - p) / 15
        p = 0   or   15 p = z^2 (1 - p)
        p = z^2 / (15 + z^2) = 3.841459 / 18.841459 = 0.203883
    """
    interval = wilson(0, 15)
    assert interval.value == 0.0
    assert interval.low == 0.0
    assert round(interval.high, 6) == 0.203883
    assert interval.method == "wilson"


def test_eight_in_ten() -> None:
    """8 of 10: p = 0.8.

    centre = (p + z^2/2n) / (1 + z^2/n) = (0.8 + 0.1920729) / 1.3841459 = 0.7167400
    root   = sqrt(p(1 - p)/n + z^2/4n^2) = sqrt(0.016 + 0.0096036) = 0.1600114
    half   = z * root / (1 + z^2/n) = 1.9599640 * 0.1600114 / 1.3841459 = 0.2265778

    0.7167400 - 0.2265778 = 0.490162; 0.7167400 + 0.2265778 = 0.943318
    """
    interval = wilson(8, 10)
    assert interval.value == 0.8
    assert round(interval.low, 6) == 0.490162
    assert round(interval.high, 6) == 0.943318


def test_the_four_examples_of_newcombe() -> None:
    """Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3 (score)."""
    printed = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    ours = {case: wilson(*case) for case in printed}
    assert {case: (round(i.low, 4), round(i.high, 4)) for case, i in ours.items()} == printed
