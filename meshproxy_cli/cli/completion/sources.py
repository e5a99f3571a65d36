"""Where names for completion come from: this machine's files first, then the server, all of it within a second.

The OS keyring is never asked, since it may ask back; a server is reached with a token of the environment or of the
secrets file only.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.servers import Server, load_settings

if TYPE_CHECKING:
    from meshproxy_cli.client.base import ServerClient
    from meshproxy_cli.store.names import NameKind

Name = tuple[str, str]
Source = Callable[[], Iterable[Name]]

LIMIT_S = 1.0
_REQUEST_S = 0.8
# Zsh evaluates what it is given, and bash expands it: what could mean something to a shell is not offered.
_HARMLESS = re.compile(r"[\w@%+=:,./][\w@%+=:,./-]*")
_HARMLESS_REMARK = re.compile(r"[\w@%+=:,./ -]*")


def gather(sources: Sequence[Source]) -> list[Name]:
    """Return what the sources give until the time is up, once each, in order; one that fails gives nothing."""
    import threading  # noqa: PLC0415 (every command imports this module, and few press Tab)

    found: list[Name] = []

    def collect() -> None:
        for source in sources:
            with suppress(Exception):
                found.extend(source())

    worker = threading.Thread(target=collect, daemon=True)
    worker.start()
    worker.join(LIMIT_S)
    names: dict[str, str] = {}
    for name, remark in tuple(found):
        if _HARMLESS.fullmatch(name):
            names.setdefault(name, remark if _HARMLESS_REMARK.fullmatch(remark) else "")
    return list(names.items())


def paths() -> Paths:
    """Return this user's directories."""
    return Paths.from_environment(os.environ)


def servers() -> Iterator[Name]:
    """Give the names of the servers, each with its URL."""
    for name, server in load_settings(paths(), os.environ).servers.items():
        yield name, server.url


def secret_names() -> Iterator[str]:
    """Give the names of this user's secrets; the file that lists them is read, and no secret."""
    from meshproxy_cli.settings.secretfile import read_current  # noqa: PLC0415 (for the kinds that need it)

    yield from read_current(paths()).records


def rooms_here() -> Iterator[Name]:
    """Give the rooms that this machine knows: of agents, settings, the environment and imported tokens."""
    import json  # noqa: PLC0415 (for rooms only)

    if named := os.environ.get("MESHAGENT_ROOM"):
        yield named, "MESHAGENT_ROOM"
    for server in load_settings(paths(), os.environ).servers.values():
        if server.room:
            yield server.room, f"of the server {server.name}"
    for path in sorted(paths().receipts_dir.glob("*.json")):
        receipt = json.loads(path.read_bytes())
        yield receipt["room"], f"used by {receipt['agent']}"
    yield from imported_rooms()


def imported_rooms() -> Iterator[Name]:
    """Give the rooms for which a token was imported, each with its server."""
    for name in secret_names():
        kind, _, rest = name.partition("/")
        server, _, room = rest.partition("/")
        if kind == "token":
            yield room, f"token of {server}"


def on_server(kind: "NameKind", server: str | None, room: str | None = None) -> Iterator[Name]:
    """Give the names that a server knows; `room` narrows sessions where that is cheap.

    A URL that is only being typed gets no request: it would carry the access token before Enter is pressed.
    """
    settings = load_settings(paths(), os.environ)
    chosen = settings.server(server)
    if server is not None and chosen.name not in settings.servers:
        return
    if chosen.local and (database := _database()) is not None:
        from meshproxy_cli.store.names import read_names  # noqa: PLC0415 (local servers only)

        yield from read_names(database, kind)
        return
    yield from _remote(chosen, kind, room)


def _database() -> str | None:
    from meshproxy_cli.cli.connect import local_database  # noqa: PLC0415 (local servers only)

    return local_database()


def _remote(server: Server, kind: "NameKind", room: str | None) -> Iterator[Name]:
    from meshproxy_cli.client.remote import RemoteClient  # noqa: PLC0415 (urllib, for other servers only)

    client = RemoteClient(server.url, _access_token(server.name), server.project_id, timeout_s=_REQUEST_S)
    yield from _asked(client, kind, room)


def _access_token(server: str) -> str:
    from meshproxy_cli.settings.secretfile import read_current  # noqa: PLC0415 (other servers only)

    if given := os.environ.get("MESHAGENT_TOKEN", "").strip():
        return given
    return read_current(paths()).records[f"access-token/{server}"].value or ""


def _asked(client: "ServerClient", kind: "NameKind", room: str | None) -> Iterator[Name]:
    from meshproxy_cli.store.names import NameKind  # noqa: PLC0415 (other servers only)
    from meshproxy_cli.store.records import GroupBy, UsageQuery  # noqa: PLC0415

    if kind is NameKind.API_KEY:
        for key in client.keys.list(client.project_id):
            if key.revoked_at is None:
                yield from ((key.name, key.id), (key.id, key.name))
        return
    if kind is NameKind.ACCESS_TOKEN:
        for token in client.access_tokens.list():
            if token.revoked_at is None:
                yield from ((token.name, token.id), (token.id, token.name))
        return
    if kind is NameKind.ROOM:
        yield from ((one.name, "") for one in client.rooms.list(client.project_id))
    group = GroupBy(kind.value)
    for row in client.usage.report(UsageQuery(project_id=client.project_id, by=(group,), room=room)).rows:
        yield row.keys.get(group.value, ""), ""
