"""The ASGI application: REST, dashboard, metrics and health."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.admin import dashboard, health, metrics, openapi
from meshproxy_cli.proxy.admin.problems import Problem, answer_problem
from meshproxy_cli.proxy.admin.rest import ENDPOINTS
from meshproxy_cli.proxy.admin.services import WebServices


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


def create_app(services: WebServices) -> Starlette:
    """Return the application. It keeps no state but `services`, and never touches the store on the event loop."""
    app = Starlette(
        routes=[
            Route("/", _root),
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
            Exception: answer_problem,
        },
    )
    app.state.services = services
    return app
