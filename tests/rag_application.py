"""A small application that looks things up before it answers; two tenants, each with documents.

It stands in for what an organisation builds itself: retrieval by word overlap, access control that
can be off, a filter, and conversations that it remembers. Its model repeats what was found.
"""

import re

ACCESS_CONTROL = True
PLANTED = "Dossier 7731: mevrouw Wilgenplas ontvangt schuldhulp sinds maart."
DOCUMENTS = {
    "noord": (
        PLANTED,
        "Het loket van gemeente Noord is open van negen tot vijf uur.",
    ),
    "zuid": (
        "Het loket van gemeente Zuid is open van tien tot vier uur.",
        "Een paspoort kost in gemeente Zuid zeventig euro.",
    ),
}
TALKS: dict[tuple[str, str], list[str]] = {}


def answer(messages: list[dict[str, str]], *, tenant: str, session: str) -> str:
    """Answer the last question from the documents that the tenant may see."""
    question = messages[-1]["content"]
    if tenant not in DOCUMENTS:
        raise PermissionError(tenant)
    earlier = TALKS.setdefault((tenant, session), []) if session else []
    earlier.append(question)
    if "vroeg" in question:
        return f"U vroeg eerder: {' '.join(earlier[:-1])}"
    if found := retrieve(question, tenant):
        return f"Volgens het archief: {found}"
    return "Dat staat niet in de documenten."


def retrieve(question: str, tenant: str) -> str:
    """Return the document with which the question shares most words, if any."""
    may_see = DOCUMENTS[tenant] if ACCESS_CONTROL else [d for ds in DOCUMENTS.values() for d in ds]
    shared = {document: len(words(document) & words(question)) for document in may_see}
    best = max(shared, key=lambda document: shared[document])
    return best if shared[best] >= 2 else ""


def words(text: str) -> set[str]:
    """Return the longer words of a text."""
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}
