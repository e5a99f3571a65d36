"""A usage event as the request path writes it: quick to make, and with the caller's part encoded once for many.

A line of the spool is one JSON object with the members of `UsageEvent`: those of an `Entry`, then those of a `Subject`.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from meshproxy_cli.proxy.core.ids import new_event_id
from meshproxy_cli.proxy.events import spool as spools
from meshproxy_cli.proxy.usage.numbers import storable
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent

if TYPE_CHECKING:
    from meshproxy_cli.proxy.core.caller import Caller
    from meshproxy_cli.proxy.usage.reading import Reading

PROVIDER_PRICE = "provider"
"""The price snapshot of a cost that the provider itself told."""
NO_TOKENS = TokenCounts()
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks whom for what: the members that all events of a caller at an endpoint share. `tail` is made of them."""

    project_id: str
    room: str
    session: str
    participant: str
    key_id: str
    agent: str
    provider: str
    endpoint: str
    method: str
    tail: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        members = {name: getattr(self, name) for name in self.__slots__ if name != "tail"}
        object.__setattr__(self, "tail", b"," + _ENCODER.encode(members)[1:] + b"\n")


def subject_of(caller: "Caller", provider: str, endpoint: str, method: str) -> Subject:
    """Return the subject of a caller's requests."""
    return Subject(
        project_id=caller.project_id,
        room=caller.room,
        session=caller.session,
        participant=caller.participant,
        key_id=caller.key_id,
        agent=storable(caller.agent),
        provider=provider,
        endpoint=endpoint,
        method=method,
    )


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The members of `UsageEvent` that differ from request to request, with its names, types and defaults."""

    event_id: str
    request_id: str
    started_at: datetime
    streamed: bool
    status: int
    outcome: Outcome
    model_requested: str = ""
    model_served: str = ""
    service_tier: str = ""
    provider_request_id: str = ""
    tokens: TokenCounts = NO_TOKENS
    audio_seconds: float = 0.0
    estimated: bool = False
    metered: bool = True
    cost_usd: Decimal | None = None
    price_snapshot: str = ""
    ttfb_ms: float | None = None
    duration_ms: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    error: str = ""
    web_searches: int = 0
    region: str = ""

    def __post_init__(self) -> None:
        self.model_requested = storable(self.model_requested)
        self.provider_request_id = storable(self.provider_request_id)
        self.error = storable(self.error)

    def take(self, reading: "Reading") -> None:
        """Take a reading's numbers over. The outcome stays the caller's to say."""
        self.tokens = reading.tokens or NO_TOKENS
        self.model_served = storable(reading.model)
        self.service_tier = storable(reading.service_tier)
        self.estimated = reading.estimated
        self.metered = reading.metered
        self.audio_seconds = reading.audio_seconds
        self.web_searches = reading.web_searches
        self.region = storable(reading.region)
        if reading.cost_usd is not None and reading.metered:
            self.cost_usd, self.price_snapshot = reading.cost_usd, PROVIDER_PRICE
        self.error = self.error or storable(reading.error)

    def event(self, subject: Subject) -> UsageEvent:
        """Return the whole event."""
        members = asdict(subject)
        del members["tail"]
        return UsageEvent(**members, **msgspec.structs.asdict(self))


def with_shares(entry: Entry, reading: "Reading") -> Sequence[Entry]:
    """Return the entry, and one more for each part of the answer that another model did."""
    entries = [entry]
    for share in reading.shares:
        part = copy.copy(entry)
        part.event_id = new_event_id()
        part.model_served, part.tokens, part.audio_seconds = storable(share.model), share.tokens, 0.0
        part.web_searches = share.web_searches
        part.region = entry.region if share.region is None else share.region
        part.service_tier = entry.service_tier if share.service_tier is None else share.service_tier
        if part.cost_usd is not None:
            part.cost_usd = Decimal(0)  # the first entry has what the whole answer costs
        entries.append(part)
    for part, event_id in zip(entries, reading.event_ids, strict=False):
        part.event_id = event_id
    return entries


def encode(entry: Entry, subject: Subject) -> bytes:
    """Return the entry's line for the spool."""
    try:
        return _ENCODER.encode(entry)[:-1] + subject.tail
    except ValueError:  # half a surrogate pair somewhere: text that is no Unicode
        return spools.encode([entry.event(subject)])
