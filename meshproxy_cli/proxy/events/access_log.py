"""A line in the log for each request, written from its usage event: off the path of requests, and with its tokens.

So a line comes once the event is in the store, a moment after the answer, and later while the store is away. Who was
refused before it was known who asks (no valid token) has no event, and no line.
"""

import logging
from collections.abc import Sequence

from meshproxy_cli.store.events import UsageEvent

_log = logging.getLogger(__name__)


class AccessLog:
    """An `Observer` of stored events; `wanted` may change at any time."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted

    def observe(self, events: Sequence[UsageEvent]) -> None:
        """Log a batch."""
        if not self.wanted:
            return
        for event in events:
            what = f"{event.method} {event.endpoint} {event.status}"
            _log.info("%s", what, extra={"request_id": event.request_id, "fields": _fields(event)})


def _fields(event: UsageEvent) -> dict[str, object]:
    return {
        "started_at": event.started_at.isoformat(timespec="milliseconds"),
        "outcome": event.outcome.value,
        "room": event.room,
        "session": event.session,
        "participant": event.participant,
        "agent": event.agent,
        "provider": event.provider,
        "model": event.model_served or event.model_requested,
        "duration_ms": round(event.duration_ms, 1),
        "ttfb_ms": None if event.ttfb_ms is None else round(event.ttfb_ms, 1),
        "input_tokens": event.tokens.input_tokens,
        "output_tokens": event.tokens.output_tokens,
        "error": event.error,
    }
