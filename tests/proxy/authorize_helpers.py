"""Asks an authorizer, as an exchange does, in a room that made a response and a batch."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError, RefusedError
from meshproxy_cli.proxy.core.routes import ProviderRoute, match
from meshproxy_cli.proxy.http1.head import RequestHead, read_request_head
from meshproxy_cli.proxy.request.authorization import AuthorizedRequest, Authorizer
from meshproxy_cli.store.records import Room

OWN = {"resp_mine", "msgbatch_mine"}
AUTHORIZER = Authorizer(lambda caller, ident: ident in OWN and caller.room == "r", 2**20)
RESPONSES, CHAT, MESSAGES = "/openai/v1/responses", "/openai/v1/chat/completions", "/anthropic/v1/messages"
FORM = (
    b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF\r\n--X--\r\n'
)


def caller(*models: str, room: str = "r") -> Caller:
    return Caller("p", room, "s", "ana", "k", "curl", models or None)


def room(**values: Any) -> Room:
    return Room(name="r", project_id="p", created_at=datetime(2026, 1, 1, tzinfo=UTC), **values)


def route(path: str, method: str = "POST") -> ProviderRoute:
    found = match(method.encode(), b"/rooms/r" + path.partition("?")[0].encode())
    assert isinstance(found, ProviderRoute), path
    return found


def head(path: str, method: str = "POST", fields: tuple[str, ...] = ()) -> RequestHead:
    return read_request_head("\r\n".join([f"{method} /rooms/r{path} HTTP/1.1", "Host: h", *fields, "", ""]).encode())


def ask(
    path: str,
    body: object,
    who: Caller | None = None,
    where: Room | None = None,
    *,
    method: str = "POST",
    fields: tuple[str, ...] = (),
) -> AuthorizedRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AUTHORIZER.authorize(who or caller(), route(path, method), where, head(path, method, fields), data)


def refused(*arguments: Any, **options: Any) -> ProxyError:
    with pytest.raises(RefusedError) as caught:
        ask(*arguments, **options)
    return caught.value.refusal


def event(document: object, who: Caller, *, named: str = "", realtime: bool = False) -> Any:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return AUTHORIZER.event(who, None, data, named=named, realtime=realtime)
