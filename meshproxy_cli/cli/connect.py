"""From a server's name to a client of it."""

import importlib.util
import os

from meshproxy_cli.cli import context, output
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.errors import CredentialError, UnavailableError
from meshproxy_cli.settings.credentials import find_access_token
from meshproxy_cli.settings.runtime import read_runtime
from meshproxy_cli.settings.servers import Server

_SQLITE = "sqlite:"


def connect(server: str | None = None) -> ServerClient:
    """Return a client of the server of that name or URL, else of the current one.

    The local server's database is opened, whether `serve` runs or not: its SQLite file, or the one that
    MESHPROXY_DATABASE_URL names. Everything else is reached over REST with this user's access token. Raises the errors
    of `meshproxy_cli.errors`.
    """
    chosen = context.settings().server(server)
    output.detail(f"server: {chosen.name} ({chosen.url})")
    if chosen.local and (database := local_database()) is not None:
        return _local(chosen, database)
    return _remote(chosen)


def local_database() -> str | None:
    """Return the URL of the local server's database, or None where `serve` runs on one that can't be opened from here.

    MESHPROXY_DATABASE_URL goes first, as for `serve`: the first access token of a server on PostgreSQL is made so.
    """
    if given := os.environ.get("MESHPROXY_DATABASE_URL"):
        return given
    paths = context.paths()
    runtime = read_runtime(paths)
    if runtime is None:
        return f"sqlite:///{paths.database}"
    return runtime.database_url if runtime.database_url.startswith(_SQLITE) else None


def _local(server: Server, database: str) -> ServerClient:
    if importlib.util.find_spec("sqlalchemy") is None:
        raise UnavailableError(
            "the server on this machine needs packages that are not installed",
            hint='install them: pip install "meshproxy[proxy]"; or choose another server: meshproxy server use NAME',
        )
    from meshproxy_cli.cli.local_store import load_master_keys  # noqa: PLC0415 (SQLAlchemy, for the local server only)
    from meshproxy_cli.client.local import LocalClient  # noqa: PLC0415

    return LocalClient(
        database,
        "default",
        server.url,
        None,
        load_master_keys=load_master_keys,
        workers_dir=context.paths().spool_dir / "workers",
    )


def _remote(server: Server) -> ServerClient:
    from meshproxy_cli.client.remote import RemoteClient  # noqa: PLC0415 (urllib, for other servers only)

    token = find_access_token(server.name, context.secrets(), os.environ)
    if token is None:
        raise CredentialError(
            f"there is no access token for the server {server.name} ({server.url})",
            hint="set MESHAGENT_TOKEN to your own access token; an API key made elsewhere is kept with "
            "`meshproxy api-key import`",
        )
    output.detail(f"access token: from {token.source}")
    return RemoteClient(server.url, token.value, server.project_id)
