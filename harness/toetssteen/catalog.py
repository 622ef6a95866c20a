"""Every suite, task and candidate by name: bundled, from installed packages, from paths given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path

from toetssteen import content
from toetssteen.errors import UnknownNameError, UsageError
from toetssteen.spec import (
    CandidateSpec,
    Requirement,
    RequirementFile,
    SuiteSpec,
    TaskSpec,
    read,
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task with its name (`theme/task`) and the file that says it."""

    name: str
    file: Path
    spec: TaskSpec

    @property
    def theme(self) -> str:
        """The part before the slash: bias, privacy, energy or quality; or a lab's own."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite with its name and file."""

    name: str
    file: Path
    spec: SuiteSpec


@dataclass(frozen=True, slots=True)
class Card:
    """A candidate's card with its name and file."""

    name: str
    file: Path
    spec: CandidateSpec


class Catalog:
    """Looks names up; reads a file only when its name is asked for."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        """Search the bundled content, installed packages and the given paths.

        Args:
            paths: folders that hold `suites/` and, if wanted, `models/`.

        Raises:
            UsageError: a path does not exist or holds neither.
        """
        self.paths = tuple(paths)
        for path in self.paths:
            if not (path / "suites").is_dir() and not (path / "models").is_dir():
                raise UsageError(
                    f"--path {path}: holds no folder suites or models; name the folder above them"
                )

    @cached_property
    def _suite_folders(self) -> tuple[Path, ...]:
        return _unique(content.root("suites"), *self._extra("suites"))

    @cached_property
    def _model_folders(self) -> tuple[Path, ...]:
        return _unique(content.root("models"), *self._extra("models"))

    def _extra(self, kind: str) -> Iterable[Path]:
        for entry in entry_points(group="toetssteen.content"):
            try:
                yield Path(str(resources.files(entry.value))) / kind
            except ImportError as error:
                raise UsageError(
                    f"content {entry.name!r} is promised by an installed package as {entry.value},"
                    f" and is not there ({error}); reinstall that package, or uninstall it"
                ) from error
        for path in self.paths:
            yield path / kind

    @cached_property
    def task_files(self) -> Mapping[str, Path]:
        """Every task's name and file; two files of one name are an error."""
        return _by_name(
            (f"{file.parent.name}/{file.stem}", file)
            for folder in self._suite_folders
            for file in sorted(folder.glob("*/*.yaml"))
        )

    @cached_property
    def suite_files(self) -> Mapping[str, Path]:
        """Every suite's name and file."""
        return _by_name(
            (file.name.removesuffix(".suite.yaml"), file)
            for folder in self._suite_folders
            for file in sorted(folder.glob("*.suite.yaml"))
        )

    @cached_property
    def candidate_files(self) -> Mapping[str, Path]:
        """Every candidate's name and file."""
        return _by_name(
            (file.stem, file)
            for folder in self._model_folders
            for file in sorted(folder.glob("*.yaml"))
        )

    def task(self, name: str, *, where: str = "") -> Task:
        """Return a task.

        Args:
            name: theme/task.
            where: the file and field that name it, for the message.

        Raises:
            UnknownNameError: no task of that name.
            ContentError: its YAML is not what it should be.
        """
        if name not in self.task_files:
            # A suite may only name tasks; a reader may name either.
            known = [*self.task_files] if where else [*self.task_files, *self.suite_files]
            raise UnknownNameError("task", name, known, where=where)
        file = self.task_files[name]
        return Task(name, file, read(TaskSpec, file))

    def suite(self, name: str) -> Suite:
        """Return a suite; errors as for a task."""
        if name not in self.suite_files:
            raise UnknownNameError("suite", name, self.suite_files)
        file = self.suite_files[name]
        return Suite(name, file, read(SuiteSpec, file))

    def candidate(self, name: str) -> Card:
        """Return a candidate's card, by name or by the path of a YAML file."""
        if name.endswith((".yaml", ".yml")):
            file = Path(name)
            return Card(file.stem, file, read(CandidateSpec, file))
        if name not in self.candidate_files:
            raise UnknownNameError("candidate", name, self.candidate_files)
        file = self.candidate_files[name]
        return Card(name, file, read(CandidateSpec, file))

    def tasks(self, names: Iterable[str]) -> tuple[Task, ...]:
        """Return the tasks that suites and tasks name, each once, in the order given."""
        wanted: dict[str, Task] = {}
        for name in names:
            if name in self.suite_files:
                suite = self.suite(name)
                listed, where = suite.spec.tasks, f"{suite.file}: tasks"
            else:
                listed, where = (name,), ""
            for task in listed:
                if task not in wanted:
                    wanted[task] = self.task(task, where=where)
        return tuple(wanted.values())


def requirements() -> Mapping[str, Requirement]:
    """Return every requirement the project knows, by URN."""
    folder = content.root("reports") / "requirements"
    return {
        row.urn: row
        for file in sorted(folder.glob("*.yaml"))
        for row in read(RequirementFile, file).requirements
    }


def _unique(*folders: Path) -> tuple[Path, ...]:
    """Drop folders that are the same place: a checkout's own, named by `--path .` again."""
    return tuple({folder.resolve(): folder for folder in folders}.values())


def _by_name(found: Iterable[tuple[str, Path]]) -> Mapping[str, Path]:
    files: dict[str, Path] = {}
    for name, file in found:
        if name in files:
            raise UsageError(f"{name!r} is defined twice: {files[name]} and {file}; rename one")
        files[name] = file
    return files
