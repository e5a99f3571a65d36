"""The ledger's writing side: events and their roll-ups in one transaction, each event once."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store import rollups
from meshproxy_cli.store.bulk import Rows, bulk_insert, execute_rows
from meshproxy_cli.store.database import to_micros
from meshproxy_cli.store.eventrows import to_row
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.partitions import drop_before
from meshproxy_cli.store.schema import MEASURES, api_keys, control, usage_days, usage_events, usage_hours
from meshproxy_cli.store.session import StoreSession

#: Bound parameters in one statement: SQLite's own limit is 32,766, PostgreSQL's 65,535.
_ROWS_AT_ONCE = 500
_NOTED_ONCE_IN = 60 * 1_000_000  # microseconds
_PRUNED_AT_ONCE = 10_000


class Ledger(StoreSession):
    """Adds events, and drops old ones."""

    def add_events(self, events: Iterable[UsageEvent]) -> int:
        """Store a batch and its roll-ups in one transaction, those already stored left out. Return how many are new."""
        by_id = {row["event_id"]: row for row in map(to_row, events)}
        # In one order, so that two writers of the same events on PostgreSQL wait for each other and never deadlock.
        rows = [by_id[event_id] for event_id in sorted(by_id)]
        if not rows:
            return 0
        self.partitions.ensure(row["started_at"] for row in rows)
        try:
            return self._add(rows)
        except sa.exc.IntegrityError:
            # A partition that was known is gone: another process pruned it.
            self.partitions.forget()
            self.partitions.ensure(row["started_at"] for row in rows)
            return self._add(rows)

    def _add(self, rows: Rows) -> int:
        with self.database.write() as connection:
            fresh = self._insert_new(connection, rows)
            if fresh:
                hours = rollups.by_hour(fresh)
                self._roll_up(connection, usage_hours, hours)
                self._roll_up(connection, usage_days, rollups.by_day(hours))
                _note_use(connection, fresh)
        return len(fresh)

    def _insert_new(self, connection: Connection, rows: Rows) -> Rows:
        parts = [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
        insert = self._insert_on_postgresql if self.database.is_postgresql else self._insert_on_sqlite
        return [row for part in parts for row in insert(connection, part)]

    def _insert_on_postgresql(self, connection: Connection, rows: Rows) -> Rows:
        insert = bulk_insert(self.database, usage_events).on_conflict_do_nothing().returning(usage_events.c.event_id)
        new = set(execute_rows(self.database, connection, insert, rows).scalars())
        return [row for row in rows if row["event_id"] in new]

    def _insert_on_sqlite(self, connection: Connection, rows: Rows) -> Rows:
        # The transaction has the one lock for writing: what is not there now will not be there a moment later.
        ids = [row["event_id"] for row in rows]
        known = set(
            connection.execute(sa.select(usage_events.c.event_id).where(usage_events.c.event_id.in_(ids))).scalars()
        )
        fresh = [row for row in rows if row["event_id"] not in known]
        if fresh:
            execute_rows(self.database, connection, bulk_insert(self.database, usage_events), fresh)
        return fresh

    def _roll_up(self, connection: Connection, table: sa.Table, sums: rollups.Sums) -> None:
        insert = bulk_insert(self.database, table)
        changed = {name: rollups.added(table.c[name], insert.excluded[name]) for name in MEASURES}
        upsert = insert.on_conflict_do_update(index_elements=["bucket", "series"], set_=changed)
        execute_rows(self.database, connection, upsert, rollups.to_rows(sums))

    def prune_events(self, before: datetime) -> int:
        """Drop raw events from before the hour of `before`; roll-ups stay. Return how many.

        Old months of PostgreSQL go at once, all else in portions: others can write in between.
        """
        horizon = to_micros(before) // rollups.HOUR * rollups.HOUR
        with self.database.write() as connection:
            moved = sa.update(control).where(control.c.pruned_before < horizon)
            connection.execute(moved.values(pruned_before=horizon))
            gone = drop_before(connection, horizon) if self.database.is_postgresql else 0
        while portion := self._prune_portion(horizon):
            gone += portion
        if self.actor is not None:
            with self.database.write() as connection:
                self.changed(connection, "usage.prune", before.isoformat(), events=str(gone))
        return gone

    def _prune_portion(self, horizon: int) -> int:
        key = usage_events.c.event_id
        old = sa.select(key).where(usage_events.c.started_at < horizon).limit(_PRUNED_AT_ONCE)
        with self.database.write() as connection:
            return connection.execute(
                sa.delete(usage_events).where(usage_events.c.started_at < horizon, key.in_(old))
            ).rowcount


def _note_use(connection: Connection, rows: Rows) -> None:
    """Say of API keys when they were last used, to the minute."""
    latest: dict[str, int] = {}
    for row in rows:
        latest[row["key_id"]] = max(latest.get(row["key_id"], 0), row["started_at"])
    last = api_keys.c.last_used_at
    noted = (
        sa.update(api_keys)
        .where(api_keys.c.id == sa.bindparam("key"))
        .where(sa.or_(last.is_(None), last <= sa.bindparam("used", type_=sa.BigInteger) - _NOTED_ONCE_IN))
        .values(last_used_at=sa.bindparam("used", type_=sa.BigInteger))
    )
    connection.execute(noted, [{"key": key, "used": latest[key]} for key in sorted(latest)])
