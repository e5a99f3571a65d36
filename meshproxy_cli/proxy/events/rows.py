"""Lines of the spool as rows of the ledger, priced: a whole block at once, and quickly.

Nearly every event has plain numbers, of text, at a price that is known for the day. Its row is made straight from what
the decoder gives. All others go the long way, by `UsageEvent` and `PriceBook.price`; both ways give the same row.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store.engine.eventrows import MAX_COST, MAX_NUMBER, EventRow, to_row
from meshproxy_cli.store.events import UsageEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]


class PlainTokens(msgspec.Struct, frozen=True, gc=False):
    """`TokenCounts` with numbers that need no cutting."""

    input_tokens: Number = 0
    cached_input_tokens: Number = 0
    cache_write_5m_tokens: Number = 0
    cache_write_1h_tokens: Number = 0
    output_tokens: Number = 0
    reasoning_tokens: Number = 0
    input_audio_tokens: Literal[0] = 0
    output_audio_tokens: Literal[0] = 0
    input_image_tokens: Literal[0] = 0
    output_image_tokens: Literal[0] = 0
    cached_audio_tokens: Literal[0] = 0
    cached_image_tokens: Literal[0] = 0


_NOTHING = PlainTokens()


class PlainEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A `UsageEvent` as it is spooled, where it is a plain one. In the order of a line's members, which is quickest."""

    event_id: str
    request_id: str
    started_at: Annotated[datetime, msgspec.Meta(tz=True)]
    streamed: bool
    status: Number
    outcome: Literal["ok", "provider_error", "refused", "client_closed", "provider_closed", "unreachable"]
    model_requested: str = ""
    model_served: str = ""
    service_tier: str = ""
    provider_request_id: str = ""
    tokens: PlainTokens = _NOTHING
    audio_seconds: float = 0.0
    estimated: bool = False
    metered: bool = True
    cost_usd: Decimal | None = None
    price_snapshot: str = ""
    ttfb_ms: float | None = None
    duration_ms: float = 0.0
    request_bytes: Number = 0
    response_bytes: Number = 0
    error: str = ""
    web_searches: Number = 0
    region: str = ""
    project_id: str
    room: str
    session: str
    participant: str
    key_id: str
    agent: str
    provider: str
    endpoint: str
    method: str


_PLAIN = msgspec.json.Decoder(PlainEvent)
_ANY = msgspec.json.Decoder(UsageEvent)


class RowMaker:
    """Makes rows of lines; what can't be read goes to `reject`, with the reason."""

    def __init__(self, prices: PriceBook, reject: Callable[[bytes, str], None]) -> None:
        self.prices = prices
        self._reject = reject

    def rows(self, block: bytes) -> list[EventRow]:
        """Return a row for each line of a block."""
        if b"\\u0000" in block:  # what PostgreSQL can't store is mended by `to_row`
            return self._one_by_one(block.splitlines())
        try:
            events = _PLAIN.decode_lines(block)
        except (msgspec.MsgspecError, ValueError):
            return self._one_by_one(block.splitlines())
        return list(map(self._row, events))

    def _one_by_one(self, lines: Iterable[bytes]) -> list[EventRow]:
        rows = []
        for line in lines:
            try:
                rows.append(to_row(self.prices.price(_ANY.decode(line))))
            except (msgspec.MsgspecError, ValueError) as problem:
                self._reject(line, str(problem))
        return rows

    def _row(self, event: PlainEvent) -> EventRow:
        tokens = event.tokens
        since = event.started_at - _EPOCH
        started = since.days * _DAY + since.seconds * 1_000_000 + since.microseconds
        read, cached = tokens.input_tokens, tokens.cached_input_tokens
        short, long = tokens.cache_write_5m_tokens, tokens.cache_write_1h_tokens
        wrote, reasoned = tokens.output_tokens, tokens.reasoning_tokens
        model = event.model_served or event.model_requested
        cost: int | None = None
        snapshot = ""
        estimated = False
        if event.audio_seconds or event.web_searches or event.region or event.cost_usd is not None:
            return self._long_way(event)
        if event.metered:
            if read or wrote or cached or short or long or reasoned:
                tariff = self.prices.tariff(event.provider, model, event.service_tier, since.days)
                if tariff is None:
                    return self._long_way(event)
                cost = tariff.cost(read, cached, short, long, wrote, reasoned)
                if cost is not None:
                    cost, snapshot, estimated = min(cost, MAX_COST), tariff.snapshot, tariff.estimated
            else:
                cost = 0
        return (
            event.event_id,
            started,
            event.request_id,
            event.project_id,
            event.room,
            event.session,
            event.participant,
            event.key_id,
            event.agent,
            event.provider,
            model,
            event.endpoint,
            event.method,
            event.streamed,
            event.status,
            event.outcome,
            event.model_requested,
            event.model_served,
            event.service_tier,
            event.provider_request_id,
            read,
            cached,
            short,
            long,
            wrote,
            reasoned,
            0,
            0,
            0,
            0,
            0,
            0,
            0.0,
            event.estimated,
            event.metered,
            cost,
            snapshot,
            event.ttfb_ms,
            event.duration_ms,
            event.request_bytes,
            event.response_bytes,
            event.error,
            0,
            "",
            estimated,
        )

    def _long_way(self, event: PlainEvent) -> EventRow:
        return to_row(self.prices.price(msgspec.convert(event, UsageEvent, from_attributes=True)))
