"""YAML to specs: an error names file, field and the likely correction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from toetssteen.errors import ContentError, did_you_mean, in_words
from toetssteen.spec.base import WRITTEN, Spec

S = TypeVar("S", bound=Spec)


def read(model: type[S], file: Path) -> S:
    """Read one YAML file as a spec.

    Raises:
        ContentError: not readable, not YAML, or not what the spec allows; one line per fault.
    """
    return parse(model, load_yaml(file), file)


# The C loader is ten times sooner, and as safe; it comes with PyYAML's wheels.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = "tag:yaml.org,2002:merge"  # `<<: *alias`


def load_yaml(file: Path) -> object:
    """Return what a YAML file holds.

    Raises:
        ContentError: the file is missing, not UTF-8, not YAML, or says a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(file, f"is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ContentError(file, f"cannot be read: {error.strerror}") from None
    try:
        loader = LOADER(text)
        root = loader.get_single_node()
        if root is None:
            return None
        for node in _nodes(root):
            if isinstance(node, yaml.MappingNode):
                _refuse_repeated_keys(node, file)
            elif isinstance(node, yaml.ScalarNode) and node.tag != MERGE:
                _refuse_impossible(node, loader, file)
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ContentError(file, f"not valid YAML: {said}", line=line) from None
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise ContentError(file, f"not valid YAML: {error.reason}", line=line) from None


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Give every node of a document once, also where aliases make a circle."""
    todo, seen = [root], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            todo.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            todo.extend(child for pair in node.value for child in pair)


def _refuse_repeated_keys(mapping: yaml.MappingNode, file: Path) -> None:
    """YAML forbids equal keys (1.2, section 3.2.1.3); PyYAML lets the last one win in silence."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if (key.tag, key.value) in lines:
            first = lines[key.tag, key.value]
            raise ContentError(
                file, f"{key.value}: stands twice, first on line {first}; keep one", line=line
            )
        lines[key.tag, key.value] = line


def _refuse_impossible(scalar: yaml.ScalarNode, loader: Any, file: Path) -> None:  # noqa: ANN401
    """Refuse 2026-02-30: it looks like a date and is none, and PyYAML does not say where."""
    try:
        loader.construct_object(scalar)
    except ValueError as error:
        raise ContentError(
            file,
            f"not valid YAML: {scalar.value} ({error}); put quotes around what is text",
            line=scalar.start_mark.line + 1,
        ) from None


def parse(model: type[S], raw: object, file: Path | str) -> S:
    """Turn what the YAML holds into a spec.

    Raises:
        ContentError: with every fault on a line of its own: field, what is wrong, what to do.
    """
    if not isinstance(raw, dict):
        raise ContentError(file, "is empty" if raw is None else "should be a mapping of keys")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = error.errors()
        said = [_describe(fault, model) for fault in faults if not _follows(fault, faults)]
        raise ContentError(file, f"\n{file}: ".join(said)) from None


def _follows(fault: ErrorDetails, faults: list[ErrorDetails]) -> bool:
    """Is a list only too short because what stands in it is wrong?"""
    loc = fault["loc"]
    return fault["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in faults
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One part of the path to a fault, and the JSON schema of what may stand there."""

    part: str
    schema: Mapping[str, Any]


def _describe(fault: ErrorDetails, model: type[Spec]) -> str:
    steps = tuple(_walk(model, fault["loc"]))
    path = ".".join(step.part for step in steps if step.part)
    match fault["type"]:
        case "extra_forbidden":
            known = steps[-2].schema.get("properties", ())
            said = f"unknown key{did_you_mean(steps[-1].part, known)}"
        case "string_pattern_mismatch":
            said = WRITTEN[fault["ctx"]["pattern"]]
        case "union_tag_not_found":
            path, said = f"{path}.{_kind_key(fault)}", "is required"
        case "union_tag_invalid":
            path = f"{path}.{_kind_key(fault)}"
            said = f"should be one of {fault['ctx']['expected_tags']}, not {fault['ctx']['tag']!r}"
        case _:
            said = in_words(fault)
    return f"{path}: {said}" if path else said


def _kind_key(fault: ErrorDetails) -> str:
    """Return the key that says which kind of a union is meant: `source` of weights."""
    return str(fault["ctx"]["discriminator"]).strip("'")


def _walk(model: type[Spec], path: tuple[str | int, ...]) -> Iterator[_Step]:
    """Give the way from the whole file to a fault.

    pydantic's path also names the chosen kind of a union (`weights.package.file`), which is no
    key of the YAML; such a part is empty.
    """
    schema: Mapping[str, Any] = model.model_json_schema()
    defs = schema.get("$defs", {})
    yield _Step("", schema)
    for part in path:
        kinds = schema.get("discriminator", {}).get("mapping", {})
        schema = _below(schema, part, defs)
        yield _Step("" if part in kinds or part == "[key]" else str(part), schema)


def _below(
    schema: Mapping[str, Any], part: str | int, defs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the schema of one key, list entry or kind of a union."""
    kinds = schema.get("discriminator", {}).get("mapping", {})
    if part in kinds:
        below = {"$ref": kinds[part]}
    elif isinstance(part, int):
        below = schema.get("items", {})
    else:
        below = schema.get("properties", {}).get(part) or schema.get("additionalProperties") or {}
    # `X | None`: what is wrong is wrong with X.
    for option in below.get("anyOf", ()):
        if option.get("type") != "null":
            below = option
    if "$ref" in below:
        below = defs[below["$ref"].rpartition("/")[2]]
    return below
