"""`/healthz`: the process answers. `/readyz`: `{"status": "ok"|"degraded", "reasons": […]}`.

A database that is away makes the server degraded and not unready: requests with known keys go on and usage spools, so
taking every replica out of rotation for it would turn a slow ledger into an outage. Both are open: they tell no names.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from meshproxy_cli.proxy.web.access import services_of


async def _alive(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _ready(request: Request) -> Response:
    reasons = services_of(request).health().reasons
    return JSONResponse({"status": "degraded" if reasons else "ok", "reasons": list(reasons)})


ROUTES = (Route("/healthz", _alive), Route("/readyz", _ready))
