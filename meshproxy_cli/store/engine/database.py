"""Connections, transactions, and database errors as `StoreUnavailableError`.

The engines differ here, in `bulk.py`, in `partitions.py` and in `parts/changes.py` only.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.errors import StoreUnavailableError

SQLITE_BUSY_MS = 5000
_POSTGRES_TIMEOUT_S = 10
_URL_FORMS = "use sqlite:///PATH or postgresql://USER@HOST/DATABASE"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """Return whole microseconds since 1970, exactly."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Return the time in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def now_micros() -> int:
    """Return the current time in microseconds."""
    return time.time_ns() // 1000


# How SQLite's transactions begin. FULL: a confirmed revocation or batch of events survives a power failure.
_READ = ("BEGIN",)
_WRITE = ("PRAGMA synchronous = FULL", "BEGIN IMMEDIATE")
_WRITE_FAST = ("PRAGMA synchronous = NORMAL", "BEGIN IMMEDIATE")
# SQLSTATE of prepared statements that exist already, or do not: a pooler gives one connection to several programs.
_SHARED_CONNECTION = frozenset({"42P05", "26000"})
# Classes of SQLSTATE: access rights and names of tables and columns; databases; schemas.
_DATABASE_STATE_CLASSES = ("42", "3D", "3F")
_UNAVAILABLE_HINT = "check that it is running and reachable; what was not stored yet is kept and sent later"
_POOLER_HINT = "a connection pooler shares connections between transactions: set its pool_mode to session (PgBouncer)"
_RIGHTS_HINT = "the user in its URL must own the database: ALTER DATABASE … OWNER TO …"
_RIGHTS = "42501"  # SQLSTATE
_UNAVAILABLE: tuple[type[Exception], ...] = (sa.exc.DatabaseError, sa.exc.InterfaceError, sa.exc.TimeoutError)


class Database:
    """One database, used in short transactions."""

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self.engine = _engine(self.url)
        self._unavailable = (*_UNAVAILABLE, *_driver_errors(self.engine))
        self.is_postgresql = self.engine.dialect.name == "postgresql"

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one snapshot of the database."""
        with self.errors(), self.engine.connect() as connection:
            if self.is_postgresql:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Open a transaction for writing; SQLite's lock is taken at once, so that it can't fail halfway.

        Without `durable` it may be lost if the machine fails (not the process), and costs no disk flush.
        """
        with self.errors(), self.engine.connect() as connection:
            begun = connection.execution_options(meshproxy_begin=_WRITE if durable else _WRITE_FAST)
            with begun.begin():
                if self.is_postgresql and not durable:
                    begun.exec_driver_sql("SET LOCAL synchronous_commit = off")
                yield begun

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the driver's errors for an unreachable, locked or slow database into `StoreUnavailableError`."""
        try:
            yield
        except self._unavailable as problem:
            if not _is_unavailable(problem):
                raise
            reason = str(getattr(problem, "orig", None) or problem).strip().splitlines()[0]
            raise StoreUnavailableError(
                f"The database {self.url.render_as_string(hide_password=True)} can't be used: {reason}.",
                hint=_hint(problem),
            ) from problem

    def driver_connection(self) -> Any:  # noqa: ANN401 (the driver's own type)
        """Return a new connection of the driver, which the caller closes."""
        with self.errors():
            pooled = self.engine.raw_connection()
            connection = pooled.driver_connection
            pooled.detach()
            return connection

    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 (both dialects' Insert have the same on_conflict methods)
        """Return an INSERT with `on_conflict_…` methods."""
        return postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _parse(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # The URL may contain a password, so the message does not quote it.
        raise UsageError("Invalid database URL.", hint=_URL_FORMS) from None


def _engine(url: sa.URL) -> Engine:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(url)
    if backend in {"postgresql", "postgres"}:
        return _postgresql_engine(url)
    raise UsageError(
        f"Unsupported database URL scheme `{backend}`.",
        hint=_URL_FORMS,
    )


def _sqlite_engine(url: sa.URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UsageError("The store needs a database file: sqlite:///PATH.")
    _create_private(Path(url.database))
    engine = sa.create_engine(
        url.set(drivername="sqlite"),
        connect_args={"check_same_thread": False, "timeout": SQLITE_BUSY_MS / 1000},
        hide_parameters=True,  # an error would show them, and they would be in the log
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private(path: Path) -> None:
    """Create the file and its directory for the owner only; SQLite gives `-wal` and `-shm` the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as problem:
        raise StoreUnavailableError(
            f"The database {path} can't be opened: {problem.strerror}.", hint="check that this user may write there"
        ) from problem


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # `_begin_sqlite` begins transactions: the driver would begin them too late for a lock.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {SQLITE_BUSY_MS}",
        "journal_mode = WAL",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "cache_size = -32768",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    for statement in connection.get_execution_options().get("meshproxy_begin", _READ):
        connection.exec_driver_sql(statement)


def _postgresql_engine(url: sa.URL) -> Engine:
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=4,
        max_overflow=4,
        pool_timeout=_POSTGRES_TIMEOUT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 3,
            "application_name": "meshproxy",
            # A server that disappeared is noticed in seconds, not after the TCP timeout.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": _POSTGRES_TIMEOUT_S * 1000,
        },
    )
    _check_options(engine)
    return engine


def _check_options(engine: Engine) -> None:
    """Raise `UsageError` for a URL with an option that PostgreSQL's library does not know."""
    import psycopg.conninfo  # noqa: PLC0415 (for this engine only)

    _, options = engine.dialect.create_connect_args(engine.url)
    options.pop("context", None)  # SQLAlchemy's own
    try:
        psycopg.conninfo.make_conninfo(**options)
    except psycopg.ProgrammingError as problem:
        raise UsageError(f"The database URL can't be used: {str(problem).strip()}.", hint=_URL_FORMS) from None


def _driver_errors(engine: Engine) -> tuple[type[Exception], ...]:
    driver = engine.dialect.loaded_dbapi
    return (driver.DatabaseError, driver.InterfaceError)


def _is_unavailable(problem: Exception) -> bool:
    # SQLite reports a file that is damaged or not a database as a plain DatabaseError.
    names = {kind.__name__ for kind in type(problem).__mro__}
    return _is_database_state(problem) or names.isdisjoint(
        {"IntegrityError", "DataError", "ProgrammingError", "NotSupportedError"}
    )


def _is_database_state(problem: Exception) -> bool:
    """Return whether PostgreSQL rejects a statement because of the database's state, not the statement's values.

    For example the user lacks rights, or a table is missing while a backup is restored: no event is at fault.
    """
    state = _state(problem)
    return state in _SHARED_CONNECTION or state.startswith(_DATABASE_STATE_CLASSES)


def _hint(problem: Exception) -> str:
    state = _state(problem)
    if state in _SHARED_CONNECTION:
        return _POOLER_HINT
    return _RIGHTS_HINT if state == _RIGHTS else _UNAVAILABLE_HINT


def _state(problem: Exception) -> str:
    return getattr(getattr(problem, "orig", None) or problem, "sqlstate", None) or ""
