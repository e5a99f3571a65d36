"""Connections to providers that are kept for the next request, and how new ones are opened."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import Protocol

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.config.targets import Address
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection

_MAX_IDLE = 128
_MAX_IDLE_S = 50.0  # below the minute after which providers' front ends drop idle connections

Connector = Callable[[Address, Callable[[], UpstreamConnection]], Awaitable[UpstreamConnection]]


class Waiter(Protocol):
    """Who wants a new connection."""

    def upstream_ready(self, connection: UpstreamConnection) -> None:
        """Take a connection that was opened for it; it gives the connection back where it has no use for it."""

    def upstream_failed(self, reason: str) -> None:
        """No connection came about."""


class Pool:
    """Idle connections by address, the latest used first, so that the others age and go."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._idle: dict[Address, list[UpstreamConnection]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._wanted: frozenset[Address] | None = None  # None: all

    def use_only(self, addresses: Iterable[Address]) -> None:
        """Keep connections to these addresses only; those in use to others end once they are idle."""
        self._wanted = frozenset(addresses)
        for address in self._idle.keys() - self._wanted:
            for connection in self._idle.pop(address):
                connection.transport.close()

    def take(self, address: Address) -> UpstreamConnection | None:
        """Return an idle connection, or None."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    def open(self, address: Address, waiter: Waiter) -> None:
        """Open a new connection for `waiter`."""
        task = asyncio.get_running_loop().create_task(self._open(address, waiter))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, address: Address, waiter: Waiter) -> None:
        def give_back(connection: UpstreamConnection) -> None:
            self._keep(address, connection)

        try:
            connection = await self._connector(address, lambda: UpstreamConnection(give_back))
        except (OSError, ValueError, MeshproxyError) as problem:  # timeouts, names that no resolver takes, bad proxies
            waiter.upstream_failed(str(problem) or type(problem).__name__)
            return
        if connection.usable:
            waiter.upstream_ready(connection)
        else:
            waiter.upstream_failed("it ended the connection at once")

    def _keep(self, address: Address, connection: UpstreamConnection) -> None:
        idle = self._idle.get(address)
        if idle is None:
            idle = self._idle[address] = []
        if len(idle) >= _MAX_IDLE or (self._wanted is not None and address not in self._wanted):
            connection.transport.close()
            return
        connection.idle_since = monotonic()
        idle.append(connection)

    def sweep(self, now: float) -> None:
        """Close connections that have been idle for long; `now` is the loop's time."""
        for idle in self._idle.values():
            for connection in [one for one in idle if now - one.idle_since > _MAX_IDLE_S or not one.usable]:
                idle.remove(connection)
                connection.transport.close()

    @property
    def idle_count(self) -> int:
        """How many connections are idle."""
        return sum(map(len, self._idle.values()))

    async def close(self) -> None:
        """Close all, and give up those being opened."""
        for task in tuple(self._opening):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for idle in self._idle.values():
            for connection in idle:
                connection.transport.abort()
        self._idle.clear()
