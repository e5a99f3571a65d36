"""`meshproxy token get`: the credential helper that agents call. It must be quick, silent and never ask."""

import getpass
import os
import time
from typing import Annotated

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.token.shown import as_data
from meshproxy_cli.cli.token.times import parse_duration
from meshproxy_cli.errors import CredentialError, MeshproxyError, UsageError
from meshproxy_cli.settings.credentials import API_KEY_VARIABLE, Credential, active_api_key, find_room_token
from meshproxy_cli.settings.secrets import SecretStore
from meshproxy_cli.settings.servers import Server
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import TokenError, check_times, decode_unverified, mint
from meshproxy_cli.tokens.tokenspec import TokenSpec

_LIFETIME = "1h"


def get(
    *,
    room: Annotated[str | None, options.room("The room (default: the server's).")] = None,
    session: Annotated[str | None, options.session("Make it good for this `Meshagent-Session` only.")] = None,
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="NAME",
            help="The participant's name (default: your login name).",
            autocompletion=names.participants,
        ),
    ] = None,
    expires_in: Annotated[
        str,
        typer.Option(
            "--expires-in",
            metavar="TIME",
            help="How long it lives: `30m`, `1h`, `8h`.",
            autocompletion=names.lifetimes,
        ),
    ] = _LIFETIME,
    server: options.Server = None,
    as_json: options.Json = False,
) -> None:
    """Print a token for a room, and nothing else. Agents call this; it never asks and never uses the network.

    A token that was kept with `meshproxy token import` for that room is printed while it is valid; otherwise one is
    made from the API key of `MESHAGENT_API_KEY` or the keyring.

    **Examples**

    - `meshproxy token get --room my-room`
    - `curl -H "Authorization: Bearer $(meshproxy token get -r my-room)" …`
    """
    try:
        token = _token(room, server, identity, session, expires_in)
    except MeshproxyError as problem:
        raise _in_one_line(problem) from None
    if as_json:
        output.data({"token": token, **as_data(decode_unverified(token))})
    else:
        output.text(token)


def _token(room: str | None, server: str | None, identity: str | None, session: str | None, expires_in: str) -> str:
    lifetime = parse_duration(expires_in, "--expires-in")
    chosen = context.settings().server(server)
    room = room or chosen.room
    if not room or not room.strip():
        raise UsageError("there is no room to get a token for", hint="give --room ROOM")
    secrets = context.secrets()
    now = int(time.time())
    from_environment = bool(os.environ.get(API_KEY_VARIABLE, "").strip())
    kept = None if from_environment else find_room_token(chosen.name, room, secrets)
    if kept is not None and _is_valid(kept, now):
        output.detail(f"token: from {kept.source}")
        return kept.value
    key = _key(chosen, secrets, room, kept_expired=kept is not None)
    spec = TokenSpec.for_room(identity or login_name(), room)
    return mint(spec, key, now=now, expires_in=lifetime, session=session)


def _is_valid(kept: Credential, now: int) -> bool:
    try:
        check_times(decode_unverified(kept.value), now=now)
    except TokenError:
        return False
    return True


def _key(server: Server, secrets: SecretStore, room: str, *, kept_expired: bool) -> ApiKey:
    try:
        credential = active_api_key(server.name, secrets, os.environ)
    except CredentialError as problem:
        if not kept_expired:
            raise
        raise CredentialError(
            f"the token kept for the room {room} is not valid any more, and {problem.message}",
            hint="ask for a new one and keep it with: meshproxy token import",
        ) from None
    output.detail(f"API key: from {credential.source}")
    return ApiKey.parse(credential.value)


def login_name() -> str:
    """Return the participant's name where none is given."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "meshproxy"  # a container's user may have no name


def _in_one_line(problem: MeshproxyError) -> MeshproxyError:
    """Agents show one line of standard error: what is wrong and what to do about it have to stand in it."""
    parts = [problem.message, problem.hint] if problem.hint else [problem.message]
    problem.message = "; ".join(" ".join(part.split()) for part in parts).replace("?; ", "? ")
    problem.lines, problem.hint = (problem.message,), None
    return problem
