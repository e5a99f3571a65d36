"""API keys: everyone sees them, an admin makes and revokes them. A new key is in the answer to its form, once."""

from starlette.requests import Request
from starlette.responses import Response

from meshproxy_cli.proxy.admin.access import change_in_store, in_store
from meshproxy_cli.proxy.admin.dashboard import sessions
from meshproxy_cli.proxy.admin.dashboard.pages import page, project_of, render, see_other
from meshproxy_cli.proxy.admin.dashboard.sessions import Session
from meshproxy_cli.proxy.admin.rest.api_keys import NewApiKey
from meshproxy_cli.proxy.admin.rest.endpoint import check
from meshproxy_cli.store.records import Project
from meshproxy_cli.tokens.apikey import ApiKey

_PATH = "/dashboard/keys"


async def _list(request: Request, session: Session) -> Response:
    return await _show(request, session, await project_of(request))


async def _create(request: Request, session: Session) -> Response:
    new = check(await sessions.check_form(request, session), NewApiKey)
    project = await project_of(request)
    key = await change_in_store(
        request, session.holder, lambda store: store.create_api_key(project.id, new.name, new.description)
    )
    return await _show(request, session, project, created=key, name=new.name)


async def _revoke(request: Request, session: Session) -> Response:
    await sessions.check_form(request, session)
    project, key_id = await project_of(request), request.path_params["key_id"]
    await change_in_store(request, session.holder, lambda store: store.revoke_api_key(project.id, key_id))
    return see_other(_PATH)


async def _show(
    request: Request, session: Session, project: Project, *, created: ApiKey | None = None, name: str = ""
) -> Response:
    keys = await in_store(request, lambda store: store.api_keys(project.id))
    ordered = sorted(keys, key=lambda key: (key.revoked_at is not None, -key.created_at.timestamp()))
    return render(
        request,
        "keys.html",
        session=session,
        project=project,
        keys=ordered,
        created=created.encode() if created else None,
        name=name,
    )


ROUTES = (
    page(_PATH, _list),
    page(_PATH, _create, method="POST", admin=True),
    page(_PATH + "/{key_id}/revoke", _revoke, method="POST", admin=True),
)
