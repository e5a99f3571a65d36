"""A provider for `hostile.py`: answers every request as the model that it names says, and takes websockets.

python benchmarks/hostile_provider.py PORT

Of "victim" it streams an event every 10 ms; "size N KIND" is an answer of a hostile provider. Everything else gets a
few bytes of JSON.
"""

import asyncio
import base64
import gzip
import hashlib
import re
import sys

import uvloop

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_JSON = b'{"id":"resp_1","model":"m","usage":{"input_tokens":1,"output_tokens":1}}'
_EVENT = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"some words"}\n\n'
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
_CHUNKED = _STREAM + b"transfer-encoding: chunked\r\n\r\n"
_WANTED = re.compile(rb'"model": ?"size (\d+) ([a-z-]+)"')


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(head: bytes, body: bytes) -> bytes:
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


#: Answers of a hostile provider of about so many bytes.
ANSWERS = {
    b"gzip-bomb": lambda n: _whole(_STREAM + b"content-encoding: gzip\r\n", gzip.compress(bytes(n * 1000), 1)),
    b"gzip-members": lambda n: _whole(_STREAM + b"content-encoding: gzip\r\n", gzip.compress(b"") * (n // 20)),
    b"blank-lines": lambda n: _CHUNKED + _chunk(b"\n" * n) + b"0\r\n\r\n",
    b"comments": lambda n: _CHUNKED + _chunk(b":\n\n" * (n // 3)) + b"0\r\n\r\n",
    b"small-events": lambda n: _CHUNKED + _chunk(b"data:1\n\n" * (n // 8)) + b"0\r\n\r\n",
    b"small-chunks": lambda n: _CHUNKED + _chunk(b"x") * (n // 6) + b"0\r\n\r\n",
    b"chunk-extensions": lambda n: _CHUNKED + b"1;a=b\r\nx\r\n" * (n // 10) + b"0\r\n\r\n",
    b"usages": lambda n: _whole(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", b'{"usage":' * (n // 9)),
    b"headers": lambda n: _whole(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (n // 6), b"{}"),
    b"nested": lambda n: _whole(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", b'{"usage":' + b"[" * n),
}


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._data = b""
        self._need = -1
        self._socket = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._socket:
            return
        if self._need > 0:
            self._need -= len(data)
            self._data = self._data if len(self._data) > 8192 else self._data + data
            if self._need <= 0:
                self._answer()
            return
        self._data += data
        head, mark, body = self._data.partition(b"\r\n\r\n")
        if not mark:
            return
        lower = head.lower()
        if b"upgrade: websocket" in lower:
            self._switch(head)
            return
        found = re.search(rb"content-length: *(\d+)", lower)
        self._need = int(found[1]) - len(body) if found else 0
        self._data = body[:8192]
        if self._need <= 0:
            self._answer()

    def _switch(self, head: bytes) -> None:
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID).digest())
        lines = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        self._transport.write(lines + b"sec-websocket-accept: " + accept + b"\r\n\r\n")
        self._socket = True
        if b"provider-pings" in head:
            self._transport.write(b"\x89\x00" * 200_000)

    def _answer(self) -> None:
        data, self._data, self._need = self._data, b"", -1
        if b'"victim"' in data:
            self._transport.write(_CHUNKED)
            self._go_on()
        elif found := _WANTED.search(data):
            self._transport.write(ANSWERS[found[2]](int(found[1])))
        else:
            self._transport.write(_whole(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", _JSON))

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_chunk(_EVENT))
            self._loop.call_later(0.01, self._go_on)


async def _main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(loop), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
