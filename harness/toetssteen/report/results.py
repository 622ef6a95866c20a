"""The run as one JSON record: everything the reports, MLflow and an auditor read from.

Identifiers in shown answers are masked; the answers themselves stay in the run folder.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import fsum
from pathlib import Path

import toetssteen
from toetssteen.catalog import requirements
from toetssteen.identifiers import find_identifiers, mask
from toetssteen.records import (
    Block,
    Classification,
    Failure,
    Finding,
    Generation,
    Likelihood,
    Record,
    Request,
    Response,
    Score,
)
from toetssteen.run.mark import Outcome, TaskOutcome
from toetssteen.run.sessions import changed_names
from toetssteen.run.store import Session
from toetssteen.spec import ProfileSpec

# Raise when a reader of results.json has to change.
SCHEMA = 1
EXAMPLES_PER_TASK = 8


@dataclass(frozen=True, slots=True)
class RegisteredProfile:
    """An acceptance profile with the digest of the file that said it."""

    spec: ProfileSpec
    sha256: str

    @classmethod
    def read(cls, spec: ProfileSpec, file: Path) -> "RegisteredProfile":
        """Attach the digest of the file."""
        return cls(spec, sha256(file.read_bytes()).hexdigest())


def to_record(
    outcome: Outcome,
    findings: Sequence[Finding],
    *,
    sessions: Sequence[Session],
    profile: RegisteredProfile | None = None,
    equivalence: Record | None = None,
) -> Record:
    """Return the whole run as JSON-ready values; the same run gives the same record.

    Args:
        outcome: the run, marked.
        findings: what its numbers say of the criteria.
        sessions: in which it was asked.
        profile: that the criteria come from.
        equivalence: record of a check in which its candidate was one of the two.
    """
    plan = outcome.plan
    by_result: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_result[finding.result].append(finding)
    return {
        "schema": SCHEMA,
        "toetssteen": toetssteen.__version__,
        "fingerprint": plan.fingerprint,
        "marking": plan.marking,
        "started": sessions[0].at if sessions else None,
        "sessions": [asdict(session) for session in sessions],
        "changed_names": changed_names(session.candidate for session in sessions),
        "seed": plan.seed,
        "limit": plan.limit,
        "candidate": {
            "name": plan.card.name,
            "identity": plan.identity,
            **plan.card.spec.model_dump(mode="json"),
        },
        "profile": None if profile is None else _profile(profile),
        "tasks": [_task(task, by_result) for task in outcome.tasks],
        "findings": [_finding(finding) for finding in findings],
        "requirements": _requirements(findings),
        "equivalence": equivalence,
    }


def _profile(profile: RegisteredProfile) -> Record:
    return {"sha256": profile.sha256, **profile.spec.model_dump(mode="json")}


def _task(task: TaskOutcome, by_result: Mapping[str, Sequence[Finding]]) -> Record:
    loaded, spec = task.loaded, task.loaded.task.spec
    told = {"version", "title", "description", "licence", "source", "requirements", "caveats"}
    described = spec.model_dump(mode="json", include=told)
    return {
        "name": task.name,
        **described,
        "items": len(loaded.items),
        "labels": {
            value: loaded.labels[value]
            for dimension in spec.groups
            for value in sorted({s.groups[dimension] for s in task.scores})
            if value in loaded.labels
        },
        "family": spec.family,
        "arm": str(spec.items.args.get("arm", "")),
        "items_sha256": loaded.items_digest,
        "cost": _cost(task.blocks),
        "unscored": _counted(s for s in task.scores if s.value is None),
        "answered": _counted(task.scores),
        "answered_by_group": {
            f"{dimension}={value}": _counted(
                s for s in task.scores if s.groups[dimension] == value
            )
            for dimension in spec.groups
            for value in sorted({s.groups[dimension] for s in task.scores})
        },
        "results": [
            {
                "name": result.name,
                "metric": result.metric,
                "group": result.group,
                "better": result.better,
                "estimate": asdict(result.estimate),
                "findings": [_finding(finding) for finding in by_result[result.name]],
            }
            for result in task.results
        ],
        "controls": [asdict(control) for control in task.controls],
        "examples": _examples(task),
    }


def _counted(scores: Iterable[Score]) -> dict[str, int]:
    """Count the kinds of answers: valid, refused, empty, truncated and so on."""
    return dict(sorted(Counter(score.answered.value for score in scores).items()))


def _cost(blocks: Sequence[Block]) -> Record:
    """Return what asking the task cost; joules are None where any part is unknown."""
    readings = [reading for block in blocks for reading in block.readings]
    unknown = next((reading for reading in readings if reading.joules is None), None)
    known = bool(readings) and unknown is None
    return {
        "requests": sum(block.requests for block in blocks),
        "seconds": round(fsum(block.seconds for block in blocks), 3),
        "joules": fsum(r.joules for r in readings if r.joules is not None) if known else None,
        "basis": readings[0].basis if known else "unknown",
        "scopes": sorted({reading.scope for reading in readings}),
        "reason": unknown.reason if unknown is not None else "",
    }


def _finding(finding: Finding) -> Record:
    return {
        "result": finding.result,
        "says": finding.says.value,
        "because": finding.because,
        "criterion": finding.criterion,
        "requirements": list(finding.requirements),
    }


def _requirements(findings: Sequence[Finding]) -> list[Record]:
    known = requirements()
    named = sorted({urn for finding in findings for urn in finding.requirements})
    return [
        known[urn].model_dump(mode="json") if urn in known else {"urn": urn, "article": None}
        for urn in named
    ]


# --- examples --------------------------------------------------------------------------------


def _examples(task: TaskOutcome) -> list[Record]:
    """Return some items with question, answer and score, spread evenly over the task.

    None where the task asks so: nobody should meet hateful texts unasked.
    """
    if not task.loaded.task.spec.show_examples:
        return []
    asked = [place for place, score in enumerate(task.scores) if score.item in task.answers]
    step = max(1, len(asked) // EXAMPLES_PER_TASK)
    return [_example(task, place) for place in asked[::step][:EXAMPLES_PER_TASK]]


def _example(task: TaskOutcome, place: int) -> Record:
    item, score = task.loaded.items[place], task.scores[place]
    answer = task.answers[item.id]
    return {
        "item": item.id,
        "groups": dict(item.groups),
        "exchanges": [
            {"asked": _asked(request), "answered": _answered(response)}
            for request, response in zip(answer.requests, answer.responses, strict=True)
        ],
        "value": score.value,
        "parts": dict(score.parts),
        "kind": score.answered.value,
        "why_unscored": score.why_unscored,
    }


def _asked(request: Request) -> str:
    if request.kind == "classify":
        return "\n".join(f"{name}: {cell}" for name, cell in request.fields.items())
    prompt = "\n".join(message.content for message in request.messages) + request.context
    if request.kind == "loglikelihood":
        return f"{prompt}\n→ {request.continuation}"
    who = " / ".join(filter(None, (request.tenant, request.session)))
    return f"[{who}] {prompt}" if who else prompt


def _answered(response: Response) -> str:
    match response:
        case Generation(text=text):
            return mask(text, find_identifiers(text))
        case Likelihood(total=total, tokens=tokens):
            return f"ln P = {total:.3f} ({tokens} tokens)"
        case Classification(label=label, probabilities=probabilities):
            spread = ", ".join(f"{name} {p:.3f}" for name, p in probabilities.items())
            return f"{label} ({spread})" if spread else label
        case Failure(why=why, reason=reason):
            return f"{why}: {reason}"
