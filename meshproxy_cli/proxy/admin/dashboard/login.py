"""Logging in with an access token, and out; and the static files."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from meshproxy_cli.proxy.admin.dashboard import sessions
from meshproxy_cli.proxy.admin.dashboard.pages import HEADERS, page, render, see_other
from meshproxy_cli.proxy.admin.dashboard.sessions import Session

_STATIC = Path(__file__).parent / "static"
_FILES = {"dashboard.css": "text/css", "dashboard.js": "text/javascript", "icon.svg": "image/svg+xml"}


async def _show(request: Request) -> Response:
    return render(request, "login.html", target=_inside(request.query_params.get("next", "")), refused=False)


async def _log_in(request: Request) -> Response:
    form = await sessions.read_form(request)
    target, text = _inside(form.get("next", "")), form.get("token", "").strip()
    token = await sessions.log_in(request, text) if text else None
    if token is None:
        return render(request, "login.html", status=401, target=target, refused=True)
    response = see_other(target)
    sessions.set_cookie(request, response, token)
    return response


async def _log_out(request: Request, session: Session) -> Response:
    await sessions.check_form(request, session)
    response = see_other("/dashboard/login")
    sessions.clear_cookie(response)
    return response


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    kind = _FILES.get(name)
    if kind is None:
        return Response(status_code=404, headers=HEADERS)
    return FileResponse(_STATIC / name, media_type=kind, headers=HEADERS | {"cache-control": "max-age=300"})


def _inside(target: str) -> str:
    """Return `target` where it is a page of the dashboard, else the first page: a login never leads elsewhere."""
    is_ours = target == sessions.PATH or target.startswith((f"{sessions.PATH}/", f"{sessions.PATH}?"))
    return target if is_ours and target.isprintable() and "\\" not in target else sessions.PATH


ROUTES = (
    Route("/dashboard/login", _show, methods=["GET"]),
    Route("/dashboard/login", _log_in, methods=["POST"]),
    page("/dashboard/logout", _log_out, method="POST"),
    Route("/dashboard/static/{name}", _static, methods=["GET"]),
)
