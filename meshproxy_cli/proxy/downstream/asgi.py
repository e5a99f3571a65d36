"""The adapter to an ordinary ASGI application on the same port: REST, dashboard, metrics.

One task per request; bodies are collected, since everything here is small. Nothing of it runs for provider routes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from meshproxy_cli.proxy.core.errors import Reader, Refusal, reason_phrase, render
from meshproxy_cli.proxy.core.ids import new_request_id
from meshproxy_cli.proxy.http1.chunked import LAST_CHUNK, chunk
from meshproxy_cli.proxy.http1.head import RequestHead

if TYPE_CHECKING:
    from meshproxy_cli.proxy.downstream.connection import ClientConnection
    from meshproxy_cli.proxy.request.gateway import Gateway

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

_LARGEST_BODY = 1024 * 1024
_BODYLESS = frozenset({204, 304})
_log = logging.getLogger(__name__)


class AppHost:
    """An ASGI application, and the tasks that run in it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Cancel what still runs."""
        tasks = tuple(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class AppExchange:
    """One request for the application; a `Handler`."""

    def __init__(self, gateway: "Gateway", client: "ClientConnection", head: RequestHead) -> None:
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
    def wants_more(self) -> bool:
        return True

    def begin(self) -> bool:
        if self._head.length > _LARGEST_BODY:
            self._refuse(413, "request_too_large", "a request may have 1 MiB at most here")
            return False
        return True

    def body_piece(self, data: bytes) -> bool:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _LARGEST_BODY:
            self._refuse(413, "request_too_large", "a request may have 1 MiB at most here")
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

    def from_client(self, data: bytes) -> None:
        """Take nothing: the application has no websockets."""

    async def _run(self, app: App) -> None:
        try:
            await app(self._scope(), self._receive, self._send)
        except Exception:  # noqa: BLE001 (whatever it is, this request ends and the others go on)
            _log.exception("the web application failed", extra={"request_id": self.request_id})
        if self._over or self._gone.is_set():
            return
        if self._started:
            self._client.abort()
        else:
            self._refuse(500, "internal_error", "the web application failed; the server's log has more")

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
        self._started = True
        status = message["status"]
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", [])]
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
        self._client.send(b"\r\n".join([start, *lines]) + b"\r\n\r\n")

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

    def _refuse(self, status: int, code: str, reason: str) -> None:
        self._over = True
        refusal = Refusal(status=status, code=code, message=f"Room Proxy: {reason}.")
        _, data = render(refusal, Reader(protocol="openai"), self.request_id, close=True)
        self._client.send(data)
        self._client.finish(keep=False)
