import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from fixtures.store_events import NOON, event
from meshproxy_cli.store.engine.eventrows import FAILED
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent
from meshproxy_cli.store.parts.usage import plan
from meshproxy_cli.store.records import GroupBy, UsageQuery, UsageTotals
from meshproxy_cli.store.store import Store

HOUR = timedelta(hours=1)


def made_up(count: int, seed: int = 1) -> list[UsageEvent]:
    chance = random.Random(seed)
    return [
        event(
            number,
            started_at=NOON + timedelta(microseconds=chance.randrange(5 * 24 * 3600 * 1_000_000)),
            room=chance.choice(["a", "b"]),
            session=chance.choice(["s1", "s2", "s3"]),
            participant=chance.choice(["ann", "bob"]),
            agent=chance.choice(["codex_exec", "claude-cli"]),
            provider=chance.choice(["openai", "anthropic"]),
            model_served=chance.choice(["gpt-5.4", "claude", ""]),
            project_id=chance.choice(["p1", "p1", "p2"]),
            key_id=chance.choice(["k1", "k2"]),
            outcome=chance.choice(list(Outcome)),
            estimated=chance.random() < 0.1,
            cost_usd=None if chance.random() < 0.2 else Decimal(chance.randrange(10**13)) / 10**12,
            tokens=TokenCounts(
                input_tokens=chance.randrange(1000),
                cached_input_tokens=chance.randrange(100),
                cache_write_5m_tokens=chance.randrange(50),
                cache_write_1h_tokens=chance.randrange(50),
                output_tokens=chance.randrange(500),
                reasoning_tokens=chance.randrange(100),
            )
            if chance.random() < 0.9
            else TokenCounts(),
        )
        for number in range(count)
    ]


def by_hand(events: list[UsageEvent], query: UsageQuery) -> dict[tuple[str, ...], UsageTotals]:
    """Add up in the plainest way."""
    groups: dict[tuple[str, ...], list[UsageEvent]] = {}
    for each in events:
        if matches(each, query):
            groups.setdefault(tuple(key_of(each, group) for group in query.by), []).append(each)
    return {keys: totals(members) for keys, members in groups.items()}


def matches(each: UsageEvent, query: UsageQuery) -> bool:
    wanted: dict[str, Any] = {
        "project_id": query.project_id,
        "room": query.room,
        "session": query.session,
        "participant": query.participant,
        "provider": query.provider,
    }
    if any(value is not None and getattr(each, name) != value for name, value in wanted.items()):
        return False
    if query.model is not None and key_of(each, GroupBy.MODEL) != query.model:
        return False
    after = query.since is None or each.started_at >= query.since
    return after and (query.until is None or each.started_at < query.until)


def key_of(each: UsageEvent, group: GroupBy) -> str:
    keys = {
        GroupBy.MODEL: each.model_served or each.model_requested,
        GroupBy.KEY: each.key_id,
        GroupBy.DAY: each.started_at.strftime("%Y-%m-%d"),
        GroupBy.HOUR: each.started_at.strftime("%Y-%m-%dT%H:00Z"),
    }
    return keys[group] if group in keys else str(getattr(each, group.value))


def totals(events: list[UsageEvent]) -> UsageTotals:
    costs = [each.cost_usd for each in events if each.cost_usd is not None]
    used = [each for each in events if each.tokens.input_tokens or each.tokens.output_tokens]
    return UsageTotals(
        requests=len(events),
        input_tokens=sum(each.tokens.input_tokens for each in events),
        cached_input_tokens=sum(each.tokens.cached_input_tokens for each in events),
        cache_write_tokens=sum(each.tokens.cache_write_tokens for each in events),
        output_tokens=sum(each.tokens.output_tokens for each in events),
        reasoning_tokens=sum(each.tokens.reasoning_tokens for each in events),
        cost_usd=sum(costs, Decimal(0)) if costs else None,
        estimated_requests=sum(each.estimated for each in events),
        unpriced_requests=sum(each.cost_usd is None for each in used),
        failed_requests=sum(each.outcome in FAILED for each in events),
    )


def any_query(chance: random.Random) -> UsageQuery:
    def maybe(*values: str) -> str | None:
        return chance.choice([None, None, None, *values])

    edges = sorted(edge(chance) for _ in range(2))
    return UsageQuery(
        project_id=maybe("p1"),
        room=maybe("a"),
        session=maybe("s1"),
        participant=maybe("ann"),
        model=maybe("claude", "gpt"),
        provider=maybe("openai"),
        since=chance.choice([None, edges[0], edges[0], edges[0]]),
        until=chance.choice([None, edges[1], edges[1], edges[1]]),
        by=tuple(chance.sample(list(GroupBy), chance.randrange(4))),
    )


def edge(chance: random.Random) -> datetime:
    moment = NOON + timedelta(seconds=chance.randrange(-3600, 6 * 24 * 3600))
    kept = chance.choice([{}, {"second": 0}, {"minute": 0, "second": 0}, {"hour": 0, "minute": 0, "second": 0}])
    return moment.replace(microsecond=0, **kept)


def test_sums_equal_those_made_by_hand(store: Store) -> None:
    events = made_up(600)
    store.events.add(events)
    chance = random.Random(2)
    for _ in range(150):
        query = any_query(chance)
        report, expected = store.usage.report(query), by_hand(events, query)
        assert {tuple(row.keys.values()): row.totals for row in report.rows} == expected, query
        assert [tuple(row.keys) for row in report.rows] == [tuple(group.value for group in query.by)] * len(expected)
        assert report.totals == totals([each for each in events if matches(each, query)]), query


def test_rows_come_in_the_order_of_their_keys(store: Store) -> None:
    store.events.add(made_up(200))
    keys = [tuple(row.keys.values()) for row in store.usage.report(UsageQuery(by=(GroupBy.DAY, GroupBy.ROOM))).rows]
    assert keys == sorted(keys)


def test_no_usage_is_an_empty_report(store: Store) -> None:
    report = store.usage.report(UsageQuery())
    assert (report.rows, report.totals) == ((), UsageTotals())
    backwards = UsageQuery(since=NOON, until=NOON - HOUR)
    store.events.add([event(1)])
    assert store.usage.report(backwards).rows == ()


def test_no_price_is_no_cost_and_a_price_of_zero_is_zero(store: Store) -> None:
    store.events.add([event(1, room="a", cost_usd=None), event(2, room="b", cost_usd=Decimal(0))])
    rows = store.usage.report(UsageQuery(by=(GroupBy.ROOM,))).rows
    assert [row.totals.cost_usd for row in rows] == [None, Decimal(0)]
    assert [row.totals.unpriced_requests for row in rows] == [1, 0]


def test_audio_without_tokens_can_be_unpriced(store: Store) -> None:
    timed = event(1, tokens=TokenCounts(), audio_seconds=3.5, cost_usd=None)
    store.events.add([timed, replace(timed, event_id="2", audio_seconds=0.0)])
    raw = UsageQuery(since=NOON, until=NOON + timedelta(minutes=1), by=())
    assert store.usage.report(raw).totals.unpriced_requests == 1
    assert store.usage.report(UsageQuery(by=())).totals.unpriced_requests == 1


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "by", "tables"),
    [
        (None, None, GroupBy.MODEL, ["usage_days"]),
        (None, None, GroupBy.HOUR, ["usage_hours"]),
        ("2026-11-01T00:00", "2026-12-01T00:00", GroupBy.MODEL, ["usage_days"]),
        ("2026-11-01T01:00", "2026-12-01T00:00", GroupBy.MODEL, ["usage_days", "usage_hours"]),
        ("2026-11-01T01:00", "2026-11-01T02:00", GroupBy.MODEL, ["usage_hours"]),
        ("2026-11-01T01:10", "2026-11-01T01:20", GroupBy.MODEL, ["usage_events"]),
        (
            "2026-11-01T01:10",
            "2026-11-03T01:10",
            GroupBy.MODEL,
            ["usage_days", "usage_hours", "usage_events", "usage_hours", "usage_events"],
        ),
        ("2026-11-01T01:10", "2026-11-03T01:10", GroupBy.HOUR, ["usage_hours", "usage_events", "usage_events"]),
    ],
)
def test_reads_the_coarsest_table_that_fits(
    since: str | None, until: str | None, by: GroupBy, tables: list[str]
) -> None:
    query = UsageQuery(since=at(since) if since else None, until=at(until) if until else None, by=(by,))
    assert [span.table.name for span in plan(query, pruned_before=0)] == tables
