"""Tokens a second of the bare transformer body, and of ours at the same shapes; by `make bench`.

    python tests/bench/raw_rate.py

No harness, no vocabulary, no cache: forwards through the layers, for some numbers of rows and
lengths, turn by turn as transformers computes them and as our engine does. Writes
`.bench/raw.json`.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging
from works import BENCH, say, weights_folder

from toetssteen.candidates.engines.budget import Budget
from toetssteen.candidates.engines.packed import Packed
from toetssteen.candidates.engines.packing import pack
from toetssteen.candidates.engines.trees import Strand, tree_of

SHAPES = ((1, 32), (1, 512), (8, 20), (8, 100), (32, 20), (32, 64), (4, 512))
REPEATS = 7


def main() -> None:
    """Time every shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, help="folder; the embedded model unless given")
    weights = weights_folder(parser.parse_args().weights)
    logging.disable_progress_bar()
    body = _loaded(weights).model
    ours = pack(_loaded(weights), Budget(tokens=4096), rows=1)
    load = os.getloadavg()[0]
    rates = []
    for rows, length in SHAPES:
        raw, packed = _turn_by_turn(body, ours, rows, length)
        tokens = rows * length
        rate = {
            "rows": rows,
            "length": length,
            "median_tokens_per_second": tokens / median(raw),
            "ours_median_tokens_per_second": tokens / median(packed),
            "median_ratio": median(a / b for a, b in zip(raw, packed, strict=True)),
        }
        rates.append(rate)
        say(
            f"{rows} x {length}: {rate['median_tokens_per_second']:.0f} tokens/s, ours "
            f"{rate['ours_median_tokens_per_second']:.0f}, {rate['median_ratio']:.2f} times"
        )
    found = {"load_before": load, "threads": torch.get_num_threads(), "rates": rates}
    BENCH.mkdir(exist_ok=True)
    (BENCH / "raw.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _loaded(weights: Path) -> Any:  # a model of transformers, which has no types to check
    return AutoModelForCausalLM.from_pretrained(
        weights, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    ).eval()


@torch.inference_mode()
def _turn_by_turn(
    body: torch.nn.Module, ours: Packed, rows: int, length: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of each turn, of the body as it is and of ours."""
    luck = torch.Generator().manual_seed(1)
    ids = torch.randint(1000, 40_000, (rows, length), generator=luck)
    trees = [tree_of([Strand(tuple(row), 0)]) for row in ids.tolist()]
    sides: tuple[Callable[[], object], ...] = (
        lambda: body(input_ids=ids, use_cache=False),
        lambda: ours._forward_trees(trees),
    )
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(REPEATS + 1):
        for side, took in zip(sides, seconds, strict=True):
            started = perf_counter()
            side()
            if turn:  # the first one warms up
                took.append(perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
