"""The inputs of `hostile.py`: what somebody may send to keep a worker busy, one for each way of reading bytes.

Each is a function of a size, and does what a hostile client does: it connects, sends, and reads the answer.
"""

import base64
import contextlib
import gzip
import json
import os
import socket
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import brotli
import zstandard

MIB = 2**20
_PATIENCE_S = 30.0
_RESPONSES = "/rooms/bench/openai/v1/responses"
_BATCHES = "/rooms/bench/anthropic/v1/messages/batches"
_FORMS = "/rooms/bench/openai/v1/audio/transcriptions"


@dataclass(frozen=True)
class Target:
    """The server, and who may use it: `narrow` is a token that allows one model only."""

    port: int
    token: str
    narrow: str

    def connect(self) -> socket.socket:
        """Return a connection."""
        one = socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_S)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return one

    def send(self, data: bytes, *, step: int = 0, patience_s: float = _PATIENCE_S) -> bytes:
        """Send bytes, `step` at a time, and return the beginning of the answer."""
        with self.connect() as one:
            one.settimeout(patience_s)
            with contextlib.suppress(OSError):
                if step:
                    for start in range(0, len(data), step):
                        one.send(data[start : start + step])
                else:
                    one.sendall(data)
            return _answer(one)

    def get(self, path: str, *lines: bytes, method: str = "GET") -> bytes:
        """Ask without a body."""
        return self.send(_head(method, path, *lines) + b"\r\n")

    def post(self, path: str, body: bytes, *lines: bytes, token: str | None = None) -> bytes:
        """Post a body as somebody who may."""
        head = _head("POST", path, *self.credentials(token), *lines, b"Content-Length: %d" % len(body))
        return self.send(head + b"\r\n" + body)

    def chunked(self, framed: bytes) -> bytes:
        """Post a body with its chunks as given."""
        head = _head("POST", _RESPONSES, *self.credentials(), b"Transfer-Encoding: chunked")
        return self.send(head + b"\r\n" + framed)

    def credentials(self, token: str | None = None) -> tuple[bytes, ...]:
        """Return the headers that a request needs."""
        bearer = b"Authorization: Bearer " + (token or self.token).encode()
        return bearer, b"Meshagent-Session: hostile"

    def websocket(self, frames: bytes, *lines: bytes) -> bytes:
        """Open a websocket, send frames, and read until the server closes it or has nothing more to say."""
        upgrade = (
            b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)),
        )  # fmt: skip
        with self.connect() as one:
            one.sendall(_head("GET", _RESPONSES, *self.credentials(), *upgrade, *lines) + b"\r\n")
            begun = _answer(one)
            if b" 101 " in begun.split(b"\r\n")[0]:
                with contextlib.suppress(OSError):
                    one.sendall(frames)
                    one.sendall(_frame(8, struct.pack("!H", 1000)))
                one.settimeout(2)
                with contextlib.suppress(OSError):
                    while one.recv(MIB):
                        pass
            return begun


def _head(method: str, path: str, *lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in (f"{method} {path} HTTP/1.1".encode(), b"Host: localhost", *lines))


def _answer(one: socket.socket) -> bytes:
    try:
        return one.recv(65536)
    except OSError:
        return b""


def _frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    size = len(payload)
    first = (0x80 if final else 0) | opcode
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + bytes(4) + payload


def _token(payload: bytes, head: bytes = b'{"alg":"HS256","typ":"JWT"}') -> bytes:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, payload))
    return b"Authorization: Bearer " + b".".join((*parts, b"AAAA"))


def _document(inside: bytes) -> bytes:
    return b'{"model":"m","input":' + inside + b"}"


def _names(number: int, start: int = 0) -> bytes:
    return b",".join(b'"n%d":1' % one for one in range(start, start + number))


def _batch(entries: int, names: int) -> bytes:
    entry = b'{"custom_id":"a","params":{"model":"m",' + _names(names) + b"}}"
    return b'{"requests":[' + b",".join([entry] * entries) + b"]}"


def _part(disposition: bytes, value: bytes = b"x") -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + value + b"\r\n"


def _form(target: Target, body: bytes, kind: bytes = b"multipart/form-data; boundary=b") -> bytes:
    return target.post(_FORMS, body, b"Content-Type: " + kind)


def _encoded(target: Target, body: bytes, codings: bytes, path: str = _RESPONSES) -> bytes:
    return target.post(path, body, b"Content-Encoding: " + codings)


def _answered(target: Target, size: int, kind: str) -> bytes:
    body = json.dumps({"model": f"size {size} {kind}", "input": "x"}).encode()
    with target.connect() as one:
        one.sendall(
            _head("POST", _RESPONSES, *target.credentials(), b"Content-Length: %d" % len(body)) + b"\r\n" + body
        )
        begun = _answer(one)
        one.settimeout(0.3)
        with contextlib.suppress(OSError):
            while one.recv(MIB):
                pass
        return begun


def _many(target: Target, number: int) -> bytes:
    connections = [target.connect() for _ in range(number)]
    for one in connections:
        one.sendall(_head("GET", "/healthz") + b"\r\n")
    answers = [_answer(one) for one in connections]
    for one in connections:
        one.close()
    return answers[0]


def _slow_form(target: Target, number: int) -> bytes:
    body = _part(b'form-data; name="a"') * (number // 60) + b"--b--\r\n"
    head = _head(
        "POST", _FORMS, *target.credentials(), b"Content-Type: multipart/form-data; boundary=b",
        b"Content-Length: %d" % len(body),
    )  # fmt: skip
    return target.send(head + b"\r\n" + body, step=1)


_ZSTD_RLE = b"\x28\xb5\x2f\xfd\x00" + bytes([17 << 3])
_GET_LOGIN = b"GET /dashboard/login HTTP/1.1\r\nHost: h\r\n\r\n"
Send = Callable[[Target, int], bytes]


@dataclass(frozen=True)
class Hostile:
    """An input: what it is, the size at which it is sent first, and how it is sent."""

    name: str
    size: int
    send: Send


def _heads() -> list[Hostile]:
    return [
        Hostile("head: very many lines", 10_000, lambda t, n: t.get("/healthz", *[b"a:"] * n)),
        Hostile(
            "head: allowed lines, all different", 120, lambda t, n: t.get("/healthz", *(b"a%d:" % i for i in range(n)))
        ),
        Hostile(
            "head: one byte at a time",
            8_000,
            lambda t, n: t.send(_head("GET", "/healthz", b"a: " + b"b" * n) + b"\r\n", step=1),
        ),
        Hostile(
            "head: without an end",
            60_000,
            lambda t, n: t.send(_head("GET", "/healthz", b"a: " + b"b" * n), patience_s=0.5),
        ),
        Hostile(
            "head: spaces before a length", 30_000, lambda t, n: t.get("/healthz", b"Content-Length:" + b" " * n + b"x")
        ),
        Hostile(
            "head: Host", 30_000, lambda t, n: t.send(b"GET / HTTP/1.1\r\nHost: " + b"a." * (n // 2) + b"!\r\n\r\n")
        ),
        Hostile(
            "head: Connection of commas", 30_000, lambda t, n: t.post(_RESPONSES, b"{}", b"Connection: " + b"," * n)
        ),
        Hostile("head: Accept", 30_000, lambda t, n: t.get("/dashboard", b"Accept: " + b"a/b;q=0.1," * (n // 10))),
        Hostile(
            "head: User-Agent", 30_000, lambda t, n: t.post(_RESPONSES, b"{}", b"User-Agent: " + b"(/;" * (n // 3))
        ),
        Hostile(
            "target: percent-encoded room",
            8_000,
            lambda t, n: t.get("/rooms/" + "%41" * (n // 3) + "/openai/v1/models"),
        ),
        Hostile(
            "target: many segments",
            8_000,
            lambda t, n: t.get("/rooms/r/openai/v1/models/" + "a/" * (n // 2), *t.credentials()),
        ),
        Hostile("target: nearly ambiguous", 8_000, lambda t, n: t.get("/rooms/r/openai/v1/" + "/.a" * (n // 3))),
        Hostile(
            "target: query of many fields",
            8_000,
            lambda t, n: t.get(
                "/rooms/bench/openai/v1/realtime?" + "model=a&" * (n // 8),
                *t.credentials(),
                b"Connection: upgrade",
                b"Upgrade: websocket",
            ),
        ),
        Hostile("pipelined requests", 2_000, lambda t, n: t.send(_GET_LOGIN * n)),
        Hostile("pipelined probes", 5_000, lambda t, n: t.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" * n)),
        Hostile("connections", 200, _many),
    ]


def _credentials() -> list[Hostile]:
    return [
        Hostile("token: of dots", 8_000, lambda t, n: t.post(_RESPONSES, b"{}", b"Authorization: Bearer " + b"." * n)),
        Hostile("token: nested claims", 5_000, lambda t, n: t.post(_RESPONSES, b"{}", _token(b'{"exp":' + b"[" * n))),
        Hostile(
            "token: a number of many digits",
            5_000,
            lambda t, n: t.post(_RESPONSES, b"{}", _token(b'{"exp":' + b"1" * n + b"}")),
        ),
        Hostile("token: many claims", 500, lambda t, n: t.post(_RESPONSES, b"{}", _token(b"{" + _names(n) + b"}"))),
        Hostile(
            "token: in many subprotocols",
            1_500,
            lambda t, n: t.get(
                _RESPONSES,
                b"Connection: upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Protocol: " + b",".join([b"bearer.a.b.c"] * n),
            ),
        ),
    ]


def _web() -> list[Hostile]:
    return [
        Hostile("cookie: many", 30_000, lambda t, n: t.get("/dashboard", b"Cookie: " + b"a=1;" * (n // 4))),
        Hostile(
            "cookie: backslashes",
            30_000,
            lambda t, n: t.get("/dashboard", b'Cookie: meshproxy_session="' + b"\\\\" * (n // 2) + b'"'),
        ),
        Hostile("dashboard: query of quotation marks", 8_000, lambda t, n: t.get("/dashboard?" + "'" * n)),
        Hostile("dashboard: query of many fields", 8_000, lambda t, n: t.get("/dashboard/login?" + "a=1&" * (n // 4))),
        Hostile(
            "dashboard: form of many fields",
            30_000,
            lambda t, n: t.post(
                "/dashboard/login", b"a=1&" * (n // 4), b"Content-Type: application/x-www-form-urlencoded"
            ),
        ),
        Hostile(
            "dashboard: percent-encoded form",
            30_000,
            lambda t, n: t.post("/dashboard/login", b"token=" + b"%41" * (n // 3)),
        ),
        Hostile(
            "rest: query of many fields",
            8_000,
            lambda t, n: t.get("/accounts/projects/x/usage?" + "room=a&" * (n // 7)),
        ),
        Hostile("rest: body", 500_000, lambda t, n: t.post("/accounts/projects", b"[" * n)),
    ]


def _chunks() -> list[Hostile]:
    return [
        Hostile("chunks of one byte", 400_000, lambda t, n: t.chunked(b"1\r\na\r\n" * (n // 6) + b"0\r\n\r\n")),
        Hostile(
            "chunks with long extensions",
            8 * MIB,
            lambda t, n: t.chunked((b"1;" + b"x" * 4000 + b"\r\na\r\n") * (n // 4007) + b"0\r\n\r\n"),
        ),
        Hostile(
            "chunks with short extensions",
            400_000,
            lambda t, n: t.chunked(
                b"20;a=b\r\n"
                + b"a" * 32
                + b"\r\n" * 1
                + (b"20;a=b\r\n" + b"a" * 32 + b"\r\n") * (n // 42)
                + b"0\r\n\r\n"
            ),
        ),
        Hostile(
            "chunk size written in many ways",
            400_000,
            lambda t, n: t.chunked(b"".join(b"%08x\r\na\r\n" % 1 for _ in range(n // 13)) + b"0\r\n\r\n"),
        ),
        Hostile("chunk without an end of its line", 1 * MIB, lambda t, n: t.chunked(b"1;" + b"x" * n)),
        Hostile("trailers", 100_000, lambda t, n: t.chunked(b"2\r\n{}\r\n0\r\n" + b"a:b\r\n" * (n // 5) + b"\r\n")),
        Hostile(
            "body: one byte at a time",
            10_000,
            lambda t, n: t.send(
                _head("POST", _RESPONSES, *t.credentials(), b"Content-Length: %d" % n) + b"\r\n" + b" " * n, step=1
            ),
        ),
    ]


def _json() -> list[Hostile]:
    post = Target.post
    return [
        Hostile("json: nested lists", MIB, lambda t, n: post(t, _RESPONSES, _document(b"[" * n))),
        Hostile("json: nested objects", MIB, lambda t, n: post(t, _RESPONSES, _document(b'{"a":' * (n // 5)))),
        Hostile(
            "json: small objects",
            14 * MIB,
            lambda t, n: post(t, _RESPONSES, _document(b"[" + b"{}," * (n // 3) + b"1]")),
        ),
        Hostile(
            "json: small objects, narrow token",
            3 * MIB,
            lambda t, n: post(
                t, _RESPONSES, b'{"model":"gpt-5.4","tools":[' + b'{"model":1},' * (n // 12) + b"{}]}", token=t.narrow
            ),
        ),
        Hostile("json: names", 4_900, lambda t, n: post(t, _RESPONSES, b'{"model":"m",' + _names(n) + b"}")),
        Hostile(
            "json: names, nested",
            10 * MIB,
            lambda t, n: post(t, _RESPONSES, _document(b"[" + (b"{" + _names(50) + b"},") * (n // 450) + b"1]")),
        ),
        Hostile("json: the same name", 4_900, lambda t, n: post(t, _RESPONSES, b'{"model":"m"' + b',"a":1' * n + b"}")),
        Hostile(
            "json: one long name",
            4 * MIB,
            lambda t, n: post(t, _RESPONSES, b'{"model":"m","' + b"\\u00df" * (n // 6) + b'":1}'),
        ),
        Hostile(
            "json: escapes",
            10 * MIB,
            lambda t, n: post(t, _RESPONSES, _document(b'"' + b"\\ud83d\\ude00" * (n // 12) + b'"')),
        ),
        Hostile("json: a number of many digits", 1 * MIB, lambda t, n: post(t, _RESPONSES, _document(b"1" * n))),
        Hostile(
            "json: model of many digits", 1 * MIB, lambda t, n: post(t, _RESPONSES, b'{"model":' + b"1" * n + b"}")
        ),
        Hostile(
            "json: model that is a list",
            1 * MIB,
            lambda t, n: post(t, _RESPONSES, b'{"model":[' + b"1," * (n // 2) + b"1]}"),
        ),
        Hostile(
            "json: a long model",
            4 * MIB,
            lambda t, n: post(t, _RESPONSES, b'{"model":"' + b"\\u0001" * (n // 6) + b'"}'),
        ),
        Hostile(
            "json: a long model, narrow token",
            4 * MIB,
            lambda t, n: post(t, _RESPONSES, b'{"model":"' + b"a" * n + b'"}', token=t.narrow),
        ),
        Hostile("json: spaces", 10 * MIB, lambda t, n: post(t, _RESPONSES, _document(b" " * n + b"1"))),
        Hostile("json: a long text", 14 * MIB, lambda t, n: post(t, _RESPONSES, _document(b'"' + b"x" * n + b'"'))),
        Hostile(
            "json: stream options",
            1 * MIB,
            lambda t, n: post(
                t,
                "/rooms/bench/openai/v1/chat/completions",
                b'{"model":"m","stream":true,"stream_options":{' + _names(n // 12) + b"}}",
            ),
        ),
        Hostile(
            "json: realtime session",
            1 * MIB,
            lambda t, n: post(
                t,
                "/rooms/bench/openai/v1/realtime/sessions",
                b'{"session":{"audio":{"input":{"transcription":{' + _names(n // 12) + b"}}}}}",
            ),
        ),
        Hostile("batch: entries", 20_000, lambda t, n: post(t, _BATCHES, _batch(n, 3))),
        Hostile(
            "batch: names, compressed",
            300,
            lambda t, n: _encoded(t, zstandard.compress(_batch(n, 9_990)), b"zstd", _BATCHES),
        ),
        Hostile(
            "batch: empty entries",
            2 * MIB,
            lambda t, n: post(t, _BATCHES, b'{"requests":[' + b"{}," * (n // 3) + b"{}]}"),
        ),
    ]


def _codings() -> list[Hostile]:
    return [
        Hostile("gzip: bomb", 30 * MIB, lambda t, n: _encoded(t, gzip.compress(bytes(n)), b"gzip")),
        Hostile(
            "gzip: twice", 30 * MIB, lambda t, n: _encoded(t, gzip.compress(gzip.compress(bytes(n))), b"gzip, gzip")
        ),
        Hostile(
            "gzip: three times",
            30 * MIB,
            lambda t, n: _encoded(t, gzip.compress(gzip.compress(gzip.compress(bytes(n)))), b"gzip, gzip, gzip"),
        ),
        Hostile(
            "gzip: text of a usual ratio",
            10 * MIB,
            lambda t, n: _encoded(
                t, gzip.compress(_document(b'"' + base64.b64encode(os.urandom(n // 8)) * 6 + b'"'), 6), b"gzip"
            ),
        ),
        Hostile("gzip: members", 100_000, lambda t, n: _encoded(t, gzip.compress(b"") * n, b"gzip")),
        Hostile(
            "deflate: empty blocks", 5 * MIB, lambda t, n: _encoded(t, b"\x00\x00\x00\xff\xff" * (n // 5), b"deflate")
        ),
        Hostile("deflate: flushes", 300_000, lambda t, n: _encoded(t, _flushed(n), b"deflate")),
        Hostile("br: bomb", 30 * MIB, lambda t, n: _encoded(t, brotli.compress(bytes(n), quality=1), b"br")),
        Hostile(
            "br: bomb of many bytes",
            100 * MIB,
            lambda t, n: _encoded(t, brotli.compress(os.urandom(n // 100), quality=1)[:-2], b"br"),
        ),
        Hostile("zstd: bomb", 30 * MIB, lambda t, n: _encoded(t, zstandard.compress(bytes(n)), b"zstd")),
        Hostile("zstd: empty frames", 500_000, lambda t, n: _encoded(t, zstandard.compress(b"") * n, b"zstd")),
        Hostile(
            "zstd: skippable frames",
            500_000,
            lambda t, n: _encoded(t, b"\x50\x2a\x4d\x18\x00\x00\x00\x00" * n, b"zstd"),
        ),
        Hostile(
            "zstd: large windows",
            5_000,
            lambda t, n: _encoded(t, (_ZSTD_RLE + b"\x02\x00\x10\x00\x01\x00\x00") * n, b"zstd"),
        ),
        Hostile(
            "zstd: empty blocks", 5 * MIB, lambda t, n: _encoded(t, _ZSTD_RLE + b"\x00\x00\x00" * (n // 3), b"zstd")
        ),
        Hostile("Content-Encoding of commas", 30_000, lambda t, n: _encoded(t, b"{}", b"," * n)),
        Hostile("Content-Encoding unknown and long", 30_000, lambda t, n: _encoded(t, b"{}", b"x" * n)),
    ]


def _flushed(number: int) -> bytes:
    made = zlib.compressobj()
    return b"".join(made.compress(b" ") + made.flush(zlib.Z_SYNC_FLUSH) for _ in range(number)) + made.flush()


def _forms() -> list[Hostile]:
    end = b"--b--\r\n"
    return [
        Hostile(
            "form: spaces in the Content-Type",
            25_000,
            lambda t, n: _form(t, end, b"multipart/form-data; boundary=b" + b" " * n + b"x"),
        ),
        Hostile(
            "form: parameters in the Content-Type",
            25_000,
            lambda t, n: _form(t, end, b"multipart/form-data; boundary=b" + b"; a=b" * (n // 5) + b'; "'),
        ),
        Hostile("form: parts", 4_900, lambda t, n: _form(t, _part(b'form-data; name="a"') * n + end)),
        Hostile("form: more parts", 100_000, lambda t, n: _form(t, _part(b'form-data; name="a"') * n + end)),
        Hostile("form: boundaries in the middle of lines", MIB, lambda t, n: _form(t, b"--b\r\n" + b"x--b" * (n // 4))),
        Hostile("form: names", MIB, lambda t, n: _form(t, _part(b"form-data" + b"; name=a" * (n // 8)) + end)),
        Hostile("form: spaces before a name", MIB, lambda t, n: _form(t, _part(b"form-data;" + b" " * n + b"x") + end)),
        Hostile(
            "form: a head without an end", 4 * MIB, lambda t, n: _form(t, b"--b\r\n" + b"a: b\r\n" * (n // 6) + end)
        ),
        Hostile(
            "form: a large file",
            14 * MIB,
            lambda t, n: _form(t, _part(b'form-data; name="file"; filename="a"', bytes(n)) + end),
        ),
        Hostile("form: one byte at a time", 10_000, _slow_form),
    ]


def _websockets() -> list[Hostile]:
    return [
        Hostile("websocket: pings", 300_000, lambda t, n: t.websocket(_frame(9, b"") * n)),
        Hostile("websocket: pongs", 300_000, lambda t, n: t.websocket(_frame(10, b"x") * n)),
        Hostile("websocket: goodbyes", 300_000, lambda t, n: t.websocket(_frame(8, b"") * n)),
        Hostile(
            "websocket: empty fragments",
            100_000,
            lambda t, n: t.websocket(_frame(1, b"", final=False) + _frame(0, b"", final=False) * n),
        ),
        Hostile(
            "websocket: fragments of one byte",
            100_000,
            lambda t, n: t.websocket(_frame(1, b"[", final=False) + _frame(0, b"[", final=False) * n),
        ),
        Hostile("websocket: small messages", 20_000, lambda t, n: t.websocket(_frame(1, b"{}") * n)),
        Hostile("websocket: messages that are refused", 3_000, lambda t, n: t.websocket(_frame(1, b"[") * n)),
        Hostile(
            "websocket: a large message",
            14 * MIB,
            lambda t, n: t.websocket(_frame(1, b'{"type":"x","a":[' + b"{}," * (n // 3) + b"1]}")),
        ),
        Hostile("websocket: a nested message", MIB, lambda t, n: t.websocket(_frame(1, b'{"response":' + b"[" * n))),
        Hostile(
            "websocket: a message of names",
            MIB,
            lambda t, n: t.websocket(_frame(1, b'{"type":"response.create","response":{' + _names(n // 12) + b"}}")),
        ),
        Hostile("websocket: frames that can't be", MIB, lambda t, n: t.websocket(b"\xff" * n)),
        Hostile("websocket: one byte at a time", 20_000, _slow_websocket),
    ]


def _slow_websocket(target: Target, number: int) -> bytes:
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
    head = _head("GET", _RESPONSES, *target.credentials(), *upgrade, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    with target.connect() as one:
        one.sendall(head + b"\r\n")
        begun = _answer(one)
        frame = _frame(1, b'"' + b"x" * number)
        with contextlib.suppress(OSError):
            for place in range(len(frame)):
                one.send(frame[place : place + 1])
        time.sleep(0.05)
        return begun


def _providers() -> list[Hostile]:
    kinds = {
        "gzip-bomb": 100_000, "gzip-members": 200_000, "blank-lines": 500_000, "comments": 500_000,
        "small-events": 500_000, "small-chunks": 500_000, "chunk-extensions": 500_000, "usages": 16 * MIB,
        "headers": 30_000, "nested": 4 * MIB,
    }  # fmt: skip
    return [
        Hostile(f"provider: {kind}", size, lambda t, n, kind=kind: _answered(t, n, kind))
        for kind, size in kinds.items()
    ] + [Hostile("provider: pings", 1, lambda t, _: t.websocket(b"", b"X-Test: provider-pings"))]


INPUTS = [
    *_heads(), *_credentials(), *_web(), *_chunks(), *_json(), *_codings(), *_forms(), *_websockets(), *_providers(),
]  # fmt: skip
