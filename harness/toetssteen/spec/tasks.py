"""What the YAML may say of tasks and suites."""

from typing import Any

from pydantic import Field, model_validator

from toetssteen.errors import did_you_mean
from toetssteen.records import Status
from toetssteen.spec.base import Identifier, Number, PluginRef, Spec, Text, Urn, Whole, repeated


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
    family: str | None = None  # the group whose differences were declared beforehand: Holm
    controls: tuple[ControlSpec, ...] = ()
    requirements: tuple[Urn, ...] = ()
    caveats: tuple[Text, ...] = ()  # printed with every result
    show_examples: bool = True  # False: no texts of items and answers in reports

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> "TaskSpec":
        if self.family is not None and self.family not in self.groups:
            raise ValueError(f"family: {self.family!r} does not stand in groups")
        ids = [metric.id for metric in self.metrics]
        if len(set(ids)) != len(ids):
            raise ValueError(f"metrics: {repeated(ids)}; give one another `id`")
        names = [control.name for control in self.controls]
        if len(set(names)) != len(names):
            raise ValueError(f"controls: {repeated(names)}; give one another `name`")
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
