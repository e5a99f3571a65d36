"""`meshproxy api-key list`, `activate`, `revoke`, `import` and `env`."""

import os
import shlex
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.api_key.keep import KeyRing
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.lookup import by_id_or_name
from meshproxy_cli.settings.credentials import API_KEY_VARIABLE, active_api_key
from meshproxy_cli.store.records import ApiKeyRecord
from meshproxy_cli.tokens.apikey import ApiKey

KeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The key's id, or its name where only one has it.", autocompletion=names.api_keys
    ),
]


def list_(*, server: options.Server = None, as_json: options.Json = False) -> None:
    """List the project's keys: never their secrets, which no server shows twice.

    **Examples**

    - `meshproxy api-key list`
    - `meshproxy api-key list --json | jq -r '.keys[] | select(.active).id'`
    """
    ring = _ring(server)
    records = _records(server)
    active = ring.active()
    active_id = None if active is None else active.id
    if as_json:
        output.data({"keys": [_as_json(record, active_id) for record in records]})
    elif records:
        _draw(records, active_id, ring.kept_ids())
    else:
        output.note("the project has no API keys; make one: meshproxy api-key create NAME --activate")


def activate(*, key: KeyArgument, server: options.Server = None) -> None:
    """Choose which of the keys kept on this machine signs tokens. The one before it stays kept.

    **Examples**

    - `meshproxy api-key activate 3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e`
    - `meshproxy api-key activate laptop`
    """
    ring = _ring(server)
    here = {*ring.kept_ids(), *([found.id] if (found := ring.active()) else [])}
    key_id = key.lower() if key.lower() in here else _find(_records(server), key).id
    chosen = ring.use_kept(key_id)
    output.success(f"tokens are now signed with the key {chosen.id}")


def revoke(
    *,
    key: KeyArgument,
    yes: options.Yes = False,
    server: options.Server = None,
) -> None:
    """Revoke a key for good: every token that it signed stops working within a second.

    **Examples**

    - `meshproxy api-key revoke 3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e`
    - `meshproxy api-key revoke ci --yes`
    """
    from meshproxy_cli.cli.connect import connect  # noqa: PLC0415 (`env` and `import` reach no server)

    client = connect(server)
    try:
        found = _find(client.keys.list(client.project_id), key)
        question = f"Revoke the key {found.name} ({found.id})? Every token signed with it stops working."
        output.agree(question, yes=yes)
        client.keys.revoke(client.project_id, found.id)
    finally:
        client.close()
    output.success(f"revoked the key {found.name} ({found.id})")
    if _ring(server).forget(found.id):
        output.note("it was removed from this machine too")


def import_(
    *,
    server: options.Server = None,
    keep_active: Annotated[
        bool, typer.Option("--keep-active", help="Keep it, and go on signing with the key in use.")
    ] = False,
) -> None:
    """Keep a key that was made elsewhere and sign tokens with it; it is read from standard input.

    A terminal asks for it without echo. A key that was active before stays kept (`meshproxy api-key activate`).

    **Examples**

    - `meshproxy api-key import < key.txt`
    - `pass show meshagent/key | meshproxy api-key import --server meshagent`
    """
    key = ApiKey.parse(context.read_secret_input("API key", "meshproxy api-key import < key.txt"))
    chosen = context.settings().server(server)
    ring = KeyRing(context.secrets(), chosen.name)
    if keep_active and ring.active() is not None:
        ring.keep(key)
        output.success(f"kept the key {key.id}; another one signs tokens for {chosen.name}")
        return
    ring.use(key)
    output.success(f"kept the key {key.id}; it signs the tokens for {chosen.name} from now on")
    if chosen.project_id is not None and chosen.project_id != key.project_id:
        output.warn(f"the key is of the project {key.project_id}, and {chosen.name} of {chosen.project_id}")


def env(*, server: options.Server = None, as_json: options.Json = False) -> None:
    """Print an export line with the active key, for shells and CI. It shows the key: mind who sees it.

    **Examples**

    - `eval "$(meshproxy api-key env)"`
    - `meshproxy api-key env --server team >> .env.private`
    """
    name = context.settings().server(server).name
    credential = active_api_key(name, context.secrets(), os.environ)
    output.detail(f"API key: from {credential.source}")
    key = ApiKey.parse(credential.value).encode()
    if as_json:
        output.data({API_KEY_VARIABLE: key})
    else:
        output.text(f"export {API_KEY_VARIABLE}={shlex.quote(key)}")


def _ring(server: str | None) -> KeyRing:
    return KeyRing(context.secrets(), context.settings().server(server).name)


def _records(server: str | None) -> tuple[ApiKeyRecord, ...]:
    from meshproxy_cli.cli.connect import connect  # noqa: PLC0415 (`env` and `import` reach no server)

    client = connect(server)
    try:
        return client.keys.list(client.project_id)
    finally:
        client.close()


def _find(records: Sequence[ApiKeyRecord], wanted: str) -> ApiKeyRecord:
    return by_id_or_name(records, wanted, kind="API key", listed_by="meshproxy api-key list")


def _as_json(record: ApiKeyRecord, active_id: str | None) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "created_at": record.created_at.isoformat(),
        "revoked_at": record.revoked_at.isoformat() if record.revoked_at else None,
        "last_used_at": record.last_used_at.isoformat() if record.last_used_at else None,
        "active": record.id == active_id,
    }


def _draw(records: Sequence[ApiKeyRecord], active_id: str | None, kept: Sequence[str]) -> None:
    columns = [output.Column(title, fold=title == "Description") for title in _TITLES]
    rows = [_row(record, active_id, kept) for record in records]
    if not any(row[-1] for row in rows):  # nobody wrote a description
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    output.table(columns, rows)


_TITLES = ("Name", "ID", "Created", "Last used", "State", "Description")


def _row(record: ApiKeyRecord, active_id: str | None, kept: Sequence[str]) -> tuple[str, ...]:
    used = f"{record.last_used_at:%Y-%m-%d}" if record.last_used_at else "never"
    if record.revoked_at is not None:
        state = f"revoked {record.revoked_at:%Y-%m-%d}"
    elif record.id == active_id:
        state = "active"
    else:
        state = "kept" if record.id in kept else "-"
    return record.name, record.id, f"{record.created_at:%Y-%m-%d}", used, state, record.description
