"""Inspect continues the prompts that the other sides continue; run in the peers' environment.

Its provider writes "user: " before a prompt unless it is given a chat template; the one below
writes the prompt and nothing else, so that the model reads what it reads elsewhere.
"""

import argparse
import json
from pathlib import Path

import inspect_ai
import torch
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

BARE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
MAX_TOKENS = 64


def main() -> None:
    """Continue the prompts and write what was said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True, help="connections: prompts together")
    parser.add_argument("--take", required=True, help="places of the items, with commas")
    chosen = parser.parse_args()
    rows = [json.loads(line) for line in chosen.items.read_text(encoding="utf-8").splitlines()]
    taken = [rows[int(place)] for place in chosen.take.split(",")]
    model = get_model(
        "hf/bench",
        model_path=str(chosen.weights),
        device="cpu",
        dtype=torch.float32,
        do_sample=False,
        chat_template=BARE,
        config=GenerateConfig(max_tokens=MAX_TOKENS, max_connections=chosen.rows),
    )
    task = inspect_ai.Task(
        dataset=[Sample(id=row["id"], input=row["prompt"], target=row["ref"]) for row in taken],
        solver=generate(),
        scorer=includes(),
    )
    (log,) = inspect_ai.eval(task, model=model, log_dir=str(chosen.out), display="none")
    if log.status != "success":
        raise SystemExit(f"Inspect ended with {log.status}: {log.error}")
    said = {str(sample.id): sample.output.completion for sample in log.samples or ()}
    (chosen.out / "said.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main()
