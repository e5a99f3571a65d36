"""The usage event: one answered (or refused) model request, as it is spooled, stored, priced and shown.

Token columns have one meaning for every provider (that of OpenTelemetry's GenAI conventions): `input_tokens` is
everything the model read, so it *includes* `cached_input_tokens` and the cache writes; `output_tokens` is everything
it wrote, so it *includes* `reasoning_tokens`. Anthropic reports its input without the cached parts: they are added.
"""

import enum
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


class Outcome(enum.StrEnum):
    """How a request ended."""

    OK = "ok"
    PROVIDER_ERROR = "provider_error"  # an error status, or an error event inside a 200 stream
    REFUSED = "refused"  # by the proxy itself; nothing went upstream
    CLIENT_CLOSED = "client_closed"  # the client went away before the last byte
    PROVIDER_CLOSED = "provider_closed"  # the provider broke off or stalled
    UNREACHABLE = "unreachable"  # no answer from the provider at all


@dataclass(slots=True, kw_only=True)
class TokenCounts:
    """Token numbers as the provider reported them, in our one meaning (see the module). Nobody changes one.

    Not frozen: that would take four times as long to make, and one is made for every answer.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    cached_audio_tokens: int = 0  # the audio part of `cached_input_tokens`: it has a price of its own
    cached_image_tokens: int = 0

    @property
    def cache_write_tokens(self) -> int:
        """Both kinds of cache write together."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """A usage event. Times are UTC; durations are milliseconds; `event_id` makes storing it idempotent."""

    event_id: str
    request_id: str
    started_at: datetime
    project_id: str
    room: str
    session: str
    participant: str
    key_id: str
    agent: str  # product of the User-Agent: "codex_exec", "claude-cli", "OpenAI/Python", …; "" if unknown
    provider: str  # the name in the configuration: "openai", "anthropic", "echo", …
    endpoint: str  # the provider's path: "/v1/responses"
    method: str
    streamed: bool
    status: int  # what the client got; 0 where it got nothing
    outcome: Outcome
    model_requested: str = ""
    model_served: str = ""
    service_tier: str = ""  # as served: "default", "flex", "priority", "batch", "fast", …
    provider_request_id: str = ""
    tokens: TokenCounts = field(default_factory=TokenCounts)
    audio_seconds: float = 0.0  # audio input, if the provider bills its length instead of tokens
    estimated: bool = False  # the numbers are our estimate: the stream broke off before the provider's own
    metered: bool = True  # False: an answer that should carry usage and did not, or could not be read
    cost_usd: Decimal | None = None  # None: unknown model or not metered; never zero for lack of a price
    price_snapshot: str = ""  # where `cost_usd` comes from: "genai-prices 0.2.3", "prices.toml …", "provider"
    ttfb_ms: float | None = None  # time to first byte of the answer
    duration_ms: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    web_searches: int = 0  # made by the provider, billed by the search
    region: str = ""  # where it was served, if that is billed differently: Anthropic's `inference_geo`
    price_estimated: bool = False  # `cost_usd` is at the rate of an earlier model of the same family
    error: str = ""  # short code of what went wrong: "overloaded_error", "token_expired", …
