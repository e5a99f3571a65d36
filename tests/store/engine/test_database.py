import os
import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from fixtures.postgres import Postgres
from fixtures.store_events import event
from meshproxy_cli.errors import UsageError
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine import database as module
from meshproxy_cli.store.errors import StoreUnavailableError
from meshproxy_cli.store.records import Role, UsageQuery


def test_the_file_and_what_lies_beside_it_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/new/meshproxy.db")
        store.events.add([event(1)])
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert modes == dict.fromkeys(("meshproxy.db", "meshproxy.db-wal", "meshproxy.db-shm"), 0o600)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    store.close()


def test_sqlite_is_durable_and_lets_readers_be(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/meshproxy.db")
    with store.session.database.read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    for durable, level in ((True, 2), (False, 1), (True, 2)):
        with store.session.database.write(durable=durable) as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
    assert settings == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}
    store.close()


def test_a_locked_database_is_said_to_be_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SQLITE_BUSY_MS", 50)
    store = open_store(f"sqlite:///{tmp_path}/meshproxy.db")
    other = sqlite3.connect(tmp_path / "meshproxy.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        store.events.add([event(1)])
    assert store.usage.report(UsageQuery()).rows == ()
    other.execute("ROLLBACK")
    other.close()
    assert store.events.add([event(1)]) == 1
    store.close()


def test_a_database_that_can_not_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError):
        open_store(f"sqlite:///{tmp_path}/file/meshproxy.db")


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary, " * 100)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        open_store(f"sqlite:///{tmp_path}/notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("dear diary")


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


def test_an_option_that_does_not_exist_is_told() -> None:
    with pytest.raises(UsageError, match='invalid connection option "sslmod"') as refused:
        open_store("postgresql://user:hunter2@db/meshproxy?sslmod=require")
    assert "hunter2" not in str(refused.value)


def test_no_message_has_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        open_store(f"postgresql://user:hunter2@/db?host={tmp_path}")
    assert "hunter2" not in str(caught.value) + repr(caught.value.hint)


def test_postgresql_away_is_unavailable_and_comes_back(own_postgres: Postgres) -> None:
    store = open_store(own_postgres.create_database(), master_key=os.urandom(32))
    project = store.projects.ensure()
    with store.changes.follow() as feed:
        own_postgres.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                store.events.add([event(1)])
            with pytest.raises(StoreUnavailableError):
                feed.wait(1)
        own_postgres.start()
        assert store.events.add([event(1)]) == 1
        feed.wait(0)
        store.keys.create(project.id, "after")
        assert feed.wait(10)
    store.close()


def test_an_error_shows_no_parameters(postgres_url: str) -> None:
    store = open_store(postgres_url)
    with pytest.raises(sa.exc.DataError) as refused:
        store.access_tokens.create("a\0b", Role.VIEWER)
    assert "parameters hidden" in str(refused.value)
    store.close()


@pytest.mark.parametrize("statements", [["PREPARE one AS SELECT 1", "PREPARE one AS SELECT 1"], ["EXECUTE nothing"]])
def test_a_pooler_that_mixes_connections_up_is_said_to_be_the_reason(postgres_url: str, statements: list[str]) -> None:
    """As PgBouncer does in transaction mode: events are kept then, and not given up as wrong ones."""
    store = open_store(postgres_url)

    def mix_up() -> None:
        with store.session.database.read() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    with pytest.raises(StoreUnavailableError) as refusal:
        mix_up()
    assert "pool_mode" in str(refusal.value.hint)
    store.close()


def test_a_user_without_rights_is_told_so(postgres_url: str) -> None:
    """As PostgreSQL has it since version 15: who does not own a database may make no table there."""
    with pytest.raises(StoreUnavailableError, match="permission denied for schema public") as refusal:
        open_store(f"{postgres_url}&options=-crole%3Dpg_monitor")
    assert "OWNER TO" in str(refusal.value.hint)


def test_a_table_that_is_missing_for_a_while_is_no_events_fault(postgres_url: str) -> None:
    """As while a backup is restored: events wait then, and are not given up as wrong ones."""
    store = open_store(postgres_url)

    def rename(old: str, new: str) -> None:
        with store.session.database.write() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    rename("usage_hours", "elsewhere")
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        store.events.add([event(1)])
    rename("elsewhere", "usage_hours")
    assert store.events.add([event(1)]) == 1
    store.close()
