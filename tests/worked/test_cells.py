"""Which groups may be shown."""

import pytest

from toetssteen.statistics.cells import cell


@pytest.mark.parametrize(
    ("n", "shown"),
    [(0, "suppressed"), (9, "suppressed"), (10, "indicative"), (29, "indicative"), (30, "shown")],
)
def test_small_cells_are_suppressed_and_smallish_ones_marked(n: int, shown: str) -> None:
    assert cell(n) == shown


def test_a_negative_group_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot have -1"):
        cell(-1)
