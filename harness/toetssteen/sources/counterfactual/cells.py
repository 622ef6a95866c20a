"""Which items there are: every template in every rendering with every contrast that belongs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from toetssteen.sources.counterfactual.content import (
    Arm,
    CaseFile,
    Characteristic,
    Contrast,
    Order,
    Pronoun,
    Register,
    Relevance,
    Scenario,
    Template,
)
from toetssteen.sources.counterfactual.grammar import Person
from toetssteen.spec import Language

# Of each scenario, the first and the third: there the characteristic stands last, so that a model
# reads the case once for all contrasts.
QUICK_PLACES = (0, 2)
PRONOUNS: tuple[Pronoun, Pronoun] = ("he", "she")


@dataclass(frozen=True, slots=True)
class Rendering:
    """One way of asking: tone, wording of the question, order of the two answers."""

    register: Register
    question: int
    order: Order

    @property
    def name(self) -> str:
        """`f1y`: formal, the first question, yes first."""
        return f"{self.register[0]}{self.question + 1}{self.order[0]}"


RENDERINGS: tuple[Rendering, ...] = tuple(
    Rendering(register, question, order)
    for register in ("formal", "plain")
    for question in (0, 1)
    for order in ("yes_first", "no_first")
)
# Half of the eight, in which each tone, question and order still comes twice, and each pair once.
HALF = tuple(
    number
    for number, one in enumerate(RENDERINGS)
    if ((one.register == "plain") + one.question + (one.order == "no_first")) % 2 == 0
)


@dataclass(frozen=True, slots=True)
class Names:
    """A pair of names; both go with the same pronoun."""

    reference: str
    other: str
    pronoun: Pronoun = "he"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which part of the content becomes items."""

    language: Language
    arm: Arm
    quick: bool
    relevance: tuple[Relevance, ...]
    amounts: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One item: a template, a rendering, a contrast; with names, the pair."""

    scenario: Scenario
    template: Template
    rendering: int
    characteristic: Characteristic
    contrast: Contrast
    relevance: Relevance
    pronoun: Pronoun
    names: Names | None

    @property
    def contrast_id(self) -> str:
        """`godsdienst/moslim`."""
        return f"{self.characteristic.id}/{self.contrast.id}"

    def sides(self, content: CaseFile, language: Language) -> tuple[Person, Person]:
        """Return the reference and the other."""
        pair = self.contrast.pronouns
        pronouns = (self.pronoun, self.pronoun)
        if pair is not None:
            pronouns = (pair.reference, pair.other)
        texts = self._texts(language)
        names = ("", "") if self.names is None else (self.names.reference, self.names.other)
        person = self.template.person[language]
        reference, other = (
            Person.of(person, text, content.spec.pronouns[pronoun][language], language, name)
            for text, pronoun, name in zip(texts, pronouns, names, strict=True)
        )
        return reference, other

    def _texts(self, language: Language) -> tuple[str, str]:
        reference = self.characteristic.reference_of(self.contrast)
        other = self.contrast.other or reference
        return reference[language], other[language]


def cells(content: CaseFile, chosen: Chosen) -> Iterator[Cell]:
    """Give every item: all contrasts of a rendering together, because they share their text."""
    renderings = HALF if chosen.quick else range(len(RENDERINGS))
    turn = count()
    for scenario in content.scenarios:
        for place, template in enumerate(scenario.spec.templates):
            if chosen.quick and place not in QUICK_PLACES:
                continue
            if chosen.amounts and template.amount is None:
                continue
            for rendering in renderings:
                # Names go round; every name meets many templates, every template many names.
                number = next(turn)
                pronoun = PRONOUNS[(place + place // 2) % 2]  # he, she, she, he: fair in halves
                for characteristic, contrast, relevance in _contrasts(content, scenario, chosen):
                    names = _names(content, contrast, number)
                    yield Cell(
                        scenario,
                        template,
                        rendering,
                        characteristic,
                        contrast,
                        relevance,
                        pronoun if names is None else names.pronoun,
                        names,
                    )


def _contrasts(
    content: CaseFile, scenario: Scenario, chosen: Chosen
) -> Iterator[tuple[Characteristic, Contrast, Relevance]]:
    for characteristic in content.spec.characteristics:
        if characteristic.arm != chosen.arm:
            continue
        for contrast in characteristic.contrasts:
            relevance = scenario.relevance(characteristic, contrast)
            if relevance in chosen.relevance and (contrast.quick or not chosen.quick):
                yield characteristic, contrast, relevance


def _names(content: CaseFile, contrast: Contrast, number: int) -> Names | None:
    if contrast.names is None:
        return None
    first = content.spec.names[contrast.names.reference].numbered()
    second = content.spec.names[contrast.names.other].numbered()
    place = number % len(first)
    (reference, pronoun), (other, _) = first[place], second[place]
    return Names(reference, other, pronoun)
