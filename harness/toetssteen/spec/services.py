"""What a card may say of a candidate that is not weights: a service, a route, a function."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from toetssteen.spec.base import HEADER, HOST, PATH_IN_JSON, VARIABLE, Number, Spec, Whole

# Keys that pace the asking and do not change an answer.
PACING = frozenset(
    {"key_env", "key_header", "ca_file", "concurrency", "requests_per_minute"}
    | {"timeout_seconds", "attempts", "price", "budget"}
)
# Headers whose value is a secret, or that are ours to write.
SECRET = re.compile(r"auth|cookie|credential|key|passw|secret|token", re.IGNORECASE)
OURS = frozenset({"accept-encoding", "connection", "content-length", "content-type", "host"})

HeaderName = Annotated[str, Field(pattern=HEADER)]
PathInJson = Annotated[str, Field(pattern=PATH_IN_JSON)]


class PriceSpec(Spec):
    """What a service charges, in euros for a million tokens."""

    euros_per_million_prompt_tokens: Number = Field(ge=0)
    euros_per_million_tokens: Number = Field(ge=0)


class BudgetSpec(Spec):
    """How much one call of `toets run` may ask of a service; then it stops."""

    requests: Whole | None = Field(default=None, ge=1)
    euros: Number | None = Field(default=None, gt=0)


class ServiceSpec(Spec):
    """An address over HTTP, and how it may be asked.

    What stands in `PACING` decides when and how often something is asked, not what is answered.
    """

    url: str
    key_env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    key_header: HeaderName | None = None
    ca_file: str | None = None
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
    def _an_address_that_may_carry_a_key(self) -> "ServiceSpec":
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
        if self.key_header and not self.key_env:
            raise ValueError("key_header: there is no key to send; name its variable in key_env")
        return self

    @model_validator(mode="after")
    def _euros_need_a_price(self) -> "ServiceSpec":
        if self.budget and self.budget.euros and self.price is None:
            raise ValueError("budget: euros can only be counted with a price")
        return self


class EndpointSpec(ServiceSpec):
    """An OpenAI-compatible service."""

    model: str
    logprobs: bool = False
    prompt_logprobs: bool = False
    limit_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


class RouteSpec(ServiceSpec):
    """The HTTP route of an application: where a conversation goes in, and where its answer is.

    Places in JSON are names with dots between them (`antwoord.tekst`), or a number in a list.
    """

    messages: PathInJson | None = None
    prompt: PathInJson | None = None
    body: dict[str, Any] = Field(default_factory=dict)
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    tenant_header: HeaderName | None = None
    session_header: HeaderName | None = None
    tenant: str = ""
    answer: PathInJson
    filtered: PathInJson | None = None
    tokens: PathInJson | None = None
    prompt_tokens: PathInJson | None = None

    @model_validator(mode="after")
    def _one_place_for_the_conversation(self) -> "RouteSpec":
        if (self.messages is None) == (self.prompt is None):
            raise ValueError(
                "needs messages, the place for a whole conversation, or prompt, the place for one "
                "question; not both"
            )
        place = self.messages or self.prompt or ""
        held: object = self.body
        *way, _ = place.split(".")
        for name in way:
            held = held.get(name, {}) if isinstance(held, Mapping) else None
        if not isinstance(held, Mapping) or place.rpartition(".")[2] in held:
            raise ValueError(f"body: holds something else at {place}")
        return self

    @model_validator(mode="after")
    def _headers_that_may_be_read(self) -> "RouteSpec":
        named = [self.tenant_header, self.session_header, self.key_header]
        taken = OURS | {name.lower() for name in named if name}
        for name, value in self.headers.items():
            if SECRET.search(name):
                raise ValueError(
                    f"headers.{name}: a secret never stands on a card; name the environment "
                    "variable that holds it in key_env, and its header in key_header"
                )
            if name.lower() in taken:
                raise ValueError(f"headers.{name}: is filled in otherwise")
            if not is_plain(value):
                raise ValueError(f"headers.{name}: should be plain characters on one line")
        if self.tenant and not self.tenant_header:
            raise ValueError("tenant: goes into a header; name it in tenant_header")
        if not is_plain(self.tenant):
            raise ValueError("tenant: should be plain characters on one line")
        if (self.budget and self.budget.euros) and not (self.tokens and self.prompt_tokens):
            raise ValueError("budget: euros need the places of tokens and prompt_tokens")
        return self


class FunctionSpec(Spec):
    """A Python function that is the application, in a file in the folder of the card."""

    file: str
    name: str
    tenant: str = ""


def is_plain(value: str) -> bool:
    """May a text stand in a header as it is?"""
    return value.isascii() and (not value or value.isprintable()) and value == value.strip()
