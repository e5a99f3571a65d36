"""The ASGI application: REST, dashboard, metrics and health."""

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.admin import dashboard, health, metrics, openapi
from meshproxy_cli.proxy.admin.dashboard.pages import error_page
from meshproxy_cli.proxy.admin.problems import Problem, answer_problem
from meshproxy_cli.proxy.admin.rest import ENDPOINTS
from meshproxy_cli.proxy.admin.services import WebServices

# For answers that set none of their own, as pages do: REST, metrics, errors and redirects. Nothing there is a document.
_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_HSTS = "max-age=31536000"


async def _root(_: Request) -> Response:
    return RedirectResponse("/dashboard", status_code=307)


async def _answer_http(request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    codes = {404: "not_found", 405: "method_not_allowed"}
    return await answer_problem(
        request,
        Problem(
            status,
            codes.get(status, "http_error"),
            f"{request.method} {request.scope['path']} is no call of this API; /openapi.json describes them all.",
        ),
    )


async def _answer_unexpected(request: Request, problem: Exception) -> Response:
    """Answer 500 in the form of what was asked; Starlette raises the error once more, for the log."""
    if not request.scope["path"].startswith("/dashboard"):
        return await answer_problem(request, problem)
    return error_page(request, None, Problem(500, "internal_error", "The server failed; its log has the reason."))


class _SecurityHeaders:
    """Middleware that gives every answer, errors too, the headers without which a browser may misuse it."""

    def __init__(self, app: ASGIApp, services: WebServices) -> None:
        self._app = app
        self._has_tls = services.public_url.startswith("https:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_start(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if self._has_tls or scope["scheme"] == "https":
                    headers["strict-transport-security"] = _HSTS
            await send(message)

        await self._app(scope, receive, send_start)


def create_app(services: WebServices) -> Starlette:
    """Return the application. It keeps no state but `services`, and never touches the store on the event loop."""
    app = Starlette(
        routes=[
            Route("/", _root),
            Route("/dashboard/", _root),
            *health.ROUTES,
            *metrics.ROUTES,
            *openapi.ROUTES,
            *dashboard.ROUTES,
            *(endpoint.route() for endpoint in ENDPOINTS),
        ],
        exception_handlers={
            Problem: answer_problem,
            MeshproxyError: answer_problem,
            HTTPException: _answer_http,
            Exception: _answer_unexpected,
        },
        middleware=[Middleware(_SecurityHeaders, services)],
    )
    # Its redirect to the path with or without a slash is an absolute URL made from `Host`, which anybody can choose.
    app.router.redirect_slashes = False
    app.state.services = services
    return app
