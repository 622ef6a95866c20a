"""The values that walk through a run: frozen, slotted, ready for JSON, importing nothing heavy.

An item becomes requests, requests are answered by responses, responses become a score, scores
become an estimate. A missing answer is a `Failure` or a score with a reason, never a zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Literal, Self

Role = Literal["system", "user", "assistant"]
Better = Literal["higher", "lower", "near_zero"]
Finish = Literal["stop", "length", "filtered"]
Basis = Literal["measured", "modelled", "declared", "unknown"]
Record = dict[str, Any]  # a run as JSON: what reports and trackers read


class Capability(StrEnum):
    """What a candidate can be asked."""

    LOGLIKELIHOOD = "loglikelihood"
    GENERATE = "generate"
    CLASSIFY = "classify"


class Status(StrEnum):
    """What became of an estimate; only `measured` numbers may be decided on."""

    MEASURED = "measured"
    NOT_MEASURABLE = "not_measurable"  # the candidate or the machine gives no access
    NOT_RESOLVABLE = "not_resolvable"  # too few items for the claim asked
    CONFOUNDED = "confounded"  # a blind baseline or a placebo explains it
    UNINFORMATIVE = "uninformative"  # constant or empty answers
    WITHHELD = "withheld"  # a control did not land
    NOT_RUN = "not_run"  # nothing was asked


class Answered(StrEnum):
    """What kind of answer came back; the taxonomy of unscored answers."""

    VALID = "valid"
    ABSTAINED = "abstained"  # says that it cannot know; a score may still follow
    REFUSED = "refused"
    OFF_FORMAT = "off_format"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    FAILED = "failed"


# --- items and what is asked about them ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a task, with the groups it is reported by and the clusters it belongs to."""

    id: str
    fields: Mapping[str, object]
    groups: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a field that the task says is text.

        Raises:
            KeyError: the item has no such field; item sources check columns beforehand.
        """
        return str(self.fields[name])


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Loglikelihood:
    """How likely is `continuation` (in nats) after the conversation and the context?

    `messages` are rendered by the candidate's chat template; `context` follows them as it is.
    With neither, the continuation is scored from the start of the text. `per_token` asks for
    what membership attacks look at, for every token of the continuation.

    A masked model also reads `after`, what stands behind the continuation. With `shared_with`
    only the tokens count that the continuation has in common with that other text: the score of
    CrowS-Pairs (Nangia et al., EMNLP 2020, equation 1).
    """

    continuation: str
    messages: tuple[Message, ...] = ()
    context: str = ""
    per_token: bool = False
    after: str = ""
    shared_with: str = ""
    kind: Literal["loglikelihood"] = "loglikelihood"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a next token is drawn instead of taking the likeliest one.

    Of the probabilities at `temperature`, the `top_k` largest are kept, and of those the
    smallest number that together hold `top_p`. `seed` and the prompt decide the draw, whatever
    else is asked at the same time.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generate:
    """What does the candidate say next, in at most `max_tokens` tokens?

    Without `sampling` it is what the candidate's card says, and else the likeliest token each
    time. `logprobs` asks how likely every token was.

    `tenant` is who asks and `session` in which conversation, where a candidate serves several and
    has to keep them apart; one that cannot tell them apart answers with a `Failure`. What is
    asked in one session of one tenant is asked in order.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    context: str = ""
    stop: tuple[str, ...] = ()
    sampling: Sampling | None = None
    logprobs: bool = False
    tenant: str = ""
    session: str = ""
    kind: Literal["generate"] = "generate"


# What stands in one cell of a table row; YAML and JSON know no more.
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Classify:
    """Which label belongs to a text or to a row of a table?

    A text classifier reads the one field `text`; a table model reads its columns by name. None
    is a cell in which nothing stands.
    """

    fields: Mapping[str, Cell]
    kind: Literal["classify"] = "classify"


Request = Loglikelihood | Generate | Classify


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """One token under the candidate's distribution over its vocabulary, in nats.

    `mean` and `variance` are those of the log-probability of a token drawn from that
    distribution; `mean` is minus its entropy. `rank` is 1 for the likeliest token.
    """

    logprob: float
    mean: float
    variance: float
    rank: int

    @property
    def entropy(self) -> float:
        """Return the entropy of the distribution, in nats."""
        return -self.mean


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-probability of a continuation: natural logarithm, summed over its tokens.

    `pseudo` where every token was read off with all others in sight, as a masked model does: such
    a sum is no probability of the text, and is never compared with one that is.
    """

    total: float
    tokens: int
    prompt_tokens: int = 0
    greedy: bool | None = None  # every token was the likeliest one; None = not known
    per_token: tuple[TokenStatistics, ...] = ()  # where the request asked for them
    pseudo: bool = False
    kind: Literal["likelihood"] = "likelihood"


@dataclass(frozen=True, slots=True)
class Generation:
    """What the candidate said, and why it stopped.

    `tokens` and `prompt_tokens` are None where an endpoint does not count them. `logprobs` holds,
    where the request asked for them, the log-probability of every token in nats, before
    temperature and cuts; the end token is among the tokens it stops at, not here. `reasoning` is
    what it thought aloud before it answered, where it does; `tokens` counts that too.
    """

    text: str
    finish: Finish
    tokens: int | None
    prompt_tokens: int | None = 0
    logprobs: tuple[float, ...] = ()
    reasoning: str = ""
    kind: Literal["generation"] = "generation"


@dataclass(frozen=True, slots=True)
class Classification:
    """The label that was decided on, and how probable each label is held to be.

    `probabilities` is empty where a candidate only decides. They need not make the likeliest
    label the decision: a threshold is the candidate's own.
    """

    label: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    kind: Literal["classification"] = "classification"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer, and why."""

    why: Literal["error", "refused", "timeout", "too_long"]
    reason: str
    kind: Literal["failure"] = "failure"


Response = Likelihood | Generation | Classification | Failure


# --- answers, as they are kept ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """One item's requests with their responses, under the key that finds it again."""

    key: str
    task: str
    item: str
    requests: tuple[Request, ...]
    responses: tuple[Response, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one energy source counted while one block of requests was answered.

    `joules` is None where the counter could not be read; `reason` then says why.
    """

    source: str
    joules: float | None
    basis: Basis
    scope: str
    method: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A number of items answered together: how long it took and what the meters counted."""

    id: str
    task: str
    requests: int
    seconds: float
    readings: tuple[Reading, ...] = ()


# --- scores and estimates --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """Where in an answer something was found (character offsets); never the text itself."""

    kind: str
    start: int
    end: int
    confidence: str


@dataclass(frozen=True, slots=True)
class Score:
    """What one item is worth; `value` is None exactly when `why_unscored` says why."""

    item: str
    value: float | None
    groups: Mapping[str, str]
    clusters: Mapping[str, str]
    answered: Answered = Answered.VALID
    why_unscored: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    said: str = ""  # digest of what was answered, so that constant answers can be seen

    @classmethod
    def of(
        cls,
        item: Item,
        value: float,
        *,
        answered: Answered = Answered.VALID,
        parts: Mapping[str, float] | None = None,
        spans: tuple[Span, ...] = (),
        said: str = "",
    ) -> Self:
        """Score an item whose answer could be judged."""
        return cls(
            item=item.id,
            value=value,
            groups=item.groups,
            clusters=item.clusters,
            answered=answered,
            parts=parts or {},
            spans=spans,
            said=sha256(said.encode()).hexdigest()[:16] if said else "",
        )

    @classmethod
    def unscored(
        cls,
        item: Item,
        answered: Answered,
        why: str,
        *,
        parts: Mapping[str, float] | None = None,
    ) -> Self:
        """Say why an item has no score; `parts` are what can be said of it all the same."""
        return cls(item.id, None, item.groups, item.clusters, answered, why, parts or {})


@dataclass(frozen=True, slots=True)
class Marked:
    """What a metric may look at: a task's scores, and the blocks in which they were asked.

    Where `scores` are those of one group, `others` are the task's other scores.
    """

    scores: tuple[Score, ...]
    blocks: tuple[Block, ...] = ()
    others: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, count, method and status.

    `low` and `high` bound the `level` interval. `if_worst` and `if_best` say what the value
    would be if every unscored answer had counted against or for the candidate (Manski bounds);
    None where the metric has no bounded range or nothing is unscored.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int
    method: str
    status: Status
    reason: str = ""
    unit: str = ""
    level: float = 0.95
    clusters: int | None = None
    if_worst: float | None = None
    if_best: float | None = None
    standard_error: float | None = None
    df: float | None = None
    p_value: float | None = None  # of a gap: two-sided, against no difference
    p_adjusted: float | None = None
    adjustment: str = ""  # how, and over how many
    null_median: float | None = None  # of a largest gap: what shuffled groups give
    null_95: float | None = None
    basis: Basis | None = None  # of energy: where the number comes from
    flags: tuple[str, ...] = ()

    @classmethod
    def none(
        cls,
        status: Status,
        reason: str,
        *,
        n: int = 0,
        unscored: int = 0,
        unit: str = "",
        basis: Basis | None = None,
    ) -> Self:
        """Say that there is no number, and why."""
        return cls(None, None, None, n, unscored, "none", status, reason, unit, basis=basis)


@dataclass(frozen=True, slots=True)
class Result:
    """One metric of one task, over all items or over one group."""

    task: str
    metric: str
    better: Better
    estimate: Estimate
    group: str = ""  # "origin=turkish"; empty over all items

    @property
    def name(self) -> str:
        """`bias/decision_pairs/origin_gap`, with `[origin=turkish]` for one group."""
        whole = f"{self.task}/{self.metric}"
        return f"{whole}[{self.group}]" if self.group else whole


@dataclass(frozen=True, slots=True)
class ControlResult:
    """Where a subject whose result is known landed, and where it had to land."""

    task: str
    control: str
    metric: str
    expected: str
    estimate: Estimate
    landed: bool | None  # None: one group, reported beside the whole
    group: str = ""


# --- what the estimates say ------------------------------------------------------------------


class Says(StrEnum):
    """What a finding says of one registered criterion."""

    MEETS = "meets"
    DOES_NOT_MEET = "does_not_meet"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not_measured"
    NEEDS_HUMAN_EVIDENCE = "needs_human_evidence"
    NOT_APPLICABLE = "not_applicable"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one result says of one criterion; without a criterion it is only reported."""

    result: str
    says: Says
    because: str
    criterion: str = ""
    requirements: tuple[str, ...] = ()
    estimate: Estimate | None = None
