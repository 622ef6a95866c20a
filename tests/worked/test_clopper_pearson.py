"""The exact interval of Clopper and Pearson, worked by hand."""

from toetssteen.statistics.proportions import clopper_pearson


def test_nothing_in_ten() -> None:
    """0 of 10.

    Clopper and Pearson (1934), Biometrika 26:404-413: the upper bound is the p for which 0 or
    fewer in 10 happens once in forty.

        (1 - p)^10 = 0.025
        p = 1 - exp(ln 0.025 / 10) = 1 - exp(-0.368888) = 1 - 0.691503 = 0.308497

    Fewer than 0 cannot happen, so the lower bound is 0.
    """
    interval = clopper_pearson(0, 10)
    assert interval.value == 0.0
    assert interval.low == 0.0
    assert round(interval.high, 6) == 0.308497
    assert interval.method == "clopper-pearson"


def test_one_in_three() -> None:
    """1 of 3.

    low:  1 or more in 3 once in forty: 1 - (1 - p)^3 = 0.025
          p = 1 - 0.975^(1/3) = 1 - 0.991596 = 0.008404
    high: 1 or fewer in 3 once in forty, with q = 1 - p: q^3 + 3 (1 - q) q^2 = 0.025
          3 q^2 - 2 q^3 = 0.025; try q = 0.0943: 0.026677 - 0.001677 = 0.025000
          p = 1 - 0.0943 = 0.9057
    """
    interval = clopper_pearson(1, 3)
    assert round(interval.value, 6) == 0.333333
    assert round(interval.low, 6) == 0.008404
    assert round(interval.high, 4) == 0.9057


def test_the_four_examples_of_newcombe() -> None:
    """Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 5 (exact)."""
    printed = {
        (81, 263): (0.2527, 0.3676),
        (15, 148): (0.0578, 0.1617),
        (0, 20): (0.0, 0.1684),
        (1, 29): (0.0009, 0.1776),
    }
    ours = {case: clopper_pearson(*case) for case in printed}
    assert {case: (round(i.low, 4), round(i.high, 4)) for case, i in ours.items()} == printed
