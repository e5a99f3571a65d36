"""The built-in echo provider: answers in each provider's wire format and says plainly that it is no model.

It serves connections within the process over a socket pair, so that requests to it take the same path as all others.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import cast

from meshproxy_cli.proxy.core.routes import Protocol
from meshproxy_cli.proxy.echo.anthropic import AnthropicEcho
from meshproxy_cli.proxy.echo.openai import OpenAIEcho
from meshproxy_cli.proxy.echo.text import Prompt, Reply
from meshproxy_cli.proxy.http1.chunked import LAST_CHUNK, chunk
from meshproxy_cli.proxy.http1.head import RequestHead, read_request_head

_EVENT_GAP_S = 0.002
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_SPEAKERS: dict[Protocol, OpenAIEcho | AnthropicEcho] = {"openai": OpenAIEcho(), "anthropic": AnthropicEcho()}


class EchoConnection(asyncio.Protocol):
    """One connection to the echo provider. What arrives was checked by the proxy's own front."""

    def __init__(self, protocol: Protocol) -> None:
        self._speaker = _SPEAKERS[protocol]
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = read_request_head(self._buffer[: end + 4])
        if len(self._buffer) < end + 4 + head.length:
            return
        body = self._buffer[end + 4 : end + 4 + head.length]
        self._buffer = b""
        self._answer(head, body)

    def _answer(self, head: RequestHead, body: bytes) -> None:
        path = head.target.partition(b"?")[0].decode()
        if head.by_name.get(b"upgrade"):
            error = {"message": "The echo provider speaks HTTP only.", "type": "invalid_request_error"}
            self._send(426, {"error": error})
            return
        prompt = Prompt.read(path, body)
        reply = self._speaker.reply(path, prompt)
        if prompt.stream and reply.events is not None:
            self._transport.write(_STREAM_HEAD)
            self._stream(iter(reply.events))
        else:
            self._send_reply(reply)

    def _stream(self, events: Iterator[bytes]) -> None:
        event = next(events, None)
        if event is None:
            self._transport.write(LAST_CHUNK)
            return
        self._transport.write(chunk(event))
        self._timer = asyncio.get_running_loop().call_later(_EVENT_GAP_S, self._stream, events)

    def _send_reply(self, reply: Reply) -> None:
        if isinstance(reply.body, bytes):
            self._send_bytes(reply.status, reply.kind, reply.body)
        else:
            self._send(reply.status, reply.body)

    def _send(self, status: int, body: object) -> None:
        self._send_bytes(status, "application/json", json.dumps(body).encode())

    def _send_bytes(self, status: int, kind: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status} Echo\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)
