"""A worker that leaves: what reaches it in its last moments is served all the same."""

import asyncio
import socket
from pathlib import Path

import pytest
import uvloop

from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.process import graceful_shutdown as leaving
from meshproxy_cli.proxy.process.graceful_shutdown import accept_waiting, drain
from meshproxy_cli.proxy.process.launcher import bind
from meshproxy_cli.proxy.process.worker import Worker, WorkerSettings
from meshproxy_cli.store import open_store
from proxy.gateway_server import STREAM, bench, plain, provider, read_request, request, run, until

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
PROVIDER = '[providers.openai]\nbase_url="http://127.0.0.1:{port}/v1"\nkeys=["one"]\n'


async def answering(reader: Reader, writer: Writer) -> None:
    while True:
        await read_request(reader)
        writer.write(plain(b"{}"))


def test_connections_that_wait_are_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # noqa: FBT003 (its only form)
        clients = [socket.create_connection(listening.getsockname()) for _ in range(3)]
        accepted = accept_waiting([listening])
        assert [one.getpeername() for one in accepted] == [client.getsockname() for client in clients]
        assert not any(one.getblocking() for one in accepted)
        assert accept_waiting([listening]) == ()
        for one in (*clients, *accepted):
            one.close()


def test_a_kept_connection_is_served_once_more(tmp_path: Path) -> None:
    async def play() -> None:
        async with provider(answering) as port, bench(tmp_path, PROVIDER.format(port=port)) as running:
            reader, writer = await running.connect()
            writer.write(request(close=False))
            first = await reader.readuntil(b"{}")
            running.gateway.draining = True
            draining = asyncio.create_task(drain(running.gateway, 30))
            await asyncio.sleep(0.2)  # it has seen that the connection is idle
            writer.write(request(close=False))
            second = await reader.read()
            await draining
            assert b"connection: close" not in first.lower()
            assert second.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in second.lower()

    run(play())


def test_an_answer_that_did_not_say_close_is_not_followed_by_one(tmp_path: Path) -> None:
    """A load balancer may have sent its next request already, as it was told nothing."""
    begun = asyncio.Event()

    async def slow(reader: Reader, writer: Writer) -> None:
        while True:
            await read_request(reader)
            writer.write(STREAM)
            await begun.wait()
            writer.write(b"0\r\n\r\n")

    async def play() -> None:
        async with provider(slow) as port, bench(tmp_path, PROVIDER.format(port=port)) as running:
            reader, writer = await running.connect()
            writer.write(request(close=False))
            first = await reader.readuntil(b"\r\n\r\n")
            running.gateway.draining = True
            draining = asyncio.create_task(drain(running.gateway, 30))
            begun.set()
            assert b"connection: close" not in first.lower()
            assert await reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
            writer.write(request(close=False))
            second = await reader.read()
            await draining
            assert second.startswith(b"HTTP/1.1 200 ")

    run(play())


def test_an_idle_connection_is_closed_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "LINGER_S", 0.1)

    async def play() -> None:
        async with bench(tmp_path, "") as running:
            reader, _ = await running.connect()
            await until(lambda: bool(running.gateway.connections))
            running.gateway.draining = True
            await drain(running.gateway, 30)
            assert await reader.read() == b""
            assert not running.gateway.connections

    run(play())


def test_patience_ends(tmp_path: Path) -> None:
    async def silent(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        await reader.read()

    async def play() -> None:
        async with provider(silent) as port, bench(tmp_path, PROVIDER.format(port=port)) as running:
            _, writer = await running.connect()
            writer.write(request())
            await until(lambda: bool(running.gateway.exchanges))
            running.gateway.draining = True
            await drain(running.gateway, 0.2)
            assert running.gateway.exchanges

    run(play())


def test_a_connection_that_the_kernel_took_is_served(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/meshproxy.db", master_key=bytes(32))
    sockets = bind("127.0.0.1", 0)
    address = sockets[0].getsockname()
    settings = WorkerSettings(sockets=sockets, public_url="http://proxy.test", spool_dir=tmp_path / "spool")

    async def play() -> bytes:
        worker = Worker(settings, load_config("", {}, lambda name: name), store, {})
        await worker.start()
        with socket.create_connection(address) as client:  # the loop has had no chance to accept it
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: proxy\r\n\r\n")
            await worker.close()
            return client.makefile("rb").read()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(play()).startswith(b"HTTP/1.1 200 ")
    store.close()
