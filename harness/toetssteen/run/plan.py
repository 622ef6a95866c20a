"""What will be asked of whom, and its fingerprint."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from toetssteen import cache
from toetssteen.candidates import Adapter, load_adapter
from toetssteen.catalog import Card, Task
from toetssteen.items import Labels, read_table, to_items
from toetssteen.metrics import Metric
from toetssteen.records import Item, Request
from toetssteen.registry import Kind, call, load
from toetssteen.run.controls import LoadedControl, load_control
from toetssteen.scorers import Scorer
from toetssteen.spec import PACING, PluginRef, TaskSpec, beside

# Raise when the same answers would be kept or keyed in another way.
SCHEMA = 1

# What does not change an answer: what a card says *about* a candidate, and how it is paced.
_ABOUT: Any = {
    **dict.fromkeys(("title", "licence", "languages", "notes", "verified"), True),
    **dict.fromkeys(("endpoint", "route"), PACING),
    "table": {"timeout_seconds"},
}
REQUESTS: TypeAdapter[tuple[Request, ...]] = TypeAdapter(tuple[Request, ...])


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A task with its items read and its plugins made."""

    task: Task
    items: Sequence[Item]  # not in memory; read where they are asked for
    items_digest: str
    scorer: Scorer
    metrics: Mapping[str, Metric]
    controls: tuple[LoadedControl, ...]
    labels: Labels = field(default_factory=dict)  # of the values of its groups

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name


@dataclass(frozen=True, slots=True)
class Plan:
    """A candidate, the tasks it will be asked, and the settings that change an answer."""

    card: Card
    adapter: Adapter
    identity: str
    tasks: tuple[LoadedTask, ...]
    seed: int
    limit: int | None

    @property
    def fingerprint(self) -> str:
        """The digest of everything that decides what is asked, of whom, and how it is scored.

        What is made of the scores afterwards (metrics, controls) is `marking`: to change it is
        no reason to ask again.
        """
        return _digest(self.record())

    @property
    def marking(self) -> dict[str, Any]:
        """The metrics, controls and declared family of every task, as JSON."""
        return {task.name: _marking(task.task.spec) for task in self.tasks}

    def record(self) -> dict[str, Any]:
        """Return the plan as JSON, without the machine it was made on."""
        return {
            "schema": SCHEMA,
            "candidate": {
                "name": self.card.name,
                "identity": self.identity,
                "card": _card_record(self.card),
            },
            "tasks": [_task_record(task) for task in self.tasks],
            "seed": self.seed,
            "limit": self.limit,
        }

    def not_measurable(self, task: LoadedTask) -> str:
        """Return why this candidate cannot be asked the task, or nothing if it can."""
        lacking = sorted(task.scorer.needs - self.adapter.capabilities)
        if not lacking:
            return ""
        return f"the candidate offers no {', '.join(lacking)}"


def make_plan(
    card: Card,
    tasks: Sequence[Task],
    *,
    seed: int,
    limit: int | None = None,
    kept: Mapping[str, Any] | None = None,
) -> Plan:
    """Read the items, make the plugins and check that everything fits, before anything runs.

    Args:
        card: the candidate.
        tasks: what to ask.
        seed: from which all randomness comes.
        limit: at most this many items a task; the plan says so, and so does the report.
        kept: the candidate as an earlier plan recorded it. Where the card is still the same, what
            answered then is meant: a registry may meanwhile have another model under that name.

    Raises:
        ContentError: YAML, items or arguments are not what they should be.
        UnknownNameError: no such adapter, scorer, metric or item source.
    """
    adapter = load_adapter(card)
    return Plan(
        card=card,
        adapter=adapter,
        identity=_kept_identity(card, kept) or adapter.identify(card.spec, card.file.parent),
        tasks=tuple(load_task(task, limit=limit) for task in tasks),
        seed=seed,
        limit=limit,
    )


def _kept_identity(card: Card, kept: Mapping[str, Any] | None) -> str:
    """Return what an earlier plan knew the candidate by, if its card has not changed since."""
    if kept is None or kept["card"] != _card_record(card):
        return ""
    return str(kept["identity"])


def _card_record(card: Card) -> dict[str, Any]:
    return card.spec.model_dump(mode="json", exclude=_ABOUT)


def load_task(task: Task, *, limit: int | None = None) -> LoadedTask:
    """Read a task's items and make its scorer and metrics.

    Raises:
        ContentError: see `make_plan`.
    """
    spec, file = task.spec, task.file
    scorer: Scorer = _make("scorers", spec.scorer, file=file, where="scorer")
    metrics: dict[str, Metric] = {
        ref.id: _make("metrics", ref, file=file, where=f"metrics.{ref.id}") for ref in spec.metrics
    }
    table = read_table(spec.items, yaml_file=file)
    items = to_items(table, groups=spec.groups, clusters=spec.clusters, columns=scorer.columns)
    return LoadedTask(
        task=task,
        items=items if limit is None else items.spread(limit),
        items_digest=table.digest,
        scorer=scorer,
        metrics=metrics,
        controls=tuple(
            load_control(control, file=file, items=items, columns=scorer.columns)
            for control in spec.controls
        ),
        labels=table.labels,
    )


def answer_key(identity: str, task: str, item: Item, requests: Sequence[Request]) -> str:
    """Return the key under which an item's answer is kept.

    Items and requests decide, not the file they came from: a task whose scoring is corrected
    finds its answers again, one whose question has changed does not.
    """
    # Defaults are left out, so that a request type may grow a field without losing old answers.
    asked = REQUESTS.dump_json(tuple(requests), exclude_defaults=True)
    return sha256(f"{identity}\n{task}\n{item.id}\n".encode() + asked).hexdigest()[:32]


def _make(kind: Kind, ref: PluginRef, *, file: Path, where: str) -> Any:  # noqa: ANN401
    place = f"{file}: {where}"
    return call(load(kind, ref.name, file=beside(file, ref), where=place), ref.args, where=place)


def _marking(spec: TaskSpec) -> dict[str, Any]:
    told = spec.model_dump(mode="json", include={"metrics", "controls"})
    return told if spec.family is None else {**told, "family": spec.family}


def _task_record(loaded: LoadedTask) -> dict[str, Any]:
    spec = loaded.task.spec
    return {
        "name": loaded.name,
        "version": spec.version,
        "items_sha256": loaded.items_digest,
        "items": len(loaded.items),
        "scorer": {**spec.scorer.model_dump(mode="json"), "version": loaded.scorer.version},
        "code": _code(loaded.task),
        "clusters": list(spec.clusters),
        "groups": list(spec.groups),
    }


def _code(task: Task) -> dict[str, str]:
    """Return the sha256 of every plugin file: a lab may forget to raise a version."""
    refs = (task.spec.items, task.spec.scorer, *task.spec.metrics)
    files = {ref.file: beside(task.file, ref) for ref in refs if ref.file is not None}
    return {name: cache.digest(file) for name, file in files.items() if file is not None}


def _digest(record: Mapping[str, Any]) -> str:
    canonical = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()
