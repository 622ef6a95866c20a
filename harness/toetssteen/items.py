"""JSON Lines or CSV to items, with the digest of what was read.

A file of JSON Lines is checked from beginning to end, and read again where its items are asked
for: a million items take no more memory than a thousand.
"""

import csv
import io
import json
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256 as sha256_of
from itertools import islice
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np

from toetssteen import cache
from toetssteen.errors import ContentError, NotFetchedError, did_you_mean
from toetssteen.records import Item
from toetssteen.registry import call, load
from toetssteen.spec import PluginRef, beside

# Rows that are read in one go; of so many only the place of the first is kept.
ROWS_TOGETHER = 64
Labels = Mapping[str, Mapping[str, str]]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and where it stands."""

    line: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a source, with the sha256 of the bytes they came from.

    A source with few rows gives a tuple; one with many, a sequence that reads them. `labels` says
    in Dutch and English what the values of its groups mean, where the source knows.
    """

    file: Path
    digest: str
    rows: Sequence[Row]
    labels: Labels = field(default_factory=dict)


def read_jsonl(
    folder: Path, *, file: str, sha256: str | None = None, url: str | None = None
) -> Table:
    """Read JSON Lines: one object a line, each with an `id`.

    Args:
        folder: where relative file names start.
        file: the file's name; with `url`, only a name for messages.
        sha256: the digest the file must have; needed with `url`.
        url: where `toets fetch` gets the file, if it does not lie beside the YAML.

    Raises:
        ContentError: missing, another digest, or a line that is not a JSON object.
    """
    source = _source(folder, file=file, sha256=sha256, url=url)
    survey = _survey(source)
    source.check(survey.digest)
    if survey.no_text is not None:
        raise ContentError(source.named, "is not UTF-8 text", line=survey.no_text)
    rows = JsonRows(source, survey)
    for number, line in rows.lines():
        _check_line(source.named, number, line)
    return Table(source.named, survey.digest, rows)


def _check_line(place: Path, number: int, line: str) -> None:
    try:
        fields = json.loads(line, object_pairs_hook=_object, parse_constant=_no_constant)
        if "\\u" in line:
            json.dumps(fields, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        problem = f"not valid JSON: {error.msg} (column {error.colno})"
        raise ContentError(place, problem, line=number) from None
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise ContentError(place, f"{half} is half a character", line=number) from None
    except (ValueError, RecursionError) as error:
        raise ContentError(place, f"not valid JSON: {error}", line=number) from None
    if not isinstance(fields, dict):
        raise ContentError(place, "should be a JSON object", line=number)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its pairs; Python would let the last of two equal names win."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice")
    return fields


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number; leave the field out, or write null")


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What shows that a file was changed."""

    size: int
    nanoseconds: int

    @classmethod
    def of(cls, stream: BinaryIO) -> "_Stamp":
        status = os.fstat(stream.fileno())
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a file of JSON Lines holds, and where, without the rows themselves.

    Args:
        stamp: of the file when it was read.
        digest: the sha256 of its bytes.
        size: how many rows it has.
        starts: of every 64th row, the byte where it begins.
        lines: of the same rows, the number of the line.
        no_text: the first line that is not UTF-8, if there is one.
    """

    stamp: _Stamp
    digest: str
    size: int
    starts: Sequence[int]
    lines: Sequence[int]
    no_text: int | None


def _survey(source: "_Source") -> _Survey:
    """Read a file line by line, so that it may be larger than the memory."""
    starts, lines, no_text = array("Q"), array("Q"), None
    digest = sha256_of()
    size = end = 0
    with source.opened() as stream:
        stamp = _Stamp.of(stream)
        for number, line in enumerate(stream, start=1):
            mark = len(BYTE_ORDER_MARK) if _is_marked(line, number) else 0
            start, end = end + mark, end + len(line)
            digest.update(line)
            try:
                blank = not line[mark:].decode().strip()
            except UnicodeDecodeError:
                blank, no_text = True, no_text or number
            if blank:
                continue
            if size % ROWS_TOGETHER == 0:
                starts.append(start)
                lines.append(number)
            size += 1
    return _Survey(stamp, digest.hexdigest(), size, starts, lines, no_text)


def _is_marked(line: bytes, number: int) -> bool:
    return number == 1 and line.startswith(BYTE_ORDER_MARK)


class JsonRows(Sequence[Row]):
    """The rows of a checked file of JSON Lines, read from it each time they are asked for."""

    def __init__(self, source: "_Source", survey: _Survey) -> None:
        """Read nothing yet."""
        self._source = source
        self._survey = survey
        # Who asks for one row mostly asks for the next one too.
        self._held: tuple[int, Sequence[tuple[int, str]]] = (-1, ())

    def __len__(self) -> int:
        """Return how many rows the file has."""
        return self._survey.size

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        """Read a row, or some.

        Raises:
            ContentError: the file was changed since it was checked.
        """
        if isinstance(index, slice):
            return tuple(self[place] for place in range(len(self))[index])
        part, within = divmod(range(len(self))[index], ROWS_TOGETHER)
        if part != self._held[0]:
            self._held = part, self._part(part)
        number, line = self._held[1][within]
        return Row(number, json.loads(line))

    def lines(self) -> Iterator[tuple[int, str]]:
        """Give every line that is not blank, with its number."""
        for part in range(len(self._survey.starts)):
            yield from self._part(part)

    def _part(self, part: int) -> Sequence[tuple[int, str]]:
        """Read the lines of 64 rows, or of those that are left at the end of the file."""
        wanted = min(ROWS_TOGETHER, len(self) - part * ROWS_TOGETHER)
        found: list[tuple[int, str]] = []
        with self._source.opened() as stream:
            if _Stamp.of(stream) == self._survey.stamp:
                stream.seek(self._survey.starts[part])
                for number, raw in enumerate(stream, start=self._survey.lines[part]):
                    line = raw.removesuffix(b"\n").decode()
                    if line.strip():
                        found.append((number, line))
                    if len(found) == wanted:
                        return found
        raise ContentError(
            self._source.named,
            "was changed while it was in use; leave it as it is, and give the command again",
        )


def read_csv(
    folder: Path,
    *,
    file: str,
    sha256: str | None = None,
    url: str | None = None,
    delimiter: str = ",",
) -> Table:
    """Read CSV with a header row; every field is text.

    The rows are kept in memory: a row may run over several lines, so that none can be read
    without all before it. What is too large for that belongs in JSON Lines.

    Raises:
        ContentError: missing, another digest, no header, a column named twice, or a row with
            more or fewer fields.
    """
    source = _source(folder, file=file, sha256=sha256, url=url)
    place = source.named
    with source.opened() as stream:
        raw = stream.read()
    digest = sha256_of(raw).hexdigest()
    source.check(digest)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ContentError(place, f"items.args.delimiter: {delimiter!r} is not one character")
    records = _records(place, _text(place, raw), delimiter)
    start, header = next(records, (0, []))
    if not header:
        raise ContentError(place, "is empty; expected a header row")
    for name in header:
        if header.count(name) > 1:
            raise ContentError(place, f"column {name!r} stands twice", line=start)
    rows = []
    for line, values in records:
        if len(values) != len(header):
            raise ContentError(
                place, f"{len(values)} fields, the header has {len(header)}", line=line
            )
        rows.append(Row(line, dict(zip(header, values, strict=True))))
    return Table(place, digest, tuple(rows))


def _records(place: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Give every record with the line it begins on, which is not where it ends; skip blanks."""
    # Strict: a quote that is never closed would otherwise take the rest of the file with it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for values in reader:
            if values:
                yield start, values
            start = reader.line_num + 1
    except csv.Error as error:
        raise ContentError(
            place, f"not valid CSV from here on: {error}; is a quote left open?", line=start
        ) from None


def read_table(source: PluginRef, *, yaml_file: Path) -> Table:
    """Read the rows a task names.

    Raises:
        ContentError: see the source.
        UnknownNameError: no such source.
    """
    where = f"{yaml_file}: items"
    plugin = load("items", source.name, file=beside(yaml_file, source), where=where)
    table = call(plugin, source.args, where=where, given=(yaml_file.parent,))
    if not isinstance(table, Table):
        raise TypeError(f"items source {source.name!r} returned {type(table).__name__}, not Table")
    return table


@dataclass(frozen=True, slots=True)
class Items(Sequence[Item]):
    """The items of a task, made from its rows each time they are asked for.

    Args:
        table: the rows, checked.
        groups: columns by which results are reported.
        clusters: columns that say which items are not independent.
        chosen: the places of the rows that take part, in order.
    """

    table: Table
    groups: tuple[str, ...]
    clusters: tuple[str, ...]
    chosen: Sequence[int]

    def __len__(self) -> int:
        """Return how many items take part."""
        return len(self.chosen)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> "Items": ...
    def __getitem__(self, index: int | slice) -> "Item | Items":
        """Return an item, or some, which are not read yet.

        Raises:
            ContentError: the file they stand in was changed since it was checked.
        """
        if isinstance(index, slice):
            return replace(self, chosen=self.chosen[index])
        return self._item(self.table.rows[self.chosen[index]])

    def spread(self, limit: int) -> "Items":
        """Take `limit` items evenly over the list: files are often sorted by group."""
        if limit >= len(self):
            return self
        places = (self.chosen[i * len(self) // limit] for i in range(limit))
        return replace(self, chosen=array("Q", places))

    def _item(self, row: Row) -> Item:
        return Item(
            id=_name(self.table, row, "id"),
            fields=row.fields,
            groups={column: _name(self.table, row, column) for column in self.groups},
            clusters={column: _name(self.table, row, column) for column in self.clusters},
        )


def to_items(
    table: Table,
    *,
    groups: tuple[str, ...] = (),
    clusters: tuple[str, ...] = (),
    columns: frozenset[str] = frozenset(),
) -> Items:
    """Turn rows into items; every named column must be in every row.

    Args:
        table: what the source gave.
        groups: columns by which results are reported.
        clusters: columns that say which items are not independent (template, passage, person).
        columns: what the scorer will ask for.

    Raises:
        ContentError: no rows, a missing column, an empty or repeated id, a group or cluster
            without a name.
    """
    if not table.rows:
        raise ContentError(table.file, "holds no items")
    ids = array("q")
    try:
        for row in table.rows:
            _check_columns(table, row, {"id", *groups, *clusters, *columns})
            ids.append(hash(_id(table, row)))
            for column in (*groups, *clusters):
                _name(table, row, column)
    except ContentError:
        _check_ids(table, ids)  # what is wrong on an earlier line is said first
        raise
    _check_ids(table, ids)
    return Items(table, groups, clusters, range(len(table.rows)))


def _check_columns(table: Table, row: Row, needed: set[str]) -> None:
    for column in sorted(needed - row.fields.keys()):
        raise ContentError(
            table.file,
            f"column {column!r} is missing{did_you_mean(column, row.fields)}",
            line=row.line,
        )


def _check_ids(table: Table, hashes: "array[int]") -> None:
    """See that no id stands twice in the rows whose hashes these are; sorts them.

    A hash is 8 bytes, an id with its place in a dict well over 100. Two ids may share a hash, so
    where two are equal the rows are read again.
    """
    ordered = np.asarray(hashes)
    ordered.sort()
    equal = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not equal:
        return
    seen: dict[str, int] = {}
    for row in islice(table.rows, len(hashes)):
        name = _id(table, row)
        if hash(name) not in equal:
            continue
        if name in seen:
            raise ContentError(
                table.file, f"id {name!r} stands on line {seen[name]} too", line=row.line
            )
        seen[name] = row.line


def _id(table: Table, row: Row) -> str:
    name = _name(table, row, "id")
    if not name.strip():
        raise ContentError(table.file, "id is empty", line=row.line)
    return name


def _name(table: Table, row: Row, column: str) -> str:
    """Return what identifies an item, a group or a cluster.

    `null` as a name would make one cluster of all that have none.
    """
    value = row.fields[column]
    if isinstance(value, str | int | float):  # true and false are ints
        return str(value)
    said = "empty (null)" if value is None else "a list or an object"
    raise ContentError(
        table.file, f"{column} is {said}; it should be text or a number", line=row.line
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """A file: its name in messages, where it lies (perhaps in the cache), what it should be."""

    named: Path
    file: Path
    sha256: str | None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        try:
            with self.file.open("rb") as stream:
                yield stream
        except OSError as error:
            raise ContentError(self.file, f"cannot be read: {error.strerror}") from None

    def check(self, found: str) -> None:
        if self.sha256 is None or found == self.sha256:
            return
        if self.file != self.named:
            raise ContentError(
                self.file,
                f"sha256 is {found}, not that of its name; delete it, run `toets fetch`",
            )
        raise ContentError(
            self.named,
            f"sha256 is {found}, the task says {self.sha256}; if the change is meant, put the new "
            "sha256 into the task and raise its version",
        )


def _source(folder: Path, *, file: str, sha256: str | None, url: str | None) -> _Source:
    place = folder / file
    if url is None:
        return _Source(place, place, sha256)
    if sha256 is None:
        raise ContentError(place, "items.args: a url needs the file's sha256")
    cached = cache.find(sha256)
    if cached is None:
        raise NotFetchedError(
            place, f"is not in the cache; run `toets fetch` (it comes from {url})"
        )
    return _Source(place, cached, sha256)


def _text(place: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ContentError(place, "is not UTF-8 text", line=line) from None
