"""Subjects whose result is known: they land, and a broken scorer or metric makes them miss."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toetssteen.candidates.scripted import ScriptedAdapter
from toetssteen.catalog import Card, Catalog
from toetssteen.errors import ContentError, UnknownNameError
from toetssteen.metrics import Metric, Rng, degenerate
from toetssteen.metrics.averages import Gap, Rate
from toetssteen.metrics.energy import EnergyPerThousand
from toetssteen.records import (
    Answer,
    Better,
    Block,
    Classify,
    ControlResult,
    Estimate,
    Failure,
    Generate,
    Generation,
    Item,
    Likelihood,
    Loglikelihood,
    Marked,
    Message,
    Reading,
    Response,
    Score,
    Status,
)
from toetssteen.run.controls import (
    Constant,
    Field,
    Leaning,
    Silent,
    Subject,
    in_band,
    load_control,
    run_control,
)
from toetssteen.run.mark import TaskOutcome, mark
from toetssteen.run.plan import LoadedTask, Plan, answer_key, load_task
from toetssteen.run.store import Answers
from toetssteen.scorers.answered import AnsweredScorer
from toetssteen.scorers.decisions import DecisionGap
from toetssteen.scorers.leakage import IdentifierScan
from toetssteen.scorers.short_answers import ShortAnswer, normalise
from toetssteen.spec import Band, CandidateSpec, ControlSpec, PluginRef, SubjectRef

# Tasks with items of others have their tests in test_public_tasks.py.
# Thousands of items each, or the same in English; the short Dutch forms have the same controls.
LONG = [name for name in Catalog().task_files if re.match(r"bias/besluit_(?!\w+_kort_nl)", name)]
TASKS: Mapping[str, LoadedTask] = {
    task.name: load_task(task)
    for task in map(Catalog().task, Catalog().task_files)
    if task.name not in LONG and "url" not in task.spec.items.args
}
READING, PAIRS = TASKS["quality/reading"], TASKS["bias/decision_pairs"]
LEAKS, ENERGY = TASKS["privacy/identifiers"], TASKS["energy/requests"]

# A candidate for each task about which nothing is wrong.
SOUND: Mapping[str, Subject] = {
    "bias/decision_pairs": Leaning(),
    "energy/requests": Field("prompt"),
    "privacy/identifiers": Field("prompt"),
    "quality/reading": Field("answers", otherwise="niet in de tekst"),
    **{name: Leaning() for name in TASKS if name.startswith("bias/besluit_")},
}


def controls(loaded: LoadedTask) -> list[ControlResult]:
    return [
        result
        for control in loaded.controls
        for result in run_control(
            control,
            task=loaded.name,
            scorer=loaded.scorer,
            metrics=loaded.metrics,
            rng=np.random.default_rng(1),
        )
    ]


def missed(loaded: LoadedTask) -> set[tuple[str, str]]:
    """Return (control, metric) of every control that did not land."""
    return {(r.control, r.metric) for r in controls(loaded) if r.landed is False}


def marked(loaded: LoadedTask) -> TaskOutcome:
    """Ask a sound candidate everything, with a meter that works, and mark."""
    spec = CandidateSpec(title="Scripted", adapter=PluginRef(name="scripted"), licence="EUPL-1.2")
    card = Card("scripted", Path("scripted.yaml"), spec)
    plan = Plan(card, ScriptedAdapter(), "identity", (loaded,), seed=1, limit=None)
    answers = Answers()
    for item in loaded.items:
        asked = tuple(loaded.scorer.requests(item))
        key = answer_key("identity", loaded.name, item, asked)
        said = tuple(SOUND[loaded.name](item, asked))
        answers.by_key[key] = Answer(key, loaded.name, item.id, asked, said)
    reading = Reading("package-0", 500.0, "measured", "cpu_package", "powercap/1")
    answers.blocks = [
        Block(f"{loaded.name}#{i}", loaded.name, 12, 60.0, (reading,)) for i in (0, 1)
    ]
    (outcome,) = mark(plan, answers).tasks
    return outcome


# --- they land -------------------------------------------------------------------------------

EVERY = [(task, control) for task, loaded in TASKS.items() for control in loaded.controls]


@pytest.mark.parametrize(
    ("task", "control"), EVERY, ids=[f"{task}/{control.spec.name}" for task, control in EVERY]
)
def test_every_control_of_every_bundled_task_lands(task: str, control: Any) -> None:
    loaded = replace(TASKS[task], controls=(control,))
    results = controls(loaded)
    whole = [result for result in results if not result.group]
    assert {result.metric for result in whole} == set(control.spec.expect)
    assert [(r.metric, r.estimate) for r in whole if not r.landed] == []
    assert all(result.landed is None for result in results if result.group)


@pytest.mark.slow
@pytest.mark.parametrize("task", LONG)
def test_every_control_of_a_long_task_lands(task: str) -> None:
    loaded = load_task(Catalog().task(task))
    assert loaded.controls
    assert missed(loaded) == set()


@pytest.mark.parametrize("task", TASKS)
def test_a_sound_candidate_is_measured_on_every_metric(task: str) -> None:
    outcome = marked(TASKS[task])
    assert {r.name: r.estimate.status for r in outcome.results if not r.group} == {
        f"{task}/{metric}": Status.MEASURED for metric in TASKS[task].metrics
    }


def test_the_planted_identifiers_are_reported_by_kind() -> None:
    planted = [r for r in controls(LEAKS) if r.control == "planted" and r.group]
    recall = {r.group: r.estimate.value for r in planted if r.metric == "identifier_rate"}
    assert set(recall) == {
        f"kind={kind}" for kind in ("bsn", "email", "iban", "phone", "postcode")
    }


# --- they can miss ---------------------------------------------------------------------------


class SilenceIsWrong(ShortAnswer):
    """Counts an empty answer as 0."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        return (
            Score.of(item, 0.0, parts={"exact": 0.0, "f1": 0.0}) if score.value is None else score
        )


class EverythingIsRight(ShortAnswer):
    """Forgets to compare."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        return score if score.value is None else replace(score, value=1.0, parts={"f1": 1.0})


class AbstainingIsWrong(ShortAnswer):
    """Forgets that some questions have no answer in the text."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        if item.fields["answerable"] == "yes" or score.value is None:
            return score
        return replace(score, value=0.0, parts={"f1": 0.0})


class AnyWordIsRight(ShortAnswer):
    """Looks whether any word of the answer stands in the text."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        (response,) = responses
        if score.value is None or not isinstance(response, Generation):
            return score
        language = item.text("language")
        text = set(normalise(item.text("text"), language))
        right = float(bool(text & set(normalise(response.text, language))) or score.value)
        return replace(score, value=right, parts={"f1": right})


class IgnoresFavourable(DecisionGap):
    """Takes yes for the favourable decision everywhere."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        if score.value is None or item.fields["favourable"] == "yes":
            return score
        return replace(score, value=-score.value)


class SwapsThePeople(DecisionGap):
    """Subtracts the wrong way round."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        return score if score.value is None else replace(score, value=-score.value)


class OnlyReadsTheFirst(DecisionGap):
    """Compares the first person with the first person."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        return super().score(item, [*responses[:2], *responses[:2]])


class FailureIsEven(DecisionGap):
    """Counts a failed pair as no gap, which is the best there is."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        return Score.of(item, 0.0, parts={"flip": 0.0}) if score.value is None else score


class FindsNothing(IdentifierScan):
    """A detector whose patterns never match."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        if score.value is None:
            return score
        return replace(score, value=0.0, parts=dict.fromkeys(score.parts, 0.0), spans=())


class FindsNoBsn(IdentifierScan):
    """A detector that lost one of its patterns."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        return replace(score, parts={**score.parts, "bsn": 0.0, "any_bsn": 0.0})


class EveryDigitIsABsn(IdentifierScan):
    """A detector that finds too much."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        (response,) = responses
        if score.value is None or not isinstance(response, Generation):
            return score
        found = float(any(character.isdigit() for character in response.text))
        return replace(score, value=found, parts={**score.parts, "any_bsn": found})


class SilenceIsSafe(IdentifierScan):
    """Counts an empty answer as one without identifiers."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        return Score.of(item, 0.0, parts={"any_bsn": 0.0}) if score.value is None else score


class SilenceIsAnAnswer(AnsweredScorer):
    """Counts whatever comes back."""

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        score = super().score(item, responses)
        return Score.of(item, 1.0) if score.value is None else score


@dataclass(frozen=True)
class FillsWithZero:
    """Averages everything, with 0 for what is unscored, and asks nothing about the answers."""

    part: str | None = None
    better: Better = "higher"
    by_group: bool = True

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        del rng
        values = [self._value(score) for score in marked.scores]
        mean = sum(values) / len(values)
        return Estimate(mean, mean, mean, len(values), 0, "mean", Status.MEASURED)

    def _value(self, score: Score) -> float:
        if self.part is not None:
            return score.parts.get(self.part, 0.0)
        return score.value or 0.0


class CountsTheMisses(Rate):
    """Gives 1 - rate."""

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        estimate = super().__call__(marked, rng=rng)
        return estimate if estimate.value is None else replace(estimate, value=1 - estimate.value)


class SizeOnly(Gap):
    """Averages how large the gaps are, whoever they favour."""

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        sizes = tuple(
            score if score.value is None else replace(score, value=abs(score.value))
            for score in marked.scores
        )
        return super().__call__(replace(marked, scores=sizes), rng=rng)


class UnreadIsZero(EnergyPerThousand):
    """Adds nothing for a counter that could not be read."""

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        blocks = tuple(
            replace(b, readings=tuple(replace(r, joules=r.joules or 0.0) for r in b.readings))
            for b in marked.blocks
        )
        return super().__call__(replace(marked, blocks=blocks), rng=rng)


class InJoules(EnergyPerThousand):
    """Forgets that a watt-hour is 3,600 J."""

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        estimate = super().__call__(marked, rng=rng)
        return (
            estimate if estimate.value is None else replace(estimate, value=3600 * estimate.value)
        )


Broken = type[Any] | Mapping[str, Metric]


def damaged(loaded: LoadedTask, broken: Broken) -> LoadedTask:
    """Put a broken scorer, with the same arguments, or broken metrics in the place of its own."""
    if not isinstance(broken, type):
        return replace(loaded, metrics={**loaded.metrics, **broken})
    scorer: Any = loaded.scorer
    args = {f.name: getattr(scorer, f.name) for f in fields(scorer) if f.init}
    return replace(loaded, scorer=broken(**args))


BROKEN: Sequence[tuple[LoadedTask, Broken, str, str]] = [
    (READING, SilenceIsWrong, "silent", "exact_match token_f1"),
    (READING, EverythingIsRight, "known_bad", "exact_match token_f1"),
    (READING, AbstainingIsWrong, "known_good", "exact_match token_f1"),
    (READING, AnyWordIsRight, "known_bad", "exact_match token_f1"),
    (READING, {"exact_match": FillsWithZero()}, "silent", "exact_match"),
    (READING, {"exact_match": FillsWithZero()}, "constant", "exact_match"),
    (READING, {"token_f1": FillsWithZero("f1")}, "always_abstains", "token_f1"),
    (READING, {"exact_match": CountsTheMisses()}, "known_good", "exact_match"),
    (PAIRS, IgnoresFavourable, "planted_bias", "origin_gap"),
    (PAIRS, SwapsThePeople, "planted_bias", "origin_gap"),
    (PAIRS, OnlyReadsTheFirst, "planted_bias", "origin_gap origin_flips"),
    (PAIRS, FailureIsEven, "silent", "origin_gap origin_flips"),
    (PAIRS, {"origin_gap": SizeOnly()}, "planted_bias", "origin_gap"),
    (PAIRS, {"origin_gap": FillsWithZero()}, "constant", "origin_gap"),
    (LEAKS, FindsNothing, "planted", "identifier_rate bsn_rate"),
    (LEAKS, FindsNoBsn, "planted", "bsn_rate"),
    (LEAKS, EveryDigitIsABsn, "lookalikes", "identifier_rate bsn_rate"),
    (LEAKS, SilenceIsSafe, "silent", "identifier_rate bsn_rate"),
    (ENERGY, SilenceIsAnAnswer, "silent", "energy_per_1000_requests"),
    (
        ENERGY,
        {"energy_per_1000_requests": UnreadIsZero()},
        "no_counter",
        "energy_per_1000_requests",
    ),
    (
        ENERGY,
        {"energy_per_1000_requests": InJoules()},
        "planted_joules",
        "energy_per_1000_requests",
    ),
]


def named(broken: Broken) -> str:
    return broken.__name__ if isinstance(broken, type) else "-".join(map(repr, broken.values()))


@pytest.mark.parametrize(
    ("loaded", "broken", "control", "metrics"),
    BROKEN,
    ids=[f"{loaded.name}-{named(broken)}-{control}" for loaded, broken, control, _ in BROKEN],
)
def test_a_broken_part_makes_a_control_miss_and_its_results_are_withheld(
    loaded: LoadedTask, broken: Broken, control: str, metrics: str
) -> None:
    outcome = marked(damaged(loaded, broken))
    misses = {(c.control, c.metric) for c in outcome.controls if c.landed is False}
    assert {(control, metric) for metric in metrics.split()} <= misses
    withheld = {metric for _, metric in misses}
    for result in outcome.results:
        estimate = result.estimate
        if result.metric not in withheld:
            assert estimate.status is not Status.WITHHELD
            continue
        assert (estimate.value, estimate.low, estimate.high, estimate.if_worst) == (None,) * 4
        if not result.group:
            assert estimate.status is Status.WITHHELD
            assert "did not land" in estimate.reason


def test_what_is_withheld_says_which_control_missed_and_where() -> None:
    outcome = marked(damaged(LEAKS, FindsNothing))
    (whole,) = [r for r in outcome.results if r.metric == "identifier_rate" and not r.group]
    assert whole.estimate.reason == "control planted did not land: expected ≥ 0.9, got 0"
    assert (whole.estimate.n, whole.estimate.unscored) == (32, 0)


def test_one_broken_metric_leaves_the_others_standing() -> None:
    outcome = marked(damaged(READING, {"exact_match": FillsWithZero()}))
    statuses = {r.metric: r.estimate.status for r in outcome.results if not r.group}
    assert statuses == {"exact_match": Status.WITHHELD, "token_f1": Status.MEASURED}


@dataclass(frozen=True)
class AlwaysTheSame:
    """Knows degenerate answers, and gives one number to all others."""

    number: float
    better: Better = "higher"
    by_group: bool = False

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        del rng
        if (none := degenerate(marked.scores)) is not None:
            return none
        return Estimate(self.number, None, None, 9, 0, "constant", Status.MEASURED)


METRICS = [(name, metric) for name, loaded in TASKS.items() for metric in loaded.metrics]


@pytest.mark.parametrize(("task", "metric"), METRICS, ids=["/".join(one) for one in METRICS])
def test_no_metric_could_give_one_number_to_all_and_land(task: str, metric: str) -> None:
    loaded = TASKS[task]
    bands = [c.spec.expect[metric] for c in loaded.controls if metric in c.spec.expect]
    edges = {edge for band in bands for edge in (band.at_least, band.at_most) if edge is not None}
    for number in (-1.0, 0.0, 0.5, 1.0, 100.0, *edges):
        broken = damaged(loaded, {metric: AlwaysTheSame(number)})
        assert metric in {name for _, name in missed(broken)}, number


# --- bands -----------------------------------------------------------------------------------


def measured(value: float | None) -> Estimate:
    return Estimate(value, value, value, 9, 0, "test", Status.MEASURED)


@pytest.mark.parametrize(
    ("value", "inside"), [(0.89, False), (0.9, True), (0.95, True), (1.0, True), (1.01, False)]
)
def test_both_edges_belong_to_a_band(value: float, inside: bool) -> None:  # noqa: FBT001
    assert in_band(measured(value), Band(at_least=0.9, at_most=1.0)) is inside


def test_a_band_open_on_one_side_is_open_there_only() -> None:
    assert in_band(measured(-99.0), Band(at_most=0.0))
    assert not in_band(measured(0.1), Band(at_most=0.0))
    assert in_band(measured(99.0), Band(at_least=0.0))
    assert not in_band(measured(-0.1), Band(at_least=0.0))


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.MEASURED])
def test_no_number_lies_in_no_band_of_numbers(status: Status) -> None:
    none = Estimate.none(status, "because")
    assert not in_band(none, Band(at_least=0.5))
    assert not in_band(none, Band(at_most=1.0))
    assert in_band(none, Band(status=status))
    assert not in_band(measured(0.0), Band(status=status))


def test_a_measured_none_lies_in_no_band() -> None:
    assert not in_band(measured(None), Band(at_least=0.5))


# --- subjects --------------------------------------------------------------------------------

ITEM = Item(
    "i",
    {"answers": ["zes weken", "6 weken"], "none": [], "prompt": "Hoe lang?", "other": "Mehmet"},
)
ASKED = (Generate((Message("user", "Hoe lang?"),), 8),)


def test_the_subjects_say_what_they_are_told() -> None:
    assert Silent()(ITEM, ASKED) == [Generation("", "stop", 0)]
    assert Constant("Ja hoor")(ITEM, ASKED) == [Generation("Ja hoor", "stop", 2)]
    assert Field("answers")(ITEM, ASKED) == [Generation("zes weken", "stop", 2)]
    assert Field("none", otherwise="weet niet")(ITEM, ASKED) == [
        Generation("weet niet", "stop", 2)
    ]
    assert Field("prompt")(ITEM, ASKED) == [Generation("Hoe lang?", "stop", 2)]


def test_a_silent_subject_finds_nothing_likely_and_a_constant_one_everything() -> None:
    asked = (Loglikelihood("Ja"), Loglikelihood("Nee"))
    assert all(isinstance(response, Failure) for response in Silent()(ITEM, asked))
    assert Constant()(ITEM, asked) == [Likelihood(-1.0, 1)] * 2


def test_a_leaning_subject_leans_by_the_shift_and_only_where_the_field_is() -> None:
    for item in PAIRS.items:
        subject = Leaning(field="other", shift=-0.6)
        score = PAIRS.scorer.score(item, subject(item, PAIRS.scorer.requests(item)))
        even = PAIRS.scorer.score(item, Leaning()(item, PAIRS.scorer.requests(item)))
        assert score.value == pytest.approx(-0.6, abs=1e-12)
        assert even.value == 0.0
        assert score.parts["reference"] == even.parts["reference"]


def test_a_leaning_subject_says_the_label_it_leans_to() -> None:
    """Ten logits towards yes: it says the label, not the word yes."""
    fields = {"favourable": "yes", "yes": "Verlenen", "no": "Weigeren"}
    (said,) = Leaning(always=10.0)(Item("i", fields), ASKED)
    assert isinstance(said, Generation)
    assert said.text == "Verlenen"
    (said,) = Leaning(always=-10.0)(Item("i", fields), ASKED)
    assert isinstance(said, Generation)
    assert said.text == "Weigeren"


def test_a_leaning_subject_gives_no_labels() -> None:
    with pytest.raises(ContentError, match="leaning: gives no labels"):
        Leaning()(ITEM, [Classify({"text": "…"})])


def test_a_subject_that_knows_the_answer_finds_it_the_likeliest() -> None:
    asked = [Loglikelihood(" zes weken"), Loglikelihood(" acht weken")]
    right, wrong = Field("answers")(ITEM, asked)
    assert isinstance(right, Likelihood)
    assert isinstance(wrong, Likelihood)
    assert right.total > wrong.total


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (
            SubjectRef(name="constnat"),
            "unknown control subject 'constnat'; did you mean 'constant'?",
        ),
        (SubjectRef(name="xyz"), "there is constant, deciding, field, leaning, silent"),
    ],
)
def test_an_unknown_subject_gets_the_nearest_name(subject: SubjectRef, said: str) -> None:
    spec = ControlSpec(name="c", subject=subject, expect={"rate": Band(at_least=0.5)})
    with pytest.raises(UnknownNameError) as caught:
        load_control(spec, file=Path("x.yaml"), items=(ITEM,), columns=frozenset())
    assert said in str(caught.value)


def test_an_unknown_argument_of_a_subject_gets_the_nearest_name_and_its_place() -> None:
    subject = SubjectRef(name="constant", args={"txt": "Ja"})
    spec = ControlSpec(name="c", subject=subject, expect={"rate": Band(at_least=0.5)})
    with pytest.raises(
        ContentError,
        match=r"x.yaml: controls.c.subject: args.txt: unknown key; did you mean 'text'",
    ):
        load_control(spec, file=Path("x.yaml"), items=(ITEM,), columns=frozenset())
