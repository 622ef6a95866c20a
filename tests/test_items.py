"""From a file to items: what is read, what is refused, and on which line."""

import csv
import io
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toetssteen import cache
from toetssteen import items as items_module
from toetssteen.errors import ContentError, RunError, UnknownNameError, UsageError
from toetssteen.items import ROWS_TOGETHER, Row, Table, read_csv, read_jsonl, read_table, to_items
from toetssteen.spec import PluginRef


def jsonl(folder: Path, raw: str | bytes, **args: Any) -> Table:
    (folder / "x.jsonl").write_bytes(raw.encode() if isinstance(raw, str) else raw)
    return read_jsonl(folder, file="x.jsonl", **args)


def from_csv(folder: Path, raw: str | bytes, **args: Any) -> Table:
    (folder / "x.csv").write_bytes(raw.encode() if isinstance(raw, str) else raw)
    return read_csv(folder, file="x.csv", **args)


def rows(*fields: dict[str, object]) -> Table:
    """Return a table whose rows stand on line 1, 2, …"""
    numbered = tuple(Row(line, row) for line, row in enumerate(fields, start=1))
    return Table(Path("x.jsonl"), "0" * 64, numbered)


def digest(raw: bytes) -> str:
    return sha256(raw).hexdigest()


# --- JSON Lines -------------------------------------------------------------------------------


def test_every_line_becomes_a_row_that_knows_where_it_stands(tmp_path: Path) -> None:
    raw = '{"id": "a", "n": 1}\n\n   \n{"id": "b", "n": null}\n'
    table = jsonl(tmp_path, raw)
    assert tuple(table.rows) == (Row(1, {"id": "a", "n": 1}), Row(4, {"id": "b", "n": None}))
    assert table.digest == digest(raw.encode())
    assert table.file == tmp_path / "x.jsonl"


@pytest.mark.parametrize(
    "raw",
    [
        b'\xef\xbb\xbf{"id": "a"}\n{"id": "b"}\n',
        b'{"id": "a"}\r\n{"id": "b"}\r\n',
        b'{"id": "a"}\n{"id": "b"}',
    ],
    ids=["byte order mark", "Windows line ends", "no last line end"],
)
def test_what_editors_add_or_leave_out_makes_no_difference(raw: bytes, tmp_path: Path) -> None:
    assert [row.fields["id"] for row in jsonl(tmp_path, raw).rows] == ["a", "b"]


@pytest.mark.parametrize("char", ["\N{LINE SEPARATOR}", "\N{PARAGRAPH SEPARATOR}", "\x85"])
def test_a_line_separator_inside_a_text_does_not_split_the_line(char: str, tmp_path: Path) -> None:
    """str.splitlines would; JSON allows them in strings as they are."""
    table = jsonl(tmp_path, f'{{"id": "a", "t": "x{char}y"}}\n{{"id": "b"}}\n')
    assert table.rows[0].fields["t"] == f"x{char}y"
    assert table.rows[1].line == 2


@settings(deadline=None, max_examples=40)
@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none())))
def test_what_is_written_as_json_lines_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, object]]
) -> None:
    raw = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written)
    table = jsonl(tmp_path_factory.mktemp("jsonl"), raw)
    assert [row.fields for row in table.rows] == written
    assert [row.line for row in table.rows] == list(range(1, len(written) + 1))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ('{"id": "b"', "not valid JSON: Expecting ',' delimiter (column 11)"),
        ("{'id': 'b'}", "not valid JSON: Expecting property name enclosed in double quotes"),
        ('{"id": "b"} {"id": "c"}', "not valid JSON: Extra data (column 13)"),
        ('["b"]', "should be a JSON object"),
        ('"b"', "should be a JSON object"),
        ("null", "should be a JSON object"),
        ('{"id": "b", "x": NaN}', "NaN is no number; leave the field out, or write null"),
        ('{"id": "b", "x": -Infinity}', "-Infinity is no number"),
        ('{"id": "b", "id": "c"}', "'id' stands twice"),
        ('{"id": "b", "x": {"y": 1, "y": 1}}', "'y' stands twice"),
        (r'{"id": "b", "x": "cut \ud83d"}', r"'\ud83d' is half a character"),
        ('{"id": "b", "x": ' + "9" * 5000 + "}", "not valid JSON: Exceeds the limit"),
        ('{"id": "b", "x": ' + "[" * 100_000, "not valid JSON: "),
    ],
)
def test_a_line_that_is_no_json_object_is_named(second: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ContentError) as caught:
        jsonl(tmp_path, f'{{"id": "a"}}\n{second}\n')
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'x.jsonl'}:2: ")
    assert said in message
    assert "\n" not in message


def test_a_whole_character_written_in_two_halves_is_one_character(tmp_path: Path) -> None:
    table = jsonl(tmp_path, r'{"id": "a", "t": "\ud83d\ude42"}')
    assert table.rows[0].fields["t"] == "🙂"


def test_text_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"x\.jsonl:2: is not UTF-8 text"):
        jsonl(tmp_path, b'{"id": "a"}\n{"id": "caf\xe9"}\n')


def test_an_empty_file_holds_no_items(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"x\.jsonl: holds no items"):
        to_items(jsonl(tmp_path, "\n"))


@pytest.mark.parametrize("read", [read_jsonl, read_csv])
def test_a_missing_file_is_named(read: Any, tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"nothere: cannot be read: No such file"):
        read(tmp_path, file="nothere")


def numbered(n: int) -> str:
    """Return n rows, with a blank line now and then."""
    return "".join(f'{{"id": "{i}"}}\n' + "\n" * (i % 50 == 7) for i in range(n))


@pytest.mark.parametrize("n", [1, ROWS_TOGETHER, ROWS_TOGETHER + 1, 3 * ROWS_TOGETHER - 1])
@pytest.mark.parametrize("mark", ["", "\ufeff", "\ufeff\n", "\n\n"])
def test_rows_that_are_read_again_are_the_same_in_any_order(
    n: int, mark: str, tmp_path: Path
) -> None:
    rows = jsonl(tmp_path, mark + numbered(n)).rows
    once = list(rows)
    assert [row.fields["id"] for row in once] == [str(i) for i in range(n)]
    assert list(rows) == once
    assert [rows[i] for i in reversed(range(-n, n))] == [*reversed(once), *reversed(once)]
    assert list(rows[1:-1:3]) == once[1:-1:3]
    with pytest.raises(IndexError):
        rows[n]


def test_the_line_of_a_row_far_down_counts_the_blank_ones(tmp_path: Path) -> None:
    raw = numbered(200)
    row = jsonl(tmp_path, raw).rows[199]
    assert raw.split("\n")[row.line - 1] == '{"id": "199"}'


def test_what_is_wrong_far_down_is_said_with_its_line(tmp_path: Path) -> None:
    raw = numbered(200)
    line = raw.count("\n") + 1
    for said, what in [("{]", "not valid JSON"), ("[]", "should be a JSON object")]:
        with pytest.raises(ContentError, match=rf"x\.jsonl:{line}: {what}"):
            jsonl(tmp_path, raw + said + "\n" + raw)


def test_another_encoding_is_said_before_broken_json_and_a_digest_before_both(
    tmp_path: Path,
) -> None:
    """Who gets the wrong file should not be told to mend its first line."""
    raw = b'{"id": "a"\n{"id": "caf\xe9"}\n'
    with pytest.raises(ContentError, match=r"x\.jsonl:2: is not UTF-8 text"):
        jsonl(tmp_path, raw)
    with pytest.raises(ContentError, match="the task says ffff"):
        jsonl(tmp_path, raw, sha256="f" * 64)


@pytest.mark.parametrize("change", ["longer", "other", "shorter", "gone"])
def test_a_file_that_changes_while_it_is_in_use_is_refused(change: str, tmp_path: Path) -> None:
    """A run of hours reads its items as it goes; half of them from another file is no run."""
    items = to_items(jsonl(tmp_path, numbered(200)))
    assert items[0].id == "0"
    file = tmp_path / "x.jsonl"
    if change == "gone":
        file.unlink()
    else:
        text = file.read_text()
        file.write_text({"longer": text + text, "other": text, "shorter": text[:99]}[change])
        os.utime(file, ns=(0, 0))
    said = "cannot be read: No such file" if change == "gone" else "was changed while it was in"
    with pytest.raises(ContentError, match=rf"x\.jsonl: {said}"):
        items[150]


# --- CSV --------------------------------------------------------------------------------------


def test_csv_rows_are_text_under_their_header(tmp_path: Path) -> None:
    raw = b'\xef\xbb\xbfid,text\r\n1,"Zij zei: ""nee"", daarna"\r\n2,\r\n'
    table = from_csv(tmp_path, raw)
    assert table.rows == (
        Row(2, {"id": "1", "text": 'Zij zei: "nee", daarna'}),
        Row(3, {"id": "2", "text": ""}),
    )
    assert table.digest == digest(raw)


def test_a_quoted_line_end_stays_in_the_field_and_the_row_is_known_by_its_first_line(
    tmp_path: Path,
) -> None:
    table = from_csv(tmp_path, 'id,text\n1,"een\r\ntwee\ndrie"\n2,vier\n')
    assert table.rows == (
        Row(2, {"id": "1", "text": "een\r\ntwee\ndrie"}),
        Row(5, {"id": "2", "text": "vier"}),
    )


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    table = from_csv(tmp_path, "\nid,text\n\n1,x\n\n2,y\n\n")
    assert [(row.line, row.fields["id"]) for row in table.rows] == [(4, "1"), (6, "2")]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_can_be_named(delimiter: str, tmp_path: Path) -> None:
    raw = f"id{delimiter}text\n1{delimiter}een, twee\n"
    table = from_csv(tmp_path, raw, delimiter=delimiter)
    assert table.rows[0].fields == {"id": "1", "text": "een, twee"}


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n"])
def test_a_delimiter_that_cannot_be_one_is_refused(delimiter: str, tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"items\.args\.delimiter: .* is not one character"):
        from_csv(tmp_path, "id\n1\n", delimiter=delimiter)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "x.csv: is empty; expected a header row"),
        ("\n\n", "x.csv: is empty; expected a header row"),
        ("id,text\n1,x\n2,y,z\n", "x.csv:3: 3 fields, the header has 2"),
        ("id,text\n1,x\n2\n", "x.csv:3: 1 fields, the header has 2"),
        ('id,text\n1,"a\nb",c\n', "x.csv:2: 3 fields, the header has 2"),
        ("id,text,id\n1,x,2\n", "x.csv:1: column 'id' stands twice"),
        ('id,text\n1,"x" y\n', "x.csv:2: not valid CSV from here on: ',' expected after '\"'"),
        ("id,text\n1," + "x" * 200_000 + "\n", "x.csv:2: not valid CSV from here on: field lar"),
    ],
)
def test_a_table_that_is_not_straight_is_refused(raw: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ContentError) as caught:
        from_csv(tmp_path, raw)
    assert said in str(caught.value)


def test_a_quote_left_open_does_not_swallow_the_rest_of_the_file(tmp_path: Path) -> None:
    """In the last column the field count would still be right, and rows 3 and 4 silently gone."""
    with pytest.raises(ContentError, match=r"x\.csv:3: not valid CSV.*is a quote left open\?"):
        from_csv(tmp_path, 'id,text\n1,x\n2,"y\n3,z\n4,z\n')


def test_a_header_alone_holds_no_items(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="holds no items"):
        to_items(from_csv(tmp_path, "id,text\n"))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.text(), st.text()), max_size=20))
def test_what_is_written_as_csv_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str]]
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("id", "text"), *written])
    table = from_csv(tmp_path_factory.mktemp("csv"), out.getvalue())
    assert [(row.fields["id"], row.fields["text"]) for row in table.rows] == written


# --- digests, the cache and mirrors -----------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "raw"), [(jsonl, b'{"id": "a"}\n'), (from_csv, b"id\na\n")], ids=["jsonl", "csv"]
)
def test_a_wrong_digest_names_both_digests_and_what_to_do(
    read: Any, raw: bytes, tmp_path: Path
) -> None:
    assert read(tmp_path, raw, sha256=digest(raw)).rows
    with pytest.raises(ContentError) as caught:
        read(tmp_path, raw, sha256="f" * 64)
    message = str(caught.value)
    assert digest(raw) in message
    assert "f" * 64 in message
    assert "put the new sha256 into the task and raise its version" in message


def test_a_url_without_a_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"items\.args: a url needs the file's sha256"):
        read_jsonl(tmp_path, file="x.jsonl", url="https://example.org/x.jsonl")


def test_an_external_file_that_was_never_fetched_says_what_to_run(
    tmp_path: Path, cache_folder: Path
) -> None:
    assert not cache_folder.exists()
    (tmp_path / "x.jsonl").write_text('{"id": "not the external one"}')
    with pytest.raises(ContentError) as caught:
        read_jsonl(tmp_path, file="x.jsonl", sha256="f" * 64, url="https://example.org/x.jsonl")
    assert "is not in the cache; run `toets fetch`" in str(caught.value)
    assert "https://example.org/x.jsonl" in str(caught.value)
    assert not cache_folder.exists()


RAW = b'{"id": "a"}\n'


def put(folder: Path, raw: bytes, *, named: str) -> Path:
    file = folder / "sha256" / named
    file.parent.mkdir(parents=True)
    file.write_bytes(raw)
    return file


def external(folder: Path) -> Table:
    return read_jsonl(
        folder, file="x.jsonl", sha256=digest(RAW), url="https://example.org/x.jsonl"
    )


def test_a_fetched_file_is_read_from_the_cache(tmp_path: Path, cache_folder: Path) -> None:
    put(cache_folder, RAW, named=digest(RAW))
    assert tuple(external(tmp_path).rows) == (Row(1, {"id": "a"}),)


def test_a_mirror_takes_the_place_of_the_network(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "mirror", RAW, named=digest(RAW))
    monkeypatch.setenv("TOETS_MIRROR", str(tmp_path / "mirror"))
    table = external(tmp_path)
    assert tuple(table.rows) == (Row(1, {"id": "a"}),)
    assert table.digest == digest(RAW)
    assert not cache_folder.exists()


def test_a_mirrored_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short while it was copied to a stick, say."""
    del cache_folder
    bad = put(tmp_path / "mirror", RAW[:-1] + b" ", named=digest(RAW))
    monkeypatch.setenv("TOETS_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(ContentError) as caught:
        external(tmp_path)
    assert str(caught.value).startswith(f"{bad}: sha256 is {digest(RAW[:-1] + b' ')}")
    assert "delete it, run `toets fetch`" in str(caught.value)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of a web site, on this machine only, that has RAW at /x.jsonl."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/x.jsonl" else 404)
            self.end_headers()
            self.wfile.write(RAW)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def files_in(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file()]


def test_what_is_fetched_lies_in_the_cache_under_its_digest(site: str, cache_folder: Path) -> None:
    file = cache.fetch(f"{site}/x.jsonl", digest(RAW))
    assert file.read_bytes() == RAW
    assert files_in(cache_folder) == [digest(RAW)]


def test_what_is_there_is_not_fetched_again(cache_folder: Path) -> None:
    file = put(cache_folder, RAW, named=digest(RAW))
    assert cache.fetch("http://127.0.0.1:1/nobody/listens", digest(RAW)) == file


def test_a_file_that_has_changed_at_its_source_is_not_kept(site: str, cache_folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        cache.fetch(f"{site}/x.jsonl", "f" * 64)
    message = f"sha256 is {digest(RAW)}, expected {'f' * 64}; the file has changed"
    assert str(caught.value) == f"{site}/x.jsonl: {message}"
    assert files_in(cache_folder) == []


@pytest.mark.parametrize("url", ["SITE/gone", "http://127.0.0.1:1/x", "x.jsonl", "http://x:port/"])
def test_a_file_that_cannot_be_fetched_says_what_to_do_offline(
    url: str, site: str, cache_folder: Path
) -> None:
    url = url.replace("SITE", site)
    with pytest.raises(RunError) as caught:
        cache.fetch(url, digest(RAW))
    assert str(caught.value).startswith(f"{url} could not be fetched (")
    assert "name it with --mirror DIR or TOETS_MIRROR" in str(caught.value)
    assert files_in(cache_folder) == []


def test_a_cache_that_cannot_be_written_says_which_setting_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TOETS_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("TOETS_MIRROR", raising=False)
    with pytest.raises(RunError) as caught:
        cache.fetch("http://127.0.0.1:1/x", digest(RAW))
    assert "cannot be written: Not a directory; make room or set TOETS_CACHE" in str(caught.value)


# --- rows to items ----------------------------------------------------------------------------


def test_items_keep_their_fields_groups_and_clusters() -> None:
    table = rows({"id": "a", "lang": "nl", "page": 3, "text": "x"})
    (item,) = to_items(table, groups=("lang",), clusters=("page",), columns=frozenset({"text"}))
    assert (item.id, item.groups, item.clusters) == ("a", {"lang": "nl"}, {"page": "3"})
    assert item.fields == {"id": "a", "lang": "nl", "page": 3, "text": "x"}


@pytest.mark.parametrize(
    ("named", "column"),
    [
        ({"groups": ("lang",)}, "lang"),
        ({"clusters": ("page",)}, "page"),
        ({"columns": frozenset({"answer"})}, "answer"),
    ],
)
def test_a_column_that_one_row_lacks_is_named_with_its_line(
    named: dict[str, Any], column: str
) -> None:
    whole = {"id": "a", "lang": "nl", "page": "1", "answer": "x"}
    short = {**whole, "id": "b", f"{column}s": ""}
    del short[column]
    with pytest.raises(ContentError) as caught:
        to_items(rows(whole, short), **named)
    said = f"x.jsonl:2: column {column!r} is missing; did you mean '{column}s'?"
    assert str(caught.value) == said


def test_a_row_without_id_is_refused() -> None:
    with pytest.raises(ContentError, match=r"x\.jsonl:1: column 'id' is missing; did you mean 'i"):
        to_items(rows({"idd": "a"}))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "id is empty"),
        ("  ", "id is empty"),
        (None, "id is empty (null); it should be text or a number"),
        (["a"], "id is a list or an object; it should be text or a number"),
        ({}, "id is a list or an object; it should be text or a number"),
    ],
)
def test_an_id_that_names_nothing_is_refused(value: object, said: str) -> None:
    with pytest.raises(ContentError) as caught:
        to_items(rows({"id": "a"}, {"id": value}))
    assert str(caught.value) == f"x.jsonl:2: {said}"


def test_an_id_may_be_a_number_and_0_is_one() -> None:
    assert [item.id for item in to_items(rows({"id": 0}, {"id": 17}))] == ["0", "17"]


@pytest.mark.parametrize("again", ["1", 1], ids=["text", "number"])
def test_an_id_that_stands_twice_names_both_lines(again: object) -> None:
    """Also when one is a number and the other is text: answers are kept under text."""
    with pytest.raises(ContentError) as caught:
        to_items(rows({"id": "1"}, {"id": "2"}, {"id": again}))
    assert str(caught.value) == "x.jsonl:3: id '1' stands on line 1 too"


def test_an_earlier_fault_is_said_first_whatever_kind_it_is() -> None:
    twice = {"id": "a"}, {"id": "a"}, {"idd": "b"}
    with pytest.raises(ContentError, match=r"x\.jsonl:2: id 'a' stands on line 1 too"):
        to_items(rows(*twice))
    with pytest.raises(ContentError, match=r"x\.jsonl:2: column 'id' is missing"):
        to_items(rows({"id": "a"}, {"idd": "b"}, {"id": "a"}))


def test_two_ids_with_one_hash_are_two_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash only points out what to compare."""
    monkeypatch.setattr(items_module, "hash", len, raising=False)
    assert len(to_items(rows({"id": "a"}, {"id": "b"}, {"id": "cc"}))) == 3
    with pytest.raises(ContentError, match=r"x\.jsonl:3: id 'a' stands on line 1 too"):
        to_items(rows({"id": "a"}, {"id": "b"}, {"id": "a"}))


def test_some_of_the_items_are_taken_from_the_whole_list() -> None:
    items = to_items(rows(*({"id": i} for i in range(10))))
    assert [item.id for item in items[2:8:3]] == ["2", "5"]
    assert [item.id for item in items.spread(4)] == ["0", "2", "5", "7"]
    assert [item.id for item in items.spread(4)[1:]] == ["2", "5", "7"]
    assert items.spread(10) is items
    assert items[-1] == items[9]


@pytest.mark.parametrize("named", [{"groups": ("c",)}, {"clusters": ("c",)}])
@pytest.mark.parametrize(("value", "said"), [(None, "empty (null)"), (["x"], "a list or an obj")])
def test_rows_without_a_cluster_do_not_become_one_cluster_called_none(
    named: dict[str, Any], value: object, said: str
) -> None:
    with pytest.raises(ContentError) as caught:
        to_items(rows({"id": "a", "c": "x"}, {"id": "b", "c": value}), **named)
    assert str(caught.value).startswith(f"x.jsonl:2: c is {said}")


# --- what a task names ------------------------------------------------------------------------


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    (tmp_path / "x.jsonl").write_bytes(RAW)
    return tmp_path / "task.yaml"


def source(**said: Any) -> PluginRef:
    return PluginRef(**said)


def test_a_tasks_items_lie_beside_its_yaml(task_file: Path) -> None:
    table = read_table(source(name="jsonl", args={"file": "x.jsonl"}), yaml_file=task_file)
    assert tuple(table.rows) == (Row(1, {"id": "a"}),)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"fiel": "x.jsonl"}, "args.fiel: unknown key; did you mean 'file'?"),
        ({}, "args.file: is required"),
        ({"file": 3}, "args.file: should be text; put quotes around it"),
        ({"file": "x.jsonl", "folder": "/"}, "args.folder: unknown key"),
    ],
)
def test_a_wrong_argument_names_the_yaml_and_the_field(
    args: dict[str, Any], said: str, task_file: Path
) -> None:
    with pytest.raises(ContentError) as caught:
        read_table(source(name="jsonl", args=args), yaml_file=task_file)
    assert str(caught.value).startswith(f"{task_file}: items: {said}")


def test_an_unknown_source_names_the_yaml_and_offers_the_nearest(task_file: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        read_table(source(name="jsnl"), yaml_file=task_file)
    assert str(caught.value) == (
        f"{task_file}: items: unknown source of items 'jsnl'; did you mean 'jsonl'?"
    )


def test_a_lab_can_bring_its_own_source_beside_the_yaml(task_file: Path) -> None:
    (task_file.parent / "own.py").write_text(
        "from pathlib import Path\n"
        "from toetssteen.items import Row, Table\n"
        "def counted(folder: Path, *, n: int) -> Table:\n"
        "    return Table(folder, '', tuple(Row(i, {'id': i}) for i in range(n)))\n"
    )
    ref = source(name="counted", file="own.py", args={"n": 3})
    assert [item.id for item in to_items(read_table(ref, yaml_file=task_file))] == ["0", "1", "2"]


@pytest.mark.parametrize("absolute", [False, True])
def test_python_outside_the_folder_of_the_yaml_is_not_run(absolute: bool, tmp_path: Path) -> None:  # noqa: FBT001
    (tmp_path / "lab").mkdir()
    outside = tmp_path / "outside.py"
    outside.write_text("raise SystemExit('was run')\n")
    ref = source(name="counted", file=str(outside) if absolute else "../outside.py")
    with pytest.raises(ContentError, match="lies outside the folder of the YAML"):
        read_table(ref, yaml_file=tmp_path / "lab" / "task.yaml")


def test_a_source_that_gives_no_table_is_a_fault_of_its_author(task_file: Path) -> None:
    (task_file.parent / "own.py").write_text("def wrong(folder):\n    return []\n")
    with pytest.raises(TypeError, match="items source 'wrong' returned list, not Table"):
        read_table(source(name="wrong", file="own.py"), yaml_file=task_file)
