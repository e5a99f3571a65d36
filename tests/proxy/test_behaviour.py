"""The data path's behavior, byte by byte, between a client and a provider that are both the test's own."""

import asyncio
import gzip
import json
from pathlib import Path

import brotli
import pytest
import zstandard

from meshproxy_cli.store.events import Outcome
from proxy.gateway_server import STREAM, Bench, bench, plain, provider, read_request, request, run, until
from proxy.scripted_exchanges import ANSWER, Answers, Reader, Writer, chunk, play


def test_a_request_is_answered_and_written_down(tmp_path: Path) -> None:
    served = Answers(plain(ANSWER, "200 Fine", "X-Request-Id: req_up", "Retry-After: 3"))

    async def test(running: Bench) -> None:
        answer = await running.ask(request())
        assert answer.startswith(b"HTTP/1.1 200 Fine\r\n")
        assert b"Retry-After: 3\r\n" in answer
        assert answer.endswith(b"\r\n\r\n" + ANSWER)
        event = await running.event()
        assert (event.outcome, event.tokens.input_tokens, event.tokens.output_tokens) == (Outcome.OK, 7, 3)
        assert (event.room, event.session, event.participant, event.provider_request_id) == ("r", "s", "ana", "req_up")

    play(tmp_path, served, test)
    assert served.asked[0].fields(b"authorization") == [b"Bearer one"]


def test_a_room_may_have_a_slash_in_its_name(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        data = request(room="team/room 1").replace(b"/rooms/team/room 1/", b"/rooms/team%2Froom%201/")
        assert (await running.ask(data)).startswith(b"HTTP/1.1 200 ")
        assert (await running.event()).room == "team/room 1"

    play(tmp_path, Answers(plain(ANSWER)), test)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
def test_a_compressed_body_goes_up_as_it_came(tmp_path: Path, coding: str) -> None:
    body = json.dumps({"model": "gpt-5.4", "input": "x" * 200_000}).encode()
    packed = {"gzip": gzip.compress, "zstd": zstandard.compress, "br": brotli.compress}[coding](body)
    served = Answers(plain(ANSWER))

    async def test(running: Bench) -> None:
        assert b" 200 OK" in await running.ask(request(packed, f"Content-Encoding: {coding}"))
        assert (await running.event()).model_requested == "gpt-5.4"

    play(tmp_path, served, test)
    assert served.asked[0].body == packed
    assert served.asked[0].fields(b"content-encoding") == [coding.encode()]


def test_usage_of_a_chat_stream_is_exact_and_stays_here(tmp_path: Path) -> None:
    first = b'data: {"choices":[{"delta":{"content":"\xc3\xa4"}}],"usage":null}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}\n\n'
    done = b"data: [DONE]\n\n"
    served = Answers(
        STREAM + chunk(first[:40]) + chunk(first[40:] + usage[:30]) + chunk(usage[30:] + done) + b"0\r\n\r\n"
    )

    async def test(running: Bench) -> None:
        body = b'{"model":"gpt-5.4","stream":true,"messages":[ ]}'
        answer = await running.ask(request(body, "Accept-Encoding: gzip", path="/openai/v1/chat/completions"))
        assert b"prompt_tokens" not in answer
        assert answer.count(b"data: ") == 2
        assert answer.endswith(b"0\r\n\r\n")
        event = await running.event()
        assert (event.tokens.input_tokens, event.tokens.output_tokens, event.estimated) == (5, 2, False)

    play(tmp_path, served, test)
    assert json.loads(served.asked[0].body)["stream_options"] == {"include_usage": True}
    assert served.asked[0].fields(b"accept-encoding") == []


def test_a_switch_of_protocols_that_nobody_asked_for(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        assert (await running.ask(request())).startswith(b"HTTP/1.1 502 ")

    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    play(tmp_path, Answers(switch), test)


def test_a_refusal_of_a_websocket_is_passed_on(tmp_path: Path) -> None:
    served = Answers(plain(b'{"error":{}}', "426 Upgrade Required", "X-Up: 1"))

    async def test(running: Bench) -> None:
        fields = ("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
        answer = await running.ask(request(b"", *fields, method="GET"))
        assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert b"X-Up: 1" in answer

    play(tmp_path, served, test)


def test_a_client_that_asks_first_is_told_to_go_on(tmp_path: Path) -> None:
    body = b'{"model":"gpt-5.4"}'

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        writer.write(request(body, "Expect: 100-continue")[: -len(body)])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        refused = request(body, "Expect: 100-continue").replace(b"Bearer ", b"Bearer x")[: -len(body)]
        assert (await running.ask(refused)).startswith(b"HTTP/1.1 401 ")

    play(tmp_path, Answers(plain(ANSWER)), test)


def test_a_client_that_asks_first_is_told_at_once_that_there_is_nothing(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        data = request(b"{}", "Expect: 100-continue", path="/openai/v1/nothing", close=False)
        assert (await running.ask(data[:-2])).startswith(b"HTTP/1.1 404 ")

    play(tmp_path, Answers(plain(ANSWER)), test)


def test_an_old_client_is_not_told_to_go_on(tmp_path: Path) -> None:
    body = b'{"model":"gpt-5.4"}'

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        data = request(body, "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        writer.write(data[: -len(body)])
        await until(lambda: bool(running.gateway.exchanges))
        writer.write(body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()

    play(tmp_path, Answers(plain(ANSWER)), test)


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    served = Answers(plain(b'{"n":1}'), plain(b'{"n":2}'), plain(b'{"n":3}'))

    async def test(running: Bench) -> None:
        chunked = b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\nX-T: 1\r\n\r\n'
        middle = request(chunked, framing="Transfer-Encoding: chunked", close=False)
        answer = await running.ask(request(close=False) + middle + request())
        assert answer.count(b"HTTP/1.1 200 OK") == 3
        assert answer.index(b'{"n":1}') < answer.index(b'{"n":2}') < answer.index(b'{"n":3}')

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"chunked" in head.lower():
                assert (await reader.readuntil(b"0\r\nX-T: 1\r\n\r\n")).startswith(b'7\r\n{"a":1}\r\n')
            else:
                await reader.readexactly(19)
            writer.write(served.answers.pop(0))

    play(tmp_path, serve, test)


def test_a_slow_reader_slows_the_provider(tmp_path: Path) -> None:
    sent, whole = 0, 64 * 2**20

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % whole)
        for _ in range(whole // 65536):
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        writer.write(request())
        before = -1
        while before != sent or not sent:  # until it has come to rest
            before = sent
            await asyncio.sleep(0.3)
        assert sent < whole / 2
        (client,) = running.gateway.connections
        assert client.transport.get_write_buffer_size() < 2**20
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        got = 0
        while data := await reader.read(2**20):
            got += len(data)
        assert got > whole
        writer.close()

    play(tmp_path, serve, test)


def test_heads_and_bodies_of_every_framing(tmp_path: Path) -> None:
    served = Answers(
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + plain(ANSWER),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        + chunk(ANSWER)
        + b"0\r\nX-T: 1\r\n\r\n",
    )

    async def test(running: Bench) -> None:
        assert (await running.ask(request())).startswith(b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n")
        assert (await running.ask(request())).startswith(b"HTTP/1.1 200 OK\r\n")
        assert (await running.ask(request())).endswith(chunk(ANSWER) + b"0\r\nX-T: 1\r\n\r\n")
        await until(lambda: len(running.ledger.seen) == 3)
        assert served.connections == 1

    play(tmp_path, served, test)


def test_a_body_until_the_connections_end(tmp_path: Path) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + ANSWER)
        await writer.drain()

    async def test(running: Bench) -> None:
        assert (await running.ask(request(close=False))).endswith(b"\r\n\r\n" + ANSWER)

    play(tmp_path, serve, test)


def test_lists_are_narrowed_and_codex_gets_its_own(tmp_path: Path) -> None:
    models = json.dumps({"object": "list", "data": [{"id": "gpt-5.4"}, {"id": "gpt-6"}]}).encode()

    async def test(running: Bench) -> None:
        answer = await running.ask(request(b"", path="/openai/v1/models", method="GET"))
        assert b"gpt-5.4" in answer
        assert b"gpt-6" in answer
        answer = await running.ask(request(b"", path="/openai/v1/models?client_version=0.145", method="GET"))
        assert answer.endswith(b'{"models":[]}')

    play(tmp_path, Answers(plain(models)), test)


def test_a_list_that_is_asked_for_without_its_body(tmp_path: Path) -> None:
    served = Answers(plain(b"", "200 OK", "X-Up: 1").replace(b"Length: 0", b"Length: 99"))

    async def test(running: Bench) -> None:
        for _ in range(2):
            answer = await running.ask(request(b"", path="/openai/v1/models", method="HEAD"))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"X-Up: 1\r\n" in answer
            assert b"99" not in answer.lower().split(b"meshproxy-request-id")[0]  # not the length of what is narrowed
            assert answer.endswith(b"\r\n\r\n")
        assert (await running.event(2)).outcome is Outcome.OK

    play(tmp_path, served, test)
    assert served.connections == 1


def test_what_another_room_made_is_not_there(tmp_path: Path) -> None:
    served = Answers(plain(ANSWER))

    async def test(running: Bench) -> None:
        assert b" 200 OK" in await running.ask(request())
        follow = b'{"model":"gpt-5.4","previous_response_id":"resp_1"}'
        assert b" 200 OK" in await running.ask(request(follow))
        for path in ("/openai/v1/responses", "/openai/v1/responses/compact", "/openai/v1/responses/input_tokens"):
            assert (await running.ask(request(follow, room="other", path=path))).startswith(b"HTTP/1.1 404 ")

    play(tmp_path, served, test)
    assert len(served.asked) == 2


def test_batches_belong_to_their_room(tmp_path: Path) -> None:
    batch = b'{"id":"msgbatch_1","processing_status":"in_progress"}'
    listed = b'{"data":[{"id":"msgbatch_1"},{"id":"msgbatch_9"}],"has_more":false,"first_id":"msgbatch_1"}'
    served = Answers(plain(batch), plain(batch), plain(listed))
    path = "/anthropic/v1/messages/batches"

    async def test(running: Bench) -> None:
        body = b'{"requests":[{"custom_id":"a","params":{"model":"claude-a"}}]}'
        assert (await running.ask(request(body, path=path))).endswith(b"%x\r\n%b\r\n0\r\n\r\n" % (len(batch), batch))
        assert b" 200 OK" in await running.ask(request(b"", path=f"{path}/msgbatch_1", method="GET"))
        theirs = await running.ask(request(b"", path=f"{path}/msgbatch_1", method="GET", room="other"))
        assert theirs.startswith(b"HTTP/1.1 404 ")
        answer = await running.ask(request(b"", path=path, method="GET"))
        assert b"msgbatch_1" in answer
        assert b"msgbatch_9" not in answer

    async def whole() -> None:
        async with provider(served) as port:
            config = f'[providers.anthropic]\nbase_url="http://127.0.0.1:{port}"\nkeys=["one"]\n'
            async with bench(tmp_path, config) as running:
                await test(running)

    run(whole())
    assert len(served.asked) == 3
    assert served.asked[0].fields(b"x-api-key") == [b"one"]


def test_a_form_goes_up_as_it_came(tmp_path: Path) -> None:
    body = (
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\xff\r\n\r\n'
        b'\r\n--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--XX--\r\n'
    )
    served = Answers(plain(b'{"text":"x"}'))

    async def test(running: Bench) -> None:
        kind = "Content-Type: multipart/form-data; boundary=XX"
        assert b" 200 OK" in await running.ask(request(body, kind, path="/openai/v1/audio/transcriptions"))
        assert (await running.event()).model_requested == "whisper-1"

    play(tmp_path, served, test)
    assert served.asked[0].body == body
