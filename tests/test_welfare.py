"""The made-up register: samples agree with the population, and what is missing is missing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toetssteen.errors import ArgumentError, ContentError
from toetssteen.items import read_table, to_items
from toetssteen.sources.welfare import (
    ABROAD,
    FEATURES,
    HERE,
    RIGHT,
    UNKNOWN,
    WRONG,
    Columns,
    Floats,
    Rates,
    Seen,
    Welfare,
    draw,
    read_welfare,
    truth,
)
from toetssteen.spec import PluginRef

HERE_AND_NOW = Path()
N = 30_000
SETTINGS = {
    "as it comes": Welfare(),
    "direct": Welfare(base_rate=0.2, direct=1.0, proxy=0.0),
    "biased": Welfare(base_rate=0.15, proxy=2.0, label_bias=0.3),
    "selective": Welfare(base_rate=0.3, share_abroad=0.5, selective_labels=0.6, direct=0.5),
}


def by_score(columns: Columns) -> Floats:
    """Select by what a caseworker might look at: missed appointments and language."""
    chosen: Floats = (
        0.3 * (columns["gemiste_afspraken"].astype(float) >= 2)
        + 0.4 * (columns["taal"] == "A2 of lager")
        + 0.2 * (columns["deeltijdwerk"] == "ja")
    )
    return chosen


def counted(chosen: Floats, wrong: np.ndarray, inside: np.ndarray) -> Rates:
    """Count in a sample what `truth` sums over the population."""
    here, bad = chosen[inside], wrong[inside]
    return Rates(
        share=float(inside.mean()),
        base_rate=float(bad.mean()),
        selected=float(here.mean()),
        true_positive=float(here[bad].mean()),
        false_positive=float(here[~bad].mean()),
        predictive_value=float((here * bad).sum() / here.sum()),
    )


@pytest.mark.parametrize("made", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("seen", ["truth", "record", "investigated"])
def test_a_large_sample_agrees_with_the_population(made: Welfare, seen: Seen) -> None:
    """Every rate in every group within five standard errors, which are at most 1 / 2 sqrt(n)."""
    drawn = draw(made, n=N, rng=np.random.default_rng(5))
    recorded = drawn["uitkomst"] if seen == "investigated" else everybody(made, drawn, seen)
    known = drawn["onderzocht"] == "ja" if seen == "investigated" else np.full(N, fill_value=True)
    whole = {name: values[known] for name, values in drawn.items()}
    wrong, chosen = recorded[known] == WRONG, by_score(whole)
    expected = truth(made, by_score, seen=seen)
    for group, rates in ((HERE, expected.here), (ABROAD, expected.abroad)):
        inside = whole["herkomst_werkelijk"] == group
        found = counted(chosen, wrong, inside)
        few = min(inside.sum(), wrong[inside].sum(), chosen[inside].sum())
        for name in Rates.__slots__:
            assert getattr(found, name) == pytest.approx(
                getattr(rates, name), abs=5 / (2 * np.sqrt(few))
            ), f"{group}: {name}"


def everybody(made: Welfare, drawn: Columns, seen: Seen) -> np.ndarray:
    """Return the truth; or what would be recorded if everybody were looked into."""
    if seen == "truth":
        return drawn["werkelijk"]
    looked = replace(made, selective_labels=0.0)
    again = draw(looked, n=N, rng=np.random.default_rng(5))
    assert (again["werkelijk"] == drawn["werkelijk"]).all()
    return again["uitkomst"]


def test_the_same_seed_gives_the_same_people_and_another_gives_others() -> None:
    one, two = (read_welfare(HERE_AND_NOW, seed=4, n=50) for _ in range(2))
    assert one.digest == two.digest
    assert one.rows == two.rows
    assert read_welfare(HERE_AND_NOW, seed=5, n=50).digest != one.digest
    assert read_welfare(HERE_AND_NOW, seed=4, n=50, direct=1.0).digest != one.digest


def test_people_keep_their_columns_when_only_the_record_is_changed() -> None:
    """What is recorded of somebody does not change who somebody is."""
    plain = read_welfare(HERE_AND_NOW, n=400)
    biased = read_welfare(HERE_AND_NOW, n=400, label_bias=0.5, missing_group=0.2)
    for one, two in zip(plain.rows, biased.rows, strict=True):
        for name in (*FEATURES, "werkelijk", "herkomst_werkelijk"):
            assert one.fields[name] == two.fields[name]


def test_what_is_missing_is_missing_and_nothing_else_is() -> None:
    table = read_welfare(HERE_AND_NOW, n=3000, selective_labels=0.4, missing_group=0.25)
    fields = [row.fields for row in table.rows]
    unknown = np.mean([one["herkomst"] == UNKNOWN for one in fields])
    unlabelled = np.mean([one["uitkomst"] is None for one in fields])
    assert unknown == pytest.approx(0.25, abs=0.04)
    assert unlabelled == pytest.approx(0.4, abs=0.045)
    for one in fields:
        assert (one["uitkomst"] is None) == (one["onderzocht"] == "nee")
        assert one["uitkomst"] in {None, WRONG, RIGHT}
        assert one["herkomst"] in {UNKNOWN, one["herkomst_werkelijk"]}
    labelled = read_welfare(
        HERE_AND_NOW, n=3000, selective_labels=0.4, missing_group=0.25, labelled_only=True
    )
    assert [row.fields for row in labelled.rows] == [
        one for one in fields if one["uitkomst"] is not None
    ]


def test_a_task_can_use_it_without_a_file(tmp_path: Path) -> None:
    ref = PluginRef(name="welfare_nl", args={"n": 30, "direct": 0.5})
    items = to_items(
        read_table(ref, yaml_file=tmp_path / "t.yaml"),
        groups=("herkomst",),
        columns=frozenset(FEATURES),
    )
    assert len(items) == 30
    assert items[0].groups["herkomst"] in {HERE, ABROAD}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"base_rate": 0.0}, "args.base_rate: should lie between 0 and 1"),
        ({"label_bias": 1.0}, "args.label_bias: should be 0 or more, and below 1"),
        ({"n": 0}, "args.n: should lie between 1 and 1000000"),
        ({"seed": -1}, "args.seed: should be 0 or more"),
        ({"proxy": float("nan")}, "args.proxy: should lie between -10 and 10"),
        ({"bias": 1}, "args.bias: unknown key"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(args: dict[str, float], said: str) -> None:
    ref = PluginRef(name="welfare_nl", args=args)
    with pytest.raises(ContentError) as caught:
        read_table(ref, yaml_file=Path("t.yaml"))
    assert str(caught.value).startswith(f"t.yaml: items: {said}")


def test_a_population_that_cannot_be_is_refused_in_python_too() -> None:
    make: Callable[[], Welfare] = lambda: Welfare(share_abroad=1.0)  # noqa: E731
    with pytest.raises(ArgumentError, match="share_abroad"):
        make()


def test_the_base_rate_is_kept_whatever_else_is_set() -> None:
    def nobody(columns: Columns) -> Floats:
        return np.zeros(len(columns["wijk"]))

    for made in SETTINGS.values():
        found = truth(made, nobody)
        mean = sum(group.share * group.base_rate for group in (found.here, found.abroad))
        assert mean == pytest.approx(made.base_rate, abs=1e-9)
        assert found.here.predictive_value is None
