"""`meshproxy usage --watch`: the table and the rates of the last minute, redrawn until Ctrl-C."""

import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from meshproxy_cli.cli import output
from meshproxy_cli.cli.usage import render
from meshproxy_cli.cli.usage.follow import Follower
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import UsageQuery, UsageTotals

_EVERY_S = 2.0
_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rates:
    """What the events of the last minute amount to."""

    requests_a_minute: int
    tokens_a_second: float
    cost_usd: Decimal
    unpriced: int


def rates(events: deque[UsageEvent], now: datetime) -> Rates:
    """Add up the events that ended in the minute before `now`; older ones are dropped from the deque."""
    kept = [event for event in events if _ended(event) > now - _WINDOW]
    events.clear()
    events.extend(kept)
    tokens = sum(event.tokens.input_tokens + event.tokens.output_tokens for event in kept)
    priced = [event.cost_usd for event in kept if event.cost_usd is not None]
    unpriced = sum(1 for event in kept if event.cost_usd is None and event.tokens.input_tokens)
    return Rates(len(kept), tokens / _WINDOW.total_seconds(), sum(priced, Decimal(0)), unpriced)


def watch(client: ServerClient, query: UsageQuery) -> None:
    """Redraw until Ctrl-C; raise `UsageError` where there is no terminal to draw on."""
    if output.width() is None:
        raise UsageError("--watch draws on a terminal, and there is none", hint="`meshproxy usage tail` can be piped")
    follower = Follower(client, query)
    recent = deque(follower.start(show=500))
    with output.live() as draw:
        while True:
            now = datetime.now(UTC)
            report = client.usage.report(query)
            table = render.build_table(report, output.width())
            caption = _caption(rates(recent, now), client.streams_open(), report.totals)
            draw(caption, table.columns, table.rows, table.footer)
            time.sleep(_EVERY_S)
            recent.extend(follower.poll())


def _caption(now: Rates, streams: int | None, totals: UsageTotals) -> str:
    parts = [f"{now.requests_a_minute:,} requests/min"]
    if streams is not None:
        parts.append(f"{streams:,} streams open")
    parts.append(f"{now.tokens_a_second:,.1f} tokens/s")
    minute = UsageTotals(cost_usd=now.cost_usd, unpriced_requests=now.unpriced)
    parts.append(f"{render.cost_text(minute)}/min")
    parts.append(f"{render.cost_text(totals)} in all")
    return " · ".join(parts)


def _ended(event: UsageEvent) -> datetime:
    return event.started_at + timedelta(milliseconds=event.duration_ms)
