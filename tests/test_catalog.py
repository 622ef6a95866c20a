"""Names to suites, tasks and candidates: bundled, of a lab, and mistyped."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from toetssteen import catalog as catalog_module
from toetssteen import content
from toetssteen.catalog import Catalog, requirements
from toetssteen.errors import ContentError, UnknownNameError, UsageError
from toetssteen.items import read_table, to_items
from toetssteen.registry import load
from toetssteen.spec import HubWeights

BUNDLED = Catalog()

TASK = """\
version: 1
title: {nl: Eigen, en: Own}
licence: EUPL-1.2
source: lab
items: {name: jsonl, args: {file: x.jsonl}}
scorer: {name: answered}
metrics: [{name: rate}]
"""

CARD = "title: Eigen\nadapter: {name: scripted}\nlicence: EUPL-1.2\n"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Return a lab's own folder with the task lab/own, the suite mine and the candidate own."""
    folder = tmp_path / "lab"
    write(folder / "suites" / "lab" / "own.yaml", TASK)
    suite = "title: {nl: Van mij, en: Mine}\ntasks: [lab/own, quality/reading, lab/own]\n"
    write(folder / "suites" / "mine.suite.yaml", suite)
    write(folder / "models" / "own.yaml", CARD)
    return folder


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


# --- what is bundled --------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED.task_files)
def test_every_bundled_task_reads_with_its_items_and_plugins(name: str) -> None:
    task = BUNDLED.task(name)
    spec = task.spec
    assert task.theme in {"bias", "privacy", "energy", "quality"}
    sources = [spec.items, *(control.items for control in spec.controls if control.items)]
    for source in sources:
        assert "sha256" in source.args, "items that may change unseen"
        if "url" not in source.args:
            table = read_table(source, yaml_file=task.file)
            groups = spec.groups if source is spec.items else ()
            assert to_items(table, groups=groups)
    for kind, ref in (("scorers", spec.scorer), *(("metrics", m) for m in spec.metrics)):
        assert load(kind, ref.name)


@pytest.mark.parametrize("name", BUNDLED.task_files)
def test_every_bundled_task_bears_on_requirements_that_the_project_knows(name: str) -> None:
    task = BUNDLED.task(name)
    assert task.spec.requirements
    assert set(task.spec.requirements) <= requirements().keys()


@pytest.mark.parametrize("name", BUNDLED.suite_files)
def test_every_bundled_suite_names_tasks_that_exist(name: str) -> None:
    suite = BUNDLED.suite(name)
    assert [task.name for task in BUNDLED.tasks([name])] == list(suite.spec.tasks)


@pytest.mark.parametrize("name", BUNDLED.candidate_files)
def test_every_bundled_candidate_reads_and_its_adapter_exists(name: str) -> None:
    card = BUNDLED.candidate(name)
    assert card.name == name
    assert load("adapters", card.spec.adapter.name)


@pytest.mark.parametrize("name", BUNDLED.candidate_files)
def test_a_bundled_card_says_what_a_reader_should_know(name: str) -> None:
    """In both languages; and what could not be run here does not say that it was."""
    spec = BUNDLED.candidate(name).spec
    assert spec.notes is not None
    assert spec.languages
    weights = spec.weights
    if isinstance(weights, HubWeights):
        assert not spec.verified
        said = (weights.revision is None, "revisie is hier niet bekend" in spec.notes.nl)
        assert said in {(True, True), (False, False)}


def test_something_is_bundled() -> None:
    """Without this, a wrong folder would make the tests above pass with nothing to test."""
    assert "quality/reading" in BUNDLED.task_files
    assert "quick" in BUNDLED.suite_files
    assert "smollm2-135m-instruct" in BUNDLED.candidate_files
    assert "urn:nl:ak:ver:aia-10" in requirements()


@pytest.mark.parametrize("kind", ["suites", "models", "reports"])
def test_in_a_checkout_content_is_what_lies_beside_the_harness(
    kind: content.Kind, root: Path
) -> None:
    assert content.root(kind) == root / kind
    assert content.root(kind).is_dir()


# --- names that are not there -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda: BUNDLED.task("quality/readign"),
            "unknown task 'quality/readign'; did you mean 'quality/reading'?",
        ),
        (
            lambda: BUNDLED.tasks(["quik"]),  # a task or a suite: both are offered
            "unknown task 'quik'; did you mean 'quick'?",
        ),
        (lambda: BUNDLED.suite("quik"), "unknown suite 'quik'; did you mean 'quick'?"),
        (
            lambda: BUNDLED.candidate("smollm2-135m"),
            "unknown candidate 'smollm2-135m'; did you mean 'smollm2-135m-instruct'?",
        ),
    ],
    ids=["task", "task or suite", "suite", "candidate"],
)
def test_an_unknown_name_offers_the_nearest(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        ask()
    assert str(caught.value) == said
    assert caught.value.exit_code == 2


def test_with_nothing_near_what_there_is_is_listed() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'zzz'; there is bias, bias/bbq_age"):
        BUNDLED.task("zzz")


def test_a_suite_that_names_an_unknown_task_says_which_suite(lab: Path) -> None:
    file = write(
        lab / "suites" / "mine.suite.yaml",
        "title: {nl: Van mij, en: Mine}\ntasks: [lab/own, lab/onw]\n",
    )
    with pytest.raises(UnknownNameError) as caught:
        Catalog([lab]).tasks(["mine"])
    said = f"{file}: tasks: unknown task 'lab/onw'; did you mean 'lab/own'?"
    assert str(caught.value) == said


def test_a_suite_may_not_name_a_suite_and_none_is_offered(lab: Path) -> None:
    write(lab / "suites" / "mine.suite.yaml", "title: {nl: a, en: b}\ntasks: [quickk]\n")
    with pytest.raises(UnknownNameError) as caught:
        Catalog([lab]).tasks(["mine"])
    assert "did you mean" not in str(caught.value)


# --- a lab's own ------------------------------------------------------------------------------


def test_a_labs_own_stands_beside_what_is_bundled(lab: Path) -> None:
    catalog = Catalog([lab])
    assert catalog.task("lab/own").file == lab / "suites" / "lab" / "own.yaml"
    assert catalog.task("lab/own").theme == "lab"
    assert catalog.candidate("own").spec.title == "Eigen"
    assert catalog.task("quality/reading").spec == BUNDLED.task("quality/reading").spec


def test_tasks_come_once_in_the_order_given(lab: Path) -> None:
    catalog = Catalog([lab])
    named = [task.name for task in catalog.tasks(["energy/requests", "mine", "quality/reading"])]
    assert named == ["energy/requests", "lab/own", "quality/reading"]


def test_a_fault_in_one_file_leaves_the_others_usable(lab: Path) -> None:
    write(lab / "suites" / "lab" / "broken.yaml", "version: [")
    catalog = Catalog([lab])
    assert catalog.task("lab/own")
    with pytest.raises(ContentError, match=r"broken\.yaml:2: not valid YAML"):
        catalog.task("lab/broken")


@pytest.mark.parametrize("again", ["quality/reading", "lab/own"])
def test_a_name_defined_twice_names_both_files(again: str, lab: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other" / "suites" / f"{again}.yaml", TASK)
    first = Catalog([lab]).task_files[again]
    with pytest.raises(UsageError) as caught:
        Catalog([lab, tmp_path / "other"]).task(again)
    assert str(caught.value) == f"{again!r} is defined twice: {first} and {other}; rename one"


def test_the_same_folder_named_again_is_no_second_definition(
    lab: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--path .` in the checkout, or the same folder by a relative path."""
    monkeypatch.chdir(lab.parent)
    catalog = Catalog([lab, Path("lab"), root])
    assert catalog.task("lab/own")
    assert catalog.task("quality/reading")


@pytest.mark.parametrize("place", ["nowhere", "lab/suites", "lab/models/own.yaml"])
def test_a_path_without_suites_or_models_says_what_to_name(
    place: str, lab: Path, tmp_path: Path
) -> None:
    assert lab.is_dir()
    with pytest.raises(UsageError) as caught:
        Catalog([tmp_path / place])
    said = "holds no folder suites or models; name the folder above them"
    assert str(caught.value) == f"--path {tmp_path / place}: {said}"


@pytest.mark.parametrize("kind", ["suites", "models"])
def test_a_path_may_hold_only_one_of_the_two(kind: str, tmp_path: Path) -> None:
    (tmp_path / kind).mkdir()
    assert "quick" in Catalog([tmp_path]).suite_files


def test_a_candidate_can_be_the_path_of_a_card(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = BUNDLED.candidate(str(lab / "models" / "own.yaml"))
    assert (card.name, card.spec.title) == ("own", "Eigen")
    monkeypatch.chdir(lab / "models")
    assert BUNDLED.candidate("own.yaml").spec == card.spec


def test_a_card_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"own\.yaml: cannot be read: No such file"):
        BUNDLED.candidate(str(tmp_path / "own.yaml"))


# --- of installed packages --------------------------------------------------------------------


def install(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = EntryPoint("hu", value, "toetssteen.content")
    monkeypatch.setattr(
        catalog_module, "entry_points", lambda *, group: [entry] if group == entry.group else []
    )


def test_the_content_of_an_installed_package_joins_in(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = lab.rename(lab.with_name("hu_toetsen"))
    write(package / "__init__.py", "")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "hu_toetsen", raising=False)
    install(monkeypatch, "hu_toetsen")
    assert Catalog().task("lab/own").file == package / "suites" / "lab" / "own.yaml"
    assert Catalog().candidate("own")


def test_a_package_that_promises_content_and_has_none_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, "hu_gone")
    with pytest.raises(UsageError) as caught:
        Catalog().task("quality/reading")
    assert "content 'hu' is promised by an installed package as hu_gone" in str(caught.value)
    assert "uninstall it" in str(caught.value)
