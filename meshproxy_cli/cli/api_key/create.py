"""`meshproxy api-key create`."""

from typing import Annotated, Any

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.api_key.keep import KeyRing
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.errors import CredentialError, MeshproxyError, UsageError
from meshproxy_cli.settings.schema import HOSTED
from meshproxy_cli.settings.servers import Server
from meshproxy_cli.tokens.apikey import ApiKey


def create(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for, such as `laptop` or `ci`.")],
    activate: Annotated[bool, typer.Option("--activate", help="Keep it here and sign tokens with it.")] = False,
    description: Annotated[str, typer.Option("--description", help="A longer note beside the name.")] = "",
    silent: Annotated[bool, typer.Option("--silent", help="Do not print the key (with --activate).")] = False,
    server: options.Server = None,
    as_json: options.Json = False,
) -> None:
    """Create an API key on the server and print it, once: it cannot be shown again.

    **Examples**

    - `meshproxy api-key create laptop --activate`
    - `meshproxy api-key create ci --description "nightly builds" --json`
    - `meshproxy api-key create laptop --activate --silent`
    """
    if silent and not activate:
        raise UsageError("--silent without --activate would lose the key: nobody could ever see it")
    if not name.strip() or not name.isprintable():
        raise UsageError("the key's name must not be blank, nor hold control characters")
    chosen = context.settings().server(server)
    client = _connect(chosen, server)
    try:
        key = client.keys.create(client.project_id, name, description)
        if not silent:
            _show(key, name, description, activate=activate, as_json=as_json)
        if activate:
            _activate(key, chosen, client, silent=silent)
    finally:
        client.close()
    if silent and as_json:
        output.data(_as_json(key, name, description, activate=True))


def _connect(chosen: Server, server: str | None) -> ServerClient:
    try:
        return connect(server)
    except CredentialError as problem:
        if chosen.name != HOSTED:
            raise
        raise CredentialError(
            problem.message,
            hint="create a key in MeshAgent's console (or with its own command line) and keep it here with "
            "`meshproxy api-key import --server meshagent`; or set MESHAGENT_TOKEN to your access token",
        ) from None


def _show(key: ApiKey, name: str, description: str, *, activate: bool, as_json: bool) -> None:
    if as_json:
        output.data(_as_json(key, name, description, activate=activate) | {"key": key.encode()})
    else:
        output.text(key.encode())
    output.note("this is the only time that the key is shown: keep it in a safe place")


def _as_json(key: ApiKey, name: str, description: str, *, activate: bool) -> dict[str, Any]:
    about = {"id": key.id, "project_id": key.project_id, "name": name, "description": description}
    return {**about, "active": activate}


def _activate(key: ApiKey, server: Server, client: ServerClient, *, silent: bool) -> None:
    try:
        KeyRing(context.secrets(), server.name).use(key)
    except MeshproxyError:
        if silent:
            client.keys.revoke(client.project_id, key.id)
            output.warn("the new key could not be kept and nobody has seen it: it was revoked")
        raise
    output.success(f"tokens for {server.name} are now signed with the key {key.id}")
