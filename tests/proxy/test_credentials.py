"""Several credentials and base URLs of a provider: what is tried next, and what a session keeps to."""

import socket
from pathlib import Path

import pytest

from meshproxy_cli.proxy.config.targets import Target
from meshproxy_cli.proxy.core.caller import Caller
from proxy.gateway_server import KEY, Bench, bench, plain, provider, read_request, request, run
from proxy.scripted_exchanges import ANSWER, Answers, Reader, Writer, play


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_the_next_credential_is_tried_and_kept_for_the_session(tmp_path: Path, status: int) -> None:
    served = Answers(plain(b"{}", f"{status} No"), plain(ANSWER))

    async def test(running: Bench) -> None:
        for session in ("s", "s", "other"):
            assert (await running.ask(request(session=session))).startswith(b"HTTP/1.1 200 ")
        assert len(running.ledger.seen) == 3

    play(tmp_path, served, test, keys='"one", "two"')
    keys = [asked.fields(b"authorization")[0] for asked in served.asked]
    assert keys == [b"Bearer one", b"Bearer two", b"Bearer two", b"Bearer one"]


def test_a_session_that_is_bound_sees_its_limits(tmp_path: Path) -> None:
    served = Answers(plain(ANSWER), plain(b"{}", "429 Slow", "Retry-After: 9"))

    async def test(running: Bench) -> None:
        assert b" 200 OK" in await running.ask(request())
        answer = await running.ask(request())
        assert answer.startswith(b"HTTP/1.1 429 Slow")
        assert b"Retry-After: 9" in answer

    play(tmp_path, served, test, keys='"one", "two"')
    assert len(served.asked) == 2


def test_a_session_keeps_its_credential_while_a_base_url_is_away(tmp_path: Path) -> None:
    served = Answers(plain(ANSWER))

    async def whole() -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            async with provider(served) as port:
                urls = f'"http://127.0.0.1:{port}/v1", "http://127.0.0.1:{nobody.getsockname()[1]}/v1"'
                config = f'[providers.openai]\nbase_url=[{urls}]\nkeys=["one", "two"]\n'
                async with bench(tmp_path, config) as running:
                    provided = running.gateway.config.providers[0]
                    assert b" 200 OK" in await running.ask(request())
                    caller = bound_to(running, provided.targets[2])  # the one that is away, with the same key
                    assert b" 200 OK" in await running.ask(request())
                    assert running.gateway.affinity.targets(provided, caller)[0] == provided.targets[0]
                    bound_to(running, provided.targets[3])
                    served.answers[:] = [plain(b"{}", "500 No")]
                    assert (await running.ask(request())).startswith(b"HTTP/1.1 500 ")

    run(whole())
    keys = [asked.fields(b"authorization")[0] for asked in served.asked]
    assert keys == [b"Bearer one", b"Bearer one", b"Bearer two"]


def bound_to(running: Bench, target: Target) -> Caller:
    """Bind the session of the bench's requests to a target."""
    caller = Caller(KEY.project_id, "r", "s", "ana", KEY.id, "", None)
    running.gateway.affinity.bind(running.gateway.config.providers[0], caller, target)
    return caller


def test_a_websocket_binds_its_session_too(tmp_path: Path) -> None:
    keys: list[bytes] = []
    fields = ("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            asked = await read_request(reader)
            keys.extend(asked.fields(b"authorization"))
            if len(keys) == 1:
                writer.write(plain(b"{}", "429 Slow"))
            elif asked.fields(b"upgrade"):
                writer.write(switch)
                await reader.read()
                return
            else:
                writer.write(plain(ANSWER))

    async def test(running: Bench) -> None:
        reader, writer = await running.connect()
        writer.write(request(b"", *fields, method="GET", close=False))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert b" 200 OK" in await running.ask(request())
        writer.close()

    play(tmp_path, serve, test, keys='"one", "two"')
    assert keys == [b"Bearer one", b"Bearer two", b"Bearer two"]
