"""What all pieces of YAML share: frozen, unknown keys refused, one type a field."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from toetssteen.errors import ContentError

# How some texts must be written, and what to say when one is not.
DIGEST = r"^[0-9a-f]{64}$"
COMMIT = r"^[0-9a-f]{40}$"
VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
HOST = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:.]+"
HEADER = r"^[A-Za-z0-9_-]+$"
PATH_IN_JSON = r"^[^.\s]+(\.[^.\s]+)*$"
IDENTIFIER = r"^[a-z][a-z0-9_]*$"
DISTRIBUTION = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
REGISTERED = (
    r"^(models:/(m-[0-9a-f]+|[^/@]+@[A-Za-z0-9_.-]+|[^/@]+/[0-9]+)|runs:/[0-9a-f]{32}/[^.].*)$"
)
REQUIREMENT = r"^urn:nl:ak:ver:[a-z]+-[0-9]{2}$"
WRITTEN: Mapping[str, str] = {
    REQUIREMENT: "should be a requirement of the Algoritmekader, such as urn:nl:ak:ver:aia-10",
    DIGEST: "should be a sha256: 64 lower-case hex digits, as `sha256sum FILE` prints them",
    COMMIT: (
        "should be a commit, 40 hex digits: a branch or tag moves, and then nobody can say what "
        "was tested; the hub shows the commit under Files, History"
    ),
    VARIABLE: (
        "should be the name of an environment variable, in capitals; the key itself never stands "
        "on a card"
    ),
    HEADER: "should be the name of a header, such as X-Tenant: letters, digits, - and _",
    PATH_IN_JSON: (
        "should be a place in the JSON: names with dots between them, such as answer.text"
    ),
    REGISTERED: (
        "should be models:/NAME@ALIAS, models:/NAME/3, models:/m-ID or runs:/ID/PATH, as MLflow "
        "shows them"
    ),
    IDENTIFIER: "should be lower-case letters, digits and _, and begin with a letter",
    DISTRIBUTION: "should be the name of a distribution: letters, digits and . _ -",
}


def _not_yes_or_no(given: object) -> object:
    # In Python True is 1, and YAML reads `yes` and `on` as true.
    if isinstance(given, bool):
        raise ValueError("should be a number, not yes or no")  # noqa: TRY004 - pydantic's way
    return given


Language = Literal["nl", "en"]
Digest = Annotated[str, Field(pattern=DIGEST, description="sha256, lower-case hex")]
# Requirements by the URN of the Algoritmekader; measures (mtr) have no stable numbers.
Urn = Annotated[str, Field(pattern=REQUIREMENT)]
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
Whole = Annotated[int, BeforeValidator(_not_yes_or_no)]
# An infinite bound is always met, and nothing meets NaN: neither is a criterion.
Number = Annotated[float, BeforeValidator(_not_yes_or_no), Field(allow_inf_nan=False)]


class Spec(BaseModel):
    """A frozen piece of YAML in which unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class Text(Spec):
    """One text in Dutch and English."""

    nl: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def __getitem__(self, language: Language) -> str:
        """Return the text in one language."""
        return self.nl if language == "nl" else self.en


class PluginRef(Spec):
    """A plugin by name, from `file` beside the YAML where one is given, with its arguments."""

    name: str
    file: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)


def beside(yaml_file: Path, ref: PluginRef) -> Path | None:
    """Return the file a plugin stands in, if it has one; only files beside the YAML are run.

    Raises:
        ContentError: it lies outside the folder of the YAML.
    """
    if ref.file is None:
        return None
    return inside(yaml_file.parent, ref.file, where=yaml_file)


def inside(folder: Path, file: str, *, where: Path) -> Path:
    """Return a file in a folder; what the YAML has executed lies there and nowhere else.

    Raises:
        ContentError: it lies outside the folder; `where` is the YAML or folder that says so.
    """
    place = (folder / file).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise ContentError(where, f"file: {file}: lies outside the folder of the YAML")
    return place


def repeated(names: list[str]) -> str:
    """Say which names stand more than once."""
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"{', '.join(map(repr, twice))} stands twice"
