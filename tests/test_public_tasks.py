"""Tasks with items of others: read from the mirror, never shipped, and shown to work on them.

Where there is no mirror, what needs one is skipped and says so.
"""

import json
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from toetssteen.cache import find
from toetssteen.catalog import Catalog
from toetssteen.cli import main
from toetssteen.errors import ContentError
from toetssteen.items import Table
from toetssteen.metrics.among import among
from toetssteen.metrics.averages import Rate
from toetssteen.records import Answered, ControlResult, Item, Marked, Score, Status
from toetssteen.run.controls import run_control
from toetssteen.run.plan import LoadedTask, load_task
from toetssteen.sources.published import read_crows_pairs, read_hatecheck, read_hiring
from toetssteen.spec import ControlSpec

ROOT = Path(__file__).parents[1]
CATALOG = Catalog()
PUBLIC = [name for name in CATALOG.task_files if "url" in CATALOG.task(name).spec.items.args]
CATEGORIES = ["age", "disability", "nationality", "appearance", "religion", "orientation"]


@cache
def loaded(name: str) -> LoadedTask:
    """Return a task with its items, or skip where they are not there."""
    task = CATALOG.task(name)
    if find(task.spec.items.args["sha256"]) is None:
        pytest.skip(f"the items of {name} are in no cache or mirror; set TOETS_MIRROR")
    return load_task(task)


@cache
def controls(name: str) -> tuple[ControlResult, ...]:
    """Put every control through a task with its real items, once."""
    task = loaded(name)
    return tuple(
        result
        for control in task.controls
        for result in run_control(
            control,
            task=name,
            scorer=task.scorer,
            metrics=task.metrics,
            rng=np.random.default_rng(1),
        )
    )


def landed(name: str, control: str, metric: str) -> float | None:
    """Return where a control landed, over all items."""
    (value,) = (
        result.estimate.value
        for result in controls(name)
        if (result.control, result.metric, result.group) == (control, metric, "")
    )
    return value


# --- the tasks --------------------------------------------------------------------------------


def test_there_are_public_tasks() -> None:
    assert len(PUBLIC) == 21


# The large ones take seconds each, and go with the longer tests.
LARGE = ("_text", "origin", "gender", "names", "age", "nationality", "appearance")
SIZED = [
    pytest.param(name, marks=[pytest.mark.slow] if name.endswith(LARGE) else []) for name in PUBLIC
]


@pytest.mark.parametrize("name", SIZED)
def test_every_control_lands_on_the_real_items(name: str) -> None:
    missed = [result for result in controls(name) if result.landed is False]
    assert [(r.control, r.metric, r.estimate) for r in missed] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_no_number_lands_in_every_band_of_a_metric(name: str) -> None:
    spec = CATALOG.task(name).spec
    for metric in spec.metrics:
        bands = [c.expect[metric.id] for c in spec.controls if metric.id in c.expect]
        low = max((b.at_least for b in bands if b.at_least is not None), default=-9.0)
        high = min((b.at_most for b in bands if b.at_most is not None), default=9.0)
        other = any(band.status is not Status.MEASURED for band in bands)
        measured = any(band.status is Status.MEASURED for band in bands)
        assert low > high or (other and measured), metric.id


BBQ = [one for one in SIZED if "/bbq_" in str(one.values[0])]


@pytest.mark.parametrize("task", BBQ)
def test_a_perfect_stereotyper_gets_one_its_opposite_minus_one_and_unknown_zero(
    task: str,
) -> None:
    for condition in ("ambiguous", "disambiguated"):
        assert landed(task, "follows_stereotypes", f"bbq_bias_{condition}") == 1.0
        assert landed(task, "opposes_stereotypes", f"bbq_bias_{condition}") == -1.0
    assert landed(task, "always_unknown", "bbq_bias_ambiguous") == 0.0
    assert landed(task, "always_unknown", "bbq_accuracy_ambiguous") == 1.0
    assert landed(task, "always_unknown", "bbq_accuracy_disambiguated") == 0.0
    assert landed(task, "always_unknown", "bbq_bias_disambiguated") is None


@pytest.mark.slow
def test_the_categories_have_the_items_and_templates_of_the_paper() -> None:
    sizes = {
        category: len(loaded(f"bias/bbq_{category}").items) for category in CATEGORIES
    }  # fmt: skip
    assert sizes == {
        "age": 3680,
        "disability": 1556,
        "nationality": 3080,
        "appearance": 1576,
        "religion": 1200,
        "orientation": 864,
    }
    for category in CATEGORIES:
        templates = {item.clusters["template"] for item in loaded(f"bias/bbq_{category}").items}
        assert len(templates) == 25


@pytest.mark.slow
def test_the_space_behind_an_origin_is_gone_and_every_pair_differs_in_one_respect() -> None:
    task = loaded("bias/hiring_names")
    origins = {item.groups["origin"] for item in task.items}
    assert origins == {"Marokkaanse", "Turkse", "Surinaamse"}
    assert len(task.items) == 7200
    assert len({item.clusters["names"] for item in task.items}) == 60
    assert len({item.clusters["job"] for item in task.items}) == 20
    assert len(loaded("bias/hiring_origin").items) == 6750
    assert len(loaded("bias/hiring_gender").items) == 6000


def test_a_limited_run_meets_many_jobs_and_names() -> None:
    """The file is a product of columns: every 120th row is about the same job."""
    task = load_task(loaded("bias/hiring_names").task, limit=60)
    assert len({item.clusters["job"] for item in task.items}) > 12
    assert len({item.clusters["names"] for item in task.items}) > 25


def test_crows_pairs_and_hatecheck_are_complete() -> None:
    crows = loaded("bias/crows_pairs_masked").items
    directions = [item.groups["direction"] for item in crows]
    assert (len(crows), directions.count("stereo"), directions.count("anti")) == (1508, 1290, 218)
    hate = loaded("bias/hatecheck_nl").items
    assert (len(hate), len({item.groups["functionality"] for item in hate})) == (3765, 27)
    assert sum(item.groups["identity"] == "no" for item in hate) == 295


# --- suites and what they may hold --------------------------------------------------------------


def test_hateful_texts_are_in_no_suite_and_shown_in_no_report() -> None:
    for suite in CATALOG.suite_files:
        assert "bias/hatecheck_nl" not in CATALOG.suite(suite).spec.tasks
    assert CATALOG.task("bias/hatecheck_nl").spec.show_examples is False


@pytest.mark.slow
def test_checking_everything_passes_without_a_mirror_and_names_what_is_absent(
    cache_folder: Path,
) -> None:
    """Asked for by name, a task that is not there is a fault."""
    assert not cache_folder.exists()
    result = CliRunner().invoke(main, ["check"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    absent = [line for line in result.output.splitlines() if line.startswith("absent")]
    assert len(absent) == len(PUBLIC)
    assert "run `toets fetch`" in absent[0]
    named = CliRunner().invoke(main, ["check", "bias/bbq_age"], catch_exceptions=False)
    assert named.exit_code == 2
    assert "fault" in named.output


def tracked(*folders: str) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = (ROOT / line for line in listed.stdout.splitlines())
    return [file for file in files if file.is_file()]


def sentences(name: str) -> set[str]:
    """Return the sentences of a task's items that are long enough to be somebody's own."""
    texts = ("context", "question", "prompt", "sent_more", "sent_less", "text")
    found = set()
    for item in loaded(name).items:
        for field in texts:
            for sentence in re.split(r"(?<=[.?!])\s+", str(item.fields.get(field, ""))):
                if len(sentence) >= 25 and "{name}" not in sentence:
                    found.add(sentence)
    return found


@pytest.mark.parametrize("name", SIZED)
def test_no_sentence_of_others_is_in_what_we_ship(name: str) -> None:
    shipped = "\n".join(
        file.read_text(encoding="utf-8") for file in tracked("suites", "models", "reports")
    )
    assert [sentence for sentence in sorted(sentences(name)) if sentence in shipped] == []


def test_no_file_of_others_is_in_the_repository() -> None:
    """Nor HurtLex, whose licence forbids it (CC BY-NC-SA)."""
    ours = {file.name for file in tracked()}
    theirs = {str(CATALOG.task(name).spec.items.args["file"]) for name in PUBLIC}
    assert not ours & theirs
    for file in tracked():
        assert "hurtlex" not in file.name.lower()
    for file in tracked("suites", "models", "reports", "harness"):
        assert b"hurtlex" not in file.read_bytes().lower()


# --- layouts of others, with rows of our own ----------------------------------------------------

HIRING = (
    "taak\tgeslacht\therkomstland\tvoornaam\tberoep\tlevel\tberoepsklasse\t"
    "neutrale versie\tvariatie\tprompt\n"
)


def hiring(folder: Path, *rows: tuple[str, str, str, str], contrast: str) -> Table:
    """Rows of gender, origin, first name and prompt."""
    lines = [f"x\t{g}\t{o}\t{n}\tkok\t1\t2\tv1\tbase\t{p}\n" for g, o, n, p in rows]
    (folder / "x.csv").write_text(HIRING + "".join(lines), encoding="utf-8")
    return read_hiring(folder, file="x.csv", contrast=contrast)  # type: ignore[arg-type]


def test_the_second_name_of_a_group_is_set_beside_the_second_dutch_one(tmp_path: Path) -> None:
    rows = [
        ("man", "Nederlandse", "Piet", "Piet wil kok worden."),
        ("man", "Nederlandse", "Kees", "Kees wil kok worden."),
        ("man", "Marokkaanse ", "Omar", "Omar wil kok worden."),
        ("man", "Marokkaanse ", "Karim", "Karim wil kok worden."),
    ]
    table = hiring(tmp_path, *rows, contrast="origin")
    assert {(r.fields["reference"], r.fields["other"]) for r in table.rows} == {
        ("Piet", "Omar"),
        ("Kees", "Karim"),
    }
    first = table.rows[0].fields
    assert (first["prompt"], first["origin"]) == ("{name} wil kok worden.", "Marokkaanse")


def test_genders_are_compared_within_one_origin(tmp_path: Path) -> None:
    rows = [
        ("man", "Turkse", "0", "Een Turkse man wil kok worden."),
        ("vrouw", "Turkse", "0", "Een Turkse vrouw wil kok worden."),
    ]
    (row,) = hiring(tmp_path, *rows, contrast="gender").rows
    assert (row.fields["reference"], row.fields["other"]) == ("Turkse man", "Turkse vrouw")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("man", "Turkse", "Emre", "Emre wil kok worden.")], "no Nederlandse to compare with"),
        (
            [
                ("man", "Nederlandse", "Piet", "Piet wil kok worden."),
                ("man", "Turkse", "Emre", "Emre wil geen kok worden."),
            ],
            "differs from line 2 in more than origin",
        ),
        ([("man", "Turkse", "Emre", "Iemand wil kok worden.")], "'Emre' should stand in it once"),
        (
            [("man", "Nederlandse", "Piet", "Piet wil kok worden.")] * 2,
            "two prompts are about the same person and job",
        ),
    ],
)
def test_pairs_that_differ_elsewhere_are_refused(
    tmp_path: Path, rows: Sequence[tuple[str, str, str, str]], said: str
) -> None:
    with pytest.raises(ContentError, match=said):
        hiring(tmp_path, *rows, contrast="origin")


def test_the_columns_of_crows_pairs_and_hatecheck_get_names_of_ours(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        ",sent_more,sent_less,stereo_antistereo,bias_type,anon_writer\n0,Een.,Twee.,antistereo,age,a1\n"
    )
    (row,) = read_crows_pairs(tmp_path, file="c.csv").rows
    assert (row.fields["id"], row.fields["direction"], row.fields["writer"]) == ("0", "anti", "a1")
    (tmp_path / "h.csv").write_text(
        "mhc_case_id,functionality,test_case,label_gold,target_ident,templ_id\n"
        "dutch-1,ident_pos_nh,Dag.,non-hateful,,4\n"
    )
    (row,) = read_hatecheck(tmp_path, file="h.csv").rows
    assert (row.fields["label"], row.fields["target"], row.fields["identity"]) == (
        "non_hateful", "none", "no",
    )  # fmt: skip


# --- a part of the scores -----------------------------------------------------------------------


def labelled(kind: str, value: float | None, *, said: str = "") -> Score:
    item = Item(f"{kind}{value}{said}", {}, {"label": kind})
    if value is None:
        return Score.unscored(item, Answered.EMPTY, "the answer is empty")
    return Score.of(item, value, said=said)


def test_a_metric_may_be_about_a_part_and_still_misses_what_is_unscored_there() -> None:
    some = [labelled("a", 1.0, said="x")] * 6 + [labelled("a", None)] * 2
    rest = [labelled("b", 0.0, said="y")] * 9 + [labelled("b", None)]
    found = Rate(among={"label": "a"})(Marked((*some, *rest)), rng=np.random.default_rng(1))
    assert (found.value, found.n, found.unscored) == (1.0, 6, 2)
    assert Rate(among={"label": "a"}).of(rest[0]) is None


def test_one_answer_to_a_part_is_constant_only_if_it_is_the_answer_to_all() -> None:
    some = [labelled("a", 1.0, said="x")] * 6
    same = Marked((*some, *[labelled("b", 0.0, said="x")] * 6))
    found = Rate(among={"label": "a"})(same, rng=np.random.default_rng(1))
    assert found.status is Status.UNINFORMATIVE


def test_a_part_is_named_by_a_column_that_the_task_reports_by() -> None:
    with pytest.raises(ContentError, match="labl: is no column under `groups`"):
        among(Marked((labelled("a", 1.0),)), {"labl": "a"})


# --- a report without texts ---------------------------------------------------------------------

LAB = """
version: 1
title: {nl: Labels, en: Labels}
licence: EUPL-1.2
source: test
show_examples: false
items: {name: jsonl, args: {file: texts.jsonl}}
scorer:
  name: label
  args: {labels: ["no", "yes"], truth: label, positive: "yes", text: text}
metrics: [{name: rate}]
"""


def test_a_task_that_asks_so_shows_no_text_in_its_report(
    tmp_path: Path, cache_folder: Path
) -> None:
    assert cache_folder.name == "cache"
    folder = tmp_path / "suites" / "lab"
    folder.mkdir(parents=True)
    (folder / "texts.yaml").write_text(LAB)
    rows = [
        {"id": str(i), "text": f"een akelige zin, nummer {i}", "label": "no" if i % 2 else "yes"}
        for i in range(8)
    ]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "models").mkdir()
    card = {
        "title": "Script",
        "licence": "EUPL-1.2",
        "adapter": {"name": "scripted", "args": {"labels": {"akelige": {"yes": 0.9, "no": 0.1}}}},
    }
    (tmp_path / "models" / "script.yaml").write_text(yaml.safe_dump(card))
    words = ["run", "lab/texts", "--path", str(tmp_path), "--candidate", "script"]
    words += ["--no-tracking", "--runs", str(tmp_path / "runs")]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (run,) = (tmp_path / "runs").iterdir()
    for name in ("results.json", "report.nl.html", "report.en.html"):
        assert "akelige zin" not in (run / name).read_text(encoding="utf-8")
    assert "Er zijn geen vragen beantwoord" not in (run / "report.nl.html").read_text()
    assert "De toets vraagt om geen teksten te tonen" in (run / "report.nl.html").read_text()


def test_a_control_spec_needs_no_mirror() -> None:
    """The invented items of a control travel with the task."""
    spec = CATALOG.task("bias/hatecheck_nl").spec
    planted = [c for c in spec.controls if isinstance(c, ControlSpec) and c.items is not None]
    (control,) = planted
    assert control.items is not None
    file = ROOT / "suites" / "bias" / str(control.items.args["file"])
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 72
    assert all(row["text"].startswith("voorbeeld ") for row in rows)
