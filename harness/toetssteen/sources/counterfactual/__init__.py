"""The same case with one characteristic of the person changed: items made of cases and contrasts.

Cases and characteristics are YAML that a lawyer can read and correct; here they are checked and
multiplied out. The same files and arguments always give the same items, with the same ids.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Literal, overload

from toetssteen.errors import ContentError
from toetssteen.items import Labels, Row, Table
from toetssteen.sources.counterfactual.cells import (
    RENDERINGS,
    Cell,
    Chosen,
    Names,
    Rendering,
    cells,
)
from toetssteen.sources.counterfactual.content import Arm, CaseFile, Relevance, read_content
from toetssteen.sources.counterfactual.grammar import check, fill
from toetssteen.spec import Language, Text

LABELS = {"nl": ("Ja", "Nee"), "en": ("Yes", "No")}
SLOT = "{case}"


def read_counterfactual(  # noqa: PLR0913 - each is a key of the YAML
    folder: Path,
    *,
    data: str,
    language: Language,
    arm: Arm,
    size: Literal["full", "quick"] = "full",
    relevance: tuple[Relevance, ...] = ("irrelevant",),
    ask: Literal["decision", "amount"] = "decision",
    sha256: str | None = None,
) -> Table:
    """Make items of a folder with `kenmerken.yaml` and the scenarios in `zaken/`.

    Args:
        folder: where relative names start.
        data: the folder with the cases.
        language: of the items.
        arm: which characteristics: the grounds, the proxies, the names, or what must show nothing.
        size: all, or the part that is marked as quick: two templates a scenario, half of the
            renderings, one contrast a ground.
        relevance: the cells of scenario and ground that take part.
        ask: for a decision, or for an amount where the case has one.
        sha256: the digest the folder must have; a message says what it is.

    Raises:
        ContentError: another digest, a file that is not what it should be, or two renderings that
            would differ outside their slots.
    """
    place = folder / data
    content = read_content(place)
    if sha256 not in (None, content.digest):
        raise ContentError(
            place,
            f"sha256 is {content.digest}, the task says {sha256}; if the change is meant, put the "
            "new sha256 into the task and raise its version",
        )
    check(content, language)
    chosen = Chosen(language, arm, size == "quick", relevance, ask == "amount")
    found = tuple(cells(content, chosen))
    if not found:
        raise ContentError(place, f"holds no case for arm {arm} and this relevance")
    rows = CaseRows(content, chosen, found)
    digest = sha256_of()
    for row in rows:
        digest.update(json.dumps(row.fields, ensure_ascii=False, sort_keys=True).encode())
    return Table(place, digest.hexdigest(), rows, _labels(content))


def _labels(content: CaseFile) -> Labels:
    """Return what scenarios, characteristics and contrasts are called in both languages."""
    titles = {one.id: one.spec.title for one in content.scenarios}
    for characteristic in content.spec.characteristics:
        title = titles[characteristic.id] = characteristic.title
        for contrast in characteristic.contrasts:
            titles[f"{characteristic.id}/{contrast.id}"] = Text(
                nl=f"{title.nl}: {contrast.title.nl}", en=f"{title.en}: {contrast.title.en}"
            )
    return {name: {"nl": title.nl, "en": title.en} for name, title in titles.items()}


@dataclass(frozen=True, slots=True)
class CaseRows(Sequence[Row]):
    """The items as rows, written out when they are asked for: a full arm has some 25,000."""

    content: CaseFile
    chosen: Chosen
    cells: tuple[Cell, ...]

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.cells)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        """Write out an item, or some."""
        if isinstance(index, slice):
            return tuple(self[place] for place in range(len(self))[index])
        place = range(len(self))[index]
        return Row(place + 1, self._fields(self.cells[place]))

    def __iter__(self) -> Iterator[Row]:
        """Write out every item."""
        return (self[place] for place in range(len(self)))

    def _fields(self, cell: Cell) -> Mapping[str, object]:
        language = self.chosen.language
        rendering = RENDERINGS[cell.rendering]
        names = cell.names or Names("", "")
        reference, other = cell.sides(self.content, language)
        yes, no = LABELS[language]
        asked: dict[str, object] = {"yes": yes, "no": no, "favourable": cell.scenario.favourable}
        if self.chosen.amounts:
            asked = {"better": cell.template.amount_better}
        return {
            "id": f"{cell.template.id}.{rendering.name}.{cell.contrast_id}.{language}",
            "template": cell.template.id,
            "scenario": cell.scenario.id,
            "ground": cell.characteristic.id,
            "contrast": cell.contrast_id,
            "arm": cell.characteristic.arm,
            "relevance": cell.relevance,
            "language": language,
            "register": rendering.register,
            "order": rendering.order,
            "name": names.reference,
            "prompt": self._prompt(cell, rendering),
            "reference": fill(cell.template[language], reference),
            "other": fill(cell.template[language], other),
            "marker": other.trait,
            **asked,
            "review": self.content.review.en,
        }

    def _prompt(self, cell: Cell, rendering: Rendering) -> str:
        language = self.chosen.language
        frame = cell.scenario.frames[rendering.register][language]
        if self.chosen.amounts and cell.template.amount is not None:
            question = cell.template.amount[language]
            how = self.content.amount_instruction[language]
        else:
            question = cell.scenario.questions[rendering.question][language]
            how = self.content.instructions[rendering.order][language]
        # The case stands last, so that what all its contrasts share is read once.
        return f"{frame} {question} {how}\n\n{SLOT}"
