"""Names in a server's database for shell completion: read-only, in milliseconds.

It uses neither SQLAlchemy, nor migrations, nor the master key: nothing is created or changed, and an older or newer
schema yields no names.
"""

import enum
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.store.errors import StoreUnavailableError

_DAY_US = 24 * 3600 * 1_000_000
_RECENT_DAYS = 60
_MOST = 500
_SQLITE = "sqlite:///"
_WAIT_S = 0.3


class NameKind(enum.StrEnum):
    """Kinds of names."""

    ROOM = "room"
    SESSION = "session"
    PARTICIPANT = "participant"
    MODEL = "model"
    PROVIDER = "provider"
    API_KEY = "api_key"
    ACCESS_TOKEN = "access_token"  # noqa: S105 (a kind of name)


_IN_USAGE = "SELECT {column}, '' FROM usage_days WHERE bucket >= {{since}} GROUP BY {column} ORDER BY max(bucket) DESC"
_QUERIES = {
    NameKind.ROOM: ("SELECT name, '' FROM rooms", _IN_USAGE.format(column="room")),
    NameKind.SESSION: (_IN_USAGE.format(column="session"),),
    NameKind.PARTICIPANT: (_IN_USAGE.format(column="participant"),),
    NameKind.MODEL: (_IN_USAGE.format(column="model"),),
    NameKind.PROVIDER: (_IN_USAGE.format(column="provider"),),
    NameKind.API_KEY: (
        "SELECT name, id FROM api_keys WHERE revoked_at IS NULL",
        "SELECT id, name FROM api_keys WHERE revoked_at IS NULL",
    ),
    NameKind.ACCESS_TOKEN: (
        "SELECT name, id FROM access_tokens WHERE revoked_at IS NULL",
        "SELECT id, name FROM access_tokens WHERE revoked_at IS NULL",
    ),
}


def read_names(database_url: str, kind: NameKind) -> tuple[tuple[str, str], ...]:
    """Return names of that kind, each with a remark: existing ones and those used in the last 60 days.

    Raises `StoreUnavailableError` if the database does not exist or can't be read at once.
    """
    since = (time.time_ns() // 1000) - _RECENT_DAYS * _DAY_US
    found: dict[str, str] = {}
    with _connection(database_url) as connection:
        for query in _QUERIES[kind]:
            rows = connection.execute(f"{query.format(since=since)} LIMIT {_MOST}").fetchall()
            found |= {str(name): str(remark) for name, remark in rows if name}
    return tuple(found.items())


@contextmanager
def _connection(url: str) -> Iterator[Any]:
    try:
        with closing(_sqlite(url) if url.startswith(_SQLITE) else _postgresql(url)) as connection:
            yield connection
    except MeshproxyError:
        raise
    except Exception as problem:  # noqa: BLE001 (two drivers, each with errors of its own)
        raise StoreUnavailableError(f"The database can't be read: {type(problem).__name__}.") from None


def _sqlite(url: str) -> Any:  # noqa: ANN401 (the driver's own type)
    import sqlite3  # noqa: PLC0415 (one of two drivers)

    path = Path(url.removeprefix(_SQLITE)).absolute()
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)


def _postgresql(url: str) -> Any:  # noqa: ANN401 (the driver's own type)
    import psycopg  # noqa: PLC0415 (one of two drivers)

    scheme, _, rest = url.partition("://")
    if not scheme.startswith("postgres"):
        raise StoreUnavailableError("Unsupported database URL.")
    options = f"-c default_transaction_read_only=on -c statement_timeout={int(_WAIT_S * 1000)}"
    return psycopg.connect(f"postgresql://{rest}", connect_timeout=2, options=options)
