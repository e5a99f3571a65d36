"""`/healthz`: the process answers. `/readyz`: `{"status": "ok"|"degraded"|"ending", "reasons": […], "version": "…"}`.

A database that is away makes the server degraded and not unready: requests with known keys go on and usage spools, so
taking every replica out of rotation for it would turn a slow ledger into an outage. Only a server that is ending is
unready (503). Both are open: they tell no names.
"""

from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from meshproxy_cli.proxy.admin.access import services_of


def _dated() -> dict[str, str]:
    """Return the header by which a client sees whether its clock is right: tokens are dated."""
    return {"date": formatdate(usegmt=True)}


async def _alive(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _ready(request: Request) -> Response:
    services = services_of(request)
    health = services.health()
    status = "ending" if health.ending else "degraded" if health.reasons else "ok"
    content = {"status": status, "reasons": list(health.reasons), "version": services.version}
    return JSONResponse(content, 503 if health.ending else 200, headers=_dated())


ROUTES = (Route("/healthz", _alive), Route("/readyz", _ready))
