"""Filling slots, and seeing that nothing but the slots can differ or go wrong.

Dutch and English agree in different places: pronouns, capitals, articles. Whatever agrees with
the person is a slot, so that a text with a bare "hij" or "her" is an error and not an accident.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from toetssteen.errors import ContentError, did_you_mean
from toetssteen.sources.counterfactual.content import CaseFile, Characteristic, Contrast, Scenario
from toetssteen.spec import Language

SLOT = re.compile(r"\{(\w+)\}")
TRAIT: Mapping[Language, str] = {"nl": "kenmerk", "en": "trait"}
PERSON: Mapping[Language, str] = {"nl": "persoon", "en": "person"}
NAME = {"nl": "naam", "en": "name"}
# In a case; "they" is left to neighbours and rules, a verb after {He} could not agree with it.
IN_CASES: Mapping[Language, frozenset[str]] = {
    "nl": frozenset({"persoon", "Persoon", "kenmerk", "hij", "Hij", "hem", "zijn"}),
    "en": frozenset({"person", "Person", "trait", "him", "his"}),
}
BARE: Mapping[Language, re.Pattern[str]] = {
    "nl": re.compile(r"\b(hij|zij|hem|haar|hun|diens|hijzelf|zijzelf)\b", re.IGNORECASE),
    "en": re.compile(r"\b(he|she|him|her|his|hers|himself|herself)\b", re.IGNORECASE),
}
ARTICLES: Mapping[Language, tuple[str, ...]] = {"nl": ("de ", "het "), "en": ("the ",)}
ENDS = (".", "?", "!", "}")


@dataclass(frozen=True, slots=True)
class Person:
    """What fills the slots of one rendering."""

    trait: str
    slots: Mapping[str, str]

    @classmethod
    def of(
        cls, person: str, text: str, pronouns: Mapping[str, str], language: Language, name: str
    ) -> "Person":
        """Fill the text of the characteristic, which may speak of the person itself."""
        role = PERSON[language]
        known = {role: person, role.capitalize(): _capital(person), **pronouns}
        if name:
            known[NAME[language]] = name
        trait = fill_slots(text, known)
        return cls(trait, {**known, TRAIT[language]: trait})


def fill(template: str, person: Person) -> str:
    """Return a template with its slots filled."""
    return fill_slots(template, person.slots)


def fill_slots(text: str, slots: Mapping[str, str]) -> str:
    """Return a text with its slots filled.

    Raises:
        KeyError: a slot that is not known; `check` finds those first.
    """
    return SLOT.sub(lambda found: slots[found[1]], text)


def differ_only_in_slots(template: str, first: str, second: str) -> bool:
    """Say whether both texts are the template with something in its slots."""
    literal = SLOT.split(template)[::2]
    shape = re.compile("(.+?)".join(map(re.escape, literal)))
    return shape.fullmatch(first) is not None and shape.fullmatch(second) is not None


def check(content: CaseFile, language: Language) -> None:
    """See that every case and every characteristic can be filled in whatever the person is.

    Raises:
        ContentError: names the file, the case and what is wrong.
    """
    for scenario in content.scenarios:
        for place, problem in _faults_of_scenario(scenario, language):
            raise ContentError(scenario.file, f"{place}: {problem}")
    for characteristic in content.spec.characteristics:
        for contrast in characteristic.contrasts:
            _check_contrast(content, characteristic, contrast, language)


def _faults_of_scenario(scenario: Scenario, language: Language) -> Iterator[tuple[str, str]]:
    trait = TRAIT[language]
    for template in scenario.spec.templates:
        where = f"templates.{template.id}.{language}"
        text, person = template[language], template.person[language]
        for problem in _faults(text, language):
            yield where, problem
        if SLOT.findall(text).count(trait) != 1:
            yield where, f"should hold {{{trait}}} once"
        if not person.startswith(ARTICLES[language]):
            yield where, f"person {person!r} should begin with its article"


def _faults(text: str, language: Language) -> Iterator[str]:
    """Give what is wrong with the text of a case."""
    for slot in SLOT.findall(text):
        if slot not in IN_CASES[language]:
            yield f"{{{slot}}} is no slot of a case{did_you_mean(slot, IN_CASES[language])}"
    if (bare := BARE[language].search(SLOT.sub("", text))) is not None:
        yield f"{bare[0]!r} would not agree with every person; use a slot, or another word"
    if "  " in text or "\n" in text:
        yield "holds two spaces or a line break"
    if not text.endswith(ENDS):
        yield "should end with a full stop"
    for found in SLOT.finditer(text):
        starts = not text[: found.start()].strip() or text[: found.start()].rstrip()[-1] in ENDS
        capital = found[1][0].isupper()
        if found[1] != TRAIT[language] and starts != capital:
            yield f"{found[0]} should {'' if starts else 'not '}begin with a capital here"
        if found[1] == TRAIT[language] and not starts:
            yield f"{found[0]} is a sentence; it should stand where one begins"


def _check_contrast(
    content: CaseFile, characteristic: Characteristic, contrast: Contrast, language: Language
) -> None:
    where = f"characteristics.{characteristic.id}.{contrast.id}.{language}"
    texts = [characteristic.reference_of(contrast)[language]]
    if contrast.other is not None:
        texts.append(contrast.other[language])
    for text in texts:
        if not text.endswith("."):
            raise ContentError(content.file, f"{where}: should be a sentence with a full stop")
        if (bare := BARE[language].search(SLOT.sub("", text))) is not None:
            raise ContentError(content.file, f"{where}: {bare[0]!r} should be a slot")
        _check_slots(content, contrast, text, language, where)
    if contrast.names is None and len(set(texts)) < 2:
        raise ContentError(content.file, f"{where}: both renderings are the same")


def _check_slots(
    content: CaseFile, contrast: Contrast, text: str, language: Language, where: str
) -> None:
    role = PERSON[language]
    known = {role, role.capitalize(), *content.spec.pronouns["he"][language]}
    if contrast.pronouns is not None:
        for pronoun in (contrast.pronouns.reference, contrast.pronouns.other):
            known &= {role, role.capitalize(), *content.spec.pronouns[pronoun][language]}
    if contrast.names is not None:
        known.add(NAME[language])
    for slot in SLOT.findall(text):
        if slot not in known:
            raise ContentError(
                content.file, f"{where}: {{{slot}}} is not known here{did_you_mean(slot, known)}"
            )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
