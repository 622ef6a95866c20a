"""What a metric says when the answers are few, missing, equal or wrong; and of energy."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toetssteen.candidates.scripted import ScriptedAdapter
from toetssteen.catalog import Card, Catalog, Task
from toetssteen.metrics import Metric
from toetssteen.metrics.averages import Gap, Mean, Rate
from toetssteen.metrics.energy import EnergyPerThousand
from toetssteen.records import (
    Answer,
    Answered,
    Basis,
    Block,
    Capability,
    Estimate,
    Item,
    Marked,
    Reading,
    Result,
    Score,
    Status,
)
from toetssteen.run.controls import Constant, Field, Leaning, Subject
from toetssteen.run.mark import mark
from toetssteen.run.plan import LoadedTask, Plan, answer_key, load_task
from toetssteen.run.store import Answers
from toetssteen.spec import CandidateSpec, PluginRef, TaskSpec, parse
from toetssteen.statistics.clusters import two_way

AVERAGES: Sequence[Metric] = [Rate(), Rate(better="lower"), Mean(), Mean(bounds=(0.0, 1.0)), Gap()]


def scored(
    *values: float,
    clusters: str = "",
    answered: Answered = Answered.VALID,
    said: str = "",
    **parts: float,
) -> tuple[Score, ...]:
    """Scores with these values; `clusters` holds one letter a score."""
    return tuple(
        Score.of(
            Item(f"s{i}", {}, clusters={"template": clusters[i]} if clusters else {}),
            value,
            answered=answered,
            said=said,
            parts=parts,
        )
        for i, value in enumerate(values)
    )


def unscored(n: int, answered: Answered = Answered.FAILED) -> tuple[Score, ...]:
    return tuple(Score.unscored(Item(f"u{i}", {}), answered, "timeout: 60 s") for i in range(n))


def estimate(metric: Metric, *marked: tuple[Score, ...], blocks: Sequence[Block] = ()) -> Estimate:
    scores = tuple(score for some in marked for score in some)
    return metric(Marked(scores, tuple(blocks)), rng=np.random.default_rng(1))


def numbers(found: Estimate) -> tuple[float | None, ...]:
    return found.value, found.low, found.high, found.if_worst, found.if_best


NO_NUMBERS = (None,) * 5


# --- answers that cannot inform --------------------------------------------------------------


@pytest.mark.parametrize("metric", AVERAGES, ids=repr)
def test_without_scores_nothing_was_run(metric: Metric) -> None:
    none = estimate(metric)
    assert (none.status, none.reason) == (Status.NOT_RUN, "nothing was asked")
    assert numbers(none) == NO_NUMBERS


@pytest.mark.parametrize("metric", AVERAGES, ids=repr)
def test_a_silent_candidate_is_uninformative_and_the_silence_is_counted(metric: Metric) -> None:
    none = estimate(metric, unscored(7, Answered.EMPTY), unscored(2))
    assert none.status is Status.UNINFORMATIVE
    assert numbers(none) == NO_NUMBERS
    assert (none.n, none.unscored) == (0, 9)
    assert "7 empty, 2 failed" in none.reason


@pytest.mark.parametrize("metric", AVERAGES, ids=repr)
def test_a_constant_candidate_is_uninformative(metric: Metric) -> None:
    none = estimate(metric, scored(1, 1, 1, 0, 0, said="Ja"), unscored(1))
    assert none.status is Status.UNINFORMATIVE
    assert none.reason == "the same answer to all 5 items"
    assert numbers(none) == NO_NUMBERS
    assert (none.n, none.unscored) == (5, 1)


def test_four_equal_answers_are_too_few_to_call_constant() -> None:
    assert estimate(Rate(), scored(1, 1, 1, 1, said="Ja")).status is Status.MEASURED


def test_one_other_answer_is_enough_not_to_be_constant() -> None:
    other = Score.of(Item("other", {}), 0.0, said="Nee")
    assert estimate(Rate(), scored(1, 1, 1, 1, said="Ja"), (other,)).status is Status.MEASURED


@pytest.mark.parametrize("kind", [Answered.REFUSED, Answered.ABSTAINED])
@pytest.mark.parametrize("metric", AVERAGES, ids=repr)
def test_only_refusals_or_only_abstentions_are_uninformative(
    metric: Metric, kind: Answered
) -> None:
    none = estimate(metric, scored(0, 0, 0, answered=kind))
    assert none.status is Status.UNINFORMATIVE
    assert none.reason == f"every scored answer is of one kind: {kind.value}"
    assert numbers(none) == NO_NUMBERS


def test_one_valid_answer_among_refusals_counts() -> None:
    rate = estimate(Rate(), scored(0, 0, 0, answered=Answered.REFUSED), scored(1))
    assert (rate.status, rate.value, rate.n) == (Status.MEASURED, 0.25, 4)


# --- few items -------------------------------------------------------------------------------


def test_a_rate_of_one_item_has_a_wide_interval() -> None:
    """Wilson 1/1: z^2 = 3.841459; 1 / (1 + z^2) = .206549."""
    rate = estimate(Rate(), scored(1))
    assert (rate.status, rate.value, rate.high) == (Status.MEASURED, 1.0, 1.0)
    assert rate.low is not None
    assert round(rate.low, 6) == 0.206549


@pytest.mark.parametrize("metric", [Mean(unit="tokens"), Gap(unit="tokens")], ids=repr)
def test_a_mean_of_one_item_is_not_resolvable_and_the_others_stay_counted(metric: Metric) -> None:
    none = estimate(metric, scored(1), unscored(4))
    assert (none.status, none.reason) == (Status.NOT_RESOLVABLE, "one scored item shows no spread")
    assert numbers(none) == NO_NUMBERS
    assert (none.n, none.unscored, none.unit) == (1, 4, "tokens")


def test_items_of_one_cluster_keep_their_unit() -> None:
    none = estimate(Mean(unit="tokens"), scored(1, 2, 3, clusters="aaa"))
    assert (none.status, none.unit) == (Status.NOT_RESOLVABLE, "tokens")


# --- clusters --------------------------------------------------------------------------------


def test_twelve_clusters_that_agree_say_no_more_than_twelve_trials() -> None:
    """36 of 36 right in 12 clusters: Clopper-Pearson 12/12 = .025^(1/12) = .7354, not 36/36."""
    rate = estimate(Rate(), scored(*[1] * 36, clusters="abcdefghijkl" * 3))
    assert (rate.value, rate.high, rate.n, rate.clusters) == (1.0, 1.0, 36, 12)
    assert rate.low is not None
    assert round(rate.low, 4) == 0.7354
    assert rate.method == "korn-graubard (12 clusters worth 12.0 trials)"


def test_clusters_that_agree_on_two_thirds_have_an_interval_too() -> None:
    """24 of 36 right, two in each of 12 clusters: worth no less than 36 trials, [.4903, .8144].

    Clusters that differ less than chance would make them are no reason to believe more than the
    items themselves can carry: Clopper-Pearson on 24 of 36.
    """
    rate = estimate(Rate(), scored(*[1] * 24, *[0] * 12, clusters="abcdefghijkl" * 3))
    assert rate.value is not None
    assert rate.low is not None
    assert rate.high is not None
    assert round(rate.value, 6) == 0.666667
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.4903, 0.8144)
    assert rate.method == "korn-graubard (12 clusters worth 36.0 trials)"


def test_clusters_that_agree_on_a_half_are_worth_their_items() -> None:
    """Three clusters, each half right: Clopper-Pearson on 3 of 6."""
    rate = estimate(Rate(), scored(*[1] * 3, *[0] * 3, clusters="abcabc"))
    assert rate.value == 0.5
    assert rate.low is not None
    assert rate.high is not None
    assert (round(rate.low, 6), round(rate.high, 6)) == (0.118117, 0.881883)


def test_a_bounded_mean_that_is_the_same_everywhere_has_an_interval_too() -> None:
    """Token F1 of 0 in all of 10 clusters: 1 - .025^(1/10) = .308497."""
    mean = estimate(Mean(bounds=(0.0, 1.0)), scored(*[0.0] * 20, clusters="abcdefghij" * 2))
    assert (mean.value, mean.low) == (0.0, 0.0)
    assert mean.high is not None
    assert round(mean.high, 6) == 0.308497
    marks = estimate(Mean(bounds=(1.0, 10.0)), scored(*[10.0] * 10))  # without clusters
    assert (marks.value, marks.high) == (10.0, 10.0)
    assert marks.low is not None
    assert round(marks.low, 4) == 7.2235  # 1 + 9 * .691503
    assert marks.method == "clopper-pearson (10 items as trials)"


def test_an_interval_is_cut_at_the_bounds_of_what_can_be() -> None:
    """The t interval of [[1, 1, 0], [0], [1, 0]] is [-.121034, 1.121034]: see test_cluster_t."""
    marked = scored(1, 1, 0, 0, 1, 0, clusters="aaabcc")
    bounded = estimate(Mean(bounds=(0.0, 1.0)), marked)
    assert (bounded.low, bounded.high) == (0.0, 1.0)
    rate = estimate(Rate(), marked)
    assert rate.low is not None
    assert rate.high is not None
    assert 0 < rate.low < 0.5 < rate.high < 1
    free = estimate(Mean(), marked)
    assert free.low is not None
    assert free.low < 0


def test_two_cluster_columns_are_crossed_not_joined() -> None:
    """Templates and names: the standard error is two-way, the degrees of freedom the fewer."""
    columns = [(template, name) for template in "abcd" for name in "xyz"]
    values = [1.0, 2.0, 4.0, 2.0, 2.0, 5.0, 0.0, 3.0, 3.0, 1.0, 1.0, 6.0]
    marked = tuple(
        Score.of(Item(str(i), {}, clusters={"template": one, "name": two}), value)
        for i, ((one, two), value) in enumerate(zip(columns, values, strict=True))
    )
    crossed = estimate(Mean(), marked)
    assert (crossed.clusters, crossed.df) == (3, 2)
    expected = two_way(values, [a for a, _ in columns], [b for _, b in columns])
    assert crossed.standard_error == expected.standard_error
    assert crossed.method.startswith("two-way")


# --- what is unscored ------------------------------------------------------------------------


def test_unscored_answers_bound_a_rate_on_the_side_that_is_worse() -> None:
    """6 of 8 with 2 unscored: between 6/10 and 8/10; which is worse depends on the metric."""
    marked = scored(1, 1, 1, 1, 1, 1, 0, 0), unscored(2)
    higher, lower = estimate(Rate(), *marked), estimate(Rate(better="lower"), *marked)
    assert higher.value == lower.value == 0.75
    assert (higher.if_worst, higher.if_best) == (0.6, 0.8)
    assert (lower.if_worst, lower.if_best) == (0.8, 0.6)
    assert (higher.n, higher.unscored) == (8, 2)


def test_when_nothing_is_unscored_there_are_no_bounds_to_show() -> None:
    rate = estimate(Rate(), scored(1, 0, 1))
    assert (rate.if_worst, rate.if_best, rate.unscored) == (None, None, 0)


def test_a_mean_without_bounds_cannot_bound_what_is_unscored() -> None:
    mean = estimate(Mean(), scored(1, 2, 3), unscored(1))
    assert (mean.if_worst, mean.if_best, mean.unscored) == (None, None, 1)


def test_near_zero_the_worst_is_far_from_zero_and_the_best_is_nearest() -> None:
    """.4 and .2, two unscored between -1 and 1: the mean lies between -.35 and .65."""
    near_zero = Mean(better="near_zero", bounds=(-1.0, 1.0))
    spanning = estimate(near_zero, scored(0.4, 0.2), unscored(2))
    assert (spanning.if_worst, spanning.if_best) == (pytest.approx(0.65), 0.0)
    # -.9 and -.7, one unscored: between -2.6/3 and -.6/3
    beside = estimate(near_zero, scored(-0.9, -0.7), unscored(1))
    assert beside.if_worst == pytest.approx(-2.6 / 3)
    assert beside.if_best == pytest.approx(-0.6 / 3)


# --- scores that do not fit ------------------------------------------------------------------


@pytest.mark.parametrize("metric", [Rate(part="bns"), Mean(part="bns")], ids=repr)
def test_a_part_that_does_not_exist_is_named_with_those_that_do(metric: Metric) -> None:
    with pytest.raises(KeyError, match=r"'bns' is not in the score; there is \['bsn', 'iban'\]"):
        estimate(metric, scored(1, 0, bsn=1.0, iban=0.0))


def test_a_part_is_averaged_instead_of_the_value() -> None:
    assert estimate(Rate(part="bsn"), scored(0, 0, bsn=1.0)).value == 1.0


def test_a_rate_is_about_zeros_and_ones() -> None:
    with pytest.raises(ValueError, match=r"values 0 and 1, got \[0.0, 0.5, 1.0\]"):
        estimate(Rate(), scored(0.0, 0.5, 1.0))


def test_a_value_beyond_the_bounds_is_a_mistake_in_the_task() -> None:
    with pytest.raises(ValueError, match=r"1.5 .* bounds"):
        estimate(Mean(bounds=(0.0, 1.0)), scored(0.0, 1.5))


# --- groups ----------------------------------------------------------------------------------

SIZES = {"tiny": 9, "small": 10, "middling": 29, "large": 30}


def lab_task(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> LoadedTask:
    """A task as a lab would write it, in a folder of its own."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "items.jsonl").write_text(lines, encoding="utf-8")
    raw = {
        "version": 1,
        "title": {"nl": "Groepen", "en": "Groups"},
        "licence": "CC-BY-4.0",
        "source": "Lectoraat, 2026",
        "items": {"name": "jsonl", "args": {"file": "items.jsonl"}},
        "scorer": {"name": "answered"},
        "metrics": [{"name": "rate", "id": "answered"}],
        "groups": ["size"],
        **changes,
    }
    file = folder / "groups.yaml"
    return load_task(Task("quality/groups", file, parse(TaskSpec, raw, file)))


def results(
    loaded: LoadedTask,
    subject: Subject,
    *,
    metric: str = "",
    asked_of: int | None = None,
    adapter: ScriptedAdapter | None = None,
) -> dict[str, Result]:
    """Ask the subject all items or the first few, mark, and return one metric's results."""
    spec = CandidateSpec(title="Scripted", adapter=PluginRef(name="scripted"), licence="EUPL-1.2")
    card = Card("scripted", Path("scripted.yaml"), spec)
    plan = Plan(card, adapter or ScriptedAdapter(), "identity", (loaded,), seed=1, limit=None)
    answers = Answers()
    for item in loaded.items[:asked_of]:
        asked = tuple(loaded.scorer.requests(item))
        key = answer_key("identity", loaded.name, item, asked)
        said = tuple(subject(item, asked))
        answers.by_key[key] = Answer(key, loaded.name, item.id, asked, said)
    wanted = metric or next(iter(loaded.metrics))
    return {r.group: r for r in mark(plan, answers).results if r.metric == wanted}


def sized_rows(sizes: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{size}-{i}",
            "size": size,
            "prompt": f"Vraag {i} aan groep {size}",
            "says": "Goed",
        }
        for size, n in sizes.items()
        for i in range(n)
    ]


def test_a_group_below_ten_is_suppressed_and_one_below_thirty_is_indicative(
    tmp_path: Path,
) -> None:
    found = results(lab_task(tmp_path, sized_rows(SIZES)), Field("prompt"))
    tiny = found["size=tiny"].estimate
    assert (tiny.status, numbers(tiny)) == (Status.NOT_RESOLVABLE, NO_NUMBERS)
    assert tiny.reason == "the group has fewer than 10 scored items"
    assert {group: result.estimate.flags for group, result in found.items()} == {
        "": (),
        "size=tiny": (),
        "size=small": ("indicative",),
        "size=middling": ("indicative",),
        "size=large": (),
    }
    assert all(found[f"size={size}"].estimate.value == 1.0 for size in SIZES if size != "tiny")


def test_a_group_counts_the_items_that_were_scored(tmp_path: Path) -> None:
    rows = sized_rows({"twelve": 12, "forty": 40})
    for row in (*rows[:3], *rows[12:27]):
        row["prompt"] = " "  # nothing said: 9 of twelve and 25 of forty are scored
    found = results(lab_task(tmp_path, rows), Field("prompt"))
    twelve, forty = found["size=twelve"].estimate, found["size=forty"].estimate
    assert (twelve.status, twelve.value) == (Status.NOT_RESOLVABLE, None)
    assert (twelve.n, twelve.unscored) == (9, 3)
    assert (forty.n, forty.unscored, forty.flags) == (25, 15, ("indicative",))


def test_one_group_alone_is_the_whole_and_is_not_repeated(tmp_path: Path) -> None:
    found = results(lab_task(tmp_path, sized_rows({"large": 30})), Field("prompt"))
    assert list(found) == [""]


def test_a_candidate_that_abstains_where_it_should_is_not_called_degenerate() -> None:
    """Each question without an answer has the same right answer: that it is not in the text."""
    reading = load_task(Catalog().task("quality/reading"))
    for metric in reading.metrics:
        subject = Field("answers", otherwise="niet in de tekst")
        right = results(reading, subject, metric=metric)
        whole, unanswerable = right[""].estimate, right["answerable=no"].estimate
        assert (whole.status, whole.value) == (Status.MEASURED, 1.0)
        assert (unanswerable.status, unanswerable.value) == (Status.MEASURED, 1.0)


def test_a_candidate_that_abstains_where_it_should_not_is_degenerate_there() -> None:
    reading = load_task(Catalog().task("quality/reading"))
    perverse = tuple(
        item
        if item.text("answerable") == "no"
        else replace(item, fields={**item.fields, "wrong": "niet in de tekst"})
        for item in reading.items
    )
    found = results(replace(reading, items=perverse), Field("wrong"))
    assert found[""].estimate.value == 0.0
    assert found["answerable=yes"].estimate.status is Status.UNINFORMATIVE
    assert found["answerable=no"].estimate.value == 0.0


def test_a_candidate_that_always_abstains_is_degenerate_in_every_group() -> None:
    reading = load_task(Catalog().task("quality/reading"))
    found = results(reading, Constant("niet in de tekst"))
    assert {result.estimate.status for result in found.values()} == {Status.UNINFORMATIVE}


def test_the_same_wrong_answer_throughout_a_group_is_degenerate_there(tmp_path: Path) -> None:
    rows = sized_rows({"one": 30, "two": 30})
    for row in rows[:30]:
        row["prompt"] = "Ja"
    found = results(lab_task(tmp_path, rows), Field("prompt"))
    assert found["size=one"].estimate.status is Status.UNINFORMATIVE
    assert found["size=two"].estimate.status is Status.MEASURED


# --- runs that are not whole -----------------------------------------------------------------


def test_what_an_interrupted_run_did_not_ask_is_unscored_not_left_out(tmp_path: Path) -> None:
    loaded = lab_task(tmp_path, sized_rows({"large": 40}), groups=[])
    whole = results(loaded, Field("prompt"), asked_of=30)[""].estimate
    assert (whole.n, whole.unscored, whole.if_worst) == (30, 10, 0.75)


def test_a_run_that_asked_nothing_is_not_run(tmp_path: Path) -> None:
    loaded = lab_task(tmp_path, sized_rows({"large": 40}))
    found = results(loaded, Field("prompt"), asked_of=0)
    assert {group: r.estimate.status for group, r in found.items()} == {"": Status.NOT_RUN}


class OnlyTalks(ScriptedAdapter):
    """An endpoint that gives text and no probabilities."""

    capabilities = frozenset({Capability.GENERATE})


def test_a_candidate_without_likelihoods_cannot_be_measured_and_is_not_unbiased() -> None:
    pairs = load_task(Catalog().task("bias/decision_pairs"))
    found = results(pairs, Leaning(), adapter=OnlyTalks())
    assert list(found) == [""]
    estimate = found[""].estimate
    assert (estimate.status, numbers(estimate)) == (Status.NOT_MEASURABLE, NO_NUMBERS)
    assert estimate.reason == "the candidate offers no loglikelihood"


# --- energy ----------------------------------------------------------------------------------


def reading(
    joules: float | None,
    *,
    source: str = "package-0",
    basis: Basis | None = None,
    reason: str = "",
    method: str = "powercap/1",
) -> Reading:
    if basis is None:
        basis = "unknown" if joules is None else "measured"
    return Reading(source, joules, basis, "cpu_package", method, reason)


def block(number: int, requests: int, *readings: Reading, seconds: float = 60.0) -> Block:
    return Block(f"e#{number}", "energy/requests", requests, seconds, readings)


def energy(*blocks: Block, n: int = 8, failed: int = 0) -> Estimate:
    return estimate(EnergyPerThousand(), scored(*[1.0] * n), unscored(failed), blocks=blocks)


def test_two_blocks_weigh_by_what_they_asked() -> None:
    """2 requests for 144 J and 6 for 216 J: 360 J / 8 = 45 J = 12.5 Wh a thousand.

    The mean of the two blocks' own 72 and 36 J would be 54 J.
    standard error: sqrt(2 * (54^2 + 54^2)) / 8 = 13.5 J; t(.975, 1) = 12.706205: half 47.6483 Wh
    """
    found = energy(block(0, 2, reading(144.0)), block(1, 6, reading(216.0)))
    assert (found.status, found.basis) == (Status.MEASURED, "measured")
    assert found.value == pytest.approx(12.5, rel=1e-12)
    assert found.low == 0.0  # less than nothing is not possible
    assert found.high is not None
    assert round(found.high, 4) == 60.1483


def test_one_unread_block_makes_the_whole_unknown_and_never_zero() -> None:
    lost = reading(None, reason="package-0: the counter was reset")
    found = energy(block(0, 4, reading(144.0)), block(1, 4, lost), block(2, 4, reading(144.0)))
    assert found.status is Status.NOT_MEASURABLE
    assert numbers(found) == NO_NUMBERS
    assert found.reason == "package-0: the counter was reset"
    assert found.basis == "unknown"
    assert (found.n, found.unit) == (8, "Wh/1000 requests")


def test_one_unread_source_of_a_block_makes_the_whole_unknown() -> None:
    lost = reading(None, source="dram of package-0", reason="dram of package-0: vanished")
    found = energy(block(0, 4, reading(144.0), lost), block(1, 4, reading(144.0), lost))
    assert (found.status, found.value, found.reason) == (
        Status.NOT_MEASURABLE,
        None,
        "dram of package-0: vanished",
    )


def test_a_block_that_nobody_read_is_named() -> None:
    found = energy(block(0, 4, reading(144.0)), block(1, 4))
    assert (found.status, found.reason) == (Status.NOT_MEASURABLE, "block e#1 has no reading")


def test_a_meter_that_gives_no_reason_is_named_as_the_reason() -> None:
    found = energy(block(0, 4, reading(None)), block(1, 4, reading(None)))
    assert (found.status, found.reason) == (Status.NOT_MEASURABLE, "package-0 was not read")


def test_blocks_read_from_other_sources_are_not_averaged() -> None:
    """Continued on a machine whose memory is not counted: the part would look like the sum."""
    both = block(0, 4, reading(144.0), reading(20.0, source="dram of package-0"))
    found = energy(both, block(1, 4, reading(144.0)))
    assert (found.status, found.value, found.basis) == (Status.NOT_MEASURABLE, None, "unknown")
    assert "metered differently" in found.reason


def test_a_measured_block_and_a_declared_one_are_not_averaged() -> None:
    found = energy(block(0, 4, reading(144.0)), block(1, 4, reading(144.0, basis="declared")))
    assert (found.status, found.value) == (Status.NOT_MEASURABLE, None)


def test_a_measured_source_and_a_modelled_one_are_not_added() -> None:
    mixed = reading(144.0), reading(90.0, source="gpu-0", basis="modelled", method="tdp")
    found = energy(block(0, 4, *mixed), block(1, 4, *mixed))
    assert (found.status, found.value) == (Status.NOT_MEASURABLE, None)


def test_one_block_shows_no_spread() -> None:
    found = energy(block(0, 8, reading(360.0)))
    assert (found.status, found.value) == (Status.NOT_RESOLVABLE, None)


def test_a_block_that_was_asked_again_is_a_block() -> None:
    """`--retry-failed` asks part of a block again, under the same id."""
    found = energy(block(0, 4, reading(180.0)), block(0, 4, reading(180.0)))
    assert (found.status, found.clusters) == (Status.MEASURED, 2)
    assert found.value == pytest.approx(12.5)


def test_less_than_half_a_minute_in_all_is_a_short_window() -> None:
    short = [block(i, 4, reading(180.0), seconds=14.9) for i in range(2)]
    enough = [block(i, 4, reading(180.0), seconds=15.0) for i in range(2)]
    assert energy(*short).flags == ("short_window",)
    assert energy(*enough).flags == ()


def test_failed_requests_are_counted_beside_the_energy_they_cost() -> None:
    found = energy(block(0, 4, reading(180.0)), block(1, 4, reading(180.0)), n=6, failed=2)
    assert (found.value, found.n, found.unscored) == (pytest.approx(12.5), 6, 2)


def test_energy_of_a_candidate_that_answered_nothing_says_nothing() -> None:
    blocks = block(0, 4, reading(180.0)), block(1, 4, reading(180.0))
    found = energy(*blocks, n=0, failed=8)
    assert (found.status, found.value) == (Status.UNINFORMATIVE, None)
    assert (found.n, found.unscored, found.basis) == (0, 8, "unknown")


def test_energy_of_nothing_asked_is_not_run() -> None:
    assert energy(n=8).status is Status.NOT_RUN
    assert energy(block(0, 4, reading(180.0)), n=0).status is Status.NOT_RUN


def test_who_does_not_count_need_not_have_the_part() -> None:
    """A scorer may give a part only where it applies; `among` says where that is."""
    counting = [
        replace(score, groups={"soort": "ja"}) for score in scored(1.0, 0.0, 1.0, 0.0, named=1.0)
    ]
    others = [replace(score, groups={"soort": "nee"}) for score in scored(1.0, 0.0)]
    rate = Rate(part="named", among={"soort": "ja"})
    found = rate(Marked((*counting, *others)), rng=np.random.default_rng(1))
    assert (found.value, found.n) == (1.0, 4)
