"""What `doctor` needs of the command line: clients, targets, and questions to the usage ledger."""

import shlex
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from meshproxy_cli.agents.base import Credentials, Target
from meshproxy_cli.agents.receipts import Receipt
from meshproxy_cli.cli import context
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.limits import describe, option
from meshproxy_cli.cli.targets import Choice, make_target
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.doctor.scene import SESSION
from meshproxy_cli.settings.servers import Server
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope, UsageQuery

_LATEST = 20


class CliDesk:
    """Implements `doctor.scene.Desk`."""

    def connect(self, server: Server) -> ServerClient:
        """Return a client of the server."""
        return connect(server.name if server.name in context.settings().servers else server.url)

    def target(self, receipt: Receipt) -> Target:
        """Return the target that `configure` would make with the receipt's choices, without a token in it."""
        choice = Choice(
            room=receipt.room,
            server=receipt.server,
            session=receipt.session,
            model=receipt.model,
            profile=receipt.profile,
            credentials=Credentials.ENV if receipt.credentials == Credentials.ENV else Credentials.HELPER,
            project=Path(receipt.place).parent.parent if receipt.scope == "project" else None,
        )
        return make_target(receipt.agent, choice)

    def tokens_of(self, client: ServerClient, room: str, request_id: str) -> int | None:
        """Return the tokens of a request's usage event."""
        query = UsageQuery(room=room, session=SESSION)
        for event in client.events(query, limit=_LATEST, newest_first=True):
            if event.request_id == request_id:
                return event.tokens.input_tokens + event.tokens.output_tokens
        return None

    def spent(self, client: ServerClient, room: str) -> tuple[tuple[str, str], ...]:
        """Return the budgets of project and room that are used up, with the command that raises each."""
        return tuple(
            (f"{describe(limit)} is used up (${used:,.4f})", _raise(limit, used))
            for limit in client.limits()
            if limit.hard and _concerns(limit, room) and (used := _used(client, limit, room)) >= limit.amount
        )


def _concerns(limit: Limit, room: str) -> bool:
    if limit.kind not in {LimitKind.USD_PER_DAY, LimitKind.USD_PER_MONTH}:
        return limit.amount == 0 and limit.scope is LimitScope.PROJECT
    return limit.scope is LimitScope.PROJECT or (limit.scope is LimitScope.ROOM and limit.subject in {room, "*"})


def _used(client: ServerClient, limit: Limit, room: str) -> Decimal:
    now = datetime.now(UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = day if limit.kind is LimitKind.USD_PER_DAY else day.replace(day=1)
    whose = None if limit.scope is LimitScope.PROJECT else room
    return client.usage(UsageQuery(room=whose, since=since, by=())).totals.cost_usd or Decimal(0)


def _raise(limit: Limit, used: Decimal) -> str:
    amount = max(limit.amount * 2, (used * 2).quantize(Decimal(1)) + 1)
    on = "" if limit.scope is LimitScope.PROJECT else f" --room {shlex.quote(limit.subject)}"
    return f"meshproxy limit set {option(limit.kind)} {amount:f}{on}"
