import json
import uuid
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
from meshproxy_cli.store.parts.events import Events
from meshproxy_cli.store.records import Actor, UsageQuery
from meshproxy_cli.store.store import Store

ALL = UsageQuery(by=())


def rollups(store: Store) -> dict[str, dict[str, int]]:
    """Return the sums over each table that keeps any."""
    found = {}
    with store.session.database.read() as connection:
        for table in (usage_hours, usage_days):
            row = connection.execute(sa.select(*(sa.func.sum(table.c[name]).label(name) for name in MEASURES))).one()
            found[table.name] = {name: int(value or 0) for name, value in row._mapping.items()}
    return found


def test_every_field_comes_back_as_it_went_in(store: Store) -> None:
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
    assert store.events.add([whole, plain]) == 2
    assert store.events.list(UsageQuery()) == (plain, whole)


def test_an_event_counts_once_however_often_it_is_shipped(store: Store) -> None:
    batch = [event(number) for number in range(10)]
    assert store.events.add(batch[:6]) == 6
    before = rollups(store)
    assert store.events.add(batch[:6]) == 0
    assert rollups(store) == before
    assert store.events.add([*batch, *batch]) == 4
    assert store.usage.report(ALL).totals.requests == 10
    assert {table["requests"] for table in rollups(store).values()} == {10}


def test_an_empty_batch_is_nothing(store: Store) -> None:
    assert store.events.add([]) == 0


def test_writers_at_the_same_time_neither_lose_nor_double(store: Store, open_another: Callable[..., Store]) -> None:
    stores = [store, open_another(), open_another()]
    # Overlapping batches, as after a crash: each event is shipped by two writers, in opposite orders.
    batches = [[event(n, room=f"room {n % 7}") for n in range(start, start + 100)] for start in range(0, 300, 50)]
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda n: stores[n % 3].events.add(batches[n][:: 1 - 2 * (n % 2)]), range(len(batches))))
    assert sum(added) == 350
    assert {table["requests"] for table in rollups(store).values()} == {350}
    with store.session.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(usage_events)).scalar() == 350


def test_a_batch_is_stored_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Events, "_roll_up", fail)
        with pytest.raises(RuntimeError):
            store.events.add([event(1)])
    assert store.events.list(UsageQuery()) == ()
    assert store.events.add([event(1)]) == 1


HOSTILE = ["\0", "a\0b", "\udcff", "\N{SNOWMAN}\U0001f600", "'; DROP TABLE projects; --", "x" * 100_000, '{"a": 1}']


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_text_comes_can_be_stored(store: Store, text: str) -> None:
    assert store.events.add([event(1, session=text, model_served=text, error=text), event(2)]) == 2
    stored = store.events.list(UsageQuery())[0].session
    assert stored == text or "\N{REPLACEMENT CHARACTER}" in stored or "?" in stored
    assert len(store.usage.report(UsageQuery()).rows) == 2


def test_absurd_numbers_do_not_break_the_sums(store: Store) -> None:
    absurd = TokenCounts(input_tokens=2**70, output_tokens=-(2**70))
    assert store.events.add([event(n, tokens=absurd, cost_usd=Decimal(10) ** 20) for n in range(50)]) == 50
    totals = store.usage.report(ALL).totals
    assert totals.input_tokens == 50 * 10**12
    assert totals.output_tokens == 0
    assert totals.cost_usd == 50 * 10**4


def test_a_full_sum_stays_full_and_holds_nothing_up(store: Store) -> None:
    for start in range(0, 1000, 250):
        store.events.add([event(n, cost_usd=Decimal(10_000)) for n in range(start, start + 250)])
    totals = store.usage.report(ALL).totals
    assert (totals.requests, totals.cost_usd) == (1000, Decimal("4611686.018427387904"))


def test_money_is_exact_and_beyond_64_bits(store: Store) -> None:
    events = [event(n, cost_usd=Decimal("9000.000000000001"), session=str(n)) for n in range(1100)]
    store.events.add(events)
    assert store.usage.report(ALL).totals.cost_usd == Decimal("9900000.0000000011")
    raw = replace(ALL, since=NOON - timedelta(minutes=1), until=NOON + timedelta(minutes=1))
    assert store.usage.report(raw).totals.cost_usd == Decimal("9900000.0000000011")


def test_the_last_use_of_a_key_is_noted_to_the_minute(store: Store) -> None:
    project = store.projects.ensure().id
    key, unused = store.keys.create(project, "used").id, store.keys.create(project, "unused").id
    before = store.changes.revision()
    seen = []
    for number, seconds in enumerate((0, 30, -500, 60, 61, 200)):
        store.events.add([event(number, key_id=key, started_at=NOON + timedelta(seconds=seconds))])
        seen.append({record.id: record.last_used_at for record in store.keys.list(project)}[key])
    assert [(moment - NOON).seconds if moment else None for moment in seen] == [0, 0, 0, 60, 60, 200]
    assert {record.id: record.last_used_at for record in store.keys.list(project)}[unused] is None
    assert store.changes.revision() == before, "using a key is no change of control data"


def test_pruning_drops_events_and_keeps_sums(store: Store) -> None:
    days = [event(n, started_at=NOON - timedelta(days=100 - n)) for n in range(100)]
    store.events.add(days)
    before = store.usage.report(ALL)
    cut = NOON - timedelta(days=40)
    assert store.events.prune(cut + timedelta(minutes=20)) == 60
    assert [each.event_id for each in store.events.list(UsageQuery(), limit=1)] == [days[60].event_id]
    assert store.usage.report(ALL) == before
    # Partly covered hours whose events are gone count for the time at which they began.
    edge = days[10].started_at
    for minutes, expected in ((-30, 90), (0, 90), (1, 90), (59, 90), (61, 89)):
        since = replace(ALL, since=edge + timedelta(minutes=minutes))
        assert store.usage.report(since).totals.requests == expected, minutes
    assert store.events.prune(cut) == 0


def test_pruning_goes_on_in_portions_and_is_audited(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_PRUNE_BATCH", 7)
    store.events.add([event(n) for n in range(30)])
    assert store.acting_as(Actor(name="ann", origin="test")).events.prune(NOON + timedelta(hours=1)) == 30
    (entry,) = store.audit.list()
    assert (entry.actor, entry.action, entry.details) == ("ann", "usage.prune", {"events": "30"})
    assert store.events.list(UsageQuery()) == ()


def test_events_can_come_after_their_month_was_pruned(store: Store, open_another: Callable[..., Store]) -> None:
    old = NOON - timedelta(days=400)
    store.events.add([event(1, started_at=old)])
    assert open_another().events.prune(NOON) == 1
    assert store.events.add([event(2, started_at=old)]) == 1


def test_series_of_different_dimensions_differ() -> None:
    tricky = [("a", "b"), ("ab", ""), ("", "ab"), ("a", "b", ""), ("1:a", "b"), ("a1:b",), ("a", "1:b")]
    assert len({series_of(each) for each in tricky}) == len(tricky)


def test_rollup_rows_are_json_free_text(store: Store) -> None:
    store.events.add([event(1, session="päivä \N{SNOWMAN}")])
    with store.session.database.read() as connection:
        row = connection.execute(sa.select(usage_hours)).one()
    assert json.loads(json.dumps(row.session)) == "päivä \N{SNOWMAN}"


def test_an_event_named_after_its_content_counts_once_whenever_it_comes(store: Store) -> None:
    batch = str(uuid.uuid5(uuid.NAMESPACE_URL, "batch"))
    first = event(event_id=batch, started_at=NOON)
    later = [replace(first, started_at=NOON + timedelta(days=days)) for days in (0, 1, 40)]
    assert [store.events.add([one]) for one in (first, *later)] == [1, 0, 0, 0]
    assert store.usage.report(UsageQuery()).totals.requests == 1
