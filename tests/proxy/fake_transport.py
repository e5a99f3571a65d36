"""The data path without a socket: a gateway between ends of connections that the test holds in its hands.

What it relies on is little: the protocols' callbacks, a transport's methods, and a connector for the pool.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.downstream.connection import ClientConnection
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.limiting.interface import AdmitAll
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.upstream.pool import Pool
from meshproxy_cli.store.records import SigningKey
from proxy.gateway_server import KEY

_QUIET_ROUNDS = 3


class End(asyncio.Transport):
    """One connection's transport, which keeps what is written to it."""

    def __init__(self, rig: "Rig", protocol: Any) -> None:
        super().__init__()
        self._rig = rig
        self.protocol = protocol
        self.written = bytearray()
        self.ended = False  # nothing more is written
        self.closed = False
        self.aborted = False
        self.paused = False
        self.lost = False
        self.coming: deque[bytes] = deque()  # of the other side, as soon as it is wanted
        self.unread = b""  # what the other side has not made sense of yet
        self.tunnelled = False
        rig.ends.append(self)
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._rig.closing.append(self)

    def abort(self) -> None:
        self.aborted = not self.closed
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_reading(self) -> bool:
        return not self.paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    # What the other side does

    def arrive(self) -> bool:
        """Let come the next half of what is to come; whether anything did."""
        before = len(self.coming)
        while len(self.coming) > before // 2 and not self.paused and not self.closed:
            self.protocol.data_received(self.coming.popleft())
        return before != len(self.coming)

    def hang_up(self, problem: Exception | None = None) -> None:
        """Let the other side end the connection."""
        if not self.lost:
            if problem is None and not self.closed:
                self.protocol.eof_received()
            self.closed = self.lost = True
            self.protocol.connection_lost(problem)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = bytes(self.written)
        self.written.clear()
        return data


class Rig:
    """A gateway and the connections to its provider."""

    def __init__(self, directory: Path, config: str) -> None:
        loop = asyncio.get_running_loop()
        self.failures: list[str] = []
        loop.set_exception_handler(lambda _, context: self.failures.append(str(context)))
        self.closing: list[End] = []
        self.ends: list[End] = []
        self.unreachable = 0  # how many connections to the provider fail from now on
        self.upstreams: list[End] = []
        self.provider: Callable[[End], bool] = lambda _: False  # looks at what was written; whether there was anything
        self._opened = False  # a connection to the provider, or tried to, since the last look
        self._directory = directory
        self._spool, self._owners = Spool(directory, 0), Owners(directory, 0)
        self.gateway = Gateway(
            loop=loop,
            config=load_config(config, {}, lambda name: name),
            pool=Pool(self._connect),
            ledger=Ledger(self._spool),
            limiter=AdmitAll(),
            owners=self._owners,
            refresh=self._refresh,
        )
        key = SigningKey(id=KEY.id, project_id=KEY.project_id, secret=KEY.secret)
        self.gateway.use_directory(Directory(keys={KEY.id: key}))

    def _refresh(self, done: Callable[[], None]) -> None:
        self.gateway.loop.call_soon(done)

    async def _connect(self, _address: Any, factory: Callable[[], Any]) -> Any:
        self._opened = True
        if self.unreachable:
            self.unreachable -= 1
            raise OSError("nobody is there")
        connection = factory()
        end = End(self, connection)
        self.upstreams.append(end)
        return connection

    def client(self) -> End:
        """Return a new connection of a client."""
        return End(self, ClientConnection(self.gateway))

    @property
    def events(self) -> int:
        """How many usage events were written."""
        return self.gateway.ledger.counters.events

    def _step(self) -> bool:
        moved, self._opened = self._opened, False
        while self.closing:
            moved = True
            end = self.closing.pop()
            if not end.lost:
                end.lost = True
                end.protocol.connection_lost(None)
        self.ends.reverse()  # either side may be the first
        for end in tuple(self.ends):
            moved = end.arrive() or moved
        for end in self.upstreams:
            moved = self.provider(end) or moved
        if any(end.lost for end in self.ends):
            self.ends = [end for end in self.ends if not end.lost]
            self.upstreams = [end for end in self.upstreams if not end.lost]
        return moved

    async def settle(self) -> None:
        """Let everything happen that is under way."""
        quiet = 0
        while quiet < _QUIET_ROUNDS:
            quiet = 0 if self._step() else quiet + 1
            await asyncio.sleep(0)

    def left(self) -> dict[str, int]:
        """Return how much of everything there still is."""
        gateway = self.gateway
        return {
            "connections": len(gateway.connections), "exchanges": len(gateway.exchanges),
            "tunnels": len(gateway.tunnels), "drains": len(gateway.detached),
        }  # fmt: skip

    async def close(self) -> None:
        """End it all; nothing may be left."""
        await self.settle()
        await self.gateway.pool.close()
        await self.settle()
        self._spool.close()
        self._owners.close()
        for path in self._directory.iterdir():
            path.unlink()
