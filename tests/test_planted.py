"""The page on planted differences: what its script draws is found, and only that."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_file_location("docs_controls", ROOT / "docs" / "controls.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["docs_controls"] = module
    spec.loader.exec_module(module)
    return module


def test_only_the_planted_characteristic_is_flagged(script: ModuleType) -> None:
    large = next(one for one in script.plants() if one.name == "names" and one.shift == -0.6)
    drawn = [script.draw(large, seed) for seed in range(5)]
    assert all(script.PLANTED_NAME in one.flagged for one in drawn)
    assert sum(len(one.flagged) for one in drawn) <= 6
    for one in drawn:
        assert abs(one.estimate.value + 0.6) < 4 * one.estimate.standard_error


def test_the_same_seed_draws_the_same_subject(script: ModuleType) -> None:
    first = next(one for one in script.plants() if one.name == "names")
    assert script.draw(first, 3) == script.draw(first, 3)
    assert script.draw(first, 3) != script.draw(first, 4)


def test_every_row_of_the_page_is_one_that_the_script_draws(script: ModuleType) -> None:
    page = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
    table = page.partition(script.BEGIN)[2]
    for plant in script.plants():
        assert f"| {plant.name} | {plant.shift:g} " in table
    assert "**missed**" not in table
