"""`welfare_nl`: a made-up register of people on social assistance, of whom the truth is known.

Nobody in it exists. Every column has few values, so what holds for the whole population is summed
over all that can occur and not estimated: an estimator can be held against it.

How it is made, with `buiten` for those born outside the Netherlands (`geboren buiten Nederland`):

- *proxies*: wijk, taal and huishouden do not bear on the truth. In `buiten` their shares are
  tilted by exp(proxy x tilt), so with proxy 0 nothing shows the group.
- *truth*: the log-odds that an assistance is paid wrongly (`onrechtmatig`) are a constant, chosen
  so that `base_rate` holds, + signal x (0.6 for each missed appointment, 0.5 for part-time work,
  0.08 a year on assistance, -0.02 a year of age) + direct in `buiten`.
- *record*: in `buiten`, a right payment is written down as a wrong one with chance `label_bias`.
- *investigation*: a share `selective_labels` was never looked into and has no record. Who missed
  appointments, and who is of `buiten`, was looked into sooner.
- *missing group*: of a share `missing_group` the origin is not written down.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from toetssteen.errors import ArgumentError
from toetssteen.items import Row, Table

VERSION = 1  # raise it when the same arguments would give other rows

HERE, ABROAD, UNKNOWN = "Nederland", "buiten Nederland", "onbekend"
WRONG, RIGHT = "onrechtmatig", "rechtmatig"

Floats = np.ndarray[Any, np.dtype[np.float64]]
Columns = Mapping[str, np.ndarray[Any, Any]]
# Gives the chance, 0 to 1, that each row is selected.
Rule = Callable[[Columns], Floats]
Seen = Literal["truth", "record", "investigated"]


@dataclass(frozen=True, slots=True)
class _Column:
    """What may stand in a column, how often, and how much more often in `buiten`."""

    values: tuple[str | int, ...]
    shares: tuple[float, ...]
    tilt: tuple[float, ...] = ()


COLUMNS: Mapping[str, _Column] = {
    "leeftijd": _Column(tuple(range(20, 70, 5)), (0.1,) * 10),
    "geslacht": _Column(("vrouw", "man"), (0.55, 0.45)),
    "wijk": _Column(("Noord", "Oost", "Zuid", "West"), (0.25,) * 4, (0.0, 0.0, 1.0, 1.0)),
    "taal": _Column(("A2 of lager", "B1", "B2 of hoger"), (0.1, 0.2, 0.7), (2.0, 1.0, 0.0)),
    "huishouden": _Column(
        ("alleenstaand", "eenouder", "paar", "paar met kinderen"),
        (0.5, 0.2, 0.15, 0.15),
        (0.0, 0.5, 0.0, 1.0),
    ),
    "jaren_bijstand": _Column(tuple(range(10)), (0.1,) * 10),
    "deeltijdwerk": _Column(("nee", "ja"), (0.8, 0.2)),
    "gemiste_afspraken": _Column((0, 1, 2, 3), (0.4, 0.3, 0.2, 0.1)),
}
# What a model would be given: the group itself is not among it.
FEATURES = tuple(COLUMNS)


@dataclass(frozen=True, slots=True)
class Welfare:
    """How the population is made; see the top of the file.

    Raises:
        ArgumentError: a share outside what can be, or a strength that no exponent carries.
    """

    base_rate: float = 0.1
    share_abroad: float = 0.3
    signal: float = 1.0
    direct: float = 0.0
    proxy: float = 1.0
    label_bias: float = 0.0
    selective_labels: float = 0.0
    missing_group: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no population can be."""
        for name in ("base_rate", "share_abroad"):
            if not 0 < getattr(self, name) < 1:
                raise ArgumentError(name, "should lie between 0 and 1")
        for name in ("label_bias", "selective_labels", "missing_group"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(name, "should be 0 or more, and below 1")
        for name in ("signal", "direct", "proxy"):
            if not abs(getattr(self, name)) <= 10:
                raise ArgumentError(name, "should lie between -10 and 10")


@dataclass(frozen=True, slots=True)
class Rates:
    """What a rule does in one group; None where nobody is there to count."""

    share: float
    base_rate: float
    selected: float
    true_positive: float | None
    false_positive: float | None
    predictive_value: float | None


@dataclass(frozen=True, slots=True)
class Truth:
    """What a rule does in the whole population; gaps are `buiten` minus the others."""

    here: Rates
    abroad: Rates

    @property
    def parity(self) -> float:
        """Return the gap in being selected: demographic parity."""
        return self.abroad.selected - self.here.selected

    @property
    def opportunity(self) -> float | None:
        """Return the gap in being selected where it is right: equal opportunity."""
        return _minus(self.abroad.true_positive, self.here.true_positive)

    @property
    def load(self) -> float | None:
        """Return the gap in being selected where it is not: the load of false positives."""
        return _minus(self.abroad.false_positive, self.here.false_positive)

    @property
    def predictive(self) -> float | None:
        """Return the gap in how often a selection is right: predictive parity."""
        return _minus(self.abroad.predictive_value, self.here.predictive_value)


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def read_welfare(  # noqa: PLR0913 - what YAML may say, by name
    folder: Path,  # noqa: ARG001 - a source of items is told where the YAML lies
    *,
    seed: int = 1,
    n: int = 2000,
    base_rate: float = 0.1,
    share_abroad: float = 0.3,
    signal: float = 1.0,
    direct: float = 0.0,
    proxy: float = 1.0,
    label_bias: float = 0.0,
    selective_labels: float = 0.0,
    labelled_only: bool = False,
    missing_group: float = 0.0,
) -> Table:
    """Draw people from the population: the source of items `welfare_nl`.

    Args:
        folder: not used; nothing is read.
        seed: the same seed and settings give the same people.
        n: how many people are drawn.
        base_rate: the share of wrong payments.
        share_abroad: the share of people born outside the Netherlands.
        signal: how much the honest columns tell.
        direct: how much the origin itself adds to the log-odds of a wrong payment.
        proxy: how clearly wijk, taal and huishouden show the origin.
        label_bias: the chance that a right payment in `buiten` is recorded as a wrong one.
        selective_labels: the share that was never looked into, and has no `uitkomst`.
        labelled_only: leave those out, as a register of finished investigations would.
        missing_group: the share whose `herkomst` is `onbekend`.

    Raises:
        ArgumentError: a setting outside what can be.
    """
    if not 1 <= n <= 1_000_000:
        raise ArgumentError("n", "should lie between 1 and 1000000")
    if seed < 0:
        raise ArgumentError("seed", "should be 0 or more")
    made = Welfare(
        base_rate=base_rate,
        share_abroad=share_abroad,
        signal=signal,
        direct=direct,
        proxy=proxy,
        label_bias=label_bias,
        selective_labels=selective_labels,
        missing_group=missing_group,
    )
    drawn = draw(made, n=n, rng=np.random.default_rng([seed, VERSION]))
    people = zip(*(values.tolist() for values in drawn.values()), strict=True)
    fields = (dict(zip(drawn, person, strict=True)) for person in people)
    rows = tuple(
        Row(number, {"id": f"p{number:06}", **one})
        for number, one in enumerate(fields, start=1)
        if one["uitkomst"] is not None or not labelled_only
    )
    digest = sha256()
    for row in rows:
        digest.update(json.dumps(row.fields, ensure_ascii=False).encode() + b"\n")
    return Table(Path("welfare_nl"), digest.hexdigest(), rows)


def draw(made: Welfare, *, n: int, rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """Draw so many people: what is known of them, what was recorded, and what is true.

    `werkelijk` is the truth, `uitkomst` what was recorded (None where nobody looked),
    `herkomst_werkelijk` the origin also where `herkomst` is `onbekend`.
    """
    abroad = rng.random(n) < made.share_abroad
    known: dict[str, np.ndarray[Any, Any]] = {}
    for name, column in COLUMNS.items():
        chance = np.where(
            abroad[:, None], _shares(column, made.proxy), _shares(column, 0.0)
        ).cumsum(axis=1)
        # The last of the sums may be a hair below 1.
        place = (rng.random(n)[:, None] >= chance[:, :-1]).sum(axis=1)
        known[name] = np.asarray(column.values, dtype=object)[place]
    wrong = rng.random(n) < _wrong(made, known, abroad)
    recorded = wrong | (abroad & (rng.random(n) < made.label_bias))
    looked = rng.random(n) < _investigated(made, known, abroad)
    hidden = rng.random(n) < made.missing_group
    origin = np.where(abroad, ABROAD, HERE).astype(object)
    outcome = np.where(recorded, WRONG, RIGHT).astype(object)
    outcome[~looked] = None
    return {
        **known,
        "herkomst": np.where(hidden, UNKNOWN, origin),
        "herkomst_werkelijk": origin,
        "onderzocht": np.where(looked, "ja", "nee").astype(object),
        "uitkomst": outcome,
        "werkelijk": np.where(wrong, WRONG, RIGHT).astype(object),
    }


def truth(made: Welfare, rule: Rule, *, seen: Seen = "truth") -> Truth:
    """Return what a rule does in the whole population, summed over all that can occur.

    Args:
        made: how the population is made.
        rule: gives for every row the chance that it is selected; reads the columns by name, and
            `herkomst` with them.
        seen: held against the truth, against what would be recorded of everybody, or against the
            records of those who were looked into.
    """
    cells = _cells(made)
    chosen = np.asarray(rule(cells.columns), dtype=float)
    wrong = _wrong(made, cells.columns, cells.abroad)
    weight = cells.weight
    if seen != "truth":
        wrong = wrong + (1 - wrong) * made.label_bias * cells.abroad
    if seen == "investigated":
        weight = weight * _investigated(made, cells.columns, cells.abroad)
    return Truth(
        here=_rates(weight, wrong, chosen, ~cells.abroad),
        abroad=_rates(weight, wrong, chosen, cells.abroad),
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """Every row that can occur, and how often it does."""

    columns: Columns
    abroad: np.ndarray[Any, np.dtype[np.bool_]]
    weight: Floats


@lru_cache(maxsize=8)
def _cells(made: Welfare) -> _Cells:
    sizes = (2, *(len(column.values) for column in COLUMNS.values()))
    group, *places = (place.ravel() for place in np.indices(sizes))
    abroad = group == 1
    weight = np.where(abroad, made.share_abroad, 1 - made.share_abroad)
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for (name, column), place in zip(COLUMNS.items(), places, strict=True):
        shares = np.where(abroad, _shares(column, made.proxy)[place], _shares(column, 0.0)[place])
        weight = weight * shares
        columns[name] = np.asarray(column.values, dtype=object)[place]
    columns["herkomst"] = np.where(abroad, ABROAD, HERE).astype(object)
    for values in columns.values():
        values.flags.writeable = False  # they are kept for the next rule
    return _Cells(columns, abroad, weight)


def _shares(column: _Column, proxy: float) -> Floats:
    tilted = np.asarray(column.shares) * np.exp(proxy * np.asarray(column.tilt or 0.0))
    shares: Floats = tilted / tilted.sum()
    return shares


def _wrong(made: Welfare, known: Columns, abroad: np.ndarray[Any, Any]) -> Floats:
    """Return the chance of a wrong payment."""
    return _logistic(_shift(made) + _odds(made, known, abroad))


@lru_cache(maxsize=8)
def _shift(made: Welfare) -> float:
    """Return the constant with which the base rate holds."""
    cells = _cells(made)
    return _solved(_odds(made, cells.columns, cells.abroad), cells.weight, made.base_rate)


def _odds(made: Welfare, known: Columns, abroad: np.ndarray[Any, Any]) -> Floats:
    honest = (
        0.6 * known["gemiste_afspraken"].astype(float)
        + 0.5 * (known["deeltijdwerk"] == "ja")
        + 0.08 * known["jaren_bijstand"].astype(float)
        - 0.02 * known["leeftijd"].astype(float)
    )
    odds: Floats = made.signal * honest + made.direct * abroad
    return odds


def _investigated(made: Welfare, known: Columns, abroad: np.ndarray[Any, Any]) -> Floats:
    """Return the chance that somebody looked."""
    if made.selective_labels == 0:
        return np.ones(len(abroad))
    return _logistic(_pull_shift(made) + known["gemiste_afspraken"].astype(float) + abroad)


@lru_cache(maxsize=8)
def _pull_shift(made: Welfare) -> float:
    """Return the constant with which the share of those never looked into holds."""
    cells = _cells(made)
    pull = cells.columns["gemiste_afspraken"].astype(float) + cells.abroad
    return _solved(pull, cells.weight, 1 - made.selective_labels)


def _solved(odds: Floats, weight: Floats, wanted: float) -> float:
    """Return the constant that makes the mean chance what is wanted, by halving."""
    low, high = -200.0, 200.0
    for _ in range(80):  # 400 / 2^80 is below what a float can tell apart
        middle = (low + high) / 2
        if (weight * _logistic(middle + odds)).sum() < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _logistic(odds: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return chance


def _rates(
    weight: Floats, wrong: Floats, chosen: Floats, group: np.ndarray[Any, np.dtype[np.bool_]]
) -> Rates:
    here = weight * group
    whole, bad, taken = here.sum(), (here * wrong).sum(), (here * chosen).sum()
    hit = (here * wrong * chosen).sum()
    return Rates(
        share=float(whole / weight.sum()),
        base_rate=float(bad / whole),
        selected=float(taken / whole),
        true_positive=_part(hit, bad),
        false_positive=_part(taken - hit, whole - bad),
        predictive_value=_part(hit, taken),
    )


def _part(some: float, whole: float) -> float | None:
    return float(some / whole) if whole > 0 else None
