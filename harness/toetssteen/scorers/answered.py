"""Did an answer come at all? For tasks that are about what asking costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from toetssteen.records import (
    Capability,
    Generate,
    Item,
    Message,
    Request,
    Response,
    Score,
)
from toetssteen.scorers import only_answer


@dataclass(frozen=True, slots=True)
class AnsweredScorer:
    """Asks each prompt once; `value` is 1 for an answer that is not empty.

    Args:
        max_tokens: how much the candidate may say; the same for all, so that costs compare.
    """

    max_tokens: int = 32
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})
    version: ClassVar[int] = 1
    columns: frozenset[str] = field(default=frozenset({"prompt"}), init=False)

    def requests(self, item: Item) -> Sequence[Request]:
        """Ask once."""
        return (Generate((Message("user", item.text("prompt")),), self.max_tokens),)

    def score(self, item: Item, responses: Sequence[Response]) -> Score:
        """Count tokens and see whether anything was said."""
        response = only_answer(item, responses)
        if isinstance(response, Score):
            return response
        counted = {"tokens": response.tokens, "prompt_tokens": response.prompt_tokens}
        parts = {name: float(count) for name, count in counted.items() if count is not None}
        return Score.of(item, 1.0, parts=parts, said=response.text)
