"""What the YAML may say of acceptance profiles and of requirements."""

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from toetssteen.spec.base import Number, Spec, Text, Urn, Whole, repeated


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
            raise ValueError(f"criteria: {repeated(ids)}; give one another `id`")
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
