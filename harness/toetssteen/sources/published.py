"""Published data sets of others, read from their own files into the columns our scorers ask for.

Nothing of them is copied into the project: a task names address, digest and licence. What is
repaired on the way, is said here and in the caveats of the task.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Literal

from toetssteen.errors import ContentError
from toetssteen.items import Row, Table, read_csv, read_jsonl

LETTERS = ("A", "B", "C")
SLOT = "{name}"


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a row, asked for as what they should be; a fault names file and line."""

    table: Table
    row: Row

    def text(self, name: str, *, empty: bool = False) -> str:
        held = self.row.fields.get(name)
        if isinstance(held, bool) or not isinstance(held, str | int):
            raise self.wrong(name, f"should be text, not {held!r}")
        if not str(held).strip() and not empty:
            raise self.wrong(name, "is empty")
        return str(held)

    def one_of(self, name: str, known: Mapping[str, str]) -> str:
        held = self.text(name)
        if held not in known:
            raise self.wrong(name, f"should be {' or '.join(known)}, not {held!r}")
        return known[held]

    def mapping(self, name: str) -> Mapping[str, object]:
        held = self.row.fields.get(name)
        if not isinstance(held, dict):
            raise self.wrong(name, "should be an object")
        return held

    def wrong(self, name: str, problem: str) -> ContentError:
        return ContentError(self.table.file, f"{name}: {problem}", line=self.row.line)


def _mapped(table: Table, read: Callable[[_Fields], dict[str, object] | None]) -> Table:
    """Return the table with its rows in our columns; a row that gives None is left out."""
    read_rows = ((row.line, read(_Fields(table, row))) for row in table.rows)
    rows = tuple(Row(line, fields) for line, fields in read_rows if fields is not None)
    return Table(table.file, table.digest, rows)


# --- BBQ -------------------------------------------------------------------------------------

_CONDITIONS = {"ambig": "ambiguous", "disambig": "disambiguated"}
_POLARITIES = {"neg": "negative", "nonneg": "non_negative"}
# Groups that are called otherwise under an answer: the authors' `BBQ_results_metadata.R`, and for
# Dutch the `mbbq.py` of MBBQ (Neplenbroek et al., COLM 2024).
_SAME = {
    "f": {"f", "woman", "women", "girl", "girls", "vrouw", "meisje"},
    "m": {"m", "man", "men", "boy", "boys", "jongen"},
    "low ses": {"lowses"},
    "high ses": {"highses"},
    "transgender women": {"trans", "trans_f", "trans_m"},
    "transgender men": {"trans", "trans_f", "trans_m"},
}


def read_bbq(
    folder: Path,
    *,
    file: str,
    sha256: str | None = None,
    url: str | None = None,
    untold: Literal["refuse", "leave_out"] = "refuse",
) -> Table:
    """Read a file in the layout of BBQ (Parrish et al. 2022), such as one of MBBQ.

    Which answer says *unknown* is read from its tag, never from its words. The answer of the
    stereotyped group is the one whose tag, or else whose text, stands among the item's
    stereotyped groups.

    Args:
        folder: where relative file names start.
        file: JSON Lines; one category a file.
        sha256: its digest.
        url: where `toets fetch` gets it.
        untold: what to do with an item of which both answers or neither name a stereotyped
            group: refuse the file, or leave the item out.

    Raises:
        ContentError: the file is not in this layout; names the line.
    """
    table = read_jsonl(folder, file=file, sha256=sha256, url=url)
    return _mapped(table, lambda row: _question(row, untold))


def _question(row: _Fields, untold: str) -> dict[str, object] | None:
    tags = _tags(row)
    (unknown,) = (i for i in range(3) if tags[i][1] == "unknown")
    named = [i for i in range(3) if i != unknown]
    group = _stereotyped(tags, named, row)
    if group is None:
        if untold == "leave_out":
            return None
        raise row.wrong(
            "additional_metadata.stereotyped_groups",
            "names both answers or neither, so that nobody can tell which is the stereotype; "
            "`untold: leave_out` in the task leaves such items out",
        )
    (other,) = set(named) - {group}
    polarity = row.one_of("question_polarity", _POLARITIES)
    # A question on what is good (who is competent?) is biased when it names the other group.
    biased, counter = (group, other) if polarity == "negative" else (other, group)
    condition = row.one_of("context_condition", _CONDITIONS)
    correct = LETTERS.index(row.one_of("label", dict(zip("012", LETTERS, strict=True))))
    if (correct == unknown) != (condition == "ambiguous"):
        raise row.wrong("label", "unknown should be right in ambiguous contexts, and only there")
    category = row.text("category")
    roles = {"biased": biased, "counter": counter, "unknown": unknown, "correct": correct}
    options = [row.text(f"ans{i}").strip() for i in range(3)]
    return {
        "id": f"{category}-{row.text('example_id')}",
        "category": category,
        "template": f"{category}-{row.text('question_index')}",
        "condition": condition,
        "polarity": polarity,
        "stereotyped_group": tags[group][1],
        "context": row.text("context"),
        "question": row.text("question"),
        "options": options,
        "stereotyped": LETTERS[group],
        **{role: LETTERS[place] for role, place in roles.items()},
        **{f"{role}_text": options[place] for role, place in roles.items()},
    }


def _tags(row: _Fields) -> list[tuple[str, str]]:
    """Return the text and the tag of each answer, of which one is tagged unknown."""
    info = row.mapping("answer_info")
    tags = []
    for i in range(3):
        match info.get(f"ans{i}"):
            case [str(text), str(tag)]:
                tags.append((text, tag))
            case _:
                raise row.wrong("answer_info", f"ans{i} should be a text and a tag")
    if sum(tag == "unknown" for _, tag in tags) != 1:
        raise row.wrong("answer_info", "one of the three answers should be tagged unknown")
    return tags


def _stereotyped(tags: list[tuple[str, str]], named: list[int], row: _Fields) -> int | None:
    """Return which of the two named answers is that of the stereotyped group."""
    groups = row.mapping("additional_metadata").get("stereotyped_groups")
    if not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
        raise row.wrong("additional_metadata", "stereotyped_groups should be a list of texts")
    known = {name for one in groups for name in _SAME.get(one.lower(), set()) | {one.lower()}}
    by_tag = [i for i in named if _bare(tags[i][1]) in known]
    # The tags of category Nationality are regions; its groups are nationalities.
    by_text = [i for i in named if tags[i][0].lower() in known]
    for found in (by_tag, by_text):
        if len(found) == 1:
            return found[0]
    return None


def _bare(tag: str) -> str:
    """Return a tag without the sex that stands before it: F-Black is Black."""
    return tag.lower().removeprefix("f-").removeprefix("m-")


# --- CrowS-Pairs -----------------------------------------------------------------------------


def read_crows_pairs(
    folder: Path, *, file: str, sha256: str | None = None, url: str | None = None
) -> Table:
    """Read CrowS-Pairs (Nangia et al. 2020): two sentences that differ in who they are about.

    Columns `sent_more` (the more stereotyping one), `sent_less`, `direction`, `bias_type` and
    `writer`, whose pairs hang together.

    Raises:
        ContentError: the file is not in this layout; names the line.
    """
    table = read_csv(folder, file=file, sha256=sha256, url=url)
    return _mapped(table, _pair)


def _pair(row: _Fields) -> dict[str, object]:
    return {
        "id": row.text(""),  # the column of numbers has no name
        "sent_more": row.text("sent_more"),
        "sent_less": row.text("sent_less"),
        "direction": row.one_of("stereo_antistereo", {"stereo": "stereo", "antistereo": "anti"}),
        "bias_type": row.text("bias_type"),
        "writer": row.text("anon_writer"),
    }


# --- HateCheck -------------------------------------------------------------------------------


def read_hatecheck(
    folder: Path, *, file: str, sha256: str | None = None, url: str | None = None
) -> Table:
    """Read a language of Multilingual HateCheck (Röttger et al. 2022).

    Columns `text`, `label`, `functionality`, `target` (the group; `none` where the file leaves it
    empty), `identity` (`yes` where there is a group) and `template`.

    Raises:
        ContentError: the file is not in this layout; names the line.
    """
    return _mapped(read_csv(folder, file=file, sha256=sha256, url=url), _case)


def _case(row: _Fields) -> dict[str, object]:
    target = row.text("target_ident", empty=True)
    return {
        "id": row.text("mhc_case_id"),
        "text": row.text("test_case"),
        "label": row.one_of("label_gold", {"hateful": "hateful", "non-hateful": "non_hateful"}),
        "functionality": row.text("functionality"),
        "target": target or "none",
        "identity": "yes" if target else "no",
        "template": row.text("templ_id"),
    }


# --- the hiring prompts of MinBZK ------------------------------------------------------------


def read_hiring(
    folder: Path,
    *,
    file: str,
    contrast: Literal["origin", "gender"],
    sha256: str | None = None,
    url: str | None = None,
) -> Table:
    """Read the hiring prompts of MinBZK (Burema et al. 2026) as pairs that differ in one respect.

    Every prompt about somebody of another origin (or gender) is set beside the one about a Dutch
    person (or a man) that is equal in everything else. Where people have first names, the tenth
    name of one group is set beside the tenth of the other. Repaired: white space around a label
    (the file with names says "Marokkaanse " with a space at the end, which would split the group).

    Args:
        folder: where relative file names start.
        file: CSV with tabs.
        contrast: what the two prompts of a pair differ in.
        sha256: its digest.
        url: where `toets fetch` gets it.

    Raises:
        ContentError: the file is not in this layout, or two prompts of a pair differ elsewhere.
    """
    table = read_csv(folder, file=file, sha256=sha256, url=url, delimiter="\t")
    people = [_applicant(table, row) for row in table.rows]
    places = _places(people)
    by_case = {_key(one, places): one for one in people}
    if len(by_case) < len(people):
        raise ContentError(table.file, "two prompts are about the same person and job")
    pairs = (_pairs(table, one, contrast, places, by_case) for one in people)
    # The file is a product of columns: even steps through it, as a limited run takes them, would
    # meet one job or one name only. By digest the order is mixed, and the same each time.
    rows = sorted((row for some in pairs for row in some), key=_mixed)
    return Table(table.file, table.digest, tuple(rows))


def _mixed(row: Row) -> str:
    return sha256_of(str(row.fields["id"]).encode()).hexdigest()


_Applicant = dict[str, str]
REFERENCE = {"origin": "Nederlandse", "gender": "man"}


def _applicant(table: Table, row: Row) -> _Applicant:
    fields = _Fields(table, row)
    columns = {
        "gender": "geslacht",
        "origin": "herkomstland",
        "first_name": "voornaam",
        "job": "beroep",
        "job_class": "beroepsklasse",
        "wording": "neutrale versie",
        "layout": "variatie",
    }
    told = {ours: fields.text(theirs).strip() for ours, theirs in columns.items()}
    person = told["first_name"]
    if person == "0":  # nobody is named; the prompt says origin and gender
        person = f"{told['origin']} {told['gender']}"
    prompt = fields.text("prompt")
    if prompt.count(person) != 1:
        raise fields.wrong("prompt", f"{person!r} should stand in it once")
    return {**told, "person": person, "prompt": prompt, "line": str(row.line)}


def _places(people: list[_Applicant]) -> Mapping[tuple[str, str, str], int]:
    """Number the persons of each origin and gender in the order of the file."""
    seen: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in people:
        inside = seen[one["origin"], one["gender"]]
        if one["person"] not in inside:
            inside.append(one["person"])
    return {(*group, name): i for group, inside in seen.items() for i, name in enumerate(inside)}


def _key(one: _Applicant, places: Mapping[tuple[str, str, str], int]) -> tuple[str, ...]:
    place = places[one["origin"], one["gender"], one["person"]]
    return (one["job"], one["wording"], one["layout"], one["origin"], one["gender"], str(place))


def _pairs(
    table: Table,
    one: _Applicant,
    contrast: str,
    places: Mapping[tuple[str, str, str], int],
    by_case: Mapping[tuple[str, ...], _Applicant],
) -> Iterator[Row]:
    if one[contrast] == REFERENCE[contrast]:
        return
    key = list(_key(one, places))
    key[{"origin": 3, "gender": 4}[contrast]] = REFERENCE[contrast]
    reference = by_case.get(tuple(key))
    line = int(one["line"])
    if reference is None:
        raise ContentError(table.file, f"no {REFERENCE[contrast]} to compare with", line=line)
    prompt = one["prompt"].replace(one["person"], SLOT)
    if reference["prompt"].replace(reference["person"], SLOT) != prompt:
        raise ContentError(
            table.file,
            f"differs from line {reference['line']} in more than {contrast}",
            line=line,
        )
    told = ("gender", "origin", "job", "job_class", "wording", "layout")
    yield Row(
        line,
        {
            "id": "/".join((one["job"], one["wording"], one["layout"], one["person"])),
            "prompt": prompt,
            "reference": reference["person"],
            "other": one["person"],
            "names": f"{reference['person']} - {one['person']}",
            "yes": "Ja",
            "no": "Nee",
            "favourable": "yes",
            **{name: one[name] for name in told},
        },
    )
