"""`meshproxy access`: who may use the server's REST API and dashboard."""

from typing import Annotated, Any

import typer

from meshproxy_cli.cli import options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.lookup import by_id_or_name
from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.records import AccessToken, Role


def create(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what it is for, such as `ann` or `grafana`.")],
    role: Annotated[
        Role, typer.Option("--role", help="A viewer sees usage, rooms and limits, and changes nothing.")
    ] = Role.VIEWER,
    server: options.Server = None,
    as_json: options.Json = False,
) -> None:
    """Create an access token and print it, once: only its hash is kept.

    With it a browser gets to the dashboard, and a program or another machine's `meshproxy` to the REST API.

    **Examples**

    - `meshproxy access create ann --role admin`
    - `meshproxy access create grafana --json | jq -r .value`
    """
    if not name.strip() or not name.isprintable():
        raise UsageError("the token's name must not be blank, nor hold control characters")
    client = connect(server)
    try:
        token, text = client.access_tokens.create(name, role)
        url = client.url
    finally:
        client.close()
    if as_json:
        output.data({**_as_json(token), "value": text})
    else:
        output.text(text)
        output.note(f"keep it: it is not shown again. Dashboard: {url}/dashboard")


def list_(*, server: options.Server = None, as_json: options.Json = False) -> None:
    """List access tokens with their last use: never their texts.

    **Examples**

    - `meshproxy access list`
    - `meshproxy access list --json`
    """
    client = connect(server)
    try:
        tokens = client.access_tokens.list()
    finally:
        client.close()
    if as_json:
        output.data({"tokens": [_as_json(token) for token in tokens]})
    elif tokens:
        titles = ("Name", "Role", "ID", "Created", "Last used", "State")
        output.table([output.Column(title) for title in titles], [_row(token) for token in tokens])
    else:
        output.note("there are no access tokens; make one: meshproxy access create NAME")


def revoke(
    *,
    token: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The token's id, or its name where only one has it.",
            autocompletion=names.access_tokens,
        ),
    ],
    yes: options.Yes = False,
    server: options.Server = None,
) -> None:
    """Revoke an access token for good.

    **Examples**

    - `meshproxy access revoke grafana`
    - `meshproxy access revoke 3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e --yes`
    """
    client = connect(server)
    try:
        found = by_id_or_name(
            client.access_tokens.list(), token, kind="access token", listed_by="meshproxy access list"
        )
        output.agree(f"Revoke the access token {found.name} ({found.id})?", yes=yes)
        client.access_tokens.revoke(found.id)
    finally:
        client.close()
    output.success(f"revoked the access token {found.name} ({found.id})")


def _row(token: AccessToken) -> tuple[str, ...]:
    used = "never" if token.last_used_at is None else f"{token.last_used_at:%Y-%m-%d}"
    state = "valid" if token.revoked_at is None else f"revoked {token.revoked_at:%Y-%m-%d}"
    return token.name, token.role.value, token.id, f"{token.created_at:%Y-%m-%d}", used, state


def _as_json(token: AccessToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "created_at": token.created_at.isoformat(),
        "revoked_at": token.revoked_at.isoformat() if token.revoked_at else None,
        "last_used_at": token.last_used_at.isoformat() if token.last_used_at else None,
    }
