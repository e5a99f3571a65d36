"""The adapter to an ordinary ASGI application on the same port: REST, dashboard, metrics.

One task per request; bodies are collected, since everything here is small. Nothing of it runs for provider routes.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from meshproxy_cli.proxy.core.errors import MAX_OWN_HEAD, ClientProfile, ProxyError, reason_phrase, render
from meshproxy_cli.proxy.core.handler import Client
from meshproxy_cli.proxy.core.ids import new_request_id
from meshproxy_cli.proxy.core.unexpected import report
from meshproxy_cli.proxy.core.web_app import App, Message
from meshproxy_cli.proxy.downstream.static_answers import INTERNAL_ERROR
from meshproxy_cli.proxy.http1.chunked import LAST_CHUNK, chunk
from meshproxy_cli.proxy.http1.head import RequestHead
from meshproxy_cli.proxy.request.gateway import Gateway

_LARGEST_BODY = 1024 * 1024
_TOO_LARGE = ProxyError(
    status=413, code="request_too_large", message="Room Proxy: a request may have 1 MiB at most here."
)
_BODYLESS = frozenset({204, 304})
_KEPT_BODY = 64 * 1024 + 1  # one more than `endpoint.MAX_BODY`: the application sees what is too large


class AppExchange:
    """One request for the application; a `Handler`."""

    def __init__(self, gateway: Gateway, client: Client, head: RequestHead) -> None:
        self._gateway = gateway
        self._client = client
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._gone = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._started = False
        self._chunked = False
        self._over = False
        self._closes = not head.keeps_alive or gateway.draining
        self.request_id = new_request_id()

    @property
    def reader(self) -> ClientProfile:
        """Who reads an error of ours."""
        return ClientProfile(protocol="openai", method=self._head.method)

    @property
    def answered(self) -> bool:
        """Whether part of an answer is out."""
        return self._started or self._over

    @property
    def wants_more(self) -> bool:
        return True

    def begin(self) -> bool:
        if self._head.length > _LARGEST_BODY:
            self._refuse(_TOO_LARGE)
            return False
        return True

    def body_piece(self, data: bytes) -> bool:
        if self._size < _KEPT_BODY:
            self._pieces.append(data[: _KEPT_BODY - self._size])
        self._size += len(data)
        if self._size > _LARGEST_BODY:
            self._refuse(_TOO_LARGE)
            return False
        return True

    def body_complete(self, trailers: list[bytes]) -> None:
        del trailers
        host = self._gateway.app
        if host is None:
            raise TypeError("there is no application")
        task = self._gateway.loop.create_task(self._run(host.app))
        self._task = task
        host.tasks.add(task)
        task.add_done_callback(host.tasks.discard)

    def client_congested(self, *, congested: bool) -> None:
        if congested:
            self._may_write.clear()
        else:
            self._may_write.set()

    def client_gone(self) -> None:
        self._gone.set()
        self._may_write.set()
        if self._task is not None:
            self._task.cancel()

    def break_off(self) -> None:
        """End what runs."""
        self.client_gone()

    def from_client(self, data: bytes) -> None:
        """Take nothing: the application has no websockets."""

    async def _run(self, app: App) -> None:
        try:
            await app(self._scope(), self._receive, self._send)
        except Exception as problem:  # noqa: BLE001 (see `ClientConnection.fail`)
            report(problem, self.request_id)
        if self._over or self._gone.is_set():
            return
        if self._started:
            self._client.abort()
        else:
            self._refuse(INTERNAL_ERROR)

    def _scope(self) -> MutableMapping[str, Any]:
        path, _, query = self._head.target.partition(b"?")
        raw_headers = [
            (name, line[len(name) + 1 :].strip(b" \t"))
            for name, line in zip(self._head.names, self._head.lines, strict=True)
        ]
        transport = self._client.transport
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": f"1.{self._head.minor}",
            "method": self._head.method.decode("ascii"),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": raw_headers,
            "client": tuple(peer[:2]) if isinstance(peer, tuple) else None,
            "server": tuple(local[:2]) if isinstance(local, tuple) else None,
            "state": {},
        }

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"".join(self._pieces), "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._may_write.wait()
        if self._gone.is_set() or self._over:
            return
        if message["type"] == "http.response.start":
            self._start(message)
        elif message["type"] == "http.response.body":
            self._body(message.get("body", b""), more=message.get("more_body", False))

    def _start(self, message: Message) -> None:
        status = message["status"]
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", [])]
        if status in _BODYLESS:
            headers = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        known = any(name.lower() == b"content-length" for name, _ in headers)
        self._chunked = not known and status not in _BODYLESS and self._head.minor == 1 and self._head.method != b"HEAD"
        if self._chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        elif not known and self._head.minor == 0:
            self._closes = True
        if self._closes:
            headers.append((b"connection", b"close"))
        lines = [name + b": " + value for name, value in headers]
        start = f"HTTP/1.1 {status} {reason_phrase(status)}".encode()
        block = b"\r\n".join([start, *lines]) + b"\r\n\r\n"
        if len(block) > MAX_OWN_HEAD:
            raise ValueError("the head of an answer is too large")
        self._started = True
        self._client.send(block)

    def _body(self, data: bytes, *, more: bool) -> None:
        if self._head.method == b"HEAD":
            data = b""
        out = chunk(data) if self._chunked else data
        if not more and self._chunked:
            out += LAST_CHUNK
        if out:
            self._client.send(out)
        if not more:
            self._over = True
            self._client.finish(keep=not self._closes)

    def _refuse(self, refusal: ProxyError) -> None:
        self._over = True
        _, data = render(refusal, self.reader, self.request_id, close=True)
        self._client.send(data)
        self._client.finish(keep=False)
