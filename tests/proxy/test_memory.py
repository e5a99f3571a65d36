"""What slow readers leave unread stays with the provider: the worker does not hold it for them."""

import asyncio
import gc
import hashlib
import os
import socket
from pathlib import Path

from proxy.gateway_server import Bench, bench, provider, read_request, request, run
from proxy.scripted_exchanges import Reader, Writer, openai

SIZE = 32 * 2**20
READERS = 6
BLOCK = bytes(range(256)) * 256
FRAMINGS = {
    "length": (b"Content-Length: %d" % SIZE, BLOCK, b""),
    "chunks": (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK), b"0\r\n\r\n"),
}


def resident() -> int:
    """Return this process's memory in bytes, that of what it maps and shares included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Provider:
    """Sends 32 MiB to everybody who asks, as fast as they are taken; one block of memory serves all."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        while True:
            asked = await read_request(reader)
            framing, block, end = FRAMINGS[asked.fields(b"x-framing")[0].decode()]
            writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
            for _ in range(SIZE // len(BLOCK)):
                writer.write(block)
                await writer.drain()
                self.sent += len(BLOCK)
            writer.write(end)


class SlowReader:
    """A client that asks, reads nothing, and much later all."""

    def __init__(self, running: Bench, framing: str) -> None:
        self._running = running
        self._framing = framing
        self._socket = socket.socket()
        self._loop = asyncio.get_running_loop()

    async def ask(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self._socket.settimeout(0)
        await self._loop.sock_connect(self._socket, ("127.0.0.1", self._running.port))
        await self._loop.sock_sendall(self._socket, request(b'{"model":"gpt-5.4"}', f"X-Framing: {self._framing}"))

    async def read(self) -> bool:
        """Read on to the end; return whether the body is the one that was sent."""
        digest, tail, head = hashlib.sha256(), b"", b""
        while data := await self._loop.sock_recv(self._socket, 2**18):
            if not tail:
                head += data
                _, mark, data = head.partition(b"\r\n\r\n")
                tail = mark
                if not mark:
                    continue
            digest.update(data)
        self._socket.close()
        return digest.digest() == expected(self._framing)


def expected(framing: str) -> bytes:
    _, block, end = FRAMINGS[framing]
    digest = hashlib.sha256()
    for _ in range(SIZE // len(BLOCK)):
        digest.update(block)
    digest.update(end)
    return digest.digest()


async def at_rest(served: Provider) -> None:
    """Wait until nothing is sent any more."""
    before = -1
    while before != served.sent or not served.sent:
        before = served.sent
        await asyncio.sleep(0.4)


def test_slow_readers_cost_no_memory(tmp_path: Path) -> None:
    served = Provider()

    async def whole() -> None:
        async with provider(served) as port, bench(tmp_path, openai(port)) as running:
            readers = [SlowReader(running, framing) for framing in list(FRAMINGS) * (READERS // 2)]
            gc.collect()
            before = resident()
            await asyncio.gather(*(reader.ask() for reader in readers))
            await at_rest(served)
            assert served.sent < SIZE * READERS  # or nobody was slow
            grown = resident() - before
            assert grown < 48 * 2**20, f"{READERS} answers of {SIZE >> 20} MiB took {grown >> 20} MiB"
            buffered = [client.transport.get_write_buffer_size() for client in running.gateway.connections]
            assert len(buffered) == READERS
            assert max(buffered) < 2**20
            assert all(await asyncio.gather(*(reader.read() for reader in readers)))
            assert len(running.ledger.seen) == READERS

    run(whole())
