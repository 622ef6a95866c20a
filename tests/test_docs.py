"""The documents hold: every key and name is explained, links lead somewhere, examples run."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from inspect import signature
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from toetssteen.cli import main
from toetssteen.records import Answered, Says, Status
from toetssteen.registry import BUILT_IN, Kind, load
from toetssteen.run.controls import SUBJECTS
from toetssteen.spec import (
    Band,
    BudgetSpec,
    CandidateSpec,
    ControlSpec,
    EndpointSpec,
    FunctionSpec,
    HubWeights,
    MetricRef,
    MlflowWeights,
    PackageWeights,
    PathWeights,
    PluginRef,
    PriceSpec,
    RouteSpec,
    SuiteSpec,
    TableSpec,
    TaskSpec,
    Text,
)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = (DOCS / "een-toets-toevoegen.md", DOCS / "adding-a-task.md")
CANDIDATES = DOCS / "candidates.md"
LINKED = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))

# What no measurement can show, so no text of ours may say it (CONTRIBUTING.md, Rules).
BANNED = (
    "AI Act compliant",
    "conform de AI-verordening",
    "gecertificeerd",
    "goedgekeurd",
    "discriminatievrij",
    "AVG-proof",
    "bewijst dat",
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A piece of code in a document, and the file it belongs in, if the text names one."""

    kind: str
    text: str
    file: str | None


def blocks(document: Path) -> Iterator[Block]:
    """Give every block of code, in order."""
    text = document.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        named = re.search(r"`([^`\s]+)`:\n\n$", text[: fence.start()])
        yield Block(fence[1], fence[2], named[1] if named else None)


def prose(document: Path) -> str:
    """Return a document without its blocks of code."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def unnamed(names: set[str], document: Path) -> set[str]:
    """Return the names that do not stand in a document as `name`."""
    return names - set(re.findall(r"`([^`\n]+)`", prose(document)))


def arguments(kind: Kind, name: str) -> set[str]:
    """Return what the YAML may give a built-in plugin; the folder of a source is ours to give."""
    given = {"folder"} if kind == "items" else set()
    return set(signature(load(kind, name)).parameters) - given


def tracked(*endings: str) -> list[Path]:
    """Return the files of the checkout that git knows or would know."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / line for line in listed.stdout.splitlines() if line.endswith(endings)]
    return [file for file in files if file.is_file()]


# --- keys and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "spec", [TaskSpec, SuiteSpec, PluginRef, MetricRef, ControlSpec, Band, Text]
)
def test_every_key_of_a_task_is_explained(spec: type[BaseModel], guide: Path) -> None:
    keys = set(spec.model_fields)
    if spec is SuiteSpec:
        keys -= {"tasks"}  # shown, in the example of a suite
        assert "\ntasks: [" in guide.read_text(encoding="utf-8")
    assert not unnamed(keys, guide)


@pytest.mark.parametrize(
    "spec",
    [
        *(CandidateSpec, PackageWeights, HubWeights, PathWeights, MlflowWeights, TableSpec),
        *(EndpointSpec, PriceSpec, BudgetSpec, RouteSpec, FunctionSpec),
    ],
)
def test_every_key_of_a_card_is_explained(spec: type[BaseModel]) -> None:
    assert not unnamed(set(spec.model_fields), CANDIDATES)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
@pytest.mark.parametrize("vocabulary", [Status, Answered, Says])
def test_every_word_in_a_result_is_explained(vocabulary: type[StrEnum], guide: Path) -> None:
    assert not unnamed({word.value for word in vocabulary}, guide)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", ["scorers", "metrics", "items"])
def test_every_plugin_of_a_task_is_named_with_its_arguments(kind: Kind, guide: Path) -> None:
    for name in BUILT_IN[kind]:
        assert not unnamed({name} | arguments(kind, name), guide), f"{kind} {name}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_control_subject_is_named_with_its_arguments(guide: Path) -> None:
    for name, subject in SUBJECTS.items():
        assert not unnamed({name} | set(signature(subject).parameters), guide), name


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_group_of_entry_points_is_named(guide: Path) -> None:
    assert not unnamed({f"toetssteen.{kind}" for kind in (*BUILT_IN, "content")}, guide)


def test_every_adapter_is_named() -> None:
    assert not unnamed(set(BUILT_IN["adapters"]), CANDIDATES)


def test_every_command_is_named() -> None:
    """In the README or in a guide, as `toets run` or in the README's table."""
    named = "\n".join(path.read_text(encoding="utf-8") for path in LINKED)
    commands = main.list_commands(click.Context(main))
    missing = [name for name in commands if not re.search(rf"\btoets {name}\b", named)]
    assert commands
    assert not missing


# --- the two guides ----------------------------------------------------------------------------


def test_the_guides_have_the_same_shape() -> None:
    """The same headings at the same depth, the same tables, the same links."""
    shapes = [
        [
            re.match(r"#+|\|", line)[0]  # type: ignore[index]
            for line in prose(guide).splitlines()
            if line.startswith(("#", "|"))
        ]
        for guide in GUIDES
    ]
    assert shapes[0] == shapes[1]


def test_the_guides_show_the_same_code() -> None:
    """Only a tree of files with remarks, in `text`, differs between the languages."""
    dutch, english = (list(blocks(guide)) for guide in GUIDES)
    assert [(b.kind, b.file) for b in dutch] == [(b.kind, b.file) for b in english]
    for theirs, ours in zip(dutch, english, strict=True):
        assert theirs.kind == "text" or theirs.text == ours.text


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_the_guide_can_be_followed(
    guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write its files and type its commands, in order; what it shows is what comes out.

    Left out are the embedded model, which a test does not fetch, and the package, which a test
    does not install.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOETS_CACHE", str(tmp_path / "cache"))
    typed = 0
    for block in blocks(guide):
        if "pip install" in block.text:
            break
        if block.file is not None:
            file = tmp_path / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.kind == "console":
            typed += follow(block.text)
    assert typed >= 7


def follow(transcript: str) -> int:
    """Type the commands of a transcript and compare what is shown; return how many."""
    typed = 0
    said = ""
    for line in transcript.splitlines():
        if not line.startswith("$ "):
            assert line in said, f"not said: {line}"
        elif line.startswith("$ toets ") and "smollm2" not in line:
            result = CliRunner().invoke(main, line.split()[2:], catch_exceptions=False)
            assert result.exit_code == 0, f"{line}\n{result.output}"
            said, typed = result.output, typed + 1
    return typed


def test_the_result_that_the_guide_reads_is_the_one_that_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.667 [0.0211, 1], and 0.5 from 0.09 to 0.91."""
    test_the_guide_can_be_followed(GUIDES[1], tmp_path, monkeypatch)
    shown = [
        CliRunner().invoke(main, ["mark", str(run)], catch_exceptions=False).output
        for run in sorted((tmp_path / "runs").iterdir())
    ]
    flat = [re.sub(r"\s+", " ", text.replace("│", " ")) for text in shown]
    assert any("0.5 [0.0945, 0.905] 2 1 measured" in text for text in flat)
    assert any("0.667 [0.0211, 1] 6 0 measured" in text for text in flat)


# --- words and links ---------------------------------------------------------------------------


@pytest.mark.parametrize("document", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    """Files must be there, and headings too where a link names one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), f"{document.name}: {target}"
        assert not heading or heading in anchors(file), f"{document.name}: {target}"


def anchors(document: Path) -> set[str]:
    """Return the names by which a forge links to the headings of a document."""
    titles = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_no_text_claims_what_a_measurement_cannot_show() -> None:
    """A paragraph that says which words are banned may name them; every other may not."""
    found = []
    for file in tracked(".md", ".yaml", ".yml"):
        for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            text = re.sub(r"\s+", " ", paragraph).lower()
            if "banned" not in text:
                found += [f"{file.name}: {words}" for words in BANNED if words.lower() in text]
    assert not found


def test_the_banned_words_are_listed_for_contributors() -> None:
    text = re.sub(r"\s+", " ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert not [words for words in BANNED if f'"{words}"' not in text]


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)


def test_every_decision_stands_in_the_index() -> None:
    notes = sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))
    listed = re.findall(r"\((\d{4}-[^)]+\.md)\)", (DOCS / "adr" / "README.md").read_text())
    assert listed == notes
    assert [name[:4] for name in notes] == [f"{i:04}" for i in range(1, len(notes) + 1)]
