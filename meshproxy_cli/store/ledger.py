"""The ledger's writing side: events and their roll-ups in one transaction, each event once."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store.database import to_micros
from meshproxy_cli.store.eventrows import measures, to_row
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.partitions import drop_before
from meshproxy_cli.store.schema import DIMENSIONS, MEASURES, control, usage_days, usage_events, usage_hours
from meshproxy_cli.store.session import StoreSession

HOUR = 3600 * 1_000_000
DAY = 24 * HOUR
#: Bound parameters in one statement: SQLite's own limit is 32,766, PostgreSQL's 65,535.
_ROWS_AT_ONCE = 500

_FULL = 2**62

Rows = Sequence[Mapping[str, Any]]


class Ledger(StoreSession):
    """Adds events, and drops old ones."""

    def add_events(self, events: Iterable[UsageEvent]) -> int:
        """Store a batch and its roll-ups in one transaction, those already stored left out. Return how many are new."""
        rows = list({row["event_id"]: row for row in map(to_row, events)}.values())
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
            for table, width in ((usage_hours, HOUR), (usage_days, DAY)):
                self._roll_up(connection, table, width, fresh)
        return len(fresh)

    def _insert_new(self, connection: Connection, rows: Rows) -> Rows:
        fresh: list[Mapping[str, Any]] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            statement = self.database.insert(usage_events).on_conflict_do_nothing()
            added = set(connection.execute(statement.returning(usage_events.c.event_id), part).scalars())
            fresh.extend(row for row in part if row["event_id"] in added)
        return fresh

    def _roll_up(self, connection: Connection, table: sa.Table, width: int, rows: Rows) -> None:
        sums = _summed(rows, width)
        if not sums:
            return
        insert = self.database.insert(table)
        added = {name: _added(table.c[name], insert.excluded[name]) for name in MEASURES}
        # In the key's order, so that two writers on PostgreSQL wait for each other and never deadlock.
        connection.execute(
            insert.on_conflict_do_update(index_elements=["bucket", "series"], set_=added),
            [sums[key] for key in sorted(sums)],
        )

    def prune_events(self, before: datetime) -> int:
        """Drop raw events from before the hour of `before`; roll-ups stay. Return how many."""
        horizon = to_micros(before) // HOUR * HOUR
        with self.database.write() as connection:
            gone = drop_before(connection, horizon) if self.database.is_postgresql else 0
            gone += connection.execute(sa.delete(usage_events).where(usage_events.c.started_at < horizon)).rowcount
            moved = sa.update(control).where(control.c.pruned_before < horizon).values(pruned_before=horizon)
            connection.execute(moved)
        return gone


def _added(old: sa.ColumnElement[int], new: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return a sum that stays at the most a column holds: an overflow would hold up every later event."""
    full: sa.ColumnElement[int] = sa.literal_column(str(_FULL), sa.BigInteger)
    return sa.case((old > full - new, full), else_=old + new)


def _summed(rows: Rows, width: int) -> dict[tuple[int, bytes], dict[str, Any]]:
    totals: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for row in rows:
        key = (row["started_at"] // width * width, tuple(row[name] for name in DIMENSIONS))
        total = totals.setdefault(key, [0] * len(MEASURES))
        for index, amount in enumerate(measures(row)):
            total[index] = min(total[index] + amount, _FULL)
    return {
        (bucket, series_of(dimensions)): {
            "bucket": bucket,
            "series": series_of(dimensions),
            **dict(zip(DIMENSIONS, dimensions, strict=True)),
            **dict(zip(MEASURES, total, strict=True)),
        }
        for (bucket, dimensions), total in totals.items()
    }


def series_of(dimensions: tuple[str, ...]) -> bytes:
    """Return the key of a roll-up's dimensions: each with its length in front, so that no two texts run together."""
    text = b"".join(b"%d:%b" % (len(part), part) for part in (each.encode() for each in dimensions))
    return hashlib.blake2b(text, digest_size=16).digest()
