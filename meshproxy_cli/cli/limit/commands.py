"""`meshproxy limit`: how much a project, room, session or participant may use."""

from decimal import Decimal
from typing import Annotated

import typer

from meshproxy_cli.cli import options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.limits import describe, limit_json, parse_amount, parse_kind, what, whose
from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.records import Limit, LimitScope

KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="requests-per-minute, tokens-per-minute, concurrent-streams, usd-per-day or usd-per-month.",
        autocompletion=names.limit_kinds,
    ),
]
RoomOption = Annotated[str | None, options.room("On this room; '*' for each one on its own.")]
SessionOption = Annotated[str | None, options.session("On this session of any room; '*' for each one.")]
ParticipantOption = Annotated[str | None, options.participant("On this participant; '*' for each one.")]


def set_(
    *,
    kind: KindArgument,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much; money in US dollars.")],
    room: RoomOption = None,
    session: SessionOption = None,
    participant: ParticipantOption = None,
    warn: Annotated[bool, typer.Option("--warn", help="Only warn in the server's log; refuse nothing.")] = False,
    server: options.Server = None,
) -> None:
    """Set a limit, on the whole project unless a room, session or participant is named.

    A limit for one by name takes the place of that for each one ('*'). Days and months are those of UTC. Once it is
    used up, requests are refused with a message that says which limit, whose, and until when.

    **Examples**

    - `meshproxy limit set usd-per-month 500`
    - `meshproxy limit set usd-per-day 20 --participant '*'`
    - `meshproxy limit set requests-per-minute 60 --room research`
    - `meshproxy limit set concurrent-streams 4 --session '*' --warn`
    """
    scope, subject = _target(room, session, participant)
    which = parse_kind(kind)
    number = parse_amount(amount, which)
    client = connect(server)
    try:
        limit = Limit(
            project_id=client.project().id, scope=scope, subject=subject, kind=which, amount=number, hard=not warn
        )
        client.limits.put(limit)
    finally:
        client.close()
    output.success(f"limit set: {describe(limit)}")


def list_(
    *,
    server: options.Server = None,
    as_json: options.Json = False,
) -> None:
    """List the project's limits.

    **Examples**

    - `meshproxy limit list`
    - `meshproxy limit list --json`
    """
    client = connect(server)
    try:
        limits = client.limits.list(client.project_id)
    finally:
        client.close()
    if as_json:
        output.data({"limits": [limit_json(limit) for limit in limits]})
    elif limits:
        columns = [output.Column("On"), output.Column("Limit")]
        output.table(columns, [(whose(limit), what(limit)) for limit in limits])
    else:
        output.note("there are no limits; set one: meshproxy limit set usd-per-month 500")


def remove(
    *,
    kind: KindArgument,
    room: RoomOption = None,
    session: SessionOption = None,
    participant: ParticipantOption = None,
    server: options.Server = None,
) -> None:
    """Remove a limit.

    **Examples**

    - `meshproxy limit remove usd-per-month`
    - `meshproxy limit remove usd-per-day --participant '*'`
    """
    scope, subject = _target(room, session, participant)
    which = parse_kind(kind)
    client = connect(server)
    try:
        limit = Limit(project_id=client.project().id, scope=scope, subject=subject, kind=which, amount=Decimal(0))
        client.limits.remove(limit)
    finally:
        client.close()
    output.success(f"removed the limit of {kind} on {whose(limit)}")


def _target(room: str | None, session: str | None, participant: str | None) -> tuple[LimitScope, str]:
    given = [
        (scope, subject)
        for scope, subject in (
            (LimitScope.ROOM, room),
            (LimitScope.SESSION, session),
            (LimitScope.PARTICIPANT, participant),
        )
        if subject is not None
    ]
    if len(given) > 1:
        raise UsageError("a limit is on one thing: give only one of --room, --session and --participant")
    if given and not given[0][1]:
        raise UsageError(f"--{given[0][0].value} is empty", hint="give a name, or '*' for each one on its own")
    return given[0] if given else (LimitScope.PROJECT, "")
