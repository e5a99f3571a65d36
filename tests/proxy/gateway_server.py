"""A worker's data path on loopback, in this process, before a provider whose every byte the test writes itself."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.downstream.connection import ClientConnection
from meshproxy_cli.proxy.events.entry import Entry, Subject
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.limiting.interface import AdmitAll
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.upstream.connector import ProviderConnector
from meshproxy_cli.proxy.upstream.pool import Pool
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import SigningKey
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

KEY = ApiKey.generate("7c9e6679-7425-40de-944b-e07fc1f90ae7")
PATIENCE_S = 20.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(play: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on the loop that the workers use."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(play, 60))


class SeenLedger(Ledger):
    """Remembers the events that it writes."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(spool)
        self.seen: list[UsageEvent] = []

    def record(self, subject: Subject, entry: Entry, reading: Reading | None = None) -> None:
        super().record(subject, entry, reading)
        self.seen.append(entry.event(subject))


@dataclass
class Asked:
    """A request as the provider got it."""

    head: bytes
    body: bytes

    def fields(self, name: bytes) -> list[bytes]:
        lines = self.head.split(b"\r\n")[1:]
        return [line.partition(b":")[2].strip() for line in lines if line.lower().startswith(name + b":")]


async def read_request(reader: asyncio.StreamReader) -> Asked:
    """Read one request whose body, if any, has a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    asked = Asked(head, b"")
    size = int((asked.fields(b"content-length") or [b"0"])[0])
    asked.body = await reader.readexactly(size)
    return asked


def plain(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    """Return an answer with a length."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Bench:
    """A gateway that listens on `port`, with all that it recorded."""

    gateway: Gateway
    ledger: SeenLedger
    port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = options.pop("host", "127.0.0.1")
        reader, writer = await asyncio.open_connection(host, self.port, limit=2**26, **options)
        self.writers.append(writer)
        return reader, writer

    async def ask(self, data: bytes, **options: Any) -> bytes:
        """Send bytes on a connection of their own, and return all that comes until it ends."""
        reader, writer = await self.connect(**options)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE_S)
        finally:
            writer.close()

    async def event(self, number: int = 1) -> UsageEvent:
        """Return the event of that number once it is written."""
        await until(lambda: len(self.ledger.seen) >= number)
        return self.ledger.seen[number - 1]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def provider(serve: Serve, **options: Any) -> AsyncIterator[int]:
    """Run a provider; return its port."""
    running: set[asyncio.StreamWriter] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        running.discard(writer)
        writer.close()

    server = await asyncio.start_server(guarded, options.pop("host", "127.0.0.1"), 0, limit=2**26, **options)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in tuple(running):
            writer.transport.abort()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def bench(
    directory: Path,
    config: str,
    *,
    environ: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Bench]:
    """Run a gateway with that `server.toml`."""
    loop = asyncio.get_running_loop()
    spool, owners = Spool(directory, 0), Owners(directory, 0)
    ledger = SeenLedger(spool)
    loaded = load_config(config, {}, lambda name: name)
    gateway = Gateway(
        loop=loop,
        config=loaded,
        pool=Pool(ProviderConnector(environ or {}, loaded.limits.connect_s)),
        ledger=ledger,
        limiter=AdmitAll(),
        owners=owners,
        refresh=lambda done: done(),
    )
    gateway.use_directory(Directory(keys={KEY.id: SigningKey(id=KEY.id, project_id=KEY.project_id, secret=KEY.secret)}))
    server = await loop.create_server(lambda: ClientConnection(gateway), host, 0, ssl=tls)
    gateway.start_sweeping()
    running = Bench(gateway, ledger, server.sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.close()
        for writer in running.writers:
            writer.transport.abort()
        gateway.stop_sweeping()
        for connection in tuple(gateway.connections):
            connection.transport.abort()
        await asyncio.sleep(0.05)
        await gateway.pool.close()
        await loop.run_in_executor(None, gateway.inspector.close)
        spool.close()
        owners.close()


def token(room: str = "r", **options: Any) -> str:
    return mint(TokenSpec.for_room("ana", room), KEY, now=int(time.time()), **options)


def request(
    body: bytes = b'{"model":"gpt-5.4"}',
    *fields: str,
    path: str = "/openai/v1/responses",
    method: str = "POST",
    room: str = "r",
    session: str = "s",
    close: bool = True,
    framing: str | None = None,
) -> bytes:
    """Return a good request of a participant in the room."""
    lines = [
        f"{method} /rooms/{room}{path} HTTP/1.1",
        "Host: proxy",
        f"Authorization: Bearer {token(room)}",
        f"Meshagent-Session: {session}",
        *fields,
        *(["Connection: close"] if close else []),
        framing or f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
