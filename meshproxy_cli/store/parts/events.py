"""The ledger's writing side: events and their roll-ups in one transaction, each event once."""

from collections.abc import Callable, Iterable
from datetime import datetime
from operator import itemgetter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store.engine import bulk, rollups
from meshproxy_cli.store.engine.bulk import Rows
from meshproxy_cli.store.engine.database import to_micros
from meshproxy_cli.store.engine.partitions import drop_before
from meshproxy_cli.store.engine.schema import api_keys, control, usage_days, usage_events, usage_hours
from meshproxy_cli.store.engine.session import StoreSession
from meshproxy_cli.store.eventrows import PLACES, EventRow, to_row
from meshproxy_cli.store.events import UsageEvent

#: Bound parameters in one statement: SQLite's own limit is 32,766, PostgreSQL's 65,535.
_ROWS_AT_ONCE = 500
_NOTED_ONCE_IN = 60 * 1_000_000  # microseconds
_PRUNED_AT_ONCE = 10_000
_USED = sa.bindparam("used", type_=sa.BigInteger)
_NOTED = (
    sa.update(api_keys)
    .where(api_keys.c.id == sa.bindparam("key"))
    .where(sa.or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= _USED - _NOTED_ONCE_IN))
    .values(last_used_at=_USED)
)
_began = itemgetter(PLACES["started_at"])
_use = itemgetter(PLACES["key_id"], PLACES["started_at"])


class Ledger(StoreSession):
    """Adds events, and drops old ones."""

    def add_events(self, events: Iterable[UsageEvent]) -> int:
        """Store a batch and its roll-ups in one transaction, those already stored left out. Return how many are new."""
        return self.add_rows(map(to_row, events))

    def add_rows(self, rows: Iterable[EventRow]) -> int:
        """Store events given as rows (see `eventrows`), as `add_events` does."""
        by_id = {row[0]: row for row in rows}
        # In one order, so that two writers of the same events on PostgreSQL wait for each other and never deadlock.
        ordered = sorted(by_id.values())
        if not ordered:
            return 0
        days = {began - began % rollups.DAY for began in map(_began, ordered)}
        self.partitions.ensure(days)
        try:
            return self._add(ordered, _insert_all)
        except sa.exc.IntegrityError:
            # Some are there already, as after a crash; or a partition is gone that another process pruned.
            self.partitions.forget()
            self.partitions.ensure(days)
            return self._add(ordered, _insert_new)

    def _add(self, rows: Rows, insert: Callable[[Connection, Rows], Rows]) -> int:
        with self.database.write() as connection:
            fresh = insert(connection, rows)
            if fresh:
                hours = rollups.by_hour(fresh)
                self._roll_up(connection, usage_hours, hours)
                self._roll_up(connection, usage_days, rollups.by_day(hours))
                _note_use(connection, fresh)
        return len(fresh)

    def _roll_up(self, connection: Connection, table: sa.Table, sums: rollups.Sums) -> None:
        bulk.add_up(connection, table, rollups.to_rows(sums))

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


def _insert_all(connection: Connection, rows: Rows) -> Rows:
    bulk.insert(connection, usage_events, rows)
    return rows


def _insert_new(connection: Connection, rows: Rows) -> Rows:
    parts = [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
    return [row for part in parts for row in bulk.insert_new(connection, usage_events, part)]


def _note_use(connection: Connection, rows: Rows) -> None:
    """Say of API keys when they were last used, to the minute."""
    latest: dict[str, int] = {}
    for key, used in map(_use, rows):
        if used > latest.get(key, 0):
            latest[key] = used
    connection.execute(_NOTED, [{"key": key, "used": latest[key]} for key in sorted(latest)])
