"""How a worker stops taking requests so that none is lost, whoever sends them on to it.

A POST that was sent is not sent again by a load balancer, so two moments matter in which one may be on its way: when an
idle connection is closed that a client keeps, and when a listening socket is closed for which the kernel has completed
connections that nobody has accepted.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshproxy_cli.proxy.downstream.connection import ClientConnection
    from meshproxy_cli.proxy.request.gateway import Gateway

LINGER_S = 1.0
_STEP_S = 0.05


def accept_waiting(sockets: Iterable[socket.socket]) -> tuple[socket.socket, ...]:
    """Accept the connections that wait at listening sockets which do not block."""
    accepted: list[socket.socket] = []
    for one in sockets:
        with contextlib.suppress(OSError):  # BlockingIOError: there are no more
            while True:
                connection, _ = one.accept()
                connection.setblocking(False)  # noqa: FBT003 (its only form)
                accepted.append(connection)
    return tuple(accepted)


async def drain(gateway: "Gateway", patience_s: float) -> None:
    """Let everything end that runs, for `patience_s` at most; `gateway.draining` is set.

    A connection that is idle is served for another `LINGER_S`: by then a load balancer has noticed that new connections
    are refused. Each answer says `Connection: close`.
    """
    loop = gateway.loop
    deadline = loop.time() + patience_s
    idle_since: dict[ClientConnection, float] = {}
    while (gateway.connections or gateway.exchanges or gateway.tunnels) and (now := loop.time()) < deadline:
        for tunnel in tuple(gateway.tunnels):
            tunnel.drain()
        for connection in tuple(gateway.connections):
            if not connection.idle:
                idle_since.pop(connection, None)
            elif now - idle_since.setdefault(connection, now) >= LINGER_S:
                connection.close()
        await asyncio.sleep(_STEP_S)
