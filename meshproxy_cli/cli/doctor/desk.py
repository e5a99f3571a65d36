"""What `doctor` needs of the command line: clients, targets, and questions to the usage ledger."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from meshproxy_cli.agents.base import Credentials, Target
from meshproxy_cli.cli import context
from meshproxy_cli.cli.agent.targets import Choice, make_target
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.limits import describe, option
from meshproxy_cli.cli.token.get import login_name
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.client.remote import RemoteClient
from meshproxy_cli.configedit.receipts import Receipt
from meshproxy_cli.doctor.check import project_of
from meshproxy_cli.settings.servers import Server
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope, Role, UsageQuery

_LATEST = 20
_BUDGETS = frozenset({LimitKind.USD_PER_DAY, LimitKind.USD_PER_MONTH})


class CliDesk:
    """Implements `doctor.scene.Desk`."""

    def connect(self, server: Server) -> ServerClient:
        """Return a client of the server."""
        return connect(server.name if server.name in context.settings().servers else server.url)

    def is_admin(self, client: ServerClient) -> bool:
        """Return whether this user may change things there: the owner of this machine's server may."""
        return not isinstance(client, RemoteClient) or client.status().get("role") == Role.ADMIN

    def target(self, receipt: Receipt) -> Target:
        """Return the target that `configure` would make with the receipt's choices, without a token in it."""
        choice = Choice(
            room=receipt.room,
            server=receipt.server,
            session=receipt.session,
            model=receipt.model,
            profile=receipt.profile,
            credentials=Credentials.ENV if receipt.credentials == Credentials.ENV else Credentials.HELPER,
            make_default=receipt.make_default,
            standalone=receipt.standalone,
            project=project_of(receipt),
        )
        return make_target(receipt.agent, choice)

    def tokens_of(self, client: ServerClient, room: str, session: str, request_id: str) -> int | None:
        """Return the tokens of a request's usage event."""
        query = UsageQuery(project_id=client.project_id, room=room, session=session)
        for event in client.events.list(query, limit=_LATEST, newest_first=True):
            if event.request_id == request_id:
                return event.tokens.input_tokens + event.tokens.output_tokens
        return None

    def spent(
        self, client: ServerClient, room: str, sessions: tuple[str, ...], participant: str | None
    ) -> tuple[tuple[str, str], ...]:
        """Return the hard limits that are used up, with the command that raises each."""
        subjects = {
            LimitScope.PROJECT: ("",),
            LimitScope.ROOM: (room,),
            LimitScope.SESSION: sessions,
            LimitScope.PARTICIPANT: (participant or login_name(),),
        }
        found = []
        for limit in client.limits.list(client.project_id):
            for subject in subjects[limit.scope] if limit.hard else ():
                mine = limit.scope is LimitScope.PROJECT or limit.subject in {subject, "*"}
                if mine and (told := _spent(client, limit, room, subject)) is not None:
                    found.append(told)
        return tuple(found)


def _spent(client: ServerClient, limit: Limit, room: str, subject: str) -> tuple[str, str] | None:
    """Return what to say where the limit lets nothing through, and the command that raises it."""
    if limit.kind not in _BUDGETS:
        return None if limit.amount else (f"{describe(limit)}, which refuses everything", _raise(limit, Decimal(30)))
    now = datetime.now(UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    daily = limit.kind is LimitKind.USD_PER_DAY
    since = day if daily else day.replace(day=1)
    ends = since + timedelta(days=1) if daily else (since + timedelta(days=32)).replace(day=1)
    used = _used(client, limit.scope, room, subject, since)
    if used < limit.amount:
        return None
    until = f"it can go on from {ends:%d %B %Y, %H:%M} UTC"
    return f"{describe(limit)} is used up (${used:,.4f}); {until}", _raise(limit, used)


def _used(client: ServerClient, scope: LimitScope, room: str, subject: str, since: datetime) -> Decimal:
    query = {
        LimitScope.PROJECT: UsageQuery(since=since, by=()),
        LimitScope.ROOM: UsageQuery(room=room, since=since, by=()),
        LimitScope.SESSION: UsageQuery(room=room, session=subject, since=since, by=()),
        LimitScope.PARTICIPANT: UsageQuery(participant=subject, since=since, by=()),
    }[scope]
    return client.usage.report(replace(query, project_id=client.project_id)).totals.cost_usd or Decimal(0)


def _raise(limit: Limit, least: Decimal) -> str:
    amount = max(limit.amount * 2, (least * 2).quantize(Decimal(1)) + 1)
    on = "" if limit.scope is LimitScope.PROJECT else f" --{limit.scope.value} {shlex.quote(limit.subject)}"
    return f"meshproxy limit set {option(limit.kind)} {amount:f}{on}"
