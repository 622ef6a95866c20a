"""Names to plugins: built in (one table of import strings), an entry point, or a file.

Nothing is imported until it is asked for, so that naming a task never loads torch.
"""

import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal, cast, get_type_hints

from pydantic import ConfigDict, Field, ValidationError, create_model

from toetssteen.errors import (
    ArgumentError,
    ContentError,
    UnknownNameError,
    UsageError,
    did_you_mean,
    in_words,
)

Kind = Literal["adapters", "scorers", "metrics", "meters", "items"]
Plugin = Callable[..., Any]

BUILT_IN: Mapping[Kind, Mapping[str, str]] = {
    "adapters": {
        "causal": "toetssteen.candidates.adapters:CausalAdapter",
        "chat": "toetssteen.candidates.adapters:ChatAdapter",
        "classifier": "toetssteen.candidates.adapters:ClassifierAdapter",
        "completions": "toetssteen.candidates.adapters:CompletionsAdapter",
        "masked": "toetssteen.candidates.adapters:MaskedAdapter",
        "scripted": "toetssteen.candidates.scripted:ScriptedAdapter",
        "system": "toetssteen.candidates.adapters:SystemAdapter",
        "seq2seq": "toetssteen.candidates.adapters:Seq2SeqAdapter",
        "tabular": "toetssteen.candidates.adapters:TabularAdapter",
    },
    "scorers": {
        "amount_gap": "toetssteen.scorers.counterfactuals:AmountGap",
        "answered": "toetssteen.scorers.answered:AnsweredScorer",
        "bbq": "toetssteen.scorers.bbq:BbqScorer",
        "decision_answers": "toetssteen.scorers.counterfactuals:DecisionAnswers",
        "label": "toetssteen.scorers.labels:LabelScorer",
        "decision_gap": "toetssteen.scorers.decisions:DecisionGap",
        "identifiers": "toetssteen.scorers.leakage:IdentifierScan",
        "sentence_pair": "toetssteen.scorers.pairs:SentencePair",
        "yes_no_pair": "toetssteen.scorers.yes_no:YesNoPair",
        "short_answer": "toetssteen.scorers.short_answers:ShortAnswer",
    },
    "metrics": {
        "bbq_bias": "toetssteen.metrics.bbq:BbqBias",
        "energy_per_1000_requests": "toetssteen.metrics.energy:EnergyPerThousand",
        "gap": "toetssteen.metrics.averages:Gap",
        "label_contrast": "toetssteen.metrics.fairness:LabelContrast",
        "label_gap": "toetssteen.metrics.fairness:LabelGap",
        "label_rate": "toetssteen.metrics.fairness:LabelRate",
        "largest_gap": "toetssteen.metrics.groups:LargestGap",
        "mean": "toetssteen.metrics.averages:Mean",
        "rate": "toetssteen.metrics.averages:Rate",
    },
    "meters": {
        "none": "toetssteen.meters:NoMeter",
        "powercap": "toetssteen.meters.powercap:PowercapMeter",
    },
    "items": {
        "bbq": "toetssteen.sources.published:read_bbq",
        "crows_pairs": "toetssteen.sources.published:read_crows_pairs",
        "counterfactual": "toetssteen.sources.counterfactual:read_counterfactual",
        "csv": "toetssteen.items:read_csv",
        "hatecheck": "toetssteen.sources.published:read_hatecheck",
        "hiring": "toetssteen.sources.published:read_hiring",
        "jsonl": "toetssteen.items:read_jsonl",
        "welfare_nl": "toetssteen.sources.welfare:read_welfare",
    },
}


def names(kind: Kind) -> Mapping[str, str]:
    """Return every known name of a kind with where it comes from.

    Raises:
        UsageError: an installed package defines a name that already exists.
    """
    known = dict(BUILT_IN[kind])
    for entry in _installed(kind):
        if entry.name in known:
            raise UsageError(
                f"{kind}: {entry.name!r} is defined twice, by {known[entry.name]} and by "
                f"{entry.value}; uninstall one of the two"
            )
        known[entry.name] = entry.value
    return known


def load(kind: Kind, name: str, *, file: Path | None = None, where: str = "") -> Plugin:
    """Return the plugin of that name; with `file`, the object of that name in that file.

    Args:
        kind: what it plugs into.
        name: as the YAML says it.
        file: the plugin's file, if it has one of its own.
        where: YAML file and field, for the message.

    Raises:
        UnknownNameError: nothing of that name; offers the nearest.
        ContentError: the file does not define it.
        UsageError: an installed package promises it and does not have it.
    """
    if file is not None:
        return _from_file(file, name)
    known = names(kind)
    if name not in known:
        said = "source of items" if kind == "items" else kind.removesuffix("s")
        raise UnknownNameError(said, name, known, where=where)
    if name not in BUILT_IN[kind]:
        return _from_package(kind, name, known[name])
    module, _, attribute = known[name].partition(":")
    plugin: Plugin = getattr(import_module(module), attribute)
    return plugin


def call(
    plugin: Plugin, args: Mapping[str, Any], *, where: str, given: tuple[Any, ...] = ()
) -> Any:  # noqa: ANN401 - what a plugin makes is its own type
    """Call a plugin with the arguments that the YAML gives, checked against its signature.

    Args:
        plugin: a class or function; its annotations say what each argument may be.
        args: as they stand in the YAML.
        where: file and field, for the message.
        given: leading arguments that the harness itself passes.

    Raises:
        ContentError: an argument is unknown, missing or of the wrong type.
    """
    parameters = list(signature(plugin).parameters.values())[len(given) :]
    stars = {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
    named = [p for p in parameters if p.kind not in stars]
    if not any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        names_known = [p.name for p in named]
        for name in args:
            if name not in names_known:
                raise ContentError(
                    where, f"args.{name}: unknown key{did_you_mean(name, names_known)}"
                )
    for p in named:
        if p.default is Parameter.empty and p.name not in args:
            raise ContentError(where, f"args.{p.name}: is required")
    try:
        return plugin(*given, **_checked(plugin, args, where))
    except ArgumentError as error:
        raise ContentError(where, str(error)) from None


def _checked(plugin: Plugin, args: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments as the types that the plugin's signature asks for."""
    made_by = cast("Any", plugin).__init__ if isinstance(plugin, type) else plugin
    hints = get_type_hints(made_by)
    # The names stand as aliases: as field names, `json` or `_x` would get in pydantic's way.
    fields: dict[str, Any] = {
        f"arg{i}": (hints.get(name, Any), Field(alias=name)) for i, name in enumerate(args)
    }
    model = create_model("Args", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    try:
        checked = model.model_validate(dict(args))
    except ValidationError as error:
        faults = [
            f"args.{'.'.join(str(part) for part in fault['loc'])}: {in_words(fault)}"
            for fault in error.errors()
        ]
        raise ContentError(where, f"\n{where}: ".join(faults)) from None
    return {name: getattr(checked, f"arg{i}") for i, name in enumerate(args)}


def _installed(kind: Kind) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=f"toetssteen.{kind}"))


def _from_package(kind: Kind, name: str, value: str) -> Plugin:
    try:
        plugin: Plugin = EntryPoint(name, value, f"toetssteen.{kind}").load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{kind}: {name!r} is promised by an installed package as {value}, and is not there "
            f"({error}); reinstall that package, or uninstall it"
        ) from error
    return plugin


def _from_file(file: Path, name: str) -> Plugin:
    """Load a plugin from a file the user named.

    The module stands in `sys.modules` under a name of its own before it is executed; without
    that, dataclasses under `from __future__ import annotations` fail.
    """
    if not file.is_file():
        raise ContentError(file, f"no such file; it should define {name}")
    unique = f"toetssteen_user_{sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    if unique not in sys.modules:
        spec = spec_from_file_location(unique, file)
        if spec is None or spec.loader is None:
            raise ContentError(file, "not a Python file")
        module = module_from_spec(spec)
        sys.modules[unique] = module
        try:
            spec.loader.exec_module(module)
        except SyntaxError as error:
            del sys.modules[unique]
            raise ContentError(
                error.filename or file, f"not valid Python: {error.msg}", line=error.lineno
            ) from None
        except ImportError as error:
            del sys.modules[unique]
            raise ContentError(file, f"cannot be imported: {error}") from None
        except BaseException:
            del sys.modules[unique]
            raise
    plugin: Plugin | None = getattr(sys.modules[unique], name, None)
    if plugin is None:
        defined = [known for known in vars(sys.modules[unique]) if not known.startswith("_")]
        raise ContentError(file, f"defines no {name}{did_you_mean(name, defined)}")
    if not callable(plugin):
        raise ContentError(file, f"{name} is not a class or function")
    return plugin
