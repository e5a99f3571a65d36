"""`meshproxy server`: which Room Proxies there are, and which one is used."""

from typing import Annotated, Any

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.errors import ConflictError
from meshproxy_cli.settings import edit
from meshproxy_cli.settings.schema import BUILT_IN, ServerTable
from meshproxy_cli.settings.servers import Server, Settings
from meshproxy_cli.settings.urls import server_url


def add(
    name: Annotated[str, typer.Argument(help="A short name: letters, digits, - and _.")],
    url: Annotated[str, typer.Argument(help="The base URL, such as https://mesh.example.com.")],
    *,
    project_id: Annotated[str | None, typer.Option("--project-id", metavar="ID", help="The project there.")] = None,
    room: Annotated[str | None, options.room("The room where none is given.")] = None,
    session: Annotated[str | None, options.session("How sessions are named.")] = None,
    access_token: Annotated[
        str | None,
        typer.Option(
            "--access-token", metavar="-", help="Keep your access token of that server; - reads standard input."
        ),
    ] = None,
    use: Annotated[bool, typer.Option("--use", help="Make it the current server.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Change the URL of a server that is known.")] = False,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Allow plain http:// to another machine.")
    ] = False,
) -> None:
    """Add a server by name and URL.

    An access token lets you list and make keys and see usage there; agents need only an API key
    (`meshproxy api-key import`) or a participant token (`meshproxy token import`).

    **Examples**

    - `meshproxy server add team https://mesh.example.com --use`
    - `meshproxy server add team https://mesh.example.com --access-token - < token.txt`
    """
    table = ServerTable(server_url(url, insecure_http=insecure_http), project_id, room, session, insecure_http)
    token = None if access_token is None else context.read_secret(access_token, option="--access-token")
    changed = edit.add_server(context.paths(), name, table, replace=replace)
    if token is not None:
        context.secrets().set(f"access-token/{name}", token)
    if use:
        edit.use_server(context.paths(), name)
    output.success(f"{'added' if changed else 'unchanged:'} the server {name} ({table.url})")
    current = context.settings().server()
    if current.name != name:
        output.note(f"commands still use {current.name}; change that with: meshproxy server use {name}")


def use(
    name: Annotated[str, typer.Argument(help="A server's name.", autocompletion=names.servers)],
) -> None:
    """Choose the current server.

    **Examples**

    - `meshproxy server use team`
    - `meshproxy server use local`
    """
    edit.use_server(context.paths(), name)
    settings = context.settings()
    output.success(f"commands use {name} ({settings.servers[name].url}) now")
    current = settings.server()
    if current.name != name:
        output.warn(f"MESHAGENT_API_URL is set and comes first: {current.name} ({current.url})")


def list_(
    as_json: options.Json = False,
) -> None:
    """List the known servers; the current one is marked with `*`.

    **Example**

    - `meshproxy server list`
    """
    settings = context.settings()
    current = settings.server()
    kept = {entry.name for entry in context.secrets().names()}
    servers = [*settings.servers.values()]
    if current.name not in settings.servers:
        servers.append(current)
    if as_json:
        output.data({"servers": [_as_json(server, current, kept) for server in servers]})
        return
    columns = ("", "Name", "URL", "Room", "Project", "Kept here")
    output.table([output.Column(title) for title in columns], [_row(server, current, kept) for server in servers])


def remove(
    name: Annotated[str, typer.Argument(help="A server's name.", autocompletion=names.servers)],
) -> None:
    """Forget a server, and the secrets kept for it.

    **Example**

    - `meshproxy server remove team`
    """
    if name in BUILT_IN:
        raise ConflictError(f"the server {name} is built in and can't be removed")
    settings = context.settings()
    settings.server(name)
    secrets = context.secrets()
    for secret in _secrets_of(name, {entry.name for entry in secrets.names()}):
        secrets.delete(secret)
        output.note(f"removed the secret {secret}")
    edit.remove_server(context.paths(), name)
    output.success(f"removed the server {name}")
    if _was_current(settings, name):
        output.note(f"commands use {context.settings().server().name} now")


def _was_current(settings: Settings, name: str) -> bool:
    return settings.current == name


def _secrets_of(server: str, kept: set[str]) -> list[str]:
    own = {f"api-key/{server}", f"access-token/{server}"}
    return sorted(name for name in kept if name in own or name.startswith(f"token/{server}/"))


def _row(server: Server, current: Server, kept: set[str]) -> tuple[str, ...]:
    holds = ", ".join(name.replace(f"/{server.name}", "", 1) for name in _secrets_of(server.name, kept))
    mark = "*" if server.name == current.name else ""
    return mark, server.name, server.url, server.room or "-", server.project_id or "-", holds or "-"


def _as_json(server: Server, current: Server, kept: set[str]) -> dict[str, Any]:
    return {
        "name": server.name,
        "url": server.url,
        "current": server.name == current.name,
        "local": server.local,
        "project_id": server.project_id,
        "room": server.room,
        "session": server.session,
        "secrets": _secrets_of(server.name, kept),
    }
