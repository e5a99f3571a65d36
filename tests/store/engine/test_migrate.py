import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from meshproxy_cli.errors import ConflictError
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine.database import Database
from meshproxy_cli.store.engine.migrate import HEAD, alembic_config, current_revision, migrate
from meshproxy_cli.store.engine.schema import metadata
from meshproxy_cli.store.store import Store

_OPEN = (
    "import sys; from meshproxy_cli.store import open_store; s = open_store(sys.argv[1]); print(s.projects.ensure().id)"
)


def test_head_is_the_newest_script() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD]


def test_migrations_build_what_the_schema_says(store: Store) -> None:
    with store.session.database.read() as connection:
        partitions = {name for name in sa.inspect(connection).get_table_names() if name.startswith("usage_events_")}

        def ours(_object: object, name: str | None, kind: str, _reflected: object, _other: object) -> bool:
            return not (kind == "table" and name in partitions)

        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": ours})
        assert compare_metadata(context, metadata) == []


def test_processes_that_start_together_migrate_once(store_url: str) -> None:
    assert len(_opened_by_several(store_url, 5)) == 1


def test_processes_that_start_together_migrate_an_older_database_once_and_keep_what_is_in_it(store_url: str) -> None:
    database = Database(store_url)
    config = alembic_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO projects (id, name, created_at) VALUES ('old', 'default', 1)"))
    assert _opened_by_several(store_url, 3) == {b"old\n"}
    with database.read() as connection:
        assert current_revision(connection) == HEAD
    database.close()


def _opened_by_several(store_url: str, number: int) -> set[bytes]:
    """Let processes open the database at the same time; return what they found as the project's id."""
    processes = [
        subprocess.Popen([sys.executable, "-c", _OPEN, store_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(number)
    ]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * number, outputs
    assert {err for _, err in outputs} == {b""}
    return {out for out, _ in outputs}


def test_migrating_again_does_nothing(store_url: str) -> None:
    database = Database(store_url)
    assert migrate(database)
    assert not migrate(database)
    database.close()


def test_a_newer_schema_is_left_alone(store: Store, open_another: Callable[..., Store]) -> None:
    with store.session.database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConflictError, match="newer meshproxy"):
        open_another()


def test_a_migration_that_fails_leaves_nothing(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def cut_short(*arguments: object) -> None:
        upgrade(*arguments)
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", cut_short)
        with pytest.raises(RuntimeError):
            open_store(store_url)
    database = Database(store_url)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == []
    assert migrate(database)
    database.close()
