"""Access tokens and the audit log, for admins."""

from starlette.requests import Request
from starlette.responses import Response

from meshproxy_cli.proxy.admin.access import change_in_store, in_store
from meshproxy_cli.proxy.admin.dashboard import sessions
from meshproxy_cli.proxy.admin.dashboard.pages import page, render, see_other
from meshproxy_cli.proxy.admin.dashboard.sessions import Session
from meshproxy_cli.proxy.admin.rest.access import NewAccessToken
from meshproxy_cli.proxy.admin.rest.endpoint import check
from meshproxy_cli.store.records import Role

_PATH = "/dashboard/access"
_ENTRIES = 50


async def _list(request: Request, session: Session) -> Response:
    return await _show(request, session)


async def _create(request: Request, session: Session) -> Response:
    new = check(await sessions.check_form(request, session), NewAccessToken)
    _, text = await change_in_store(
        request, session.holder, lambda store: store.create_access_token(new.name, new.role)
    )
    return await _show(request, session, created=text, name=new.name)


async def _revoke(request: Request, session: Session) -> Response:
    await sessions.check_form(request, session)
    token_id = request.path_params["token_id"]
    await change_in_store(request, session.holder, lambda store: store.revoke_access_token(token_id))
    return see_other(_PATH)


async def _show(request: Request, session: Session, *, created: str | None = None, name: str = "") -> Response:
    tokens = await in_store(request, lambda store: store.access_tokens())
    entries = await in_store(request, lambda store: store.audit_entries(limit=_ENTRIES))
    ordered = sorted(tokens, key=lambda token: (token.revoked_at is not None, -token.created_at.timestamp()))
    return render(
        request,
        "access.html",
        session=session,
        tokens=ordered,
        entries=entries,
        roles=tuple(Role),
        created=created,
        name=name,
    )


ROUTES = (
    page(_PATH, _list, admin=True),
    page(_PATH, _create, method="POST", admin=True),
    page(_PATH + "/{token_id}/revoke", _revoke, method="POST", admin=True),
)
