"""Tokens a second of the bare transformer body, as an upper bound; run by `make bench`.

    python tests/bench/raw_rate.py

No harness, no vocabulary, no cache: one forward through the layers, for some numbers of rows and
lengths. Writes `.bench/raw.json`.
"""

import argparse
import json
import os
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging
from works import BENCH, say, weights_folder

SHAPES = ((1, 32), (1, 512), (8, 20), (8, 100), (32, 20), (32, 64), (4, 512))
REPEATS = 4


def main() -> None:
    """Time every shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, help="folder; the embedded model unless given")
    weights = weights_folder(parser.parse_args().weights)
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        weights, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    ).eval()
    load = os.getloadavg()[0]
    rates = []
    for rows, length in SHAPES:
        seconds = _seconds(model.model, rows, length)
        rate = {
            "rows": rows,
            "length": length,
            "median_tokens_per_second": rows * length / median(seconds),
            "best_tokens_per_second": rows * length / min(seconds),
        }
        rates.append(rate)
        say(
            f"{rows} x {length}: median {rate['median_tokens_per_second']:.0f} tokens/s of "
            f"{REPEATS}, best {rate['best_tokens_per_second']:.0f}"
        )
    found = {"load_before": load, "threads": torch.get_num_threads(), "rates": rates}
    BENCH.mkdir(exist_ok=True)
    (BENCH / "raw.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@torch.inference_mode()
def _seconds(body: torch.nn.Module, rows: int, length: int) -> list[float]:
    luck = torch.Generator().manual_seed(1)
    ids = torch.randint(1000, 40_000, (rows, length), generator=luck)
    body(input_ids=ids, use_cache=False)
    seconds = []
    for _ in range(REPEATS):
        started = perf_counter()
        body(input_ids=ids, use_cache=False)
        seconds.append(perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
