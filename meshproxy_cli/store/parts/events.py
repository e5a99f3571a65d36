"""Usage events: stored once each with their roll-ups, read in pages, pruned."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from operator import itemgetter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store.engine import bulk, rollups
from meshproxy_cli.store.engine.bulk import Rows
from meshproxy_cli.store.engine.database import to_micros
from meshproxy_cli.store.engine.eventrows import PLACES, EventRow, from_row, to_row
from meshproxy_cli.store.engine.partitions import drop_before
from meshproxy_cli.store.engine.schema import api_keys, control, counted_once, usage_days, usage_events, usage_hours
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import UsageQuery

#: Bound parameters in one statement: SQLite's own limit is 32,766, PostgreSQL's 65,535.
_ROWS_AT_ONCE = 500
_USE_RECORDED_EVERY = 60 * 1_000_000  # microseconds
_PRUNE_BATCH = 10_000
_PAGE = 2000
_FILTERS = ("project_id", "room", "session", "participant", "model", "provider")
_USED = sa.bindparam("used", type_=sa.BigInteger)
_RECORD_USE = (
    sa.update(api_keys)
    .where(api_keys.c.id == sa.bindparam("key"))
    .where(sa.or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= _USED - _USE_RECORDED_EVERY))
    .values(last_used_at=_USED)
)
#: Where a UUID tells its version, and the version of those that are made from a name.
_VERSION, _NAMED = 14, "5"
_began = itemgetter(PLACES["started_at"])
_use = itemgetter(PLACES["key_id"], PLACES["started_at"])


class Events(Part):
    """Adds, reads and prunes usage events."""

    def add(self, events: Iterable[UsageEvent]) -> int:
        """Store a batch and its roll-ups in one transaction; skip known events. Return how many are new."""
        return self.add_rows(map(to_row, events))

    def add_rows(self, rows: Iterable[EventRow]) -> int:
        """Store events given as rows (see `eventrows`), like `add`."""
        by_id = {row[0]: row for row in rows}
        # In one order, so that two writers of the same events on PostgreSQL wait for each other and never deadlock.
        ordered = sorted(by_id.values())
        if not ordered:
            return 0
        days = {began - began % rollups.DAY for began in map(_began, ordered)}
        self.session.partitions.ensure(days)
        try:
            return self._add(ordered, _insert_all)
        except sa.exc.IntegrityError:
            # Some are stored already, as after a crash; or another process pruned a partition.
            self.session.partitions.forget()
            self.session.partitions.ensure(days)
            return self._add(ordered, _insert_new)

    def _add(self, rows: Rows, insert: Callable[[Connection, Rows], Rows]) -> int:
        with self.session.database.write() as connection:
            fresh = insert(connection, _count_once(connection, rows))
            if fresh:
                hours = rollups.by_hour(fresh)
                self._roll_up(connection, usage_hours, hours)
                self._roll_up(connection, usage_days, rollups.by_day(hours))
                _record_use(connection, fresh)
        return len(fresh)

    def _roll_up(self, connection: Connection, table: sa.Table, sums: rollups.Sums) -> None:
        bulk.add_up(connection, table, rollups.to_rows(sums))

    def prune(self, before: datetime) -> int:
        """Delete events from before the hour of `before`; roll-ups stay. Return how many.

        On PostgreSQL whole months are dropped at once; the rest goes in batches, so that others can write in between.
        """
        horizon = to_micros(before) // rollups.HOUR * rollups.HOUR
        with self.session.database.write() as connection:
            moved = sa.update(control).where(control.c.pruned_before < horizon)
            connection.execute(moved.values(pruned_before=horizon))
            pruned = drop_before(connection, horizon) if self.session.database.is_postgresql else 0
        while batch := self._prune_batch(horizon):
            pruned += batch
        if self.session.actor is not None:
            with self.session.database.write() as connection:
                self.session.record_change(connection, "usage.prune", before.isoformat(), events=str(pruned))
        return pruned

    def _prune_batch(self, horizon: int) -> int:
        key = usage_events.c.event_id
        old = sa.select(key).where(usage_events.c.started_at < horizon).limit(_PRUNE_BATCH)
        with self.session.database.write() as connection:
            return connection.execute(
                sa.delete(usage_events).where(usage_events.c.started_at < horizon, key.in_(old))
            ).rowcount

    def list(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]:
        """Return a page of matching events in order of `event_id`, past `after`; `query.by` is ignored."""
        key = usage_events.c.event_id
        wanted = _matching(query).order_by(key.desc() if newest_first else key).limit(limit)
        if after is not None:
            wanted = wanted.where(key < after if newest_first else key > after)
        with self.session.database.read() as connection:
            return tuple(map(from_row, connection.execute(wanted)))

    def export(self, query: UsageQuery) -> Iterator[UsageEvent]:
        """Yield every matching event, oldest first; no transaction stays open while the caller writes."""
        order = sa.tuple_(usage_events.c.started_at, usage_events.c.event_id)
        pages = _matching(query).order_by(usage_events.c.started_at, usage_events.c.event_id).limit(_PAGE)
        wanted = pages
        while True:
            with self.session.database.read() as connection:
                rows = connection.execute(wanted).all()
            yield from map(from_row, rows)
            if len(rows) < _PAGE:
                return
            wanted = pages.where(order > sa.tuple_(sa.literal(rows[-1].started_at), sa.literal(rows[-1].event_id)))


def _count_once(connection: Connection, rows: Rows) -> Rows:
    """Leave out events that were counted before at another time. Their ids are made from what they are about."""
    named = [row for row in rows if row[0][_VERSION : _VERSION + 1] == _NAMED]
    if not named:
        return rows
    new = {row[0] for row in bulk.insert_new(connection, counted_once, [(row[0],) for row in named])}
    return [row for row in rows if row[0] in new or row[0][_VERSION : _VERSION + 1] != _NAMED]


def _insert_all(connection: Connection, rows: Rows) -> Rows:
    if rows:
        bulk.insert(connection, usage_events, rows)
    return rows


def _insert_new(connection: Connection, rows: Rows) -> Rows:
    parts = [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
    return [row for part in parts for row in bulk.insert_new(connection, usage_events, part)]


def _record_use(connection: Connection, rows: Rows) -> None:
    """Record when API keys were last used, to the minute."""
    latest: dict[str, int] = {}
    for key, used in map(_use, rows):
        if used > latest.get(key, 0):
            latest[key] = used
    connection.execute(_RECORD_USE, [{"key": key, "used": latest[key]} for key in sorted(latest)])


def _matching(query: UsageQuery) -> "sa.Select[tuple[object, ...]]":
    conditions = [usage_events.c[name] == getattr(query, name) for name in _FILTERS if getattr(query, name) is not None]
    if query.since is not None:
        conditions.append(usage_events.c.started_at >= to_micros(query.since))
    if query.until is not None:
        conditions.append(usage_events.c.started_at < to_micros(query.until))
    return sa.select(usage_events).where(*conditions)
