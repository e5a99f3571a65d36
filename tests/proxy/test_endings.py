"""Answers that do not end well: clients that go, providers that stall, break off or refuse, and what is tried then."""

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from meshproxy_cli.store.events import Outcome
from proxy.gateway_server import STREAM, Bench, bench, plain, provider, read_request, request, run
from proxy.scripted_exchanges import ANSWER, CREATED, Answers, Reader, Writer, chunk, openai, play


def test_a_client_that_goes_away_ends_the_providers_request(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(STREAM + chunk(CREATED))
        assert await reader.read() == b""
        left.set()

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        writer.write(request(b'{"model":"gpt-5.4","stream":true}'))
        await reader.readuntil(CREATED)
        writer.close()
        await asyncio.wait_for(left.wait(), 20)
        event = await running.event()
        assert (event.outcome, event.status) == (Outcome.CLIENT_CLOSED, 200)
        assert not running.gateway.exchanges

    play(tmp_path, serve, test)


COMPLETED = (
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1","model":"gpt-5.4",'
    b'"usage":{"input_tokens":5,"output_tokens":2}}}\n\n'
)
FAILED = b'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"server_error"}}}\n\n'
CHAT = (
    b'data: {"model":"gpt-5.4","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    b'data: {"model":"gpt-5.4","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
)
MESSAGE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-a",'
    b'"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":2}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
RESPONSES, CHATS, MESSAGES = "/openai/v1/responses", "/openai/v1/chat/completions", "/anthropic/v1/messages"
CLOSED = Outcome.CLIENT_CLOSED


@pytest.mark.parametrize(
    ("path", "answer", "outcome"),
    [
        (RESPONSES, CREATED + COMPLETED, Outcome.OK),
        (RESPONSES, CREATED + FAILED, Outcome.PROVIDER_ERROR),
        (RESPONSES, CREATED + COMPLETED[:-1], CLOSED),
        (CHATS, CHAT + b"data: [DONE]\n\n", Outcome.OK),
        (CHATS, CHAT, CLOSED),
        (MESSAGES, MESSAGE + STOP, Outcome.OK),
        (MESSAGES, MESSAGE, CLOSED),
        (
            MESSAGES,
            MESSAGE[: MESSAGE.index(b"event: message_delta")] + b"event: error\ndata: "
            b'{"type":"error","error":{"type":"overloaded_error"}}\n\n',
            Outcome.PROVIDER_ERROR,
        ),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_an_answer_whose_last_event_was_sent_is_complete_when_the_client_closes(
    tmp_path: Path, path: str, answer: bytes, outcome: Outcome, *, compressed: bool
) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        coding = b"Content-Encoding: gzip\r\nTransfer-Encoding" if compressed else b"Transfer-Encoding"
        sent = gzip.compress(answer) if compressed else answer
        writer.write(STREAM.replace(b"Transfer-Encoding", coding) + chunk(sent))  # its end is still to come
        await reader.read(1)
        writer.close()

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        body = b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}'
        writer.write(request(body, path=path))
        await reader.readuntil(gzip.compress(answer)[10:] if compressed else answer)
        writer.close()
        assert (await running.event()).outcome is outcome
        assert not running.gateway.exchanges

    async def whole() -> None:
        async with provider(serve) as port:
            keys = f'base_url="http://127.0.0.1:{port}"\nkeys=["one"]\n'
            async with bench(tmp_path, f"[providers.openai]\n{keys}[providers.anthropic]\n{keys}") as running:
                await test(running)

    run(whole())


def test_a_client_that_goes_before_the_answer_is_written_down_too(tmp_path: Path) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        del writer
        await read_request(reader)
        asked.set()
        assert await reader.read() == b""
        left.set()

    async def test(running: Bench) -> None:
        _, writer = await running.connect()
        writer.write(request())
        await asked.wait()
        writer.close()
        await asyncio.wait_for(left.wait(), 20)
        assert (await running.event()).outcome is Outcome.CLIENT_CLOSED

    play(tmp_path, serve, test)


SHORT = "[limits]\nidle_timeout_s = 0.2"


def test_a_stream_that_stalls_is_ended_in_the_providers_form(tmp_path: Path) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(STREAM + chunk(CREATED))
        await reader.read()

    async def test(running: Bench) -> None:
        answer = await running.ask(request(b'{"model":"gpt-5.4","stream":true}'))
        assert b'event: error\ndata: {"type": "error", "code": "server_error"' in answer
        assert not answer.endswith(b"0\r\n\r\n")  # nobody shall take it for whole
        event = await running.event()
        assert (event.outcome, event.error) == (Outcome.PROVIDER_CLOSED, "provider_stalled")

    play(tmp_path, serve, test, more=SHORT)


def test_a_compressed_stream_that_stalls_gets_no_event_inside(tmp_path: Path) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        head = STREAM.replace(b"Transfer-Encoding", b"Content-Encoding: gzip\r\nTransfer-Encoding")
        writer.write(head + chunk(gzip.compress(CREATED)))
        await reader.read()

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        writer.write(request(b'{"model":"gpt-5.4","stream":true}'))
        got = b""
        with suppress(ConnectionError):
            got = await asyncio.wait_for(reader.read(), 20)
        assert b"event: error" not in got
        assert (await running.event()).error == "provider_stalled"
        writer.close()

    play(tmp_path, serve, test, more=SHORT)


def test_a_provider_that_never_answers(tmp_path: Path) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        del writer
        await reader.read()

    async def test(running: Bench) -> None:
        answer = await running.ask(request())
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert (await running.event()).request_id.encode() in answer

    play(tmp_path, serve, test, more=SHORT)


OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
STARTED = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-a",'
    b'"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (STREAM + chunk(b"event: error\ndata: " + OVERLOADED + b"\n\n") + b"0\r\n\r\n", 200),
        (STREAM + chunk(STARTED) + chunk(b"event: error\ndata: " + OVERLOADED + b"\n\n") + b"0\r\n\r\n", 200),
        (plain(OVERLOADED, "529 Overloaded", "x-should-retry: true"), 529),
        (plain(gzip.compress(OVERLOADED), "529 Overloaded", "Content-Encoding: gzip"), 529),
    ],
)
def test_an_overloaded_provider_is_written_down_as_such_wherever_it_says_so(
    tmp_path: Path, answer: bytes, status: int
) -> None:
    served = Answers(answer)

    async def test(running: Bench) -> None:
        body = b'{"model":"claude-a","stream":true}'
        got = await running.ask(request(body, path="/anthropic/v1/messages"))
        assert got.endswith(answer.partition(b"\r\n\r\n")[2])
        event = await running.event()
        assert (event.status, event.outcome, event.error) == (status, Outcome.PROVIDER_ERROR, "overloaded_error")
        assert len(running.ledger.seen) == len(served.asked) == 1

    play_anthropic(tmp_path, served, test)


def play_anthropic(tmp_path: Path, served: Answers, test: Callable[[Bench], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with provider(served) as port:
            config = f'[providers.anthropic]\nbase_url="http://127.0.0.1:{port}"\nkeys=["one"]\n'
            async with bench(tmp_path, config) as running:
                await test(running)

    run(whole())


@pytest.mark.parametrize("framing", [None, "Transfer-Encoding: chunked"])
def test_a_request_that_is_too_large_is_refused_in_the_providers_form(tmp_path: Path, framing: str | None) -> None:
    served, large = Answers(plain(ANSWER)), b" " * (32 * 2**20 + 1)

    async def test(running: Bench) -> None:
        data = request(large if framing is None else chunk(large), path="/anthropic/v1/messages", framing=framing)
        answer = await running.ask(data)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"type": "request_too_large"' in answer
        assert (await running.event()).outcome is Outcome.REFUSED

    play_anthropic(tmp_path, served, test)
    assert not served.asked


def test_a_list_that_breaks_off_is_an_error_not_silence(tmp_path: Path) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data":')
        await writer.drain()

    async def test(running: Bench) -> None:
        answer = await running.ask(request(b"", path="/openai/v1/models", method="GET"))
        assert answer.startswith(b"HTTP/1.1 502 ")

    play(tmp_path, serve, test)


def test_an_answer_that_breaks_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half"))
        await writer.drain()

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        writer.write(request())
        try:
            got = await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            got = b""
        assert not got.endswith(b"0\r\n\r\n")
        assert (await running.event()).outcome is Outcome.PROVIDER_CLOSED
        writer.close()

    play(tmp_path, serve, test)


def test_a_stale_connection_is_tried_again_once(tmp_path: Path) -> None:
    connections = 0

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(plain(ANSWER))
        if connections == 1:
            await read_request(reader)  # and closes without a byte
            return
        await reader.read()

    async def test(running: Bench) -> None:
        for _ in range(2):
            assert (await running.ask(request())).startswith(b"HTTP/1.1 200 ")
        assert connections == 2

    play(tmp_path, serve, test)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"H",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"no HTTP at all\r\n\r\n",
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_what_a_provider_may_have_worked_on_is_not_sent_twice(tmp_path: Path, part: bytes, kept: bool) -> None:  # noqa: FBT001 (a parameter of pytest's)
    asked = 0

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal asked
        if kept:
            await read_request(reader)
            writer.write(plain(ANSWER))
        await read_request(reader)
        asked += 1
        writer.write(part)

    async def test(running: Bench) -> None:
        if kept:
            assert b" 200 OK" in await running.ask(request())
        answer = await running.ask(request())
        stale = kept and not part
        assert answer.startswith(b"HTTP/1.1 200 " if stale else b"HTTP/1.1 502 ")
        assert b"x-should-retry" not in answer  # the agent may ask again
        assert asked == 1
        events = running.ledger.seen[kept:]
        assert [event.outcome for event in events] == [Outcome.OK if stale else Outcome.UNREACHABLE]

    play(tmp_path, serve, test)


def test_a_provider_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    async def whole() -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            async with bench(tmp_path, openai(nobody.getsockname()[1])) as running:
                answer = await running.ask(request())
                assert answer.startswith(b"HTTP/1.1 502 ")
                event = await running.event()
                assert event.outcome is Outcome.UNREACHABLE
                assert event.request_id.encode() in answer

    run(whole())
