"""How a worker learns that keys, rooms, limits or access tokens changed, within a tenth of a second."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from meshproxy_cli.store.engine.database import Database
from meshproxy_cli.store.engine.schema import control
from meshproxy_cli.store.engine.session import CHANNEL, Part

if TYPE_CHECKING:
    import psycopg

_SQLITE_POLL_S = 0.1
# LISTEN/NOTIFY reports changes; the revision is read this often anyway.
_SAFETY_NET_S = 1.0


class Changes(Part):
    """The revision of control data, and feeds of it."""

    def revision(self) -> int:
        """Return a number that rises when keys, rooms, limits or access tokens change; cheap to read often."""
        with self.session.database.read() as connection:
            return int(connection.execute(sa.select(control.c.revision)).scalar_one())

    @contextlib.contextmanager
    def follow(self) -> Iterator["ChangeFeed"]:
        """Open a feed of changes: LISTEN/NOTIFY on PostgreSQL, `PRAGMA data_version` on SQLite."""
        source = (
            _Listener(self.session.database)
            if self.session.database.is_postgresql
            else _FileWatch(self.session.database)
        )
        with contextlib.closing(source):
            yield ChangeFeed(self, source)


class _Source(Protocol):
    """Source of hints that something changed; a hint may be wrong, the revision is not."""

    def hint(self, timeout_s: float) -> None:
        """Return as soon as something may have changed, at the latest after `timeout_s`."""

    def close(self) -> None: ...


class ChangeFeed:
    """Waits for changes. Raises `StoreUnavailableError` while the database is unreachable, and can be used after."""

    def __init__(self, changes: Changes, source: _Source) -> None:
        self._changes = changes
        self._source = source
        self._source.hint(0)
        self._seen = changes.revision()

    def wait(self, timeout_s: float) -> bool:
        """Block until something changed (True) or the timeout passed (False)."""
        deadline = time.monotonic() + timeout_s
        while True:
            revision = self._changes.revision()
            if revision != self._seen:
                self._seen = revision
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._source.hint(min(left, _SAFETY_NET_S))


class _FileWatch:
    """SQLite counts the commits of other connections: asking costs no read of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._version = -1

    def hint(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with self._database.errors():
            while self._data_version() == self._version and (left := deadline - time.monotonic()) > 0:
                time.sleep(min(_SQLITE_POLL_S, left))
            self._version = self._data_version()

    def _data_version(self) -> int:
        if self._connection is None:
            self._connection = sqlite3.connect(str(self._database.url.database), check_same_thread=False)
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Listener:
    """A connection that listens; it is opened again after it broke."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def hint(self, timeout_s: float) -> None:
        with self._database.errors():
            if self._connection is None:
                # The revision, which is read next, shows what changed before it listened.
                self._connection = self._listen()
                return
            try:
                for _ in self._connection.notifies(timeout=timeout_s, stop_after=1):
                    return
            except Exception:
                self.close()
                raise

    def _listen(self) -> "psycopg.Connection[tuple[object, ...]]":
        connection: psycopg.Connection[tuple[object, ...]] = self._database.driver_connection()
        connection.rollback()
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}".encode())
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
