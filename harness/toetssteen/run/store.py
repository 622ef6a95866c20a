"""What was answered, append-only, one folder a run; a crash loses at most the block in flight.

`answers.jsonl` holds one JSON line an answer, and behind the answers of a block one line that
closes it. On opening, everything behind the last closing line is cut off: a block counts whole
or not at all, so that a resumed run asks in the same blocks and gets the same digits.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from toetssteen.errors import BusyError, ContentError, RunError
from toetssteen.records import Answer, Block, Failure


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


Line = AnswerLine | BlockLine | SessionLine
LINE: TypeAdapter[Line] = TypeAdapter(Line)


@dataclass(slots=True)
class Answers:
    """What the store holds, read into memory."""

    by_key: dict[str, Answer] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)


class Store(AbstractContextManager["Store"]):
    """The folder of one run. Open it with `with`: one process at a time may write."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made until it is entered."""
        self.folder = folder
        self._file = folder / "answers.jsonl"
        self._lock = FileLock(folder / "lock")
        self.answers = Answers()

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
        self._write([SessionLine(session)])
        self.answers.sessions.append(session)

    def append(self, answers: Iterable[Answer], block: Block) -> None:
        """Keep the answers of a block, on disk before this returns.

        Raises:
            RunError: the disk is full or the folder cannot be written; what was kept stays.
        """
        kept = tuple(answers)
        self._write([*map(AnswerLine, kept), BlockLine(block)])
        self.answers.by_key.update({answer.key: answer for answer in kept})
        self.answers.blocks.append(block)

    def has(self, key: str, *, retry_failed: bool = False) -> bool:
        """Is there an answer under the key (and, if asked, one that is not a failure)?"""
        answer = self.answers.by_key.get(key)
        if answer is None:
            return False
        return not (retry_failed and any(_passing(r) for r in answer.responses))

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

    def _write(self, lines: Iterable[Line]) -> None:
        raw = b"".join(LINE.dump_json(line) + b"\n" for line in lines)
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

    def _read(self, *, cut: bool) -> None:
        if not self._file.is_file():
            return
        raw = self._file.read_bytes()
        end, pending = 0, list[Answer]()
        start = 0
        for number, piece in enumerate(raw.split(b"\n")[:-1], start=1):
            start += len(piece) + 1
            match self._parse(piece, number, last=start == len(raw)):
                case AnswerLine(answer):
                    pending.append(answer)
                case BlockLine(block):
                    self.answers.by_key.update({answer.key: answer for answer in pending})
                    self.answers.blocks.append(block)
                    pending, end = [], start
                case SessionLine(session):
                    # Only a crash leaves answers without their closing line.
                    self.answers.sessions.append(session)
                    pending, end = [], start
                case None:
                    break
        if cut and end < len(raw):
            with self._file.open("rb+") as stream:
                stream.truncate(end)

    def _parse(self, piece: bytes, number: int, *, last: bool) -> Line | None:
        try:
            return LINE.validate_json(piece)
        except ValueError:
            if last:
                return None
            raise ContentError(
                self._file, "is damaged; restore the file from a backup", line=number
            ) from None


def _passing(response: object) -> bool:
    """Could asking again help? Too long stays too long."""
    return isinstance(response, Failure) and response.why in {"error", "timeout"}
