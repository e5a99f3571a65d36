"""Connections to providers that are kept, and those that nobody wants any more."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from meshproxy_cli.proxy.config.targets import Address
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection
from meshproxy_cli.proxy.upstream.connector import ProviderConnector
from meshproxy_cli.proxy.upstream.pool import Pool

OPENAI = Address("echo", 0, tls=False, echo="openai")
ANTHROPIC = Address("echo", 0, tls=False, echo="anthropic")


class Waiter:
    """Waits for one connection."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[UpstreamConnection] = asyncio.get_running_loop().create_future()

    def upstream_ready(self, connection: UpstreamConnection) -> None:
        self.ready.set_result(connection)

    def upstream_failed(self, reason: str) -> None:
        self.ready.set_exception(ConnectionError(reason))


async def opened(pool: Pool, address: Address) -> UpstreamConnection:
    waiter = Waiter()
    pool.open(address, waiter)
    return await waiter.ready


def test_only_connections_that_are_wanted_are_kept() -> None:
    async def run() -> None:
        pool = Pool(ProviderConnector({}, 5.0))
        idle, busy, other = [await opened(pool, address) for address in (OPENAI, OPENAI, ANTHROPIC)]
        pool._keep(OPENAI, idle)
        pool._keep(ANTHROPIC, other)
        assert pool.idle_count == 2
        pool.use_only([ANTHROPIC])
        assert idle.transport.is_closing()
        assert not busy.transport.is_closing(), "an answer may be coming through it"
        assert pool.take(OPENAI) is None
        assert pool.take(ANTHROPIC) is other
        pool._keep(OPENAI, busy)
        assert busy.transport.is_closing(), "it is idle now"
        pool.use_only([OPENAI, ANTHROPIC])
        again = await opened(pool, OPENAI)
        pool._keep(OPENAI, again)
        assert pool.take(OPENAI) is again
        for connection in (again, other):
            connection.transport.abort()
        await pool.close()
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_a_connection_that_has_ended_already_is_none() -> None:
    connect = ProviderConnector({}, 5.0)

    async def ended(address: Address, factory: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        connection = await connect(address, factory)
        connection.transport.abort()
        await asyncio.sleep(0.01)
        return connection

    async def run() -> None:
        pool = Pool(ended)
        with pytest.raises(ConnectionError, match="at once"):
            await asyncio.wait_for(opened(pool, OPENAI), 20)
        await pool.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
