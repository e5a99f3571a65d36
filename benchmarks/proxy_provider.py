"""A provider for benchmarks: answers at once with 1.5 KB of JSON, or with a stream of events at a fixed pace.

    python benchmarks/proxy_provider.py PORT

`POST …` with `"stream": true` gets CHUNKS events, GAP_S apart; where its instructions are "as a model", MODEL_GAP_S
apart, and where they are "idle", one event and then silence.
"""

import asyncio
import json
import sys
from itertools import chain

import uvloop

CHUNKS = 100
GAP_S = 0.002
MODEL_GAP_S = 0.01  # a hundred tokens a second: a quick model
_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 1000},
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 1300,
}


def _document() -> bytes:
    text = "All work and no play makes a dull benchmark. " * 20
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    head = {"id": "resp_bench", "object": "response", "created_at": 1_795_000_000, "status": "completed"}
    body = {**head, "model": "gpt-5.4", "output": [item], "usage": _USAGE}
    return json.dumps(body).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(kind: str, **fields: object) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return _chunk(f"event: {kind}\ndata: {data}\n\n".encode())


_JSON = _document()
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_JSON), _JSON)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CREATED = _event("response.created", response={"id": "resp_bench", "model": "gpt-5.4"})
_DELTA = _event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta="some words here")
_COMPLETED = _event("response.completed", response={"id": "resp_bench", "model": "gpt-5.4", "usage": _USAGE})


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._head = b""
        self._need = -1
        self._tail = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._need < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            lower = self._head[:end].lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            data = self._head[end + 4 :]
            self._head = self._head[:end]
            self._need = length
            self._start = b""
        if len(self._start) < 4096:
            self._start += data[:4096]
        self._need -= len(data)
        if self._need <= 0:
            self._need = -1
            self._head = b""
            self._reply()

    def _reply(self) -> None:
        if b'"stream":true' not in self._start.replace(b" ", b""):
            self.transport.write(_ANSWER)
        elif b"idle" in self._start:
            self.transport.write(_STREAM_HEAD + _CREATED)
        else:
            self.transport.write(_STREAM_HEAD + _CREATED)
            events = chain((_DELTA for _ in range(CHUNKS - 2)), (_COMPLETED,))
            gap = MODEL_GAP_S if b'"as a model"' in self._start else GAP_S
            self._loop.call_later(gap, self._next, events, gap)

    def _next(self, events: object, gap: float) -> None:
        event = next(events, None)
        if self.transport.is_closing():
            return
        if event is None:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(event)
        self._loop.call_later(gap, self._next, events, gap)


async def main(port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(loop), "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
