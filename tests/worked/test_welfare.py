"""The made-up register, by hand: shares, tilts and a rule simple enough for pencil and paper."""

from math import log

import numpy as np
import pytest

from toetssteen.sources.welfare import ABROAD, HERE, Columns, Floats, Welfare, truth


def in_the_south_or_west(columns: Columns) -> Floats:
    chosen: Floats = np.isin(columns["wijk"], ["Zuid", "West"]).astype(float)
    return chosen


def of_abroad(columns: Columns) -> Floats:
    chosen: Floats = (columns["herkomst"] == ABROAD).astype(float)
    return chosen


def test_a_rule_by_neighbourhood_finds_the_group_through_its_proxy() -> None:
    """Tilted by exp(log 3) = 3.

    Here the four wijken have 1/4 each: Zuid and West together 1/2. In `buiten` they weigh 1, 1, 3
    and 3 of 8: together 6/8. Demographic parity: 6/8 - 1/2 = 1/4. Without signal the truth hangs
    on nothing: everybody has 0.1, and the rule finds as many of the wrong as of the right.
    """
    made = Welfare(base_rate=0.1, signal=0.0, proxy=log(3))
    found = truth(made, in_the_south_or_west)
    assert found.here.selected == pytest.approx(1 / 2, abs=1e-12)
    assert found.abroad.selected == pytest.approx(3 / 4, abs=1e-12)
    assert found.parity == pytest.approx(1 / 4, abs=1e-12)
    assert found.opportunity == pytest.approx(1 / 4, abs=1e-12)
    assert found.load == pytest.approx(1 / 4, abs=1e-12)
    assert found.abroad.predictive_value == pytest.approx(0.1, abs=1e-12)
    assert found.predictive == pytest.approx(0, abs=1e-12)


def test_a_direct_effect_is_two_odds_around_the_base_rate() -> None:
    """Half of the people, odds 1 and, times exp(log 2), odds 2: chances 1/2 and 2/3.

    Their mean is 7/12; asked for as base rate, the constant comes out at 0 and gives them back.
    A rule that selects all of `buiten` is right in 2/3 of them, and finds nobody here.
    """
    made = Welfare(base_rate=7 / 12, share_abroad=0.5, signal=0.0, direct=log(2))
    found = truth(made, of_abroad)
    assert found.here.base_rate == pytest.approx(1 / 2, abs=1e-12)
    assert found.abroad.base_rate == pytest.approx(2 / 3, abs=1e-12)
    assert (found.abroad.selected, found.here.selected) == pytest.approx((1, 0))
    assert found.abroad.predictive_value == pytest.approx(2 / 3, abs=1e-12)
    assert found.here.predictive_value is None  # nobody was selected: no zero
    assert found.predictive is None
    assert found.opportunity == pytest.approx(1)


def test_a_biased_record_makes_the_rule_look_better_than_it_is() -> None:
    """0.1 wrong; of the other 0.9 in `buiten` a fifth is recorded as wrong: 0.1 + 0.18 = 0.28.

    Held against the truth the rule is right in 0.1 of its selections in both groups; held against
    the record in 0.28 of those in `buiten`.
    """
    made = Welfare(base_rate=0.1, signal=0.0, label_bias=0.2)
    honest = truth(made, in_the_south_or_west)
    seen = truth(made, in_the_south_or_west, seen="record")
    assert honest.predictive == pytest.approx(0, abs=1e-12)
    assert seen.here.predictive_value == pytest.approx(0.1, abs=1e-12)
    assert seen.abroad.predictive_value == pytest.approx(0.28, abs=1e-12)
    assert seen.predictive == pytest.approx(0.18, abs=1e-12)


def test_who_was_looked_into_is_not_who_there_is() -> None:
    """The rule selects who missed two appointments or more: 0.2 + 0.1 of the people.

    They were looked into sooner. With 0.5 unlabelled, the share among the labelled is larger than
    0.3, and it is larger still in no group than what the weights allow: 0.3 / 0.5 = 0.6.
    """
    made = Welfare(signal=0.0, selective_labels=0.5)

    def missed(columns: Columns) -> Floats:
        chosen: Floats = (columns["gemiste_afspraken"].astype(int) >= 2).astype(float)
        return chosen

    assert truth(made, missed).here.selected == pytest.approx(0.3, abs=1e-12)
    seen = truth(made, missed, seen="investigated")
    assert 0.3 < seen.here.selected < 0.6
    assert seen.abroad.share > 0.3


def test_nothing_shows_the_group_without_proxies() -> None:
    found = truth(Welfare(proxy=0.0), in_the_south_or_west)
    assert found.parity == pytest.approx(0, abs=1e-12)
    assert (HERE, ABROAD) == ("Nederland", "buiten Nederland")
