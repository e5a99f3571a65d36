"""The database of a Room Proxy: projects, API keys, rooms, limits, usage, audit.

SQLite and PostgreSQL behind one interface (`base.Store`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshproxy_cli.errors import UsageError

if TYPE_CHECKING:
    from meshproxy_cli.store.engine.vault import KeyLoader
    from meshproxy_cli.store.store import SqlStore


def open_store(
    url: str,
    *,
    master_key: bytes | Sequence[bytes] | None = None,
    load_master_keys: "KeyLoader | None" = None,
) -> "SqlStore":
    """Open the store at `sqlite:///PATH` or `postgresql://…`, made or migrated to the current schema where needed.

    `master_key` is one key, or several, the newest first; without one, everything but signing secrets
    works. `load_master_keys` is asked for them where none was given or the database was moved to one unknown here;
    it is told the id of the one that the database is under, None where there is none yet.
    Raise `StoreUnavailableError`, or `UsageError` for another kind of URL or where the extra `proxy` isn't installed.
    """
    try:
        from meshproxy_cli.store.engine.database import Database  # noqa: PLC0415 (SQLAlchemy is part of the extra `proxy`)
        from meshproxy_cli.store.engine.migrate import migrate  # noqa: PLC0415
        from meshproxy_cli.store.engine.partitions import Partitions  # noqa: PLC0415
        from meshproxy_cli.store.store import SqlStore  # noqa: PLC0415
    except ModuleNotFoundError as problem:
        raise UsageError(
            f"The database needs {problem.name}, which is not installed.", hint="pip install 'meshproxy[proxy]'"
        ) from problem
    from meshproxy_cli.store.engine.vault import Vault  # noqa: PLC0415

    keys = (master_key,) if isinstance(master_key, bytes) else tuple(master_key or ())
    database = Database(url)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return SqlStore(database, Vault(keys, load=load_master_keys), Partitions(database))
