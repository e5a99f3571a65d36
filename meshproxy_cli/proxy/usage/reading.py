"""What a meter knows about one answer once it is over."""

import dataclasses
from dataclasses import dataclass

from meshproxy_cli.proxy.ids import new_event_id
from meshproxy_cli.store.events import TokenCounts, UsageEvent

BYTES_PER_TOKEN = 4
"""Bytes of output text that an estimate takes for one token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShare:
    """Part of an answer that another model than the answering one did, billed at that model's rates."""

    model: str
    tokens: TokenCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The numbers of one answer (or of one turn on a websocket).

    `tokens` is None where nothing at all is known. `metered` is False for an answer that should have carried usage and
    did not, or could not be read. `estimated` is True where `tokens` is (partly) our estimate.
    """

    tokens: TokenCounts | None = None
    model: str = ""  # as answered; "" where the answer names none
    service_tier: str = ""  # as served; Anthropic's fast mode is "fast"
    answer_id: str = ""  # OpenAI's id of the answer, by which later requests refer to it
    complete: bool = False  # the provider's terminal usage was seen (or the endpoint is free)
    estimated: bool = False
    metered: bool = True
    error: str = ""  # code of an error inside the answer: "overloaded_error", "server_is_overloaded", …
    audio_seconds: float = 0.0
    output_bytes_estimate: int = 0  # bytes of output text that went through
    shares: tuple[ModelShare, ...] = ()
    event_ids: tuple[str, ...] = ()  # for this reading and its shares, where the same answer may come again

    def apply(self, event: UsageEvent) -> UsageEvent:
        """Return the event with this reading's numbers. Its outcome stays the caller's to say."""
        return dataclasses.replace(
            event,
            tokens=self.tokens or TokenCounts(),
            model_served=self.model or event.model_served,
            service_tier=self.service_tier,
            estimated=self.estimated,
            metered=self.metered,
            audio_seconds=self.audio_seconds,
            error=event.error or self.error,
        )

    def events(self, event: UsageEvent) -> tuple[UsageEvent, ...]:
        """Return the event with this reading's numbers, and one more for each share of another model."""
        whole = self.apply(event)
        events = [whole]
        for share in self.shares:
            part = dataclasses.replace(whole, model_served=share.model, tokens=share.tokens, audio_seconds=0.0)
            events.append(dataclasses.replace(part, event_id=new_event_id()))
        if self.event_ids:
            events = [dataclasses.replace(part, event_id=key) for part, key in zip(events, self.event_ids, strict=True)]
        return tuple(events)
