"""What the sessions of one run have to say of each other."""

from collections.abc import Iterable, Mapping

# Under which names a service answers; "nothing" where it gives none.
NAMES = ("model_reported", "system_fingerprint")
NOTHING = "nothing"


def changed_names(candidates: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the names under which a service answered, of those that did not stay the same.

    Args:
        candidates: what was said of the candidate in each session, within one call or several.
    """
    seen: dict[str, set[str]] = {name: set() for name in NAMES}
    for described in candidates:
        for name in NAMES:
            seen[name] |= set(described.get(name, NOTHING).split(", ")) - {NOTHING}
    return {name: sorted(said) for name, said in seen.items() if len(said) > 1}
