"""Usage: sums by any keys (MeshAgent's call, and what we add to it) and single events."""

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.rest.endpoint import Call, Endpoint, Input
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import GroupBy, UsageQuery, UsageReport, UsageRow, UsageTotals
from meshproxy_cli.store.wire import time_from_text

_PATH = "/accounts/projects/{project_id}/usage"
_INTERVALS = {
    **dict.fromkeys(("day", "1d", "1 day", "daily"), GroupBy.DAY),
    **dict.fromkeys(("hour", "1h", "1 hour", "hourly"), GroupBy.HOUR),
}


class UsageFilter(Input):
    """Which usage. Times are ISO 8601 (UTC where without an offset); `end` is exclusive."""

    start: str | None = None
    end: str | None = None
    room: str | None = None
    session: str | None = None
    participant: str | None = None
    provider: str | None = None
    model: str | None = None


class UsageParameters(UsageFilter):
    """Which usage, and summed by what: `by` takes names with commas between, `interval` adds `hour` or `day`."""

    interval: str | None = None
    by: str | None = None
    report: str | None = None


class EventParameters(UsageFilter):
    """Which events, and which page: those past the event id `after`, in the order of their ids."""

    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    order: str = "oldest"


class PruneParameters(Input):
    """Up to when events are dropped: an ISO 8601 time."""

    before: str


class Pruned(msgspec.Struct):
    """How many events were dropped."""

    dropped: int


class UsageRowBody(msgspec.Struct, kw_only=True):
    """One group: its keys (those of `by`), then its sums. `cost_usd` is null where no request has a known price."""

    room: str | UnsetType = UNSET
    session: str | UnsetType = UNSET
    participant: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    agent: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    day: str | UnsetType = UNSET
    hour: str | UnsetType = UNSET
    requests: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    estimated_requests: int
    unpriced_requests: int
    failed_requests: int
    price_estimated_requests: int
    web_searches: int


class UsageAnswer(msgspec.Struct):
    """The groups, and the sums over all of them."""

    usage: list[UsageRowBody]
    totals: UsageTotals
    by: tuple[GroupBy, ...]
    schema_version: int = 1


class EventPage(msgspec.Struct):
    """Single events; `next` is the `after` of the next page, null on the last one."""

    events: tuple[UsageEvent, ...]
    next: str | None


def filters_of(given: UsageFilter, project_id: str, by: tuple[GroupBy, ...] = ()) -> UsageQuery:
    """Return the store's query; raise `Problem` 400 for a time that is none."""
    return UsageQuery(
        project_id=project_id,
        room=given.room,
        session=given.session,
        participant=given.participant,
        model=given.model,
        provider=given.provider,
        since=_time("start", given.start),
        until=_time("end", given.end),
        by=by,
    )


def _time(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return time_from_text(text.replace(" ", "+"))  # a "+" of an offset that was not escaped arrives as a blank
    except ValueError:
        raise Problem(
            400, "invalid_request", f"`{name}` is no ISO 8601 time: {text!r}. An example: 2026-11-01T00:00:00Z."
        ) from None


def _groups(given: UsageParameters) -> tuple[GroupBy, ...]:
    names = [name.strip() for name in (given.by or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in set(GroupBy)]
    if unknown:
        raise Problem(400, "invalid_request", f"`by` knows {', '.join(GroupBy)}; not {', '.join(unknown)}.")
    groups = [GroupBy(name) for name in dict.fromkeys(names)]
    if given.interval is not None:
        interval = _INTERVALS.get(given.interval.lower())
        if interval is None:
            raise Problem(400, "invalid_request", f"`interval` is hour or day; not {given.interval!r}.")
        groups = [interval, *(group for group in groups if group is not interval)]
    return tuple(groups) or UsageQuery().by


def _row(row: UsageRow) -> UsageRowBody:
    return msgspec.convert({**row.keys, **asdict(row.totals)}, UsageRowBody)


async def _usage(call: Call) -> UsageAnswer:
    project = await call.project()
    query = filters_of(call.query, project.id, _groups(call.query))
    report: UsageReport = await call.read(lambda store: store.usage.report(query))
    return UsageAnswer(usage=[_row(row) for row in report.rows], totals=report.totals, by=report.by)


async def _events(call: Call) -> EventPage:
    project = await call.project()
    given: EventParameters = call.query
    if given.order not in {"oldest", "newest"}:
        raise Problem(400, "invalid_request", f"`order` is oldest or newest; not {given.order!r}.")
    query = filters_of(given, project.id)
    newest_first = given.order == "newest"
    events = await call.read(
        lambda store: store.events.list(query, after=given.after, limit=given.limit, newest_first=newest_first)
    )
    return EventPage(events=events, next=events[-1].event_id if len(events) == given.limit else None)


async def _prune(call: Call) -> Pruned:
    before = _time("before", call.query.before)
    if before is None or before > datetime.now(UTC):
        raise Problem(400, "invalid_request", "`before` is a time that is past.")
    return Pruned(dropped=await call.change(lambda store: store.events.prune(before)))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=_PATH,
        summary="Sum up usage",
        description="Groups by `by` and `interval` (room, session and model where neither is given), with totals.",
        tag="Usage",
        handle=_usage,
        answer=UsageAnswer,
        query=UsageParameters,
    ),
    Endpoint(
        method="GET",
        path=_PATH + "/events",
        summary="List single events",
        tag="Usage",
        handle=_events,
        answer=EventPage,
        query=EventParameters,
    ),
    Endpoint(
        method="DELETE",
        path="/accounts/usage/events",
        summary="Drop old single events",
        description="Those of every project that started before `before`. Sums stay.",
        tag="Usage",
        handle=_prune,
        answer=Pruned,
        admin=True,
        query=PruneParameters,
    ),
)
