"""Chooses who answers a request, from its head."""

from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.core.handler import Handler
from meshproxy_cli.proxy.core.routes import AppRoute, BadRoute, NoRoute, ProbeRoute, Protocol, ProviderRoute
from meshproxy_cli.proxy.downstream.asgi import AppExchange
from meshproxy_cli.proxy.downstream.static_answers import StaticAnswer
from meshproxy_cli.proxy.http1.head import RequestHead
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.request.lifecycle import Exchange, TunnelingClient
from meshproxy_cli.proxy.request.prepared import Prepared

_UPGRADE = ProxyError(
    status=426,
    code="upgrade_required",
    message="Room Proxy: this endpoint answers POST, or GET with `Upgrade: websocket`.",
    headers=(("upgrade", "websocket"),),
)


def dispatch(gateway: Gateway, client: TunnelingClient, head: RequestHead, block: bytes) -> Handler:
    """Return the handler of a request; `block` are the bytes of its head."""
    route = gateway.routes.match(head.method, head.target.partition(b"?")[0])
    if isinstance(route, ProviderRoute):
        prepared = Prepared(block, head, route)
        if prepared.websocket is not (route.endpoint.websocket and head.method == b"GET"):
            return StaticAnswer.refusing(gateway, client, head, _UPGRADE, protocol=route.protocol)
        return Exchange(gateway, client, prepared)
    if isinstance(route, AppRoute) and gateway.app is not None:
        return AppExchange(gateway, client, head)
    if isinstance(route, ProbeRoute):
        return StaticAnswer(gateway, client, head)
    if isinstance(route, BadRoute):
        message = f"Room Proxy: malformed request: {route.reason}."
        refusal = ProxyError(status=400, code="malformed_request", message=message)
        return StaticAnswer.refusing(gateway, client, head, refusal, close=True)
    protocol: Protocol = route.protocol if isinstance(route, NoRoute) else "openai"
    reason = route.reason if isinstance(route, NoRoute) else "there is nothing at this path"
    refusal = ProxyError(status=404, code="unknown_path", message=f"Room Proxy: {reason}.")
    return StaticAnswer.refusing(gateway, client, head, refusal, protocol=protocol)
