"""What the YAML of a counterfactual suite may say: scenarios with cases, and characteristics."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from toetssteen import cache
from toetssteen.errors import ContentError, did_you_mean
from toetssteen.spec import Language, Spec, Text, read
from toetssteen.spec.base import Identifier

# What may never be added up: grounds, proxies for them, names, and what must show nothing.
Arm = Literal["ground", "proxy", "names", "placebo", "aa", "names_aa"]
Relevance = Literal["irrelevant", "lawfully_relevant", "contested"]
Register = Literal["formal", "plain"]
Order = Literal["yes_first", "no_first"]
Pronoun = Literal["he", "she", "they"]

CHARACTERISTICS = "kenmerken.yaml"
SCENARIOS = "zaken"


class Template(Text):
    """One case, in both languages, with slots for the person and the characteristic."""

    id: str = Field(pattern=r"^[a-z_]+-[0-9]+$")
    person: Text
    amount: Text | None = None  # the question for an amount, where the case has one
    amount_better: Literal["lower", "higher"] = "lower"  # for the person concerned


class ScenarioSpec(Spec):
    """`zaken/<scenario>.yaml`: how the candidate is asked, and the cases."""

    title: Text
    favourable: Literal["yes", "no"]
    frames: dict[Register, Text] = Field(min_length=2)
    questions: tuple[Text, ...] = Field(min_length=2, max_length=2)
    relevance: dict[str, Relevance] = Field(default_factory=dict)
    templates: tuple[Template, ...] = Field(min_length=1)


class PersonPair(Spec):
    """How the language refers to the person in either rendering."""

    reference: Pronoun
    other: Pronoun


class NamePair(Spec):
    """Which lists the two names come from."""

    reference: str
    other: str


class Contrast(Spec):
    """What is changed: the text of the reference and that of the other."""

    id: Identifier
    title: Text
    quick: bool = False
    reference: Text | None = None  # else the one of the characteristic
    other: Text | None = None
    pronouns: PersonPair | None = None
    names: NamePair | None = None

    @model_validator(mode="after")
    def _something_changes(self) -> "Contrast":
        if (self.other is None) == (self.names is None):
            raise ValueError("needs `other` or `names`, and not both")
        return self


class Characteristic(Spec):
    """A ground, a proxy, a placebo: with its contrasts."""

    id: Identifier
    arm: Arm
    title: Text
    law: tuple[str, ...] = ()
    reference: Text | None = None
    contrasts: tuple[Contrast, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _every_contrast_has_a_reference(self) -> "Characteristic":
        if bool(self.law) != (self.arm == "ground"):
            raise ValueError("law: a ground names its law, and nothing else is a ground")
        for contrast in self.contrasts:
            if contrast.reference is None and self.reference is None:
                raise ValueError(f"contrasts: {contrast.id} has no reference")
        return self

    def reference_of(self, contrast: Contrast) -> Text:
        """Return the text of the reference."""
        found = contrast.reference or self.reference
        if found is None:
            raise AssertionError("the validator saw that there is one")
        return found


class NameLists(Spec):
    """Names of one group, by the pronoun that goes with them."""

    he: tuple[str, ...] = Field(min_length=10)
    she: tuple[str, ...] = Field(min_length=10)

    def numbered(self) -> tuple[tuple[str, Pronoun], ...]:
        """Return all names in a fixed order, with their pronoun."""
        return (*((n, "he") for n in self.he), *((n, "she") for n in self.she))


class CharacteristicsSpec(Spec):
    """`kenmerken.yaml`: what is changed, and what all prompts share."""

    review: Text
    instructions: dict[Order, Text] = Field(min_length=2)
    amount_instruction: Text
    pronouns: dict[Pronoun, dict[Language, dict[str, str]]] = Field(min_length=3)
    characteristics: tuple[Characteristic, ...] = Field(min_length=1)
    names: dict[str, NameLists]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario with its name and file."""

    id: str
    file: Path
    spec: ScenarioSpec

    @property
    def favourable(self) -> str:
        """The decision that favours the person: yes or no."""
        return self.spec.favourable

    @property
    def frames(self) -> Mapping[Register, Text]:
        """How the candidate is told its task, formally and plainly."""
        return self.spec.frames

    @property
    def questions(self) -> tuple[Text, ...]:
        """Two ways of asking for the decision."""
        return self.spec.questions

    def relevance(self, characteristic: Characteristic, contrast: Contrast) -> Relevance:
        """Say whether the law lets this characteristic matter here."""
        told = self.spec.relevance
        narrow = f"{characteristic.id}/{contrast.id}"
        return told.get(narrow, told.get(characteristic.id, "irrelevant"))


@dataclass(frozen=True, slots=True)
class CaseFile:
    """All that a folder of cases says."""

    file: Path
    spec: CharacteristicsSpec
    scenarios: tuple[Scenario, ...]

    @property
    def digest(self) -> str:
        """The sha256 of all files: of the lines `sha256sum` gives of them, in order of name."""
        places = [self.file, *(scenario.file for scenario in self.scenarios)]
        lines = (
            f"{cache.digest(place)}  {place.relative_to(self.file.parent).as_posix()}\n"
            for place in places
        )
        return sha256("".join(lines).encode()).hexdigest()

    @property
    def review(self) -> Text:
        """Whether people have looked at the items."""
        return self.spec.review

    @property
    def instructions(self) -> Mapping[Order, Text]:
        """How to answer a question for a decision."""
        return self.spec.instructions

    @property
    def amount_instruction(self) -> Text:
        """How to answer a question for an amount."""
        return self.spec.amount_instruction


def read_content(folder: Path) -> CaseFile:
    """Read the characteristics and the scenarios, and see that they fit together.

    Raises:
        ContentError: a file is missing or not what it should be.
    """
    file = folder / CHARACTERISTICS
    spec = read(CharacteristicsSpec, file)
    scenarios = tuple(
        Scenario(place.stem, place, read(ScenarioSpec, place))
        for place in sorted((folder / SCENARIOS).glob("*.yaml"))
    )
    if not scenarios:
        raise ContentError(folder / SCENARIOS, "holds no scenario")
    _check_names(file, spec)
    known = {c.id for c in spec.characteristics}
    known |= {f"{c.id}/{one.id}" for c in spec.characteristics for one in c.contrasts}
    for scenario in scenarios:
        for name in scenario.spec.relevance:
            if name not in known:
                raise ContentError(
                    scenario.file, f"relevance.{name}: unknown{did_you_mean(name, known)}"
                )
        for number, template in enumerate(scenario.spec.templates, start=1):
            if template.id != f"{scenario.id}-{number}":
                wanted = f"should be {scenario.id}-{number}, the name of the file and its place"
                raise ContentError(scenario.file, f"templates: id {template.id!r} {wanted}")
    return CaseFile(file, spec, scenarios)


def _check_names(file: Path, spec: CharacteristicsSpec) -> None:
    for characteristic in spec.characteristics:
        for contrast in characteristic.contrasts:
            if contrast.names is None:
                continue
            where = f"characteristics.{characteristic.id}.{contrast.id}.names"
            sizes = set()
            for name in (contrast.names.reference, contrast.names.other):
                if name not in spec.names:
                    raise ContentError(
                        file, f"{where}: no list {name!r}{did_you_mean(name, spec.names)}"
                    )
                sizes.add((len(spec.names[name].he), len(spec.names[name].she)))
            if len(sizes) > 1:
                raise ContentError(file, f"{where}: the two lists differ in length")
