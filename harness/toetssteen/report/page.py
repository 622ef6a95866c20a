"""What the page shows: everything the template prints, in the words of one language."""

from dataclasses import dataclass

from toetssteen.report.bars import Bar
from toetssteen.report.words import Amount, Phrase


@dataclass(frozen=True, slots=True)
class Shown:
    """One estimate, as it is printed; `value` is None where there is no number."""

    value: Amount | None
    chance: str
    p_value: str
    low: Amount | None
    high: Amount | None
    worst: Amount | None
    best: Amount | None
    unit: str
    level: str
    n: str
    unscored: str
    method: Phrase
    status: str
    reason: Phrase
    flags: tuple[str, ...]
    basis: str
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class FindingShown:
    """What one finding says, with its sign and colour."""

    kind: str
    sign: str
    label: str
    because: Phrase
    criterion: str


@dataclass(frozen=True, slots=True)
class Row:
    """One result in a table."""

    result: str
    group: str
    estimate: Shown
    findings: tuple[FindingShown, ...]


@dataclass(frozen=True, slots=True)
class MetricRows:
    """The results of one metric of one task."""

    metric: str
    name: str
    explain: str
    better: str
    scale: tuple[str, str] | None
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ControlRow:
    """One control in a table."""

    control: str
    label: str
    metric: str
    group: str
    expected: Phrase
    estimate: Shown
    landed: bool | None


@dataclass(frozen=True, slots=True)
class Example:
    """One item with what was asked and what was answered."""

    item: str
    groups: str
    language: str
    exchanges: tuple[tuple[str, str], ...]
    score: str
    parts: str
    why_unscored: Phrase | None
    kind: str


@dataclass(frozen=True, slots=True)
class Card:
    """One task in a few sentences."""

    findings: tuple[FindingShown, ...]
    reasons: tuple[Phrase, ...]
    headline: str
    sentences: tuple[str, ...]
    estimate: Shown | None
    scale: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class TaskShown:
    """One task of the run."""

    anchor: str
    name: str
    theme: str
    title: str
    description: str
    version: int
    items: str
    licence: str
    source: str
    items_sha256: str
    card: Card
    caveats: tuple[str, ...]
    contrasts: tuple[str, ...]
    metrics: tuple[MetricRows, ...]
    unscored_lead: str
    unscored: tuple[str, ...]
    controls: tuple[ControlRow, ...]
    controls_lead: str
    cost: tuple[tuple[str, str], ...]
    examples: tuple[Example, ...]
    no_examples: str  # why there are none, where there are none


@dataclass(frozen=True, slots=True)
class CriterionShown:
    """One registered criterion with its finding."""

    id: str
    title: str
    finding: FindingShown
    sentence: str
    limit: str
    least_items: str
    measured: Shown | None
    rationale: str
    basis: str
    result: str
    task: TaskShown | None
    metric: str


@dataclass(frozen=True, slots=True)
class RequirementShown:
    """One article and the estimates that bear on it."""

    urn: str
    article: str
    title: str
    applies_from: Phrase
    source: str
    checked_on: str
    binds: str
    later: str
    can_show: str
    cannot_show: str
    rows: tuple[tuple[TaskShown, str, Row], ...]
    by_group: int


@dataclass(frozen=True, slots=True)
class SessionsShown:
    """Sessions with the same versions on the same machine."""

    at: str
    versions: tuple[tuple[str, str], ...]
    machine: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template prints."""

    title: str
    candidate: str
    candidate_name: str
    candidate_notes: str
    first_answer: str
    last_session: str
    asked: str
    asked_titles: str
    profile: str
    purpose: str
    notices: tuple[str, ...]
    follows: tuple[str, ...]
    criteria_lead: str
    criteria: tuple[CriterionShown, ...]
    requirements: tuple[RequirementShown, ...]
    standards: str
    tasks: tuple[TaskShown, ...]
    run: tuple[tuple[str, str], ...]
    card: tuple[tuple[str, str], ...]
    sessions: tuple[SessionsShown, ...]
    version: str
