"""Requests that two parsers could read differently: each is refused with 400, the connection ends, nothing goes on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.downstream.connection import ClientConnection
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.limiting.interface import AdmitAll
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.upstream.pool import Pool

PATH = b"/rooms/my-room/openai/v1/responses"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Transport(asyncio.Transport):
    """Records what is written to a client."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended


def request(
    extra: bytes = b"",
    *,
    line: bytes = b"POST " + PATH + b" HTTP/1.1\r\n",
    host: bytes = b"Host: proxy\r\n",
    body: bytes = b"{}",
) -> bytes:
    return line + host + extra + b"\r\n" + body


def target(path: bytes) -> bytes:
    return request(b"Content-Length: 2\r\n", line=b"POST " + path + b" HTTP/1.1\r\n")


def chunks(body: bytes) -> bytes:
    return request(CHUNKED, body=body)


LENGTH = b"Content-Length: 2\r\n"
REFUSED = {
    "length and coding": request(LENGTH + CHUNKED, body=b"0\r\n\r\n"),
    "coding and length": request(CHUNKED + LENGTH, body=b"0\r\n\r\n"),
    "length twice": request(LENGTH + LENGTH),
    "two lengths": request(LENGTH + b"Content-Length: 3\r\n"),
    "length list": request(b"Content-Length: 2, 2\r\n"),
    "length plus": request(b"Content-Length: +2\r\n"),
    "length minus": request(b"Content-Length: -2\r\n"),
    "length hex": request(b"Content-Length: 0x2\r\n"),
    "length empty": request(b"Content-Length: \r\n"),
    "length fraction": request(b"Content-Length: 2.0\r\n"),
    "length with space inside": request(b"Content-Length: 2 2\r\n"),
    "length underscore": request(b"Content-Length: 1_0\r\n"),
    "length huge": request(b"Content-Length: 99999999999999999999\r\n"),
    "length other digits": request("Content-Length: ²\r\n".encode()),
    "coding twice": request(CHUNKED + CHUNKED, body=b"0\r\n\r\n"),
    "coding list": request(b"Transfer-Encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"),
    "coding chunked twice": request(b"Transfer-Encoding: chunked, chunked\r\n", body=b"0\r\n\r\n"),
    "coding identity": request(b"Transfer-Encoding: identity\r\n"),
    "coding unknown": request(b"Transfer-Encoding: xchunked\r\n"),
    "coding empty": request(b"Transfer-Encoding:\r\n"),
    "coding quoted": request(b'Transfer-Encoding: "chunked"\r\n', body=b"0\r\n\r\n"),
    "coding vertical tab": request(b"Transfer-Encoding: \x0bchunked\r\n", body=b"0\r\n\r\n"),
    "coding space before colon": request(b"Transfer-Encoding : chunked\r\n", body=b"0\r\n\r\n"),
    "coding tab before colon": request(b"Transfer-Encoding\t: chunked\r\n", body=b"0\r\n\r\n"),
    "coding folded": request(b"Transfer-Encoding:\r\n chunked\r\n", body=b"0\r\n\r\n"),
    "coding in HTTP/1.0": request(CHUNKED, line=b"POST " + PATH + b" HTTP/1.0\r\n", body=b"0\r\n\r\n"),
    "folding with a space": request(b"X-A: 1\r\n 2\r\n" + LENGTH),
    "folding with a tab": request(b"X-A: 1\r\n\t2\r\n" + LENGTH),
    "space before the first header": request(LENGTH, host=b" Host: proxy\r\n"),
    "space before colon": request(b"X-A : 1\r\n" + LENGTH),
    "no colon": request(b"X-A\r\n" + LENGTH),
    "empty name": request(b": 1\r\n" + LENGTH),
    "control character in name": request(b"X\x01A: 1\r\n" + LENGTH),
    "umlaut in name": request("Ä: 1\r\n".encode() + LENGTH),
    "brackets in name": request(b"X(A): 1\r\n" + LENGTH),
    "NUL in value": request(b"X-A: a\x00b\r\n" + LENGTH),
    "escape in value": request(b"X-A: a\x1bb\r\n" + LENGTH),
    "DEL in value": request(b"X-A: a\x7fb\r\n" + LENGTH),
    "CR in value": request(b"X-A: a\rb\r\n" + LENGTH),
    "LF in value": request(b"X-A: a\nX-B: b\r\n" + LENGTH),
    "bare LF after a header": request(b"X-A: a\n" + LENGTH),
    "bare LF after the request line": request(LENGTH, line=b"POST " + PATH + b" HTTP/1.1\n"),
    "bare LFs throughout": request(LENGTH).replace(b"\r\n", b"\n"),
    "bare CRs throughout": request(LENGTH).replace(b"\r\n", b"\r"),
    "no Host": request(LENGTH, host=b""),
    "Host twice": request(LENGTH, host=b"Host: a\r\nHost: b\r\n"),
    "Host with a path": request(LENGTH, host=b"Host: a/b\r\n"),
    "Host with a fragment": request(LENGTH, host=b"Host: x/#@y\r\n"),
    "Host with a user": request(LENGTH, host=b"Host: a@b\r\n"),
    "Host with a space": request(LENGTH, host=b"Host: a b\r\n"),
    "Host empty": request(LENGTH, host=b"Host:\r\n"),
    "Authorization twice": request(b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n" + LENGTH),
    "session twice": request(b"Meshagent-Session: a\r\nmeshagent-session: b\r\n" + LENGTH),
    "header block too large": request(b"X-A: " + b"a" * 70_000 + b"\r\n" + LENGTH),
    "header block without end": b"POST / HTTP/1.1\r\nX-A: " + b"a" * 70_000,
    "request line: two spaces": request(LENGTH, line=b"POST  " + PATH + b" HTTP/1.1\r\n"),
    "request line: tab": request(LENGTH, line=b"POST\t" + PATH + b"\tHTTP/1.1\r\n"),
    "request line: no version": request(LENGTH, line=b"POST " + PATH + b"\r\n"),
    "request line: HTTP/2.0": request(LENGTH, line=b"POST " + PATH + b" HTTP/2.0\r\n"),
    "request line: HTTP/1.2": request(LENGTH, line=b"POST " + PATH + b" HTTP/1.2\r\n"),
    "request line: http/1.1": request(LENGTH, line=b"POST " + PATH + b" http/1.1\r\n"),
    "request line: lower-case method": request(LENGTH, line=b"post " + PATH + b" HTTP/1.1\r\n"),
    "request line: unknown method": request(LENGTH, line=b"SMUGGLE " + PATH + b" HTTP/1.1\r\n"),
    "request line: control character": request(LENGTH, line=b"POST /rooms/a\x01b/openai/v1 HTTP/1.1\r\n"),
    "request line: not ASCII": request(LENGTH, line="POST /rooms/ä/openai/v1 HTTP/1.1\r\n".encode()),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "absolute form to another host": target(b"http://evil.example" + PATH),
    "authority form": request(LENGTH, line=b"CONNECT evil.example:443 HTTP/1.1\r\n"),
    "dot segments": target(b"/rooms/my-room/../other/openai/v1/responses"),
    "encoded dot segments": target(b"/rooms/my-room/%2e%2e/other/openai/v1/responses"),
    "half encoded dot segments": target(b"/rooms/my-room/openai/.%2E/anthropic/v1/messages"),
    "encoded slash": target(b"/rooms/my-room/openai%2fv1/responses"),
    "encoded slash after the room": target(b"/rooms/my-room/openai/v1%2fresponses"),
    "encoded slash and dot segments in the room": target(b"/rooms/my-room%2f..%2fother/openai/v1/responses"),
    "encoded backslash": target(b"/rooms/my-room%5c/openai/v1/responses"),
    "backslash": target(b"/rooms/my-room\\..\\other/openai/v1/responses"),
    "empty segment": target(b"/rooms/my-room//openai/v1/responses"),
    "encoded NUL": target(b"/rooms/my-room%00/openai/v1/responses"),
    "chunk size with sign": chunks(b"+2\r\n{}\r\n0\r\n\r\n"),
    "chunk size with 0x": chunks(b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk size with a space": chunks(b" 2\r\n{}\r\n0\r\n\r\n"),
    "chunk size absurd": chunks(b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    "chunk size missing": chunks(b"\r\n{}\r\n0\r\n\r\n"),
    "chunk size no hex": chunks(b"g\r\n{}\r\n0\r\n\r\n"),
    "chunk line ended by LF": chunks(b"2\n{}\r\n0\r\n\r\n"),
    "chunk longer than its size": chunks(b"2\r\n{}x\r\n0\r\n\r\n"),
    "chunk end without CR": chunks(b"2\r\n{}\n0\r\n\r\n"),
    "chunk extension with a control character": chunks(b"2;a=\x01\r\n{}\r\n0\r\n\r\n"),
    "chunk extension too long": chunks(b"2;" + b"a" * 5000),
    "trailer malformed": chunks(b"2\r\n{}\r\n0\r\nX A: 1\r\n\r\n"),
    "trailers too large": chunks(b"2\r\n{}\r\n0\r\n" + (b"X-A: " + b"a" * 4000 + b"\r\n") * 6 + b"\r\n"),
}


def _run(directory: Path, play: Callable[[ClientConnection, Transport], None]) -> tuple[bytes, bool, int]:
    """Return what the client got, whether the connection ended, and how many connections went to a provider."""
    opened = 0

    async def connect(*_: object) -> Any:
        nonlocal opened
        opened += 1
        raise OSError("nothing may be opened")

    async def run() -> tuple[bytes, bool]:
        spool, owners = Spool(directory, 0), Owners(directory, 0)
        gateway = Gateway(
            loop=asyncio.get_running_loop(),
            config=load_config("", {}, lambda name: name),
            pool=Pool(connect),
            ledger=Ledger(spool),
            limiter=AdmitAll(),
            owners=owners,
            refresh=lambda done: done(),
        )
        transport = Transport()
        connection = ClientConnection(gateway)
        connection.connection_made(transport)
        play(connection, transport)
        await asyncio.sleep(0)
        spool.close()
        owners.close()
        return transport.written, transport.ended

    written, ended = asyncio.run(run())
    return written, ended, opened


def test_the_table_is_long_enough() -> None:
    assert len(REFUSED) >= 60


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("pieces", ["whole", "bytes", "after a good one"])
def test_is_refused_and_the_connection_ends(name: str, pieces: str, tmp_path: Path) -> None:
    data = REFUSED[name]

    def play(connection: ClientConnection, transport: Transport) -> None:
        if pieces == "after a good one":  # what is known of its head must not let this one in
            connection.data_received(request(LENGTH))
            assert transport.written.startswith(b"HTTP/1.1 401 ")
            transport.written = b""
        step = max(1, len(data) // 300) if pieces == "bytes" else len(data)
        for place in range(0, len(data), step):
            if not transport.ended:
                connection.data_received(data[place : place + step])

    written, ended, opened = _run(tmp_path, play)
    assert written.startswith(b"HTTP/1.1 400 ")
    assert written.count(b"HTTP/1.1 ") == 1
    assert ended
    assert opened == 0


def test_a_good_request_gets_past_the_guard(tmp_path: Path) -> None:
    written, ended, _ = _run(tmp_path, lambda connection, _: connection.data_received(request(LENGTH)))
    assert written.startswith(b"HTTP/1.1 401 ")
    assert not ended
