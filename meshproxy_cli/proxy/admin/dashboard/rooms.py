"""Rooms and limits: everyone sees them, an admin changes them."""

from datetime import UTC, datetime
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response

from meshproxy_cli.proxy.admin.access import change_in_store, in_store, services_of
from meshproxy_cli.proxy.admin.dashboard import sessions
from meshproxy_cli.proxy.admin.dashboard.pages import page, project_of, render, see_other
from meshproxy_cli.proxy.admin.dashboard.sessions import Session
from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.rest.endpoint import check
from meshproxy_cli.proxy.admin.rest.limits import LimitBody, LimitName, check_limit
from meshproxy_cli.proxy.admin.rest.rooms import PROTOCOLS, RoomSettings, check_room, put_room
from meshproxy_cli.store.records import GroupBy, Limit, LimitKind, LimitScope, UsageQuery

_PATH = "/dashboard/rooms"


async def _list(request: Request, session: Session) -> Response:
    project, services = await project_of(request), services_of(request)
    rooms = await in_store(request, lambda store: store.rooms(project.id))
    limits = await in_store(request, lambda store: store.limits(project.id))
    seen = await in_store(request, lambda store: store.usage(UsageQuery(project_id=project.id, by=(GroupBy.ROOM,))))
    known = {room.name for room in rooms}
    return render(
        request,
        "rooms.html",
        session=session,
        rooms=rooms,
        used={row.keys["room"]: row.totals for row in seen.rows},
        unlisted=[row for row in seen.rows if row.keys["room"] and row.keys["room"] not in known],
        limits=limits,
        protocols=PROTOCOLS,
        providers=services.providers,
        scopes=tuple(LimitScope),
        kinds=tuple(LimitKind),
    )


async def _put(request: Request, session: Session) -> Response:
    fields = await sessions.check_form(request, session)
    name = fields.get("name", "").strip()
    settings = RoomSettings(
        providers={protocol: fields[protocol] for protocol in PROTOCOLS if fields.get(protocol)},
        models=tuple(fields.get("models", "").replace(",", " ").split()),
        aliases=read_aliases(fields.get("aliases", "")),
    )
    room = check_room(services_of(request), (await project_of(request)).id, name, settings, datetime.now(UTC))
    await change_in_store(request, session.holder, lambda store: put_room(store, room))
    return see_other(_PATH)


async def _remove(request: Request, session: Session) -> Response:
    fields = await sessions.check_form(request, session)
    project = await project_of(request)
    await change_in_store(request, session.holder, lambda store: store.remove_room(project.id, fields.get("name", "")))
    return see_other(_PATH)


async def _put_limit(request: Request, session: Session) -> Response:
    fields = await sessions.check_form(request, session)
    fields["hard"] = "false" if fields.get("hard") == "false" else "true"
    limit = check_limit((await project_of(request)).id, check(fields, LimitBody))
    await change_in_store(request, session.holder, lambda store: store.put_limit(limit))
    return see_other(_PATH)


async def _remove_limit(request: Request, session: Session) -> Response:
    name = check(await sessions.check_form(request, session), LimitName)
    project = await project_of(request)
    limit = Limit(project_id=project.id, scope=name.scope, subject=name.subject, kind=name.kind, amount=Decimal(0))
    await change_in_store(request, session.holder, lambda store: store.remove_limit(limit))
    return see_other(_PATH)


def read_aliases(text: str) -> dict[str, str]:
    """Read lines of `alias = model`; raise `Problem` 400 for one that is none."""
    aliases = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        alias, equals, model = (part.strip() for part in line.partition("="))
        if not (alias and equals and model):
            raise Problem(400, "invalid_request", f"{line!r} is no alias: write one `alias = model` a line.")
        aliases[alias] = model
    return aliases


ROUTES = (
    page(_PATH, _list),
    page(_PATH, _put, method="POST", admin=True),
    page(_PATH + "/remove", _remove, method="POST", admin=True),
    page("/dashboard/limits", _put_limit, method="POST", admin=True),
    page("/dashboard/limits/remove", _remove_limit, method="POST", admin=True),
)
