# ruff: noqa: INP001 (a script beside the page that it fills, not a package)
"""Measure whether the intervals keep the level they claim, and write the table of statistics.md.

    python docs/simulate.py            prints the tables
    python docs/simulate.py --write    and puts them between the markers in docs/statistics.md

Proportions are enumerated: every possible outcome, weighed by its probability, has no Monte
Carlo error. Everything else is drawn, REPETITIONS times a cell, each cell from a seed of its own,
so that the figures do not depend on the order or the number of processes. The functions that are
called are those that a run calls.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from math import ceil, pi, sqrt
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, binom, norm, t

from toetssteen.statistics import Interval
from toetssteen.statistics.bootstrap import (
    Array,
    bca,
    bootstrap_t,
    jackknife,
)
from toetssteen.statistics.clusters import Sample, difference, two_way_t
from toetssteen.statistics.differences import mcnemar, newcombe, tango, unpaired_p
from toetssteen.statistics.gaps import largest_gap
from toetssteen.statistics.means import cluster_mean, cluster_t, student
from toetssteen.statistics.multiplicity import benjamini_hochberg, holm
from toetssteen.statistics.planning import (
    Clustering,
    MeanDifference,
    PairedProportions,
    TwoProportions,
    units_needed,
)
from toetssteen.statistics.proportions import clopper_pearson, cluster_rate, wilson
from toetssteen.statistics.ratios import cluster_ratio
from toetssteen.statistics.roc import area_under_curve

REPETITIONS = 2_000
SEED = 20_250_101
CLUSTERS = (5, 10, 20, 40)
FILLS = 20  # items a template
NEGLIGIBLE = 1e-9  # probability of an outcome that is not worth an interval
PAGE = Path(__file__).parent / "statistics.md"
BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"

Rng = np.random.Generator
Shares = Mapping[str, float]
"""Method -> the share of repetitions in which its interval covered, or its test alarmed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting and column of a table: what is drawn, and how it is named."""

    table: str
    setting: str
    column: str
    measure: Callable[[Rng], Shares]
    enumerated: bool = False


def main() -> None:
    """Print every table; with --write, put them into the page."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--write", action="store_true", help="fill docs/statistics.md")
    arguments.add_argument("--only", default="", help="tables whose name begins so")
    chosen = arguments.parse_args()
    cells = [cell for cell in all_cells() if cell.table.startswith(chosen.only)]
    started = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(measured, cells, chunksize=1))
    text = "\n\n".join(tables(cells, found))
    sys.stdout.write(text + "\n")
    sys.stderr.write(f"{time.monotonic() - started:.0f} s, {len(cells)} cells\n")
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def measured(cell: Cell) -> Shares:
    """Run one cell, seeded by its name."""
    name = f"{cell.table}|{cell.setting}|{cell.column}"
    return cell.measure(np.random.default_rng([SEED, crc32(name.encode())]))


# --- what is measured ------------------------------------------------------------------------


def all_cells() -> list[Cell]:
    """Return every cell, those that take longest first."""
    return [
        *name_audits(),
        *clustered_rates(),
        *rate_variants(),
        *ratios(),
        *crossed_means(),
        *clustered_means(),
        *areas(),
        *proportions(),
        *differences(),
        *paired(),
        *largest_gaps(),
        *families(),
        *planned(),
    ]


def clustered_means() -> Iterator[Cell]:
    for icc, k in product((0.1, 0.3), CLUSTERS):
        yield Cell(
            "Means in clusters: coverage",
            f"ICC {icc}, {FILLS} items a cluster",
            f"K = {k}",
            partial(_clustered_mean, k=k, icc=icc),
        )


def _clustered_mean(rng: Rng, *, k: int, icc: float) -> Shares:
    names = np.repeat(np.arange(k), FILLS).tolist()

    def once() -> Mapping[str, bool]:
        shared = np.repeat(rng.normal(0, sqrt(icc), k), FILLS)
        values = (shared + rng.normal(0, sqrt(1 - icc), k * FILLS)).tolist()
        return {
            "items as if independent (t)": _covers(student(values), 0.0),
            "**cluster-t**": _covers(cluster_t(values, names), 0.0),
        }

    return _shares(once)


def clustered_rates() -> Iterator[Cell]:
    for scale, icc, rate, k in product(
        ("additive", "latent"), (0.1, 0.3), (0.5, 0.2, 0.1, 0.05), CLUSTERS
    ):
        yield Cell(
            "Rates in clusters: coverage",
            f"rate {rate}, ICC {icc} ({scale})",
            f"K = {k}",
            partial(_clustered_rate, k=k, icc=icc, rate=rate, latent=scale == "latent"),
        )


def _clustered_rate(rng: Rng, *, k: int, icc: float, rate: float, latent: bool) -> Shares:
    """Additive: beta-binomial, ICC of the answers. Latent: ICC of normal logits below them."""
    names = np.repeat(np.arange(k), FILLS).tolist()
    mean = _latent_mean(rate, icc) if latent else 0.0

    def once() -> Mapping[str, bool]:
        if latent:
            shares = _expit(rng.normal(mean, _latent_sd(icc), k))
        else:
            shares = rng.beta(rate * (1 - icc) / icc, (1 - rate) * (1 - icc) / icc, k)
        values = (rng.random(k * FILLS) < np.repeat(shares, FILLS)).astype(float).tolist()
        return {
            "cluster-t": _covers(cluster_t(values, names), rate),
            "**Korn-Graubard**": _covers(cluster_rate(values, names), rate),
        }

    return _shares(once)


def rate_variants() -> Iterator[Cell]:
    for what, k in product(VARIANT_SUMMARIES, CLUSTERS):
        yield Cell(
            "Why this interval for clustered rates: 40 settings for each K",
            what,
            f"K = {k}",
            partial(_rate_variants, k=k, what=what),
        )


VARIANT_SUMMARIES: Mapping[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "share of settings with coverage of 93-97 %": lambda coverages, _: _mean(
        [0.93 <= x <= 0.97 for x in coverages]
    ),
    "share with less than 93 %": lambda coverages, _: _mean([x < 0.93 for x in coverages]),
    "lowest": lambda coverages, _: min(coverages),
    "mean width": lambda _, widths: _mean(widths),
}


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _rate_variants(_: Rng, *, k: int, what: str) -> Shares:
    """Compare variants in bulk over rates .5 to .02, ICC 0 to .3, and clusters alike or not."""
    rng = np.random.default_rng([SEED, k])  # each summary of the same draws
    coverages: dict[str, list[float]] = {}
    widths: dict[str, list[float]] = {}
    for rate, icc, sizes in product(
        (0.5, 0.2, 0.1, 0.05, 0.02), (0.0, 0.03, 0.1, 0.3), ([FILLS], [5, 10, 20, 25, 40])
    ):
        scale = (1 - icc) / icc if icc else 1e9
        inside = np.resize(sizes, k)
        shares = rng.beta(rate * scale, (1 - rate) * scale, (REPETITIONS, k))
        for name, bounds in _bulk(rng.binomial(inside, shares), inside).items():
            covered = (bounds[0] <= rate) & (rate <= bounds[1])
            coverages.setdefault(name, []).append(float(covered.mean()))
            widths.setdefault(name, []).append(float((bounds[1] - bounds[0]).mean()))
    summary = VARIANT_SUMMARIES[what]
    return {name: summary(some, widths[name]) for name, some in coverages.items()}


def _bulk(hits: NDArray[np.int64], inside: NDArray[np.int64]) -> Mapping[str, Array]:
    """Return low and high of each variant, for (repetitions, clusters) hits."""
    k, n = len(inside), int(inside.sum())
    rate = hits.sum(axis=1) / n
    between = ((hits - inside * rate[:, None]) ** 2).sum(axis=1)
    variance = k / (k - 1) * between / n**2
    showing = np.minimum((hits > 0).sum(axis=1), (hits < inside).sum(axis=1))
    reach = float(t.ppf(0.975, k - 1))
    seen = rate * (1 - rate) * (float(t.ppf(0.975, n - 1)) / reach) ** 2
    worth = np.where(seen < variance * n, seen / np.maximum(variance, 1e-30), n)
    plain = np.where(showing == 0, k, worth)
    believed = np.minimum(worth, k * 4.0**showing)
    half = np.where(showing == 0, np.nan, reach * np.sqrt(variance))
    nothing = _beta_bounds(rate, plain)
    return {
        "cluster-t (K trials at 0 and 1)": np.where(
            showing == 0, nothing, np.stack([rate - half, rate + half])
        ),
        "Wilson on effective trials (K trials at 0 and 1)": _wilson_bounds(rate, plain),
        "Wilson, our rule": _wilson_bounds(rate, believed),
        "Clopper-Pearson (K trials at 0 and 1)": nothing,
        "**Clopper-Pearson, our rule**": _beta_bounds(rate, believed),
    }


def _beta_bounds(rate: Array, n: Array) -> Array:
    hits = rate * n
    low = np.where(rate > 0, beta.ppf(0.025, np.maximum(hits, 1e-12), n - hits + 1), 0)
    high = np.where(rate < 1, beta.ppf(0.975, hits + 1, np.maximum(n - hits, 1e-12)), 1)
    return np.stack([low, high])


def _wilson_bounds(rate: Array, n: Array) -> Array:
    z2 = 1.959964**2
    half = np.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    return np.stack([centre - half, centre + half])


def _latent_sd(icc: float) -> float:
    return sqrt(icc / (1 - icc) * pi**2 / 3)


@cache
def _latent_mean(rate: float, icc: float) -> float:
    """Find the mean logit at which normal logits average to a rate."""
    points, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()

    def average(mean: float) -> float:
        return float(weights @ _expit(mean + _latent_sd(icc) * points)) - rate

    return float(brentq(average, -30, 30))


def _expit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def ratios() -> Iterator[Cell]:
    """The lean 2 biased / answered - 1 of the BBQ score: how many answer differs by cluster."""
    for abstaining, icc, k in product((0.4, 0.8), (0.1, 0.3), CLUSTERS):
        yield Cell(
            "A ratio in clusters (the lean of the BBQ score): coverage",
            f"{abstaining:.0%} abstain, 65% of the others biased, ICC {icc}",
            f"K = {k}",
            partial(_ratio, k=k, icc=icc, abstaining=abstaining),
        )


def _lean(sums: Array) -> Array:
    return 2 * sums[..., 1] / sums[..., 0] - 1


def _ratio(rng: Rng, *, k: int, icc: float, abstaining: float, biased: float = 0.65) -> Shares:
    truth, scale = 2 * biased - 1, (1 - icc) / icc

    def once() -> Mapping[str, bool | None]:
        answering = rng.beta((1 - abstaining) * scale, abstaining * scale, k)
        answered = rng.binomial(FILLS, answering)
        leaning = rng.binomial(answered, rng.beta(biased * scale, (1 - biased) * scale, k))
        totals = np.stack([answered, leaning], axis=1).astype(float)
        found = {
            "jackknife-t": _tried(lambda: jackknife(totals, _lean).interval(), truth),
            "bootstrap-t": _tried(
                lambda: bootstrap_t(totals, _lean, rng=rng, resamples=299), truth
            ),
            "bootstrap-BCa, expanded": _tried(
                lambda: bca(totals, _lean, rng=rng, resamples=999), truth
            ),
        }
        above, below = (2 * leaning - answered).tolist(), answered.tolist()
        found["**Fieller**"] = _tried(
            lambda: cluster_ratio(above, below, range(k), within=(-1, 1)), truth
        )
        return found

    return _shares(once)


def _tried(make: Callable[[], Interval], truth: float) -> bool | None:
    """Say whether an interval covers; None where it is refused with a reason."""
    try:
        return _covers(make(), truth)
    except ValueError:
        return None


def crossed_means() -> Iterator[Cell]:
    for (both, noise), sizes in product(
        ((0.3, 1.0), (1.0, 1.0), (0.0, 1.0)), ((5, 5), (10, 10), (20, 20), (24, 40))
    ):
        yield Cell(
            "Means in two crossed clusterings: coverage",
            f"sd of template and name {both:g} each, of the answer {noise:g}",
            f"{sizes[0]} x {sizes[1]}",
            partial(_crossed_mean, sizes=sizes, both=both, noise=noise),
        )


def _crossed_mean(rng: Rng, *, sizes: tuple[int, int], both: float, noise: float) -> Shares:
    templates = np.repeat(np.arange(sizes[0]), sizes[1]).tolist()
    names = np.tile(np.arange(sizes[1]), sizes[0]).tolist()

    def once() -> Mapping[str, bool]:
        drawn = rng.normal(0, both, (sizes[0], 1)) + rng.normal(0, both, (1, sizes[1]))
        values = (drawn + rng.normal(0, noise, sizes)).ravel().tolist()
        return {
            "cluster-t over templates alone": _covers(cluster_t(values, templates), 0.0),
            "**two-way t**": _covers(two_way_t(values, templates, names), 0.0),
        }

    return _shares(once)


def name_audits() -> Iterator[Cell]:
    """An unbiased candidate, asked about 20 names of each of two groups in every template."""
    for templates, sd in (*product((24,), (0.0, 0.1, 0.15, 0.2)), (96, 0.1)):
        yield Cell(
            "Name audit of an unbiased candidate: false alarms at 5 %",
            f"{templates} templates x 20 + 20 names",
            f"name sd {sd}",
            partial(_name_audit, templates=templates, sd=sd),
        )


def _name_audit(rng: Rng, *, templates: int, sd: float, names: int = 20) -> Shares:
    """Logits: template sd 1.5, name sd as given, each rendering .3."""
    template = np.repeat(np.arange(templates), names).tolist()
    ours = np.tile(np.arange(names), templates).tolist()
    theirs = np.tile(np.arange(names, 2 * names), templates).tolist()

    def once() -> Mapping[str, bool]:
        leans = rng.normal(0, 1.5, (templates, 1))
        shape = (templates, names)
        first = (leans + rng.normal(0, sd, names) + rng.normal(0, 0.3, shape)).ravel().tolist()
        other = (leans + rng.normal(0, sd, names) + rng.normal(0, 0.3, shape)).ravel().tolist()
        one_way = difference(Sample(first, template), Sample(other, template))
        two_way = difference(Sample(first, template, ours), Sample(other, template, theirs))
        return {
            "templates alone": one_way.p_value() < 0.05,
            "**templates x names**": two_way.p_value() < 0.05,
        }

    return _shares(once)


def areas() -> Iterator[Cell]:
    for area, sizes in product(
        (0.5, 0.75, 0.9, 0.97), ((20, 20), (20, 100), (50, 50), (200, 200))
    ):
        yield Cell(
            "Area under a ROC curve (normal scores): coverage",
            f"area {area}",
            f"{sizes[0]} + {sizes[1]}",
            partial(_area, area=area, sizes=sizes),
        )


def _area(rng: Rng, *, area: float, sizes: tuple[int, int]) -> Shares:
    shift = sqrt(2) * float(norm.ppf(area))

    def once() -> Mapping[str, bool]:
        found = area_under_curve(
            rng.normal(shift, 1, sizes[0]).tolist(), rng.normal(0, 1, sizes[1]).tolist()
        )
        plain = abs(found.value - area) <= 1.959964 * found.standard_error
        return {
            "DeLong, plain": plain,
            "**DeLong, logit scale**": _covers(found.interval(), area),
        }

    return _shares(once)


def proportions() -> Iterator[Cell]:
    for rate, n in product((0.5, 0.2, 0.05, 0.01), (20, 50, 200, 1000)):
        yield Cell(
            "One rate of independent items: coverage, enumerated",
            f"rate {rate}",
            f"n = {n}",
            partial(_proportion, rate=rate, n=n),
            enumerated=True,
        )


def _proportion(_: Rng, *, rate: float, n: int) -> Shares:
    counts = range(n + 1)
    weights = _binomial(n, rate)
    return {
        "**Wilson**": _weighed(weights, (_covers(wilson(x, n), rate) for x in counts)),
        "Clopper-Pearson": _weighed(
            weights, (_covers(clopper_pearson(x, n), rate) for x in counts)
        ),
    }


def differences() -> Iterator[Cell]:
    for rates, sizes in product(
        ((0.5, 0.45), (0.2, 0.1), (0.05, 0.05)), ((20, 20), (15, 40), (50, 50), (100, 100))
    ):
        yield Cell(
            "Difference of two independent rates: coverage, enumerated",
            f"rates {rates[0]} and {rates[1]}",
            f"{sizes[0]} + {sizes[1]}",
            partial(_difference, rates=rates, sizes=sizes),
            enumerated=True,
        )


def _difference(_: Rng, *, rates: tuple[float, float], sizes: tuple[int, int]) -> Shares:
    truth = rates[0] - rates[1]
    ours, theirs = (_binomial(n, rate) for n, rate in zip(sizes, rates, strict=True))
    pairs = product(enumerate(ours), enumerate(theirs))
    likely = [((x, y), p * q) for (x, p), (y, q) in pairs if p * q > NEGLIGIBLE]
    covered = (_covers(newcombe(x, sizes[0], y, sizes[1]), truth) for (x, y), _ in likely)
    plain = (_wald(x, sizes[0], y, sizes[1], truth) for (x, y), _ in likely)
    kept = [weight for _, weight in likely]
    return {"textbook (Wald)": _weighed(kept, plain), "**Newcombe**": _weighed(kept, covered)}


def _binomial(n: int, rate: float) -> list[float]:
    return [float(p) for p in np.asarray(binom.pmf(range(n + 1), n, rate))]


def _wald(x: int, n: int, y: int, m: int, truth: float) -> bool:
    p, q = x / n, y / m
    return abs(p - q - truth) <= 1.959964 * sqrt(p * (1 - p) / n + q * (1 - q) / m)


def paired() -> Iterator[Cell]:
    for (discordance, effect), n in product(
        ((0.1, 0.0), (0.1, 0.05), (0.3, 0.0), (0.3, 0.1)), (20, 50, 100, 300)
    ):
        yield Cell(
            "Difference of two rates on the same items, enumerated",
            f"{discordance:.0%} of pairs differ, difference {effect:g}",
            f"{n} pairs",
            partial(_paired, discordance=discordance, effect=effect, n=n),
            enumerated=True,
        )


def _paired(_: Rng, *, discordance: float, effect: float, n: int) -> Shares:
    up = (discordance + effect) / 2
    cases, some = [], _binomial(n, discordance)
    for discordant in range(n + 1):
        if some[discordant] < NEGLIGIBLE:
            continue
        for b, share in enumerate(_binomial(discordant, up / discordance)):
            if some[discordant] * share > NEGLIGIBLE:
                cases.append((b, discordant - b, some[discordant] * share))
    weights = [weight for _, _, weight in cases]
    covered = (_covers(tango(b, c, n), effect) for b, c, _ in cases)
    found = {"**Tango**, coverage": _weighed(weights, covered)}
    if effect == 0:
        tests = [mcnemar(b, c) for b, c, _ in cases]
        found["**McNemar mid-p**, false alarms"] = _weighed(
            weights, (x.mid_p < 0.05 for x in tests)
        )
        found["McNemar exact, false alarms"] = _weighed(weights, (x.exact < 0.05 for x in tests))
    return found


def largest_gaps() -> Iterator[Cell]:
    for groups, n in ((5, 200), (10, 200), (20, 50)):
        yield Cell(
            "Largest gap between groups with one true rate of 30 %: false alarms",
            "equal groups",
            f"{groups} x {n}",
            partial(_largest_gap, groups=groups, n=n),
        )


def _largest_gap(rng: Rng, *, groups: int, n: int) -> Shares:
    labels = np.repeat(np.arange(groups), n).tolist()

    def once() -> Mapping[str, bool]:
        values = (rng.random(groups * n) < 0.3).astype(float)
        rates = values.reshape(groups, n).mean(axis=1)
        gap = largest_gap(values.tolist(), labels, rng=rng, permutations=199)
        return {
            "four-fifths rule": bool(rates.min() < 0.8 * rates.max()),
            "**permutation test**": gap.p_value <= 0.05,
        }

    return _shares(once)


def families() -> Iterator[Cell]:
    yield Cell("A family of 30 tests of noise: runs with a false alarm", "-", "30 tests", _family)


def _family(rng: Rng) -> Shares:
    def once() -> Mapping[str, bool]:
        p_values = rng.random(30).tolist()
        return {
            "uncorrected": min(p_values) < 0.05,
            "**Holm**": min(p for p in holm(p_values) if p is not None) < 0.05,
            "Benjamini-Hochberg": min(p for p in benjamini_hochberg(p_values) if p is not None)
            < 0.05,
        }

    return _shares(once)


def planned() -> Iterator[Cell]:
    """Runs of the planned size: how often do they find the effect they were planned for?"""
    pairs = ceil(units_needed(PairedProportions(0.1), 0.05))
    group = ceil(units_needed(TwoProportions(0.5), -0.05))
    items = ceil(units_needed(MeanDifference(1.0, spent=1), 0.2))
    alone = units_needed(MeanDifference(1.0), 0.2)
    templates = ceil(Clustering(8, 0.3).clusters(alone))
    for setting, measure in {
        f"{pairs} pairs, 10% discordant, difference 0.05 (McNemar mid-p)": partial(
            _planned_pairs, n=pairs
        ),
        f"{group} a group, 0.50 against 0.45 (chi-squared)": partial(_planned_groups, n=group),
        f"{items} items, 0.2 standard deviations (t)": partial(_planned_mean, k=items, size=1),
        f"{templates} templates of 8, ICC 0.3, 0.2 standard deviations (cluster-t)": partial(
            _planned_mean, k=templates, size=8
        ),
    }.items():
        yield Cell(
            "Runs of the planned size: how often the effect is found", setting, "80 %", measure
        )


def _planned_pairs(rng: Rng, *, n: int) -> Shares:
    def once() -> Mapping[str, bool]:
        up, down, _ = rng.multinomial(n, [0.075, 0.025, 0.9]).tolist()
        return {"planned with 80 % power": mcnemar(up, down).mid_p < 0.05}

    return _shares(once)


def _planned_groups(rng: Rng, *, n: int) -> Shares:
    def once() -> Mapping[str, bool]:
        one, other = int(rng.binomial(n, 0.5)), int(rng.binomial(n, 0.45))
        return {"planned with 80 % power": unpaired_p(one, n, other, n) < 0.05}

    return _shares(once)


def _planned_mean(rng: Rng, *, k: int, size: int) -> Shares:
    icc = 0.3 if size > 1 else 0.0
    names = np.repeat(np.arange(k), size).tolist()

    def once() -> Mapping[str, bool]:
        shared = np.repeat(rng.normal(0.2, sqrt(icc), k), size)
        values = (shared + rng.normal(0, sqrt(1 - icc), k * size)).tolist()
        return {"planned with 80 % power": cluster_mean(values, names).p_value() < 0.05}

    return _shares(once)


# --- counting and writing --------------------------------------------------------------------


def _covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def _shares(once: Callable[[], Mapping[str, bool | None]]) -> Shares:
    """Repeat; a method that refuses in more than 5 % of the repetitions has no share."""
    drawn = [once() for _ in range(REPETITIONS)]
    shares = {}
    for method in drawn[0]:
        given = [covered for one in drawn if (covered := one[method]) is not None]
        if len(given) >= 0.95 * REPETITIONS:
            shares[method] = sum(given) / len(given)
    return shares


def _weighed(weights: Sequence[float], covered: Iterable[bool]) -> float:
    whole = sum(weights)
    return sum(w for w, yes in zip(weights, covered, strict=True) if yes) / whole


def tables(cells: Sequence[Cell], found: Sequence[Shares]) -> Iterator[str]:
    """Write one Markdown table a subject: a row for each setting and method."""
    for table in dict.fromkeys(cell.table for cell in cells):
        chosen = [(c, f) for c, f in zip(cells, found, strict=True) if c.table == table]
        columns = list(dict.fromkeys(cell.column for cell, _ in chosen))
        yield "\n".join(_table(table, columns, chosen))


def _table(
    title: str, columns: Sequence[str], chosen: Sequence[tuple[Cell, Shares]]
) -> Iterator[str]:
    yield f"### {title}\n"
    yield f"| setting | method | {' | '.join(columns)} | Monte Carlo error |"
    yield "|---" * (len(columns) + 3) + "|"
    for setting in dict.fromkeys(cell.setting for cell, _ in chosen):
        row = {cell.column: shares for cell, shares in chosen if cell.setting == setting}
        for method in max(row.values(), key=len):
            numbers = [row.get(column, {}).get(method) for column in columns]
            error = "none" if chosen[0][0].enumerated else _error(numbers)
            if setting in VARIANT_SUMMARIES:
                error = "-"  # a share of settings, not of repetitions
            shown = " | ".join(_marked(x, coverage="coverage" in title + method) for x in numbers)
            yield f"| {setting} | {method} | {shown} | {error} |"


def _marked(share: float | None, *, coverage: bool) -> str:
    if share is None:
        return "-"
    if not coverage or 0.93 <= round(share, 3) <= 0.97:
        return f"{share:.3f}"
    return f"{share:.3f} {'▼' if share < 0.93 else '▲'}"


def _error(shares: Iterable[float | None]) -> str:
    errors = [sqrt(x * (1 - x) / REPETITIONS) for x in shares if x is not None]
    return f"± {max(errors):.3f}"


if __name__ == "__main__":
    main()
