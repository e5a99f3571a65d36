"""`meshproxy audit`: what was changed on a server, by whom, and from where."""

from typing import Annotated, Any

import typer

from meshproxy_cli.cli import options, output
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.store.records import AuditEntry

_TITLES = ("Time (UTC)", "Who", "From", "What")


def audit(
    *,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="How many entries, the newest first.", min=1, max=10_000)
    ] = 50,
    server: options.Server = None,
    as_json: options.Json = False,
) -> None:
    """Show the audit log: every change to keys, rooms, limits and access tokens. It never holds a secret.

    **Examples**

    - `meshproxy audit`
    - `meshproxy audit --limit 1000 --json | jq '.entries[] | select(.actor == "ann")'`
    """
    client = connect(server)
    try:
        entries = client.audit.list(limit=limit)
    finally:
        client.close()
    if as_json:
        output.data({"entries": [_as_json(entry) for entry in entries]})
    elif entries:
        columns = [output.Column(title, fold=title == "What") for title in _TITLES]
        output.table(columns, [_row(entry) for entry in entries])
    else:
        output.note("nothing was changed yet")


def _row(entry: AuditEntry) -> tuple[str, ...]:
    details = ", ".join(f"{name}: {value}" for name, value in entry.details.items())
    what = f"{entry.action} {entry.target}{f' ({details})' if details else ''}"
    return f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.actor, entry.origin, what


def _as_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "origin": entry.origin,
        "details": entry.details,
    }
