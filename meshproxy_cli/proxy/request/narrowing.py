"""Choose which answers are changed: lists are narrowed to what is the caller's, usage it did not ask for is hidden."""

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.routes import Reply
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.providers import DIALECTS
from meshproxy_cli.proxy.request.authorization import AuthorizedRequest
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.request.json_body import read_document
from meshproxy_cli.proxy.request.prepared import Prepared
from meshproxy_cli.proxy.request.transforms import Collector, Transform, UsageChunkFilter


def transform_for(
    gateway: Gateway, caller: Caller, prepared: Prepared, authorized: AuthorizedRequest, head: AnswerHead
) -> Transform | None:
    """Return what changes the body of a 200 answer, None if it passes as it is."""
    if authorized.hides_usage and b"event-stream" in head.value(b"content-type"):
        return UsageChunkFilter()
    protocol, reply = prepared.route.protocol, prepared.route.endpoint.reply
    narrow = DIALECTS[protocol].narrow
    if reply is Reply.MODELS:
        room = gateway.directory.room(caller.project_id, caller.room)
        visible = gateway.authorizer.visible
        return Collector(lambda body: narrow(body, lambda model: visible(caller, room, protocol, model)))
    if reply is Reply.BATCHES and prepared.head.method != b"POST":
        return Collector(lambda body: narrow(body, lambda ident: _owns(gateway, caller, ident)))
    if reply is Reply.BATCHES:
        return Collector(lambda body: _noting(gateway, caller, body))
    return None


def _owns(gateway: Gateway, caller: Caller, ident: str) -> bool:
    """Whether a list shows an id; one of another machine from the next time on."""
    if gateway.lookup is not None and not gateway.owners.knows(ident):
        gateway.lookup.ask(ident, lambda _: None)
    return gateway.owners.owns(caller, ident)


def _noting(gateway: Gateway, caller: Caller, body: bytes) -> bytes:
    gateway.owners.record(caller, read_document(body).text("id") or "")
    return body
