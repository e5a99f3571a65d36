"""Migrate a database to the current schema, once even if several processes start together."""

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.errors import ConflictError
from meshproxy_cli.store.engine.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

#: The newest revision in `migrations/versions`; a test compares it with the scripts.
HEAD = "0005"
# "meshprox" as a number: the advisory lock that every meshproxy takes to migrate.
_ADVISORY_LOCK = 0x6D65_7368_7072_6F78


def migrate(database: Database) -> bool:
    """Apply missing migrations and return whether there were any. Raise `ConflictError` for a newer schema."""
    with database.read() as connection:
        if current_revision(connection) == HEAD:
            return False
    # SQLite: the transaction holds the only write lock. PostgreSQL: the advisory lock ends with the transaction.
    with database.write() as connection:
        if database.is_postgresql:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        found = current_revision(connection)
        if found == HEAD:
            return False
        _upgrade(connection, found)
    return True


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the database; None if it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def alembic_config() -> "Config":
    """Return Alembic's configuration for the packaged scripts."""
    from alembic.config import Config  # noqa: PLC0415 (100 ms that only a migration needs)

    config = Config()
    config.set_main_option("script_location", "meshproxy_cli.store:migrations")
    return config


def _upgrade(connection: Connection, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415 (100 ms that only a migration needs)
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = alembic_config()
    if found is not None and found not in {
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    }:
        raise ConflictError(
            f"The database has the schema {found} of a newer meshproxy; this one knows {HEAD} at most.",
            hint="upgrade meshproxy on this machine",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
