from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from fixtures.store_events import event
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine import partitions
from meshproxy_cli.store.engine.database import from_micros, now_micros
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.store.store import Store


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    opened = open_store(postgres_url)
    yield opened
    opened.close()


def names(store: Store) -> list[str]:
    with store.session.database.read() as connection:
        return list(connection.execute(partitions._NAMES).scalars())


def rows_in(store: Store, name: str) -> int:
    with store.session.database.read() as connection:
        count: int = connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one()
    return count


def test_this_month_and_the_next_are_made_ahead(store: Store) -> None:
    now = from_micros(now_micros())
    store.events.add([event(1, started_at=now)])
    following = (now.replace(day=1) + timedelta(days=32)).strftime("usage_events_%Y%m")
    assert names(store) == [now.strftime("usage_events_%Y%m"), following]


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2025-12-31T23:59:59.999999", "usage_events_202512"),
        ("2026-01-01T00:00:00", "usage_events_202601"),
        ("2024-02-29T12:00:00", "usage_events_202402"),
    ],
)
def test_each_event_lies_in_its_month(store: Store, moment: str, name: str) -> None:
    store.events.add([event(1, started_at=datetime.fromisoformat(moment).replace(tzinfo=UTC))])
    assert rows_in(store, name) == 1


def test_pruning_drops_whole_months_and_rows_of_the_last(store: Store) -> None:
    first = datetime(2026, 1, 15, tzinfo=UTC)
    store.events.add([event(n, started_at=first + timedelta(days=n)) for n in range(60)])
    assert store.events.prune(datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=5)) == 50
    assert "usage_events_202601" not in names(store)
    assert "usage_events_202602" not in names(store)
    assert rows_in(store, "usage_events_202603") == 10
    assert len(store.events.list(UsageQuery())) == 10
