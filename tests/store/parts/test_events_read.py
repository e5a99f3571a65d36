import tracemalloc
from datetime import timedelta

import pytest

from fixtures.store_events import NOON, event
from meshproxy_cli.store.parts import events
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.store.store import Store


def test_pages_go_on_where_the_last_one_ended(store: Store) -> None:
    store.events.add([event(number) for number in range(25)])
    seen: list[str] = []
    while page := store.events.list(UsageQuery(), after=seen[-1] if seen else None, limit=10):
        seen += [each.event_id for each in page]
    assert seen == [f"{number:06}" for number in range(25)]


def test_newest_first_pages_too(store: Store) -> None:
    store.events.add([event(number) for number in range(5)])
    first = store.events.list(UsageQuery(), limit=2, newest_first=True)
    rest = store.events.list(UsageQuery(), after=first[-1].event_id, newest_first=True)
    assert [each.event_id[-1] for each in (*first, *rest)] == ["4", "3", "2", "1", "0"]


def test_order_is_that_of_bytes_on_every_engine(store: Store) -> None:
    ids = ["B", "a", "A", "b", "-c", "Z-a", "Za"]
    store.events.add([event(each) for each in ids])
    assert [each.event_id for each in store.events.list(UsageQuery())] == sorted(ids)


def test_filters(store: Store) -> None:
    store.events.add(
        [
            event(1, room="other"),
            event(2, session="other"),
            event(3, participant="other"),
            event(4, model_served="other"),
            event(5, provider="other"),
            event(6, project_id="other"),
            event(7, started_at=NOON + timedelta(hours=1)),
            event(8, model_served="", model_requested="other"),
        ]
    )

    def found(query: UsageQuery) -> str:
        return "".join(each.event_id[-1] for each in store.events.list(query))

    assert found(UsageQuery(room="other")) == "1"
    assert found(UsageQuery(session="other")) == "2"
    assert found(UsageQuery(participant="other")) == "3"
    assert found(UsageQuery(model="other")) == "48"
    assert found(UsageQuery(provider="other")) == "5"
    assert found(UsageQuery(project_id="other")) == "6"
    assert found(UsageQuery(since=NOON + timedelta(microseconds=1))) == "7"
    assert found(UsageQuery(until=NOON + timedelta(hours=1))) == "1234568"
    assert found(UsageQuery(room="other", session="other")) == ""


def test_export_has_everything_once_oldest_first(store: Store) -> None:
    count = events._PAGE + 10
    # Ids against the order of time, and many of the same moment across the border of a page.
    made = [event(count - n, started_at=NOON + timedelta(seconds=n // 100)) for n in range(count)]
    store.events.add(made)
    exported = list(store.events.export(UsageQuery()))
    assert exported == sorted(made, key=lambda each: (each.started_at, each.event_id))


def test_export_goes_on_while_others_write(store: Store) -> None:
    store.events.add([event(n) for n in range(3)])
    exported = store.events.export(UsageQuery())
    next(exported)
    store.events.add([event(9, started_at=NOON - timedelta(days=1))])
    assert [each.event_id[-1] for each in exported] == ["1", "2"]


def test_export_takes_bounded_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_PAGE", 200)
    store.events.add([event(n) for n in range(2000)])
    peaks = []
    for limit in (500, 2000):
        tracemalloc.start()
        for count, _ in enumerate(store.events.export(UsageQuery())):
            if count >= limit:
                break
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3
