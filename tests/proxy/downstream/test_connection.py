"""A client's connection: answers that it does not read, the end of the last one, and bodies in very many pieces."""

import asyncio
import socket
from pathlib import Path

import pytest

from meshproxy_cli.proxy.downstream.connection import ClientConnection
from proxy.gateway_server import Bench, plain, read_request, request, until
from proxy.scripted_exchanges import ANSWER, Answers, Reader, Writer, chunk, play


def test_requests_wait_while_their_client_reads_no_answers(tmp_path: Path) -> None:
    asked, number, large = 0, 200, bytes(100_000)

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal asked
        while True:
            await read_request(reader)
            asked += 1
            writer.write(plain(large))

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        transport = writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        writer.write(request(close=False) * (number - 1) + request())
        before = -1
        while before != asked or not asked:  # until it has come to rest
            before = asked
            await asyncio.sleep(0.3)
        assert asked < number - 1
        (client,) = running.gateway.connections
        assert client.transport.get_write_buffer_size() < 2**19
        transport.resume_reading()  # type: ignore[attr-defined]
        whole = await asyncio.wait_for(reader.read(), 20)
        assert whole.count(b"HTTP/1.1 200 OK\r\n") == number
        assert whole.count(large) == number
        writer.close()

    play(tmp_path, serve, test)


async def narrow(running: Bench) -> tuple[Reader, Writer, ClientConnection]:
    """Return a connection whose client reads nothing yet, and on whose way little fits."""
    reader, writer = await running.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: bool(running.gateway.connections))
    (client,) = running.gateway.connections
    for transport, option in ((writer.transport, socket.SO_RCVBUF), (client.transport, socket.SO_SNDBUF)):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 32 * 1024)
    return reader, writer, client


def test_refusals_wait_too(tmp_path: Path) -> None:
    number, refused = 3000, b"HTTP/1.1 404 "

    async def test(running: Bench) -> None:
        reader, writer, client = await narrow(running)
        writer.write(b"GET /openai/v1/nothing HTTP/1.1\r\nHost: h\r\n\r\n" * number)
        refusals, before = running.gateway.metrics.refusals, -1
        while before != refusals["unknown_path"] or not before:  # until it has come to rest
            before = refusals["unknown_path"]
            await asyncio.sleep(0.3)
        assert before < number
        assert client.transport.get_write_buffer_size() < 2**18
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(number):
            await asyncio.wait_for(reader.readuntil(refused), 20)
        writer.close()

    play(tmp_path, Answers(plain(ANSWER)), test)


@pytest.mark.parametrize("close", [True, False])
def test_the_end_of_an_answer_waits_for_a_slow_reader(tmp_path: Path, close: bool) -> None:  # noqa: FBT001 (pytest's)
    large = bytes(500_000)

    async def test(running: Bench) -> None:
        reader, writer, client = await narrow(running)
        client.transport.set_write_buffer_limits(high=2**20)
        writer.write(request(close=close) + (b"" if close else b"GET /"))
        await running.event()
        assert client.transport.get_write_buffer_size()
        now = running.gateway.loop.time()
        for later in range(0, 400, 3):  # as often as it is looked at meanwhile
            client.sweep(now + later)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        size = len(await reader.readuntil(b"\r\n\r\n") + await asyncio.wait_for(reader.readexactly(len(large)), 20))
        assert size > len(large)
        writer.close()

    play(tmp_path, Answers(plain(large)), test)


@pytest.mark.parametrize("close", [True, False])
def test_a_client_that_never_reads_the_end_is_parted_from(tmp_path: Path, close: bool) -> None:  # noqa: FBT001
    async def test(running: Bench) -> None:
        _, writer, client = await narrow(running)
        client.transport.set_write_buffer_limits(high=2**20)
        writer.write(request(close=close))
        await running.event()
        now = running.gateway.loop.time()
        for later in (0, 200, 400, 700, 900):
            client.sweep(now + later)
        await until(lambda: not running.gateway.connections)
        writer.close()

    play(tmp_path, Answers(plain(bytes(500_000))), test)


def test_a_body_of_very_many_chunks_is_kept_in_few_pieces(tmp_path: Path) -> None:
    body = b'{"model":"gpt-5.4","input":"%b"}' % (b"x" * 300_000)
    framed = b"".join(chunk(body[place : place + 32]) for place in range(0, len(body), 32))
    served = Answers(plain(ANSWER))

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        writer.write(request(framed, framing="Transfer-Encoding: chunked"))
        await until(lambda: [exchange._size for exchange in running.gateway.exchanges] == [len(body)])
        (exchange,) = running.gateway.exchanges
        assert len(exchange.pieces) < len(body) / 1000
        writer.write(b"0\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()

    play(tmp_path, served, test)
    assert served.asked[0].body == body


@pytest.mark.parametrize(
    ("sent", "shape"),
    [
        (request(b"x" * 50)[:-10], b'"code": "request_timeout"'),
        (request(b"x" * 50, path="/anthropic/v1/messages")[:-10], b'{"type": "error"'),
        (request(b"4\r\nabcd\r\n", framing="Transfer-Encoding: chunked"), b'"code": "request_timeout"'),
        (b"POST /openai/v1/nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx", b'"code": "request_timeout"'),
        (b"POST /rooms/r/openai/v1/responses HTTP/1.1\r\nHo", b'"code": "request_timeout"'),
    ],
)
def test_a_request_that_stops_halfway_is_told_so(tmp_path: Path, sent: bytes, shape: bytes) -> None:
    async def test(running: Bench) -> None:
        answer = await running.ask(sent)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert shape in answer
        assert b"connection: close\r\n" in answer

    play(tmp_path, Answers(plain(ANSWER)), test, more="[limits]\nbody_timeout_s=0.2\nhead_timeout_s=0.2")
