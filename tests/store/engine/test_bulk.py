"""Rows as each engine takes them quickest: nothing that is in them is changed or taken for something else."""

import psycopg
import pytest
import sqlalchemy as sa

from fixtures.store_events import event
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine import bulk
from meshproxy_cli.store.engine.eventrows import to_row
from meshproxy_cli.store.engine.schema import usage_events
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.store.store import Store

TEXTS = ["a\tb", "a\nb", "a\r\nb", "\\", "\\N", "\\t", "None", "\\.", "", "'\"", "%s", "{}", "\N{SNOWMAN}"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_as_it_went_in(store: Store, text: str) -> None:
    events = (event(1), event(2, session=text, error=text, ttfb_ms=None, cost_usd=None), event(3, ttfb_ms=0.5))
    assert store.events.add(events) == 3
    assert store.events.list(UsageQuery()) == events


def test_known_rows_are_found_out_in_large_batches(store: Store) -> None:
    events = [event(number) for number in range(1500)]
    assert store.events.add(events[700:703]) == 3
    assert store.events.add(events) == 1497
    assert store.usage.report(UsageQuery(by=())).totals.requests == 1500


def test_what_is_there_already_is_a_conflict(store: Store) -> None:
    rows = [to_row(event(1))]
    store.events.add_rows(rows)
    with pytest.raises(sa.exc.IntegrityError), store.session.database.write() as connection:
        bulk.insert(connection, usage_events, rows)


def test_a_row_that_the_database_refuses_is_no_outage(postgres_url: str) -> None:
    # Taken for one, it would be tried for ever and hold up all that come after it.
    store = open_store(postgres_url)
    with pytest.raises(psycopg.DataError, match="out of range"):
        store.events.add([event(1, status=2**40)])
    store.close()
