"""The programs that are compared: how each is called, and how its answers are read back."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from works import BENCH, HERE, ITEMS, LAB, LIKELIHOODS, TEXTS, WORKS, items_file, spread

Said = tuple[float, ...] | str
"""What was answered about an item: the log-likelihood of each continuation, or a text."""

# No side may ask the network; and the peers keep what they cache to themselves.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HOME": str(BENCH / "huggingface"),
}
INSPECT_ROWS = 32  # its own default for models run on this machine


@dataclass(frozen=True, slots=True)
class Asked:
    """One process: which work, how much of it, and where its output goes (an empty folder)."""

    work: str
    out: Path
    weights: Path
    batch: int | None = None  # rows computed together; None where the side decides itself
    limit: int | None = None

    @property
    def taken(self) -> list[int]:
        """The items that are asked, by their place."""
        return spread(
            len(items_file(self.work).read_text(encoding="utf-8").split("\n")) - 1, self.limit
        )


class Side(Protocol):
    """A program that does a work as a whole process."""

    name: str
    works: tuple[str, ...]

    def command(self, asked: Asked, /) -> list[str]:
        """Return what is typed, in the folder `.bench`."""
        ...

    def answers(self, asked: Asked, /) -> dict[str, Said]:
        """Return what was answered, by item."""
        ...


@dataclass(frozen=True, slots=True)
class Toetssteen:
    """Ours: `toets run`."""

    toets: Path
    card: str = "bench"
    name: str = "toetssteen"
    works: tuple[str, ...] = WORKS

    def command(self, asked: Asked) -> list[str]:
        """Ask the task of the lab."""
        limit = [] if asked.limit is None else ["--limit", str(asked.limit)]
        return [
            *(str(self.toets), "run", f"bench/{asked.work}", "--candidate", self.card),
            *("--path", str(LAB), "--runs", str(asked.out), "--no-tracking", *limit),
        ]

    def answers(self, asked: Asked) -> dict[str, Said]:
        """Read them out of the run folder."""
        return {
            line["answer"]["item"]: _said(line["answer"]["responses"])
            for line in self._lines(asked)
            if line["line"] == "answer"
        }

    def extras(self, asked: Asked) -> Mapping[str, Any]:
        """Return what the run folder says beside the answers: the engine, the time, the tokens."""
        lines = list(self._lines(asked))
        responses = [
            r for ln in lines if ln["line"] == "answer" for r in ln["answer"]["responses"]
        ]
        return {
            "engine": next(ln["session"]["candidate"] for ln in lines if ln["line"] == "session"),
            "asking_seconds": sum(ln["block"]["seconds"] for ln in lines if ln["line"] == "block"),
            "tokens": sum(r["tokens"] for r in responses),
            "prompt_tokens": sum(r["prompt_tokens"] for r in responses),
        }

    def _lines(self, asked: Asked) -> Iterator[dict[str, Any]]:
        (file,) = asked.out.glob("*/answers.jsonl")
        with file.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)


@dataclass(frozen=True, slots=True)
class LmEval:
    """lm-evaluation-harness, its command line with the model type hf."""

    venv: Path
    name: str = "lm-eval"
    works: tuple[str, ...] = WORKS

    def command(self, asked: Asked) -> list[str]:
        """Ask the same items; all else as it comes."""
        some = ["--samples", json.dumps({asked.work: asked.taken})] if asked.limit else []
        return [
            *(str(self.venv / "bin" / "lm_eval"), "--model", "hf", "--device", "cpu"),
            *("--model_args", f"pretrained={asked.weights},dtype=float32"),
            *("--tasks", asked.work, "--include_path", str(HERE / "peer_tasks")),
            *("--batch_size", str(asked.batch), "--output_path", str(asked.out)),
            *("--log_samples", *some),
        ]

    def answers(self, asked: Asked) -> dict[str, Said]:
        """Read them out of the samples."""
        (file,) = asked.out.rglob(f"samples_{asked.work}_*.jsonl")
        with file.open(encoding="utf-8") as stream:
            samples = [json.loads(line) for line in stream]
        if asked.work in LIKELIHOODS:
            return {
                str(sample["doc"]["id"]): tuple(float(one[0][0]) for one in sample["resps"])
                for sample in samples
            }
        return {str(sample["doc"]["id"]): sample["resps"][0][0] for sample in samples}


@dataclass(frozen=True, slots=True)
class Inspect:
    """Inspect, its provider hf; it has no log-likelihoods."""

    venv: Path
    name: str = "inspect"
    works: tuple[str, ...] = TEXTS

    def command(self, asked: Asked) -> list[str]:
        """Ask the same prompts, without its chat template."""
        return [
            *(str(self.venv / "bin" / "python"), str(HERE / "inspect_generation.py")),
            *("--weights", str(asked.weights), "--out", str(asked.out)),
            *("--items", str(ITEMS / f"{asked.work}.jsonl"), "--rows", str(asked.batch)),
            *("--take", ",".join(map(str, asked.taken))),
        ]

    def answers(self, asked: Asked) -> dict[str, Said]:
        """Read the file that the script writes from Inspect's log."""
        said: dict[str, Said] = json.loads((asked.out / "said.json").read_text(encoding="utf-8"))
        return said


def versions(venv: Path) -> dict[str, str]:
    """Return what is installed beside the peers."""
    code = (
        "import json, platform; from importlib.metadata import distributions as d; "
        "print(json.dumps({'python': platform.python_version()} | "
        "{x.name.lower().replace('_', '-'): x.version for x in d()}))"
    )
    python = venv / "bin" / "python"
    if not python.is_file():
        raise SystemExit(f"{venv}: no virtual environment; `make bench` makes one for the peers")
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    names = ("python", "lm-eval", "inspect-ai", "torch", "transformers", "tokenizers")
    return {name: found[name] for name in names if name in found}


def compare(ours: Mapping[str, Said], theirs: Mapping[str, Said]) -> dict[str, float]:
    """Return how far two sets of answers differ, over the items that both have.

    Raises:
        SystemExit: they did not answer the same items.
    """
    if ours.keys() != theirs.keys():
        raise SystemExit(f"not the same items: {len(ours)} of ours, {len(theirs)} of the other")
    texts = {item: said for item, said in ours.items() if isinstance(said, str)}
    if texts:
        same = sum(theirs[item] == said for item, said in texts.items())
        return {"compared": len(texts), "identical": same}
    gaps = [abs(a - b) for item in ours for a, b in zip(ours[item], theirs[item], strict=True)]
    flips = sum(_top(ours[item]) != _top(theirs[item]) for item in ours)
    return {"compared": len(ours), "largest_nats": max(gaps), "flips": flips}


def _top(said: Said) -> int:
    return said.index(max(said))


def _said(responses: list[dict[str, Any]]) -> Said:
    """Read the responses about one item; a failure has neither, and ends the comparison."""
    if responses[0]["kind"] == "generation":
        text: str = responses[0]["text"]
        return text
    return tuple(response["total"] for response in responses)
