"""Usage reports: sums of the coarsest roll-ups that fit, and of single events at the edges."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store.engine.database import from_micros, to_micros
from meshproxy_cli.store.engine.eventrows import FAILED, from_picodollars
from meshproxy_cli.store.engine.rollups import DAY, HOUR
from meshproxy_cli.store.engine.schema import MEASURES, control, usage_days, usage_events, usage_hours
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.records import GroupBy, UsageQuery, UsageReport, UsageRow, UsageTotals

#: The column of each thing to group by; "day" and "hour" are computed.
_COLUMNS = {
    GroupBy.ROOM: "room",
    GroupBy.SESSION: "session",
    GroupBy.PARTICIPANT: "participant",
    GroupBy.MODEL: "model",
    GroupBy.PROVIDER: "provider",
    GroupBy.AGENT: "agent",
    GroupBy.KEY: "key_id",
}
_PERIODS = {GroupBy.DAY: (DAY, "%Y-%m-%d"), GroupBy.HOUR: (HOUR, "%Y-%m-%dT%H:00Z")}
_FILTERS = ("project_id", "room", "session", "participant", "model", "provider")
# SQLite's sum fails beyond 64 bits (9.2 million dollars): money is summed in two parts.
_SPLIT = 1_000_000
_PART = sa.literal_column(str(_SPLIT), sa.BigInteger)
_COST = MEASURES.index("cost")


@dataclass(frozen=True, slots=True)
class Span:
    """A period to read from one table; None is unbounded."""

    table: sa.Table
    since: int | None
    until: int | None


class Usage(Part):
    """Sums up usage."""

    def report(self, query: UsageQuery) -> UsageReport:
        """Sum up usage by the query's `by`; rows are sorted by their keys."""
        sums: dict[tuple[str, ...], list[int]] = {}
        with self.session.database.read() as connection:
            pruned = connection.execute(sa.select(control.c.pruned_before)).scalar_one()
            for span in plan(query, pruned):
                _add(sums, _sums(connection, query, span), len(query.by))
        rows = tuple(
            UsageRow(
                keys={group.value: key for group, key in zip(query.by, keys, strict=True)}, totals=_totals(sums[keys])
            )
            for keys in sorted(sums)
        )
        return UsageReport(
            by=query.by, rows=rows, totals=_totals([sum(each) for each in zip(*sums.values(), strict=True)])
        )


def plan(query: UsageQuery, pruned_before: int) -> tuple[Span, ...]:
    """Cover the query's period: whole days, then whole hours, and single events at the edges.

    Hours whose events were pruned are whole or not there at all: each counts for the time at which it began.
    """
    since = None if query.since is None else _floor_if_pruned(to_micros(query.since), pruned_before)
    until = None if query.until is None else _floor_if_pruned(to_micros(query.until), pruned_before)
    by_hour = GroupBy.HOUR in query.by
    return tuple(_cover(since, until, (usage_hours,) if by_hour else (usage_days, usage_hours)))


def _floor_if_pruned(moment: int, pruned_before: int) -> int:
    return moment // HOUR * HOUR if moment < pruned_before else moment


def _cover(since: int | None, until: int | None, tables: tuple[sa.Table, ...]) -> Iterable[Span]:
    if since is not None and until is not None and since >= until:
        return
    if not tables:
        yield Span(usage_events, since, until)
        return
    width = DAY if tables[0] is usage_days else HOUR
    first = None if since is None else -(-since // width) * width
    last = None if until is None else until // width * width
    if first is not None and last is not None and first >= last:
        yield from _cover(since, until, tables[1:])
        return
    yield Span(tables[0], first, last)
    if since is not None and first is not None:
        yield from _cover(since, first, tables[1:])
    if until is not None and last is not None:
        yield from _cover(last, until, tables[1:])


def _sums(connection: Connection, query: UsageQuery, span: Span) -> Iterable[tuple[Any, ...]]:
    time = span.table.c.started_at if span.table is usage_events else span.table.c.bucket
    conditions = [span.table.c[name] == getattr(query, name) for name in _FILTERS if getattr(query, name) is not None]
    if span.since is not None:
        conditions.append(time >= span.since)
    if span.until is not None:
        conditions.append(time < span.until)
    groups = [_group(span.table, group, time) for group in query.by]
    wanted = sa.select(*groups, *_measures(span.table)).where(*conditions).group_by(*groups)
    rows = connection.execute(wanted)
    return [(*_keys(query, row[: len(groups)]), *row[len(groups) :]) for row in rows if row[len(groups)]]


def _group(table: sa.Table, group: GroupBy, time: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    if group in _COLUMNS:
        return table.c[_COLUMNS[group]]
    width: sa.ColumnElement[int] = sa.literal_column(str(_PERIODS[group][0]), sa.BigInteger)
    return (time - time % width).label(group.value)


def _keys(query: UsageQuery, values: Iterable[Any]) -> Iterable[str]:
    for group, value in zip(query.by, values, strict=True):
        yield from_micros(value).strftime(_PERIODS[group][1]) if group in _PERIODS else value


def _measures(table: sa.Table) -> Iterable[sa.ColumnElement[Any]]:
    columns = _raw_measures() if table is usage_events else {name: table.c[name] for name in MEASURES}
    for name in MEASURES:
        if name == "cost":
            yield sa.func.coalesce(sa.func.sum(columns[name] // _PART), 0)
            yield sa.func.coalesce(sa.func.sum(columns[name] % _PART), 0)
        else:
            yield sa.func.coalesce(sa.func.sum(columns[name]), 0)


def _raw_measures() -> dict[str, sa.ColumnElement[Any]]:
    raw = usage_events.c
    used = (raw.input_tokens > 0) | (raw.output_tokens > 0) | (raw.audio_seconds > 0)
    return {
        "requests": sa.literal_column("1"),
        "input_tokens": raw.input_tokens,
        "cached_input_tokens": raw.cached_input_tokens,
        "cache_write_tokens": raw.cache_write_5m_tokens + raw.cache_write_1h_tokens,
        "output_tokens": raw.output_tokens,
        "reasoning_tokens": raw.reasoning_tokens,
        "cost": raw.cost,
        "priced_requests": _count(raw.cost.is_not(None)),
        "estimated_requests": _count(raw.estimated),
        "unpriced_requests": _count(raw.cost.is_(None) & used),
        "failed_requests": _count(raw.outcome.in_([outcome.value for outcome in sorted(FAILED)])),
        "price_estimated_requests": _count(raw.price_estimated),
        "web_searches": raw.web_searches,
    }


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.case((condition, 1), else_=0)


def _add(sums: dict[tuple[str, ...], list[int]], rows: Iterable[tuple[Any, ...]], width: int) -> None:
    for row in rows:
        measured = [int(value) for value in row[width:]]
        measured[_COST : _COST + 2] = [measured[_COST] * _SPLIT + measured[_COST + 1]]
        total = sums.setdefault(row[:width], [0] * len(MEASURES))
        total[:] = [old + new for old, new in zip(total, measured, strict=True)]


def _totals(sums: list[int]) -> UsageTotals:
    named = dict(zip(MEASURES, sums, strict=False))
    cost = named.pop("cost", 0)
    priced = named.pop("priced_requests", 0)
    return UsageTotals(**named, cost_usd=from_picodollars(cost) if priced else None)
