"""Write what both sides of the speed comparison read, into `.bench`; run by `make bench`.

    python tests/bench/make_items.py

The data sets of others are found by their digest in the cache or the mirror and never copied into
the repository. `.bench/items` gets 1,508 sentence pairs; 500 questions with three options; 60 of
them behind one header with three worked examples; 100 prompts to continue. `.bench/lab` gets the
same items beside the tasks of `tests/bench/lab`.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from shutil import copy, copytree
from typing import Any

from works import HERE, ITEMS, LAB, WORKS, say

from toetssteen import cache

# Nangia et al. 2020, arXiv:2010.00133; CC-BY-SA-4.0
CROWS = (
    "https://raw.githubusercontent.com/nyu-mll/crows-pairs/"
    "8aaac11c485473159ec9328a65253a5be9a479dc/data/crows_pairs_anonymized.csv"
)
CROWS_SHA256 = "dfb36986ce0502abbaf7055b9176da3d08d48e07df1251991b5dfbcbceab9d0c"
# Parrish et al. 2022, arXiv:2110.08193; CC-BY-4.0
BBQ = (
    "https://raw.githubusercontent.com/nyu-mll/BBQ/bea11bd97d79217245b5871acd247b9d6eb24598/data/"
)
CATEGORIES = {
    "Age": "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60",
    "Disability_status": "375d40d9b71f056150264445ec189b13934998f3f49a1e311aa7578eb3b45e5f",
    "Nationality": "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090",
    "Physical_appearance": "e48d7e13508565f4801574e611043470c25c95a0a62af3699cb5ee7cb02608fb",
    "Religion": "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616",
    "Sexual_orientation": "2c71036b9e7584fe589c42aef32c1a42bc01b9a5e9b1b8704342630cdb08cefd",
}
EACH, QUESTIONS, EXAMPLES, BEHIND_HEADER, PROMPTS = 84, 500, 3, 60, 100

Row = Mapping[str, Any]


def main() -> None:
    """Write items and lab."""
    pairs, drawn = _pairs(), _questions()
    questions = drawn[:QUESTIONS]
    header = _header(drawn[QUESTIONS : QUESTIONS + EXAMPLES])
    ITEMS.mkdir(parents=True, exist_ok=True)
    copytree(HERE / "lab", LAB, dirs_exist_ok=True)
    for work, rows in {
        "crows": pairs,
        "bbq500": questions,
        "bbq60_header": [
            {**row, "context": header + row["context"]} for row in questions[:BEHIND_HEADER]
        ],
        "prompts100": [
            {"id": row["id"], "prompt": _asked(row), "ref": row["choices"][row["label"]]}
            for row in questions[:PROMPTS]
        ],
    }.items():
        _write(ITEMS / f"{work}.jsonl", rows)
    for work in WORKS:
        copy(ITEMS / f"{work}.jsonl", LAB / "suites" / "bench")
    say(f"items of {', '.join(WORKS)} written")


def _pairs() -> list[Row]:
    with _found(CROWS, CROWS_SHA256).open(newline="", encoding="utf-8") as stream:
        return [
            {"id": number, "sent_more": row["sent_more"], "sent_less": row["sent_less"]}
            for number, row in enumerate(csv.DictReader(stream))
        ]


def _questions() -> list[Row]:
    """Draw as many questions of each category, and mix them."""
    luck = Random(0)  # noqa: S311 - a fixed choice, no secret
    drawn: list[Row] = []
    for name, digest in CATEGORIES.items():
        with _found(f"{BBQ}{name}.jsonl", digest).open(encoding="utf-8") as stream:
            drawn += luck.sample([json.loads(line) for line in stream], EACH)
    luck.shuffle(drawn)
    return [
        {
            "id": f"{row['category']}-{row['example_id']}",
            "context": row["context"],
            "question": row["question"],
            "choices": [row["ans0"], row["ans1"], row["ans2"]],
            "label": row["label"],
        }
        for row in drawn
    ]


def _header(examples: Iterable[Row]) -> str:
    shown = (f"{_asked(row)} {row['choices'][row['label']]}\n\n" for row in examples)
    return "Answer each question with the correct option.\n\n" + "".join(shown)


def _asked(row: Row) -> str:
    return f"{row['context']}\n\nQ: {row['question']}\nA:"


def _found(url: str, digest: str) -> Path:
    """Return the file of a data set; nothing is downloaded."""
    file = cache.find(digest)
    if file is None:
        raise SystemExit(
            f"{url} is not here: set TOETS_MIRROR to a folder that holds it as sha256/{digest}"
        )
    if cache.digest(file) != digest:
        raise SystemExit(f"{file}: its sha256 is not its name; delete it and get {url} anew")
    return file


def _write(file: Path, rows: Iterable[Row]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
