"""The database of a Room Proxy, SQLite or PostgreSQL: keys, rooms, limits, usage, audit (see `store.Store`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshproxy_cli.errors import UsageError

if TYPE_CHECKING:
    from meshproxy_cli.store.engine.vault import KeyLoader
    from meshproxy_cli.store.store import Store


def open_store(
    url: str,
    *,
    master_key: bytes | Sequence[bytes] | None = None,
    load_master_keys: "KeyLoader | None" = None,
) -> "Store":
    """Open the store at `sqlite:///PATH` or `postgresql://…`; create the database or migrate it if necessary.

    `master_key` is one key, or several, newest first; without one, everything except signing secrets works.
    `load_master_keys` is called if none was given or the database uses another one; its argument is the id of the
    master key in use, None if there is none yet.
    Raise `StoreUnavailableError`, or `UsageError` for another kind of URL or if the extra `proxy` is not installed.
    """
    try:
        from meshproxy_cli.store.engine.database import Database  # noqa: PLC0415 (SQLAlchemy is part of the extra `proxy`)
        from meshproxy_cli.store.engine.migrate import migrate  # noqa: PLC0415
        from meshproxy_cli.store.engine.partitions import Partitions  # noqa: PLC0415
        from meshproxy_cli.store.engine.session import StoreSession  # noqa: PLC0415
        from meshproxy_cli.store.store import Store  # noqa: PLC0415
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
    return Store.over(StoreSession(database, Vault(keys, load=load_master_keys), Partitions(database)))
