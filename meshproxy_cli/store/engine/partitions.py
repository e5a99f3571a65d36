"""Monthly partitions of `usage_events` on PostgreSQL: created ahead of time, dropped whole."""

from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store.engine.database import Database, from_micros, now_micros, to_micros

_PREFIX = "usage_events_"
# "partitio" as a number: taken to create a partition, so that two processes do not create the same one.
_ADVISORY_LOCK = 0x7061_7274_6974_696F
_NAMES = sa.text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = 'usage_events'::regclass ORDER BY 1"
)


class Partitions:
    """Remembers which partitions exist, so that a batch queries the database only for new months."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[str] = set()

    def ensure(self, moments: Iterable[int]) -> None:
        """Create the partitions for these times (microseconds) and for next month."""
        if not self._database.is_postgresql:
            return
        months = {_month(moment) for moment in moments}
        now = _month(now_micros())
        wanted = {_name(month) for month in months | {now, _next(now)}}
        if wanted <= self._known:
            return
        with self._database.write() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            existing = set(connection.execute(_NAMES).scalars())
            for month in sorted(months | {now, _next(now)}):
                if _name(month) not in existing:
                    _create(connection, month)
        self._known |= wanted

    def forget(self) -> None:
        """Forget which partitions exist, after another process dropped some."""
        self._known.clear()


def drop_before(connection: Connection, horizon: int) -> int:
    """Drop the partitions that end at or before `horizon`; return how many rows they had."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    gone = 0
    for name in connection.execute(_NAMES).scalars().all():
        if to_micros(_next(datetime.strptime(name, f"{_PREFIX}%Y%m").replace(tzinfo=UTC))) <= horizon:
            gone += connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one()
            connection.exec_driver_sql(f"DROP TABLE {name}")
    return gone


def _create(connection: Connection, month: datetime) -> None:
    # Creating the table first and attaching it blocks no readers or writers of the other partitions.
    name, first, last = _name(month), to_micros(month), to_micros(_next(month))
    connection.exec_driver_sql(
        f"CREATE TABLE {name} (LIKE usage_events INCLUDING ALL, CHECK (started_at >= {first} AND started_at < {last}))"
    )
    connection.exec_driver_sql(
        f"ALTER TABLE usage_events ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({last})"
    )


def _month(moment: int) -> datetime:
    return from_micros(moment).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _name(month: datetime) -> str:
    return f"{_PREFIX}{month:%Y%m}"
