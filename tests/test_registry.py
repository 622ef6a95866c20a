"""Names to plugins, and the arguments that the YAML gives them."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal

import pytest

from toetssteen import registry
from toetssteen.errors import ContentError, UnknownNameError, UsageError
from toetssteen.registry import BUILT_IN, Kind, call, load, names

WHERE = "x.yaml: scorer"


@pytest.fixture(autouse=True)
def forget_user_modules() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("toetssteen_user_")]:
        del sys.modules[name]


# --- built in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, table in BUILT_IN.items() for name in table]
)
def test_every_built_in_name_leads_to_something_that_can_be_called(kind: Kind, name: str) -> None:
    plugin = load(kind, name)
    module, _, attribute = BUILT_IN[kind][name].partition(":")
    assert (plugin.__module__, plugin.__name__) == (module, attribute)
    assert callable(plugin)
    assert (plugin.__doc__ or "").strip(), "what `toets list` would say of it"


@pytest.mark.slow
def test_the_heavy_half_of_the_causal_adapter_is_where_the_adapter_says() -> None:
    """`CausalAdapter.open` imports it by name, which no type checker sees."""
    assert callable(import_module("toetssteen.candidates.causal").open_causal)
    assert callable(import_module("toetssteen.candidates.gguf").as_safetensors)


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("scorers", "short_anser", "unknown scorer 'short_anser'; did you mean 'short_answer'?"),
        ("metrics", "rat", "unknown metric 'rat'; did you mean 'rate'?"),
        ("adapters", "causl", "unknown adapter 'causl'; did you mean 'causal'?"),
        ("meters", "zzz", "unknown meter 'zzz'; there is none, powercap"),
        ("items", "json", "unknown source of items 'json'; did you mean 'jsonl'?"),
    ],
)
def test_a_mistyped_name_offers_the_nearest(kind: Kind, name: str, said: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load(kind, name)
    assert str(caught.value) == said


def test_a_mistyped_name_says_who_asked_for_it() -> None:
    with pytest.raises(UnknownNameError, match=r"^x\.yaml: scorer: unknown scorer 'zzz'"):
        load("scorers", "zzz", where=WHERE)


# --- from a file ------------------------------------------------------------------------------

PLUGIN = '''\
"""A lab's own scorer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DialectGap:
    standard: str
    weights: tuple[float, ...] = (1.0,)


limit = 3
'''


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    file = tmp_path / "twents.py"
    file.write_text(PLUGIN)
    return file


def test_a_file_can_define_a_dataclass_whose_annotations_are_text(plugin_file: Path) -> None:
    """Unless the module is known to Python before it runs, this ends in an AttributeError."""
    plugin = load("scorers", "DialectGap", file=plugin_file)
    made = call(plugin, {"standard": "nl", "weights": [1, 2]}, where=WHERE)
    assert (made.standard, made.weights) == ("nl", (1.0, 2.0))


def test_a_file_is_run_once_and_two_files_of_one_name_are_two(
    plugin_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / plugin_file.name
    other.write_text(PLUGIN)
    first = load("scorers", "DialectGap", file=plugin_file)
    assert load("scorers", "DialectGap", file=plugin_file) is first
    assert load("scorers", "DialectGap", file=other) is not first


def test_a_name_in_a_file_hides_no_built_in_name(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("class rate:\n    pass\n")
    assert load("metrics", "rate", file=file) is not load("metrics", "rate")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DialectGpa", "defines no DialectGpa; did you mean 'DialectGap'?"),
        ("Zzz", "defines no Zzz; there is DialectGap, "),
        ("limit", "limit is not a class or function"),
    ],
)
def test_a_file_without_the_name_offers_the_nearest(
    name: str, said: str, plugin_file: Path
) -> None:
    with pytest.raises(ContentError) as caught:
        load("scorers", name, file=plugin_file)
    assert str(caught.value).startswith(f"{plugin_file}: {said}")


def test_a_file_that_is_not_there_or_not_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"gone\.py: no such file; it should define Gap"):
        load("scorers", "Gap", file=tmp_path / "gone.py")
    (tmp_path / "gap.txt").write_text("class Gap: ...")
    with pytest.raises(ContentError, match=r"gap\.txt: not a Python file"):
        load("scorers", "Gap", file=tmp_path / "gap.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nclass Gap(:\n", "own.py:2: not valid Python: invalid syntax"),
        ("import zeldzaam\n", "own.py: cannot be imported: No module named 'zeldzaam'"),
        ("from json import zeldzaam\n", "own.py: cannot be imported: cannot import name 'zeld"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why_each_time(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.py"
    file.write_text(text)
    for _ in range(2):  # a half-made module must not be found the second time
        with pytest.raises(ContentError) as caught:
            load("scorers", "Gap", file=file)
        assert str(caught.value).startswith(f"{tmp_path}/{said}")


def test_a_bug_in_a_plugin_keeps_its_traceback(tmp_path: Path) -> None:
    """It is the author's to mend, and the author needs to see where."""
    file = tmp_path / "own.py"
    file.write_text("1 / 0\n")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load("scorers", "Gap", file=file)


# --- from an installed package ----------------------------------------------------------------


def install(monkeypatch: pytest.MonkeyPatch, **entries: str) -> None:
    """Pretend that packages are installed that define these scorers."""
    group = "toetssteen.scorers"
    found = [EntryPoint(name, value, group) for name, value in entries.items()]
    monkeypatch.setattr(
        registry, "entry_points", lambda *, group: [e for e in found if e.group == group]
    )


def test_an_installed_plugin_stands_beside_the_built_in_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, fraction="fractions:Fraction", from_text="fractions:Fraction.from_float")
    assert set(names("scorers")) == {*BUILT_IN["scorers"], "fraction", "from_text"}
    assert names("metrics") == BUILT_IN["metrics"]
    assert load("scorers", "fraction").__name__ == "Fraction"
    assert load("scorers", "from_text")(0.5).denominator == 2


def test_a_package_that_takes_a_built_in_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, short_answer="hu_toetsen:Other")
    with pytest.raises(UsageError) as caught:
        load("scorers", "short_answer")
    assert str(caught.value) == (
        "scorers: 'short_answer' is defined twice, by "
        "toetssteen.scorers.short_answers:ShortAnswer and by hu_toetsen:Other; uninstall one of "
        "the two"
    )


@pytest.mark.parametrize("value", ["hu_gone:Gap", "fractions:Gap"])
def test_a_package_that_promises_a_plugin_and_has_none_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, gap=value)
    with pytest.raises(UsageError) as caught:
        load("scorers", "gap")
    assert f"'gap' is promised by an installed package as {value}" in str(caught.value)
    assert "reinstall that package, or uninstall it" in str(caught.value)


# --- arguments --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plugin:
    prompt: Mapping[str, str]
    max_tokens: int = 32
    bounds: tuple[float, float] | None = None
    stop: tuple[str, ...] = ()
    better: Literal["higher", "lower"] = "higher"


def test_yaml_lists_become_the_tuples_that_the_signature_asks_for() -> None:
    args = {"prompt": {"nl": "Lees."}, "bounds": [0, 1], "stop": ["\n", "."]}
    assert call(Plugin, args, where=WHERE) == Plugin(
        prompt={"nl": "Lees."}, bounds=(0.0, 1.0), stop=("\n", ".")
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, "args.prompt: is required"),
        ({"promt": {}}, "args.promt: unknown key; did you mean 'prompt'?"),
        ({"prompt": {}, "x": 1}, "args.x: unknown key; there is better, bounds, max_tokens, prom"),
        ({"prompt": "Lees."}, "args.prompt: should be a mapping of keys"),
        ({"prompt": {"nl": 3}}, "args.prompt.nl: should be text; put quotes around it"),
        ({"prompt": None}, "args.prompt: is empty"),
        ({"prompt": {}, "max_tokens": "veel"}, "args.max_tokens: should be a whole number"),
        ({"prompt": {}, "stop": "\n"}, "args.stop: should be a list"),
        ({"prompt": {}, "bounds": [0]}, "args.bounds.1: is required"),
        ({"prompt": {}, "bounds": [0, 1, 2]}, "args.bounds: should hold at most 2"),
        ({"prompt": {}, "better": "up"}, "args.better: should be 'higher' or 'lower', not 'up'"),
    ],
)
def test_a_wrong_argument_names_file_field_and_what_it_should_be(
    args: dict[str, Any], said: str
) -> None:
    with pytest.raises(ContentError) as caught:
        call(Plugin, args, where=WHERE)
    assert str(caught.value).startswith(f"{WHERE}: {said}")
    assert "\n" not in str(caught.value)


def test_every_wrong_argument_gets_a_line_of_its_own() -> None:
    with pytest.raises(ContentError) as caught:
        call(Plugin, {"prompt": 1, "max_tokens": "x"}, where=WHERE)
    assert str(caught.value).split("\n") == [
        f"{WHERE}: args.prompt: should be a mapping of keys",
        f"{WHERE}: args.max_tokens: should be a whole number",
    ]


def read(folder: Path, *, file: str, limit: int = 3) -> tuple[Path, str, int]:
    return folder, file, limit


def test_what_the_harness_gives_itself_the_yaml_cannot() -> None:
    folder = Path("suites")
    assert call(read, {"file": "x"}, where=WHERE, given=(folder,)) == (folder, "x", 3)
    with pytest.raises(ContentError, match=r"args\.folder: unknown key; did you mean 'file'"):
        call(read, {"file": "x", "folder": "/"}, where=WHERE, given=(folder,))


def test_a_plugin_without_arguments_takes_none() -> None:
    class Bare:
        pass

    assert isinstance(call(Bare, {}, where=WHERE), Bare)
    with pytest.raises(ContentError, match=r"args\.x: unknown key$"):
        call(Bare, {"x": 1}, where=WHERE)


def test_a_plugin_may_take_whatever_comes() -> None:
    def free(first: int, *more: int, **rest: int) -> tuple[int, tuple[int, ...], dict[str, int]]:
        return first, more, rest

    assert call(free, {"first": "1", "x": 2}, where=WHERE) == (1, (), {"x": 2})


def test_an_argument_may_have_a_name_that_pydantic_uses_itself() -> None:
    def plugin(json: tuple[str, ...], model_config: int, _own: str = "") -> tuple[Any, ...]:
        return json, model_config, _own

    args = {"json": ["a"], "model_config": 1, "_own": "x"}
    assert call(plugin, args, where=WHERE) == (("a",), 1, "x")


def test_an_argument_without_annotation_comes_as_it_is() -> None:
    def plugin(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return x

    assert call(plugin, {"x": [1, "2"]}, where=WHERE) == [1, "2"]
