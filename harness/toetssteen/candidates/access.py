"""How far a candidate lets us look: what can be measured of it depends on that."""

from enum import StrEnum

from toetssteen.candidates import Adapter
from toetssteen.records import Capability
from toetssteen.spec import CandidateSpec


class Access(StrEnum):
    """From outside to inside; each includes the ones before it."""

    TEXT = "text"  # what it says
    LOGPROBS = "logprobs"  # and how likely every token of that was
    GIVEN_TEXT = "logprobs of given text"  # and of a text that it is given
    WEIGHTS = "weights"


def access(spec: CandidateSpec, adapter: Adapter) -> Access:
    """Return how far a candidate lets us look, as its card says."""
    if spec.weights is not None:
        return Access.WEIGHTS
    if Capability.LOGLIKELIHOOD in adapter.capabilities:
        return Access.GIVEN_TEXT
    if spec.endpoint is not None and spec.endpoint.logprobs:
        return Access.LOGPROBS
    return Access.TEXT
