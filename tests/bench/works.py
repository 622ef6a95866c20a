"""The works that the speed comparison times, where their files lie, and our candidate's card."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BENCH = ROOT / ".bench"
ITEMS = BENCH / "items"
LAB = BENCH / "lab"

LIKELIHOODS = ("crows", "bbq500", "bbq60_header")
TEXTS = ("prompts100",)
WORKS = (*LIKELIHOODS, *TEXTS)
MAX_TOKENS = 64  # of a text; as the tasks of both sides say


def say(text: str) -> None:
    """Print a line now, also where nobody looks (a log)."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def items_file(work: str) -> Path:
    """Return the items of a work, or stop and say how they are made."""
    file = ITEMS / f"{work}.jsonl"
    if not file.is_file():
        raise SystemExit(f"{file} is not there: run tests/bench/make_items.py first")
    return file


def spread(count: int, limit: int | None) -> list[int]:
    """Return which of `count` things are taken: evenly spread, as `toets run --limit` does."""
    if limit is None or limit >= count:
        return list(range(count))
    return [number * count // limit for number in range(limit)]


def weights_folder(given: Path | None) -> Path:
    """Return the folder with the weights that all sides read.

    The embedded model is fetched and converted by another process: torch would make this one
    large, and a child's peak memory is never less than that of the process it was forked from.
    """
    if given is not None:
        return given.resolve()
    command = [sys.executable, str(HERE / "weights.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit("the weights could not be made ready; see above")
    return Path(done.stdout.strip())


def write_card(name: str, weights: Path, **settings: object) -> None:
    """Write a candidate's card into the lab."""
    card = {
        "title": f"Speed comparison ({name})",
        "adapter": {"name": "causal"},
        "weights": {"source": "path", "path": str(weights)},
        "licence": "Apache-2.0",
        "dtype": "float32",
        "chat_template": False,
        **settings,
    }
    file = LAB / "models" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")


def source_digest() -> str:
    """Return a digest of our code: what other code took does not count."""
    total = sha256()
    for file in sorted((ROOT / "harness" / "toetssteen").rglob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()[:12]
