"""JSON Lines or CSV to items, with the digest of what was read."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path

from toetssteen import cache
from toetssteen.errors import ContentError, did_you_mean
from toetssteen.records import Item
from toetssteen.registry import call, load
from toetssteen.spec import PluginRef


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and where it stands."""

    line: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a source, with the sha256 of the bytes they came from."""

    file: Path
    digest: str
    rows: tuple[Row, ...]


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
    place, raw = _bytes(folder, file=file, sha256=sha256, url=url)
    rows = []
    for number, line in enumerate(_text(place, raw).split("\n"), start=1):
        if not line.strip():
            continue
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
        rows.append(Row(number, fields))
    return Table(place, sha256_of(raw).hexdigest(), tuple(rows))


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


def read_csv(
    folder: Path,
    *,
    file: str,
    sha256: str | None = None,
    url: str | None = None,
    delimiter: str = ",",
) -> Table:
    """Read CSV with a header row; every field is text.

    Raises:
        ContentError: missing, another digest, no header, a column named twice, or a row with
            more or fewer fields.
    """
    place, raw = _bytes(folder, file=file, sha256=sha256, url=url)
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
    return Table(place, sha256_of(raw).hexdigest(), tuple(rows))


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


def beside(yaml_file: Path, ref: PluginRef) -> Path | None:
    """Return the file a plugin stands in, if it has one; only files beside the YAML are run.

    Raises:
        ContentError: it lies outside the folder of the YAML.
    """
    if ref.file is None:
        return None
    place = (yaml_file.parent / ref.file).resolve()
    if not place.is_relative_to(yaml_file.parent.resolve()):
        raise ContentError(yaml_file, f"file: {ref.file}: lies outside the folder of the YAML")
    return place


def to_items(
    table: Table,
    *,
    groups: tuple[str, ...] = (),
    clusters: tuple[str, ...] = (),
    columns: frozenset[str] = frozenset(),
) -> tuple[Item, ...]:
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
    needed = {"id", *groups, *clusters, *columns}
    return tuple(_items(table, needed=needed, groups=groups, clusters=clusters))


def _items(
    table: Table, *, needed: set[str], groups: tuple[str, ...], clusters: tuple[str, ...]
) -> Iterator[Item]:
    seen: dict[str, int] = {}
    for row in table.rows:
        for column in sorted(needed - row.fields.keys()):
            raise ContentError(
                table.file,
                f"column {column!r} is missing{did_you_mean(column, row.fields)}",
                line=row.line,
            )
        name = _name(table, row, "id")
        if not name.strip():
            raise ContentError(table.file, "id is empty", line=row.line)
        if name in seen:
            raise ContentError(
                table.file, f"id {name!r} stands on line {seen[name]} too", line=row.line
            )
        seen[name] = row.line
        yield Item(
            id=name,
            fields=row.fields,
            groups={column: _name(table, row, column) for column in groups},
            clusters={column: _name(table, row, column) for column in clusters},
        )


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


def _bytes(folder: Path, *, file: str, sha256: str | None, url: str | None) -> tuple[Path, bytes]:
    place = folder / file
    if url is not None:
        if sha256 is None:
            raise ContentError(place, "items.args: a url needs the file's sha256")
        cached = cache.find(sha256)
        if cached is None:
            raise ContentError(
                place, f"is not in the cache; run `toets fetch` (it comes from {url})"
            )
        raw = _read(cached)
        if (found := sha256_of(raw).hexdigest()) != sha256:
            raise ContentError(
                cached, f"sha256 is {found}, not that of its name; delete it, run `toets fetch`"
            )
        return place, raw
    raw = _read(place)
    found = sha256_of(raw).hexdigest()
    if sha256 is not None and found != sha256:
        raise ContentError(
            place,
            f"sha256 is {found}, the task says {sha256}; if the change is meant, put the new "
            "sha256 into the task and raise its version",
        )
    return place, raw


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError as error:
        raise ContentError(place, f"cannot be read: {error.strerror}") from None


def _text(place: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ContentError(place, "is not UTF-8 text", line=line) from None
