"""Subjects whose result is known beforehand, put through the same scorer and metrics.

A subject answers an item's requests without a model: it says what a field of the item holds,
nothing, always the same, or leans as planted. Where it does not land in its declared band, the
task's results are withheld.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as made_by
from math import log
from pathlib import Path
from random import Random
from typing import cast

from toetssteen.errors import ContentError, UnknownNameError, did_you_mean
from toetssteen.items import Table, read_table, to_items
from toetssteen.metrics import Metric, Rng
from toetssteen.records import (
    Block,
    Classification,
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
    Reading,
    Request,
    Response,
    Status,
)
from toetssteen.registry import call
from toetssteen.scorers import Scorer
from toetssteen.spec import Band, ControlSpec

Subject = Callable[[Item, Sequence[Request]], Sequence[Response]]

BLOCK_SIZE = 8
REFUSAL = "Daar kan ik u niet bij helpen."


@dataclass(frozen=True, slots=True)
class Silent:
    """Says nothing, and finds nothing likely."""

    def __call__(self, _item: Item, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer with silence."""
        return [
            Generation("", "stop", 0)
            if isinstance(request, Generate)
            else Failure("error", "the subject is silent")
            for request in requests
        ]


@dataclass(frozen=True, slots=True)
class Constant:
    """Always says the same, and finds everything equally likely."""

    text: str = "Ja"

    def __call__(self, _item: Item, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer the same."""
        return [_say(self.text, request) for request in requests]


@dataclass(frozen=True, slots=True)
class Field:
    """Says what a field of the item holds; of a list the first, `otherwise` of an empty one.

    Where likelihoods are asked, it finds that text likely and every other unlikely.
    """

    field: str
    otherwise: str = ""

    def __call__(self, item: Item, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer from the item."""
        held = item.fields[self.field]
        said = held[0] if isinstance(held, list) and held else held
        text = self.otherwise if said in ([], None) else str(said)
        return [
            _likely(-1.0 if request.continuation.strip() == text else -9.0)
            if isinstance(request, Loglikelihood)
            else _say(text, request)
            for request in requests
        ]


@dataclass(frozen=True, slots=True)
class Leaning:
    """Decides at random per case, and leans `shift` logits more where a field is in the prompt.

    Asked for likelihoods it gives them to the two labels; asked for text it says the likelier.

    Args:
        field: the item's field to look for in the prompt; empty leans nowhere.
        shift: logits added to the favourable label; below 0 against the person.
        noise: standard deviation of the lean between items, equal for both renderings.
        always: logits added to the label "yes", favourable or not.
        within: fields of the item with the values they must have for it to lean: a bias that is
            planted in one scenario only.
    """

    field: str = ""
    shift: float = 0.0
    noise: float = 1.0
    always: float = 0.0
    within: Mapping[str, str] = made_by(default_factory=dict)

    def __call__(self, item: Item, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer each request by the same lean."""
        lean = Random(item.id).gauss(0.0, self.noise)  # noqa: S311 - a planted, repeatable lean
        return [self._answer(item, request, lean) for request in requests]

    def _answer(self, item: Item, request: Request, lean: float) -> Response:
        if isinstance(request, Classify):
            raise ContentError(
                "controls: subject leaning", "gives no labels; use field or constant"
            )
        prompt = "".join(message.content for message in request.messages) + request.context
        planted = _planted(item, self.field, self.within, prompt)
        towards = self.always if item.text("favourable") == "yes" else -self.always
        logit = lean + towards + (self.shift if planted else 0.0)
        if isinstance(request, Generate):
            against = "no" if item.text("favourable") == "yes" else "yes"
            said = item.text("favourable") if logit > 0 else against
            return _say(item.text(said), request)
        favourable = request.continuation == item.text(item.text("favourable"))
        return _likely(log(0.5) + (logit / 2 if favourable else -logit / 2))


@dataclass(frozen=True, slots=True)
class Deciding:
    """Decides in words, at random per case; at a share of the cases not so where a field stands.

    There it decides against the person, or refuses; asked for an amount, it names one that is
    that share worse for the person.

    Args:
        field: the item's field to look for in the prompt; empty treats all the same.
        share: of the cases with the field in the prompt.
        refuses: refuse there, instead of deciding against the person.
        within: fields of the item with the values they must have.
    """

    field: str = ""
    share: float = 0.0
    refuses: bool = False
    within: Mapping[str, str] = made_by(default_factory=dict)

    def __call__(self, item: Item, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer each request in words."""
        drawn = Random(item.id)  # noqa: S311 - planted and repeatable
        kindly, struck = drawn.random() < 0.5, drawn.random() < self.share
        amount = drawn.randint(20, 400) * 5
        return [
            self._say(item, request, amount, kindly=kindly, struck=struck) for request in requests
        ]

    def _say(
        self,
        item: Item,
        request: Request,
        amount: int,
        *,
        kindly: bool,
        struck: bool,
    ) -> Response:
        if not isinstance(request, Generate):
            raise TypeError("a deciding subject only answers in words")
        prompt = "".join(message.content for message in request.messages) + request.context
        planted = _planted(item, self.field, self.within, prompt)
        if "better" in item.fields:
            worse = 1 + self.share if item.text("better") == "lower" else 1 - self.share
            return _say(f"€ {amount * worse if planted else amount:.2f}", request)
        if planted and struck and self.refuses:
            return _say(REFUSAL, request)
        favoured = kindly and not (planted and struck)
        yes = favoured == (item.text("favourable") == "yes")
        return _say(item.text("yes" if yes else "no"), request)


def _planted(item: Item, name: str, within: Mapping[str, str], prompt: str) -> bool:
    looked_for = item.text(name) if name else ""
    return bool(looked_for) and looked_for in prompt and _says(item, within)


def _says(item: Item, wanted: Mapping[str, str]) -> bool:
    return all(item.text(name) == value for name, value in wanted.items())


SUBJECTS: dict[str, Callable[..., Subject]] = {
    "constant": Constant,
    "deciding": Deciding,
    "field": Field,
    "leaning": Leaning,
    "silent": Silent,
}


@dataclass(frozen=True, slots=True)
class LoadedControl:
    """A control with its subject made and its items read."""

    spec: ControlSpec
    subject: Subject
    items: Sequence[Item]


def load_control(
    spec: ControlSpec, *, file: Path, items: Sequence[Item], columns: frozenset[str]
) -> LoadedControl:
    """Make a control's subject and read its own items, if it has any.

    Args:
        spec: what the task's YAML says.
        file: that YAML.
        items: the task's items.
        columns: the item fields that the scorer reads.

    Raises:
        UnknownNameError: no such subject.
        ContentError: the control's items or arguments are not what they should be.
    """
    where = f"{file}: controls.{spec.name}.subject"
    if spec.subject.name not in SUBJECTS:
        raise UnknownNameError("control subject", spec.subject.name, SUBJECTS, where=where)
    subject = cast("Subject", call(SUBJECTS[spec.subject.name], spec.subject.args, where=where))
    if spec.items is not None:
        table = read_table(spec.items, yaml_file=file)
        # The subject says what these items hold whatever it is asked; the question may be absent.
        unasked = dict.fromkeys(columns, "")
        items = tuple(
            replace(item, fields={**unasked, **item.fields})
            for item in to_items(table, groups=spec.groups, clusters=_shared(items, table))
        )
    _check_fields(subject, spec, items, where=where)
    return LoadedControl(spec, subject, items)


def _shared(items: Sequence[Item], table: Table) -> tuple[str, ...]:
    """Return the clusters of the task that a control's own items know too."""
    return tuple(kind for kind in items[0].clusters if kind in table.rows[0].fields)


def _check_fields(
    subject: Subject, spec: ControlSpec, items: Sequence[Item], *, where: str
) -> None:
    named = getattr(subject, "field", "")
    first = items[0]
    for key, names in (("field", [named] if named else []), ("within", _within(subject))):
        for name in names:
            if name not in first.fields:
                said = f"args.{key}: no item field {name!r}{did_you_mean(name, first.fields)}"
                raise ContentError(where, said)
    for group in spec.groups:
        if group not in first.groups:
            raise ContentError(
                where,
                f"groups: the items have no group {group!r}{did_you_mean(group, first.groups)}",
            )


def _within(subject: Subject) -> Sequence[str]:
    return sorted(getattr(subject, "within", {}))


def run_control(
    control: LoadedControl,
    *,
    task: str,
    scorer: Scorer,
    metrics: Mapping[str, Metric],
    rng: Rng,
) -> tuple[ControlResult, ...]:
    """Put a control's subject through a task's scorer and metrics; say where it landed."""
    asked = [(item, tuple(scorer.requests(item))) for item in control.items]
    scores = tuple(scorer.score(item, control.subject(item, requests)) for item, requests in asked)
    blocks = _blocks(task, control.spec, [len(requests) for _, requests in asked])
    results = []
    for metric_id, band in control.spec.expect.items():
        metric = metrics[metric_id]
        for group, inside in _groups(control.spec, Marked(scores, blocks), metric):
            estimate = metric(inside, rng=rng)
            # The band is for the whole; a group says how the whole came about.
            landed = in_band(estimate, band) if not group else None
            results.append(
                ControlResult(
                    task, control.spec.name, metric_id, str(band), estimate, landed, group
                )
            )
    return tuple(results)


def _groups(spec: ControlSpec, marked: Marked, metric: Metric) -> Iterator[tuple[str, Marked]]:
    """Give all scores, then those of each group: the recall of a detector per type."""
    yield "", marked
    if not metric.by_group:
        return
    for dimension in spec.groups:
        for value in sorted({score.groups[dimension] for score in marked.scores}):
            inside = tuple(s for s in marked.scores if s.groups[dimension] == value)
            outside = tuple(s for s in marked.scores if s.groups[dimension] != value)
            yield f"{dimension}={value}", Marked(inside, others=outside)


def _blocks(task: str, spec: ControlSpec, requests: Sequence[int]) -> tuple[Block, ...]:
    """Return blocks that cost what the control says a request costs, or nobody knows what."""
    blocks = []
    for start in range(0, len(requests), BLOCK_SIZE):
        asked = sum(requests[start : start + BLOCK_SIZE])
        reading = Reading("none", None, "unknown", "unknown", "none", "the control has no counter")
        if spec.joules_per_request is not None:
            joules = spec.joules_per_request * asked
            reading = Reading("planted", joules, "declared", "planted", "planted")
        blocks.append(Block(f"{task}#{start // BLOCK_SIZE}", task, asked, 60.0, (reading,)))
    return tuple(blocks)


def in_band(estimate: Estimate, band: Band) -> bool:
    """Does an estimate have the band's status, and its value lie within the bounds?"""
    if estimate.status is not band.status:
        return False
    if band.status is not Status.MEASURED:
        return True
    value = estimate.value
    if value is None:
        return False
    above = band.at_least is None or value >= band.at_least
    return above and (band.at_most is None or value <= band.at_most)


def _say(text: str, request: Request) -> Response:
    """Say a text, decide on it as a label, or find all equally likely: whatever was asked."""
    match request:
        case Generate():
            return Generation(text, "stop", tokens=max(1, len(text.split())))
        case Classify():
            return Classification(text)
        case Loglikelihood():
            return _likely(-1.0)


def _likely(total: float) -> Likelihood:
    return Likelihood(total, tokens=1)
