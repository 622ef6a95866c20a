"""What was answered, append-only, one folder a run; a crash loses at most the blocks in flight.

`answers.jsonl` holds one JSON line an answer, and behind the answers of a block one line that
closes it. On opening, everything behind the last closing line is cut off: a block counts whole
or not at all, so that a resumed run asks in the same blocks and gets the same digits. Where the
candidate stopped in the middle of an item, a line holds what it did say; the next run asks the
rest.

The answers stay in the file; in memory is where each of them lies.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import Field, TypeAdapter

from toetssteen.errors import BusyError, ContentError, RunError
from toetssteen.records import Answer, Block, Failure, Request, Response
from toetssteen.run.kept import KeptAnswers


@dataclass(frozen=True, slots=True)
class Session:
    """One process that asked: when, on what, with which versions."""

    at: str  # ISO 8601, UTC
    candidate: Mapping[str, str]
    machine: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """A line with an answer."""

    answer: Answer
    line: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True)
class BlockLine:
    """The line that closes a block."""

    block: Block
    line: Literal["block"] = "block"


@dataclass(frozen=True, slots=True)
class SessionLine:
    """The line that opens a session."""

    session: Session
    line: Literal["session"] = "session"


@dataclass(frozen=True, slots=True)
class Partial:
    """What was answered of an item before the candidate stopped; None for the rest."""

    key: str
    responses: tuple[Annotated[Response, Field(discriminator="kind")] | None, ...]


@dataclass(frozen=True, slots=True)
class PartialLine:
    """A line with part of an answer; of no more use once the whole answer is there."""

    partial: Partial
    line: Literal["partial"] = "partial"


Line = AnswerLine | PartialLine | BlockLine | SessionLine
LINE: TypeAdapter[Line] = TypeAdapter(Line)


@dataclass(frozen=True, slots=True)
class _KeptAnswer(Answer):
    """An answer as it is read: told what tells requests apart, pydantic needs half the time."""

    requests: tuple[Annotated[Request, Field(discriminator="kind")], ...]
    responses: tuple[Annotated[Response, Field(discriminator="kind")], ...]

    def plain(self) -> Answer:
        return Answer(self.key, self.task, self.item, self.requests, self.responses)


@dataclass(frozen=True, slots=True)
class _KeptLine:
    answer: _KeptAnswer
    line: Literal["answer"] = "answer"


ReadLine = Annotated[
    _KeptLine | PartialLine | BlockLine | SessionLine, Field(discriminator="line")
]
READ_LINE: TypeAdapter[ReadLine] = TypeAdapter(ReadLine)
KEPT_LINE: TypeAdapter[_KeptLine] = TypeAdapter(_KeptLine)
# How `_lines` begins a line with an answer, and one with part of one.
BEFORE_KEY = b'{"answer":{"key":"'
BEFORE_PARTIAL = b'{"partial":'


@dataclass(slots=True)
class Answers:
    """What the store holds; of the answers, only where they are."""

    by_key: Mapping[str, Answer] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Closed:
    """A block whose closing line is on disk."""

    block: Block
    keys: Sequence[str]
    partials: Sequence[Partial]


class Store(AbstractContextManager["Store"]):
    """The folder of one run. Open it with `with`: one process at a time may write."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made until it is entered."""
        self.folder = folder
        self._file = folder / "answers.jsonl"
        self._lock = FileLock(folder / "lock")
        self._kept = KeptAnswers(self._lines_between, self._answer)
        self._partials: dict[str, Partial] = {}
        self.answers = Answers(self._kept)

    def __enter__(self) -> Self:
        """Take the lock, drop a torn block, read what is there.

        Raises:
            BusyError: another process holds the folder.
            RunError: the folder cannot be made or written.
            ContentError: a line in the middle is damaged.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                f"{self.folder}: another process is working on this run; wait for it, or give "
                "this run its own --runs folder"
            ) from None
        except OSError as error:
            raise RunError(f"{self.folder}: cannot be written: {error.strerror}") from None
        try:
            self._read(cut=True)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back."""
        self._lock.release()

    @classmethod
    def reading(cls, folder: Path) -> Self:
        """Return the store of a folder for reading only; a torn block is passed over.

        Raises:
            ContentError: the folder holds no run, or a line is damaged.
        """
        store = cls(folder)
        if not store.plan_file.is_file():
            raise ContentError(folder, "holds no run (no plan.json)")
        store._read(cut=False)
        return store

    @property
    def plan_file(self) -> Path:
        """Where the plan of the run stands."""
        return self.folder / "plan.json"

    def start(self, session: Session) -> None:
        """Note that a process begins to ask."""
        self._write(_lines([SessionLine(session)]))
        self.answers.sessions.append(session)

    def append(
        self, answers: Iterable[Answer], block: Block, partials: Iterable[Partial] = ()
    ) -> None:
        """Keep the answers of a block, on disk before this returns.

        Args:
            answers: to items all of whose requests were answered.
            block: that they were asked in.
            partials: what was answered of other items before the candidate stopped.

        Raises:
            RunError: the disk is full or the folder cannot be written; what was kept stays.
        """
        kept, parts = tuple(answers), tuple(partials)
        raw = _lines(map(AnswerLine, kept)) + _lines(map(PartialLine, parts))
        start = self._write(raw + _lines([BlockLine(block)]))
        keys = [answer.key for answer in kept]
        self._note(_Closed(block, keys, parts), start, start + len(raw))

    def has(self, key: str, *, retry_failed: bool = False) -> bool:
        """Is there an answer under the key (and, if asked, one that is not a failure)?"""
        if not retry_failed:
            return key in self.answers.by_key
        answer = self.answers.by_key.get(key)
        return answer is not None and not any(_passing(r) for r in answer.responses)

    def partial(self, key: str, *, retry_failed: bool = False) -> Sequence[Response | None]:
        """Return what is there of an answer that is not whole (if asked, without failures)."""
        found = self._partials.get(key)
        if found is None:
            return ()
        return [None if retry_failed and _passing(r) else r for r in found.responses]

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file beside the answers, whole or not at all."""
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        return self.write_text(name, text)

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file beside the answers, whole or not at all.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        target = self.folder / name
        part = self.folder / f".{name}.part"
        try:
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise RunError(f"{target}: cannot be written: {error.strerror}") from None
        return target

    def _note(self, closed: _Closed, start: int, end: int) -> None:
        self._kept.add(closed.keys, start, end)
        for key in closed.keys:
            self._partials.pop(key, None)
        self._partials.update((partial.key, partial) for partial in closed.partials)
        self.answers.blocks.append(closed.block)

    def _write(self, raw: bytes) -> int:
        """Append to the file, all or nothing; return the place where it begins."""
        try:
            with self._file.open("ab") as stream:
                whole = stream.tell()
                try:
                    stream.write(raw)
                    stream.flush()
                    os.fsync(stream.fileno())
                except OSError:
                    # A full disk may have taken half a block; the half goes.
                    os.ftruncate(stream.fileno(), whole)
                    raise
        except OSError as error:
            raise RunError(
                f"{self._file}: cannot be written: {error.strerror}; what was answered before is "
                "kept, and the same command continues"
            ) from None
        return whole

    def _read(self, *, cut: bool) -> None:
        if not self._file.is_file():
            return
        with self._file.open("rb") as stream:
            # Another process may be writing; what it adds from here on is not looked at.
            size = os.fstat(stream.fileno()).st_size
            end = self._read_lines(stream, size)
        if cut and end < size:
            with self._file.open("rb+") as stream:
                stream.truncate(end)

    def _read_lines(self, lines: Iterable[bytes], size: int) -> int:
        """Note what stands in so many bytes; return where the last whole block ends."""
        end, keys, partials = 0, list[str](), list[Partial]()
        start = 0
        for number, piece in enumerate(lines, start=1):
            begin, start = start, start + len(piece)
            if start > size or not piece.endswith(b"\n"):
                break
            match self._parse(piece, number, last=start == size):
                case _KeptLine(answer):
                    keys.append(answer.key)
                case PartialLine(partial):
                    partials.append(partial)
                case BlockLine(block):
                    self._note(_Closed(block, keys, partials), end, begin)
                    keys, partials, end = [], [], start
                case SessionLine(session):
                    # Only a crash leaves answers without their closing line.
                    self.answers.sessions.append(session)
                    keys, partials, end = [], [], start
                case None:
                    break
        return end

    def _lines_between(self, start: int, end: int) -> Mapping[str, bytes]:
        try:
            with self._file.open("rb") as stream:
                stream.seek(start)
                lines = stream.read(end - start).splitlines()
        except OSError as error:
            raise ContentError(self._file, f"cannot be read: {error.strerror}") from None
        return {self._key(line): line for line in lines if not line.startswith(BEFORE_PARTIAL)}

    def _key(self, line: bytes) -> str:
        """Return the key of a line; a line as we write it need not be parsed for it."""
        key, quote, _ = line.removeprefix(BEFORE_KEY).partition(b'"')
        if line.startswith(BEFORE_KEY) and quote and b"\\" not in key:
            return key.decode()
        return self._answer(line).key

    def _answer(self, line: bytes) -> Answer:
        """Read a line that was read before, when the file was opened."""
        try:
            return KEPT_LINE.validate_json(line).answer.plain()
        except ValueError:
            raise ContentError(
                self._file, "was changed while it was in use; restore the file from a backup"
            ) from None

    def _parse(self, piece: bytes, number: int, *, last: bool) -> ReadLine | None:
        try:
            return READ_LINE.validate_json(piece)
        except ValueError:
            if last:
                return None
            raise ContentError(
                self._file, "is damaged; restore the file from a backup", line=number
            ) from None


def _lines(lines: Iterable[Line]) -> bytes:
    return b"".join(LINE.dump_json(line) + b"\n" for line in lines)


def _passing(response: object) -> bool:
    """Could asking again help? Too long stays too long."""
    return isinstance(response, Failure) and response.why in {"error", "timeout"}
