"""What all pages share: who looks, the template, the security headers, errors as pages."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.admin.access import authorize, in_store, services_of
from meshproxy_cli.proxy.admin.dashboard import figures, sessions
from meshproxy_cli.proxy.admin.dashboard.sessions import Session
from meshproxy_cli.proxy.admin.problems import Problem, problem_of
from meshproxy_cli.proxy.admin.rest.endpoint import storable
from meshproxy_cli.store.records import Project

Handler = Callable[[Request, Session], Awaitable[Response]]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
NAVIGATION = (
    ("/dashboard", "Overview"),
    ("/dashboard/usage", "Breakdown"),
    ("/dashboard/requests", "Requests"),
    ("/dashboard/rooms", "Rooms"),
    ("/dashboard/keys", "API keys"),
    ("/dashboard/access", "Access"),
)

_LONGEST_NEXT = 1000  # characters; percent-encoded twice they are nine times as many, and must fit into a head
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["figures"] = figures


def render(
    request: Request,
    template: str,
    *,
    session: Session | None = None,
    status: int = 200,
    **context: Any,  # noqa: ANN401 (whatever the template shows)
) -> Response:
    """Return a page made from `template`."""
    text = _templates.get_template(template).render(
        path=request.scope["path"],
        navigation=NAVIGATION,
        session=session,
        version=services_of(request).version,
        **context,
    )
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def page(path: str, handler: Handler, *, method: str = "GET", admin: bool = False) -> Route:
    """Return the route of a page for people who are logged in; a change needs an admin, and says so to a viewer."""

    async def handle(request: Request) -> Response:
        session = None
        try:
            session = await sessions.current(request)
            if session is None:
                return _to_login(request)
            authorize(session.holder, admin=admin)
            storable((request.path_params, dict(request.query_params)))
            return await handler(request, session)
        except Problem as problem:
            return error_page(request, session, problem)
        except MeshproxyError as error:
            return error_page(request, session, problem_of(error))

    return Route(path, handle, methods=[method])


async def project_of(request: Request) -> Project:
    """Return the project that the dashboard shows: the server's first."""
    projects = await in_store(request, lambda store: store.projects.list())
    if not projects:
        raise Problem(404, "not_found", "There is no project yet.")
    return projects[0]


def see_other(path: str) -> Response:
    """Lead from a change to the page that shows it."""
    return RedirectResponse(path, status_code=303, headers=HEADERS)


def _to_login(request: Request) -> Response:
    if request.method != "GET":
        return see_other("/dashboard/login")
    query = request.scope["query_string"].decode("latin-1")
    target = request.scope["path"] + (f"?{query}" if query else "")
    return see_other(f"/dashboard/login?{urlencode({'next': target})}" if inside(target) else "/dashboard/login")


def inside(target: str) -> bool:
    """Whether a login may lead to `target`: a page of the dashboard whose address is short."""
    is_ours = target == sessions.PATH or target.startswith((f"{sessions.PATH}/", f"{sessions.PATH}?"))
    return is_ours and len(target) <= _LONGEST_NEXT and target.isascii() and target.isprintable() and "\\" not in target


def error_page(request: Request, session: Session | None, problem: Problem) -> Response:
    """Return the page for a request that is refused."""
    return render(request, "error.html", session=session, status=problem.status, problem=problem)
