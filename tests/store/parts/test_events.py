import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from fixtures.store_events import EVENT, NOON, event
from meshproxy_cli.store.engine.rollups import series_of
from meshproxy_cli.store.engine.schema import MEASURES, usage_days, usage_events, usage_hours
from meshproxy_cli.store.events import Outcome, TokenCounts
from meshproxy_cli.store.parts import events
from meshproxy_cli.store.records import Actor, UsageQuery
from meshproxy_cli.store.store import SqlStore

ALL = UsageQuery(by=())


def rollups(store: SqlStore) -> dict[str, dict[str, int]]:
    """Return the sums over each table that keeps any."""
    found = {}
    with store.database.read() as connection:
        for table in (usage_hours, usage_days):
            row = connection.execute(sa.select(*(sa.func.sum(table.c[name]).label(name) for name in MEASURES))).one()
            found[table.name] = {name: int(value or 0) for name, value in row._mapping.items()}
    return found


def test_every_field_comes_back_as_it_went_in(store: SqlStore) -> None:
    whole = replace(
        EVENT,
        event_id="whole",
        started_at=NOON + timedelta(microseconds=1),
        outcome=Outcome.PROVIDER_CLOSED,
        service_tier="flex",
        provider_request_id="req_1",
        tokens=TokenCounts(**{name: number for number, name in enumerate(TokenCounts.__slots__)}),
        audio_seconds=1.25,
        estimated=True,
        metered=False,
        cost_usd=Decimal("123.000000000001"),
        price_snapshot="prices.toml",
        ttfb_ms=12.5,
        duration_ms=99.75,
        request_bytes=2**33,
        response_bytes=7,
        error="overloaded_error",
    )
    plain = event("plain", cost_usd=None)
    assert store.add_events([whole, plain]) == 2
    assert store.events(UsageQuery()) == (plain, whole)


def test_an_event_counts_once_however_often_it_is_shipped(store: SqlStore) -> None:
    batch = [event(number) for number in range(10)]
    assert store.add_events(batch[:6]) == 6
    before = rollups(store)
    assert store.add_events(batch[:6]) == 0
    assert rollups(store) == before
    assert store.add_events([*batch, *batch]) == 4
    assert store.usage(ALL).totals.requests == 10
    assert {table["requests"] for table in rollups(store).values()} == {10}


def test_an_empty_batch_is_nothing(store: SqlStore) -> None:
    assert store.add_events([]) == 0


def test_writers_at_the_same_time_neither_lose_nor_double(
    store: SqlStore, open_another: Callable[..., SqlStore]
) -> None:
    stores = [store, open_another(), open_another()]
    # Overlapping batches, as after a crash: each event is shipped by two writers, in opposite orders.
    batches = [[event(n, room=f"room {n % 7}") for n in range(start, start + 100)] for start in range(0, 300, 50)]
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda n: stores[n % 3].add_events(batches[n][:: 1 - 2 * (n % 2)]), range(len(batches))))
    assert sum(added) == 350
    assert {table["requests"] for table in rollups(store).values()} == {350}
    with store.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(usage_events)).scalar() == 350


def test_a_batch_is_stored_whole_or_not_at_all(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "_roll_up", fail)
        with pytest.raises(RuntimeError):
            store.add_events([event(1)])
    assert store.events(UsageQuery()) == ()
    assert store.add_events([event(1)]) == 1


HOSTILE = ["\0", "a\0b", "\udcff", "\N{SNOWMAN}\U0001f600", "'; DROP TABLE projects; --", "x" * 100_000, '{"a": 1}']


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_text_comes_can_be_stored(store: SqlStore, text: str) -> None:
    assert store.add_events([event(1, session=text, model_served=text, error=text), event(2)]) == 2
    stored = store.events(UsageQuery())[0].session
    assert stored == text or "\N{REPLACEMENT CHARACTER}" in stored or "?" in stored
    assert len(store.usage(UsageQuery()).rows) == 2


def test_absurd_numbers_do_not_break_the_sums(store: SqlStore) -> None:
    absurd = TokenCounts(input_tokens=2**70, output_tokens=-(2**70))
    assert store.add_events([event(n, tokens=absurd, cost_usd=Decimal(10) ** 20) for n in range(50)]) == 50
    totals = store.usage(ALL).totals
    assert totals.input_tokens == 50 * 10**12
    assert totals.output_tokens == 0
    assert totals.cost_usd == 50 * 10**4


def test_a_full_sum_stays_full_and_holds_nothing_up(store: SqlStore) -> None:
    for start in range(0, 1000, 250):
        store.add_events([event(n, cost_usd=Decimal(10_000)) for n in range(start, start + 250)])
    totals = store.usage(ALL).totals
    assert (totals.requests, totals.cost_usd) == (1000, Decimal("4611686.018427387904"))


def test_money_is_exact_and_beyond_64_bits(store: SqlStore) -> None:
    events = [event(n, cost_usd=Decimal("9000.000000000001"), session=str(n)) for n in range(1100)]
    store.add_events(events)
    assert store.usage(ALL).totals.cost_usd == Decimal("9900000.0000000011")
    raw = replace(ALL, since=NOON - timedelta(minutes=1), until=NOON + timedelta(minutes=1))
    assert store.usage(raw).totals.cost_usd == Decimal("9900000.0000000011")


def test_the_last_use_of_a_key_is_noted_to_the_minute(store: SqlStore) -> None:
    project = store.ensure_project().id
    key, unused = store.create_api_key(project, "used").id, store.create_api_key(project, "unused").id
    before = store.change_token()
    seen = []
    for number, seconds in enumerate((0, 30, -500, 60, 61, 200)):
        store.add_events([event(number, key_id=key, started_at=NOON + timedelta(seconds=seconds))])
        seen.append({record.id: record.last_used_at for record in store.api_keys(project)}[key])
    assert [(moment - NOON).seconds if moment else None for moment in seen] == [0, 0, 0, 60, 60, 200]
    assert {record.id: record.last_used_at for record in store.api_keys(project)}[unused] is None
    assert store.change_token() == before, "using a key is no change of control data"


def test_pruning_drops_events_and_keeps_sums(store: SqlStore) -> None:
    days = [event(n, started_at=NOON - timedelta(days=100 - n)) for n in range(100)]
    store.add_events(days)
    before = store.usage(ALL)
    cut = NOON - timedelta(days=40)
    assert store.prune_events(cut + timedelta(minutes=20)) == 60
    assert [each.event_id for each in store.events(UsageQuery(), limit=1)] == [days[60].event_id]
    assert store.usage(ALL) == before
    # Partly covered hours whose events are gone count for the time at which they began.
    edge = days[10].started_at
    for minutes, expected in ((-30, 90), (0, 90), (1, 90), (59, 90), (61, 89)):
        since = replace(ALL, since=edge + timedelta(minutes=minutes))
        assert store.usage(since).totals.requests == expected, minutes
    assert store.prune_events(cut) == 0


def test_pruning_goes_on_in_portions_and_is_audited(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_PRUNED_AT_ONCE", 7)
    store.add_events([event(n) for n in range(30)])
    assert store.acting_as(Actor(name="ann", origin="test")).prune_events(NOON + timedelta(hours=1)) == 30
    (entry,) = store.audit_entries()
    assert (entry.actor, entry.action, entry.details) == ("ann", "usage.prune", {"events": "30"})
    assert store.events(UsageQuery()) == ()


def test_events_can_come_after_their_month_was_pruned(store: SqlStore, open_another: Callable[..., SqlStore]) -> None:
    old = NOON - timedelta(days=400)
    store.add_events([event(1, started_at=old)])
    assert open_another().prune_events(NOON) == 1
    assert store.add_events([event(2, started_at=old)]) == 1


def test_series_of_different_dimensions_differ() -> None:
    tricky = [("a", "b"), ("ab", ""), ("", "ab"), ("a", "b", ""), ("1:a", "b"), ("a1:b",), ("a", "1:b")]
    assert len({series_of(each) for each in tricky}) == len(tricky)


def test_rollup_rows_are_json_free_text(store: SqlStore) -> None:
    store.add_events([event(1, session="päivä \N{SNOWMAN}")])
    with store.database.read() as connection:
        row = connection.execute(sa.select(usage_hours)).one()
    assert json.loads(json.dumps(row.session)) == "päivä \N{SNOWMAN}"
