"""How far apart groups are: never 0, so shown beside what chance gives."""

import numpy as np
import pytest

from toetssteen.metrics.groups import LargestGap
from toetssteen.records import Answered, Estimate, Item, Marked, Score, Status


def gap(rows: list[tuple[str, str, float | None]]) -> Estimate:
    """Estimate over rows of group, cluster and value."""
    scores = []
    for i, (group, cluster, value) in enumerate(rows):
        item = Item(str(i), {}, {"group": group}, {"template": cluster} if cluster else {})
        scores.append(
            Score.unscored(item, Answered.EMPTY, "empty")
            if value is None
            else Score.of(item, value, said=f"{i}")
        )
    return LargestGap("group")(Marked(tuple(scores)), rng=np.random.default_rng(1))


def test_groups_that_differ_within_every_template_differ_more_than_chance() -> None:
    """Twelve templates, a always 1 above b: labels swap within templates, 2 of 2^12 ways as far.

    The gap is 1; a shuffled gap is |k - 6| / 6 for k ~ Bin(12, 1/2), of which 2/4096 reach 1.
    """
    rows = [(g, f"t{t}", t + (g == "a")) for t in range(12) for g in "ab"]
    found = gap(rows)
    assert found.value == pytest.approx(1.0)
    assert found.low is None
    assert found.p_value is not None
    assert found.p_value < 0.005
    assert found.null_95 is not None
    assert found.null_95 < 0.7
    assert (found.n, found.clusters) == (24, 12)


def test_noise_is_as_far_apart_as_chance() -> None:
    luck = np.random.default_rng(5)
    rows = [(g, "", float(luck.normal())) for g in "abcde" for _ in range(20)]
    found = gap(rows)
    assert found.value is not None
    assert found.value > 0
    assert found.p_value is not None
    assert found.p_value > 0.05


def test_small_groups_are_left_out() -> None:
    """A group of nine is not shown; with it gone there is nothing to compare."""
    rows = [("a", "", i % 2 + 0.0) for i in range(20)] + [("b", "", 5.0)] * 9
    found = gap(rows)
    assert found.status is Status.NOT_RESOLVABLE
    assert found.value is None


def test_unscored_items_are_counted_and_left_out() -> None:
    rows: list[tuple[str, str, float | None]] = [
        (g, "", None if i < 2 else i % 3 + (g == "a")) for g in "ab" for i in range(15)
    ]
    found = gap(rows)
    assert (found.n, found.unscored) == (26, 4)
    assert found.value == pytest.approx(1.0)


def test_equal_values_are_uninformative() -> None:
    assert gap([(g, "", 1.0) for g in "ab" for _ in range(12)]).status is Status.UNINFORMATIVE
