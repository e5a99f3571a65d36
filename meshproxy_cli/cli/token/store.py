"""`meshproxy token import` and `meshproxy token forget`: tokens for people who hold no API key."""

import time
from typing import Annotated

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.errors import NotFoundError, UsageError
from meshproxy_cli.settings.servers import Server
from meshproxy_cli.suggest import did_you_mean
from meshproxy_cli.tokens.participant import ParticipantToken, check_times, decode_unverified
from meshproxy_cli.tokens.reading import refusals

Room = Annotated[str | None, options.room("The room (default: the token's own).")]


def import_(*, room: Room = None, server: options.Server = None) -> None:
    """Keep a token that somebody gave you; `meshproxy token get` and the agents then use it.

    It is read from standard input (a terminal asks without echo) and kept in the OS keyring, until it is replaced or
    forgotten. A token that the Room Proxy would refuse is not kept.

    **Examples**

    - `meshproxy token import < token.txt`
    - `pass show work/token | meshproxy token import --room my-room --server team`
    """
    text = context.read_secret_input("token", "meshproxy token import < token.txt")
    token = decode_unverified(text)
    check_times(token, now=int(time.time()))
    chosen = context.settings().server(server)
    place = _room(room, token, chosen)
    if reasons := refusals(token, room=place):
        raise UsageError(f"the token was not kept: {'; '.join(reasons)}", hint="ask for one that fits")
    context.secrets().set(f"token/{chosen.name}/{place}", text)
    output.success(f"kept the token of {token.identity} for the room {place} on {chosen.name}")
    if token.expires_at is None:
        output.note("it never expires; `meshproxy token forget` removes it")


def forget(
    *,
    room: Annotated[str | None, options.room("The room (default: the server's).", offer=names.imported_rooms)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget the tokens of every room and server.")] = False,
    server: options.Server = None,
) -> None:
    """Remove an imported token from this machine. It stays valid elsewhere: only revoking its API key ends it.

    **Examples**

    - `meshproxy token forget --room my-room`
    - `meshproxy token forget --all`
    """
    secrets = context.secrets()
    if everything:
        names = [entry.name for entry in secrets.names() if entry.name.startswith("token/")]
    else:
        chosen = context.settings().server(server)
        names = [f"token/{chosen.name}/{_named_room(room, chosen)}"]
    forgotten = [name for name in names if secrets.delete(name)]
    if not forgotten:
        rooms = [entry.name.split("/", 2)[2] for entry in secrets.names() if entry.name.startswith("token/")]
        raise NotFoundError(
            f"there is no such token on this machine{did_you_mean(room or '', rooms)}",
            hint="`meshproxy secret list` shows what is kept",
        )
    for name in forgotten:
        output.success(f"forgot {name}")


def _room(room: str | None, token: ParticipantToken, server: Server) -> str:
    found = room or token.room or server.room
    if not found:
        raise UsageError("the token names no room", hint="say for which one to keep it: --room ROOM")
    return found


def _named_room(room: str | None, server: Server) -> str:
    if not (room or server.room):
        raise UsageError("which token?", hint="give --room ROOM, or --all")
    return str(room or server.room)
