"""On what footing two runs stand: are they of one candidate, and what else differs?

Two runs may be asked the same questions and still not say what their difference seems to say: the
weights were others, or only their precision, the prompt around them or the route to them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What stands on a card and is said by the identity: where the weights come from.
IN_THE_IDENTITY = frozenset({"weights", "lora"})
# What a candidate says of itself that can change an answer and stands on no card.
SAID = ("weights_sha256", "chat_template_sha256", "engine", "torch", "transformers", "machine")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A candidate as a run recorded it.

    Args:
        name: of its card.
        identity: digest of its weights, or of its address.
        card: what of the card can change an answer.
        said: what it said of itself when it was last opened.
    """

    name: str
    identity: str
    card: Mapping[str, Any]
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Footing:
    """What two candidates have in common, and what a difference between them may come from.

    Args:
        reference: name of the one.
        other: name of the other.
        same_identity: the same weights by digest, or the same address and model.
        differs: what else differs, with both values.
        agree: what a check of their equivalence found; None where none was made.
    """

    reference: str
    other: str
    same_identity: bool
    differs: tuple[str, ...]
    agree: bool | None

    @property
    def says(self) -> str:
        """Say in one line how the difference between the two may be read."""
        pair = f"{self.reference} and {self.other}"
        differs = ", ".join(self.differs)
        if self.agree is True:
            return f"{pair} answered alike in a check of their equivalence: comparable as one"
        if self.agree is False:
            return (
                f"{pair} did not answer alike in a check of their equivalence: not comparable as "
                "the same candidate"
            )
        if self.same_identity and not self.differs:
            return f"{pair} are the same candidate"
        if self.same_identity:
            return (
                f"{pair} have the same weights, and differ in {differs}: a difference may come "
                f"from that; `toets check --equivalence {self.reference} {self.other}` asks both"
            )
        also = f"; they also differ in {differs}, and a difference may come from that"
        return f"{pair} are not the same weights by their digests{also if differs else ''}"


def footing(
    reference: Recorded, other: Recorded, checks: Sequence[Mapping[str, Any]] = ()
) -> Footing:
    """Say on what footing two candidates stand.

    Args:
        reference: as its run recorded it.
        other: likewise.
        checks: records of `toets check --equivalence` that were kept beside the runs; those of
            other candidates, or of other settings, say nothing here.
    """
    found = [check["agrees"] for check in checks if _is_of(check, (reference, other))]
    return Footing(
        reference=reference.name,
        other=other.name,
        same_identity=reference.identity == other.identity,
        differs=tuple(_differs(reference, other)),
        agree=all(found) if found else None,
    )


def is_of_this(check: Mapping[str, Any], candidate: Recorded) -> bool:
    """Say whether a candidate, with these settings, was one of the two that were checked."""
    return any(_matches(route, candidate) for route in check["routes"])


def _is_of(check: Mapping[str, Any], pair: tuple[Recorded, Recorded]) -> bool:
    one, other = check["routes"]
    ours, theirs = pair
    return (_matches(one, ours) and _matches(other, theirs)) or (
        _matches(one, theirs) and _matches(other, ours)
    )


def _matches(route: Mapping[str, Any], candidate: Recorded) -> bool:
    return bool(route["identity"] == candidate.identity and route["card"] == candidate.card)


def _differs(reference: Recorded, other: Recorded) -> Iterator[str]:
    same = reference.identity == other.identity
    for key in sorted((reference.card.keys() | other.card.keys()) - IN_THE_IDENTITY):
        ours, theirs = reference.card.get(key), other.card.get(key)
        if ours != theirs:
            yield f"{key} ({_short(ours)} and {_short(theirs)})"
    for key in SAID:
        ours, theirs = reference.said.get(key), other.said.get(key)
        # Of other weights a digest says nothing new.
        news = same or not key.endswith("_sha256")
        if news and None not in {ours, theirs} and ours != theirs:
            yield f"{key} ({_short(ours)} and {_short(theirs)})"


def _short(value: object) -> str:
    match value:
        case None:
            return "none"
        case {"name": name}:
            return str(name)
        case _:
            text = str(value)
            return text if len(text) <= 40 else f"{text[:39]}…"
