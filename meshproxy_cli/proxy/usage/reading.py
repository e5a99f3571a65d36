"""What a meter knows about one answer once it is over."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

import msgspec

from meshproxy_cli.store.events import TokenCounts

BYTES_PER_TOKEN = 4
"""Bytes of output text that an estimate takes for one token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShare:
    """Part of an answer that another model than the answering one did, billed at that model's rates."""

    model: str
    tokens: TokenCounts
    web_searches: int = 0
    region: str | None = None  # None: as the answer's
    service_tier: str | None = None  # None: as the answer's


class AnswerItem(NamedTuple):
    """Something that an answer brought, by whose id a later request may refer to it.

    `whole`: a later request can repeat all of it, so that nothing has to be looked up.
    """

    id: str
    whole: bool


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one answer (or of one turn on a websocket).

    `tokens` is None where nothing at all is known. `metered` is False for an answer that should have carried usage and
    did not, or could not be read. `estimated` is True where `tokens` is (partly) our estimate.
    """

    tokens: TokenCounts | None = None
    model: str = ""  # as answered; "" where the answer names none
    service_tier: str = ""  # as served; Anthropic's fast mode is "fast"
    answer_id: str = ""  # of the response or message, by which later requests refer to it
    items: tuple[AnswerItem, ...] = ()
    complete: bool = False  # the provider's terminal usage was seen (or the endpoint is free)
    estimated: bool = False
    metered: bool = True
    error: str = ""  # code of an error inside the answer: "overloaded_error", "server_is_overloaded", …
    audio_seconds: float = 0.0
    web_searches: int = 0
    region: str = ""  # where it was served, if that is billed differently: Anthropic's `inference_geo`
    cost_usd: Decimal | None = None  # as the provider itself says, for the whole answer
    output_bytes_estimate: int = 0  # bytes of output text that went through
    shares: tuple[ModelShare, ...] = ()
    event_ids: tuple[str, ...] = ()  # for this reading and its shares, where the same answer may come again


class Meter(Protocol):
    """Watches one answer."""

    @property
    def ended(self) -> bool:
        """Whether a stream's last event has gone by, so that nothing is missing if the client closes now."""

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the body, transfer coding removed, content coding still on."""

    def finish(self) -> Reading:
        """Return what is known, once, when the body is over or was broken off."""
