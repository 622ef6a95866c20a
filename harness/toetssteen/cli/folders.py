"""Run folders: how they are named, and how a run is read back from one."""

import json
from collections.abc import Sequence
from pathlib import Path

from toetssteen.catalog import Catalog
from toetssteen.errors import ContentError
from toetssteen.evidence.footing import Recorded
from toetssteen.records import Record
from toetssteen.report.results import RegisteredProfile
from toetssteen.run.plan import Plan, make_plan
from toetssteen.run.store import Store
from toetssteen.spec import ProfileSpec, read

PROFILE = "profile.yaml"
EQUIVALENCE = "equivalence.json"


def run_folder(runs: Path, names: Sequence[str], plan: Plan) -> Path:
    """Return the folder of a plan: the same plan finds its answers again."""
    asked = "+".join(name.replace("/", "-") for name in names[:3])
    return runs / f"{asked}--{plan.card.name}--{plan.fingerprint[:8]}"


def remember(store: Store, plan: Plan, names: Sequence[str], catalog: Catalog) -> None:
    """Write what `toets mark` needs to make the plan again."""
    store.write_json(
        store.plan_file.name,
        {
            "plan": plan.record(),
            "fingerprint": plan.fingerprint,
            "marking": plan.marking,
            "names": list(names),
            "candidate": str(plan.card.file),
            "paths": [str(path.resolve()) for path in catalog.paths],
        },
    )


def keep_profile(store: Store, file: Path) -> None:
    """Copy the profile into the run folder, so that the evidence stays together.

    Raises:
        ContentError: it is not a valid profile.
    """
    read(ProfileSpec, file)
    store.write_text(PROFILE, file.read_text(encoding="utf-8"))


def kept_profile(store: Store) -> RegisteredProfile | None:
    """Return the profile of a run folder, if it has one."""
    file = store.folder / PROFILE
    if not file.is_file():
        return None
    return RegisteredProfile.read(read(ProfileSpec, file), file)


def plan_of(store: Store) -> tuple[Plan, bool]:
    """Return the plan of a run folder made anew, and whether it is still the same.

    It is not when a task, its items or its scorer changed since: then the answers that still fit
    are marked, and the report carries the new fingerprint.

    Raises:
        ContentError: the plan cannot be read or made again.
    """
    try:
        kept = json.loads(store.plan_file.read_text(encoding="utf-8"))
        record = kept["plan"]
        catalog = Catalog([Path(path) for path in kept["paths"]])
        plan = make_plan(
            catalog.candidate(kept["candidate"]),
            [catalog.task(task["name"]) for task in record["tasks"]],
            seed=record["seed"],
            limit=record["limit"],
            kept=record["candidate"],
        )
        same = (plan.fingerprint, plan.marking) == (kept["fingerprint"], kept["marking"])
    except (OSError, json.JSONDecodeError) as error:
        raise ContentError(store.plan_file, f"cannot be read: {error}") from None
    except KeyError as error:
        said = (
            f"has no {error}; repeat the `toets run`, which writes it anew and asks nothing twice"
        )
        raise ContentError(store.plan_file, said) from None
    return plan, same


def recorded(plan: Plan, store: Store) -> Recorded:
    """Return the candidate of a run as the run recorded it."""
    known = plan.record()["candidate"]
    sessions = store.answers.sessions
    said = sessions[-1].candidate if sessions else {}
    return Recorded(known["name"], known["identity"], known["card"], said)


def kept_equivalence(store: Store) -> Record | None:
    """Return the record of a check of equivalence that lies in a run folder, if one does.

    Raises:
        ContentError: it is not what `toets check --equivalence --json` writes.
    """
    file = store.folder / EQUIVALENCE
    if not file.is_file():
        return None
    try:
        record: Record = json.loads(file.read_text(encoding="utf-8"))
        complete = len(record["routes"]) == 2 and {"agrees", "tolerance"} <= record.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise ContentError(
            file, "is no record of `toets check --equivalence`; write it anew with --json"
        )
    return record
