"""One worker: assembles the parts, listens, and ends in order."""

import asyncio
import contextlib
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from meshproxy_cli import __version__
from meshproxy_cli.proxy.admin.services import Health, ProviderSummary, WebServices
from meshproxy_cli.proxy.config.server import ServerConfig
from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.core.web_app import App, AppHost
from meshproxy_cli.proxy.downstream.connection import ClientConnection
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.rescue import Rescue
from meshproxy_cli.proxy.events.spool import Spool, waiting_s
from meshproxy_cli.proxy.limiting.interface import Limiter
from meshproxy_cli.proxy.limiting.limiter import StoreLimiter
from meshproxy_cli.proxy.metrics.families import Metric
from meshproxy_cli.proxy.metrics.peers import WORKERS, Peers
from meshproxy_cli.proxy.ownership.lookup import OwnerLookup
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.process.background import BackgroundWork
from meshproxy_cli.proxy.process.graceful_shutdown import LINGER_S, accept_waiting, drain
from meshproxy_cli.proxy.process.report import metric_families
from meshproxy_cli.proxy.process.supervisor import AT_ONCE, orphaned
from meshproxy_cli.proxy.process.tls import ServerTls
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.upstream.connector import ProviderConnector
from meshproxy_cli.proxy.upstream.pool import Pool
from meshproxy_cli.proxy.usage.pricing import PriceBook, price_book
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.store import Store

_BACKLOG = 4096
_ROTATE_S = 0.2
_LONG_WAIT_S = 30.0
_TAKE_OVER_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is told beyond the configuration. `drain_s`: how long running answers get at the end."""

    sockets: tuple[socket.socket, ...]
    public_url: str
    spool_dir: Path
    worker: int = 0
    drain_s: float = 30.0
    tls: ssl.SSLContext | None = None
    web: bool = True
    shared: bool = False  # other machines may work on the same database
    session_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)  # signs dashboard logins


class Worker:
    """Serves until told to stop."""

    def __init__(
        self,
        settings: WorkerSettings,
        config: ServerConfig,
        store: Store,
        environ: Mapping[str, str],
        *,
        limiter: Limiter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._spool = Spool(settings.spool_dir, settings.worker)
        self._prices = prices or price_book(config)
        self._rescue = Rescue(self._spool, store.events, self._prices)
        self._peers = Peers(settings.spool_dir / WORKERS, settings.worker)
        self._owners = Owners(settings.spool_dir, settings.worker)
        self._connector = ProviderConnector(environ, config.limits.connect_s)
        self._pool = Pool(self._connector)
        self._ledger = Ledger(self._spool)
        self._limiter = limiter or StoreLimiter(store.leases, f"{settings.worker}@{uuid4()}", self._price)
        self._lookup = OwnerLookup(store.owners, self._owners, self._loop) if settings.shared else None
        self.gateway = Gateway(
            loop=self._loop,
            config=config,
            pool=self._pool,
            ledger=self._ledger,
            limiter=self._limiter,
            owners=self._owners,
            refresh=self._refresh,
            lookup=self._lookup,
        )
        self._background = BackgroundWork(
            store, self._loop, self._use_directory, (self._rescue.run, self._publish, self._look_at_spool)
        )
        self._servers: list[asyncio.Server] = []
        self._stopping = asyncio.Event()
        self._rotation: asyncio.TimerHandle | None = None
        self._usage_waits_s = 0.0
        self._tls = ServerTls(settings.tls) if settings.tls is not None else None
        self._started_at = datetime.now(UTC)

    def _price(self, event: UsageEvent) -> UsageEvent:
        return self._prices.price(event)

    def _refresh(self, done: Callable[[], None]) -> None:
        self._background.refresh(done)

    def _use_directory(self, directory: Directory) -> None:
        self.gateway.use_directory(directory)
        self._limiter.update(directory.limits)

    async def start(self) -> None:
        """Read the directory and listen. Raises `StoreUnavailableError`."""
        self._background.start()
        self._limiter.start()
        if self._lookup is not None:
            self._lookup.start()
        if self._settings.web:
            self.gateway.app = AppHost(self._web_app(self.gateway.config))
        tls = self._tls.front if self._tls is not None else None
        for listening in self._settings.sockets:
            server = await self._loop.create_server(
                lambda: ClientConnection(self.gateway), sock=listening, ssl=tls, backlog=_BACKLOG
            )
            self._servers.append(server)
        self.gateway.start_sweeping()
        self._rotate()

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, or SIGTERM or SIGINT; then finish what runs, until `AT_ONCE`. `ready`: it listens."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)
        self._loop.add_signal_handler(AT_ONCE, self.stop_at_once)
        await self.start()
        ready()
        await self._stopping.wait()
        await self.close()

    def stop(self) -> None:
        """Begin to end; once is enough, and more often changes nothing."""
        self._stopping.set()

    def stop_at_once(self) -> None:
        """End, and cut off what runs."""
        self._stopping.set()
        self._drop_all()

    async def close(self) -> None:
        """Stop accepting, let running answers end, close everything."""
        gateway = self.gateway
        gateway.draining = True
        waiting = accept_waiting(self._settings.sockets)
        for server in self._servers:
            server.close()
        await asyncio.gather(*(self._take(one) for one in waiting))
        await drain(gateway, self._settings.drain_s)
        self._drop_all()
        await asyncio.sleep(0)
        gateway.stop_sweeping()
        if gateway.app is not None:
            await gateway.app.close()
        await self._pool.close()
        for server in self._servers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 2)
        await self._loop.run_in_executor(None, gateway.inspector.close)
        await self._loop.run_in_executor(None, self._background.stop)
        await self._loop.run_in_executor(None, self._limiter.stop)
        if self._lookup is not None:
            await self._loop.run_in_executor(None, self._lookup.stop)
        self._peers.withdraw()
        if self._rotation is not None:
            self._rotation.cancel()
        self._spool.close()
        self._owners.close()

    def prepare(self, config: ServerConfig, tls: ssl.SSLContext | None) -> Callable[[], None]:
        """Get ready to go by another configuration, and return what takes it over. Both are called in another thread.

        Answers that run go on with what they began with. Raises `NotFoundError` and `PriceFileError`.
        """
        prices = price_book(config)
        app = self._web_app(config) if self._settings.web else None

        async def take_over() -> None:
            self._prices = self._rescue.prices = prices
            self._connector.timeout_s = config.limits.connect_s
            self.gateway.use_config(config)
            if self._tls is not None and tls is not None:
                self._tls.use(tls)
            if self.gateway.app is not None and app is not None:
                self.gateway.app.app = app

        return lambda: asyncio.run_coroutine_threadsafe(take_over(), self._loop).result(_TAKE_OVER_S)

    def _rotate(self) -> None:
        """Let the shipper have what was spooled, again and again; without a parent, end."""
        self._spool.rotate()
        if orphaned() and not self._stopping.is_set():
            self.stop()
        self._rotation = self._loop.call_later(_ROTATE_S, self._rotate)

    async def _take(self, connection: socket.socket) -> None:
        """Serve a connection that was accepted by hand."""
        tls = self._tls.front if self._tls is not None else None
        with contextlib.suppress(OSError):  # it is gone, or its TLS failed or took too long
            served = self._loop.connect_accepted_socket(lambda: ClientConnection(self.gateway), connection, ssl=tls)
            await asyncio.wait_for(served, LINGER_S)

    def _drop_all(self) -> None:
        for connection in tuple(self.gateway.connections):
            connection.transport.abort()

    def _web_app(self, config: ServerConfig) -> App:
        from meshproxy_cli.proxy.admin.app import create_app  # noqa: PLC0415 (Starlette, only where the web side is on)

        return create_app(
            WebServices(
                store=self._store,
                version=__version__,
                started_at=self._started_at,
                public_url=self._settings.public_url,
                providers=tuple(
                    ProviderSummary(name=p.name, protocol=p.protocol, base_url=p.base_url) for p in config.providers
                ),
                metrics_open=config.open_metrics,
                metrics=lambda: self._peers.merged(self._metrics()),
                streams_open=lambda: self._streams_open() + sum(peer.streams_open for peer in self._peers.others()),
                session_key=self._settings.session_key,
                health=self._health,
                control_changed=lambda: self._background.refresh(lambda: None),
            )
        )

    def _metrics(self) -> tuple[Metric, ...]:
        return metric_families(self.gateway, self._ledger, self._spool)

    def _streams_open(self) -> int:
        return len(self.gateway.exchanges) + len(self.gateway.tunnels)

    def _publish(self) -> None:
        self._peers.publish(self._metrics, self._streams_open())

    def _look_at_spool(self) -> None:
        self._usage_waits_s = waiting_s(self._settings.spool_dir)

    def _health(self) -> Health:
        reasons = []
        if self._background.store_away:
            reasons.append("the store is away")
        if self._spool.in_memory:
            reasons.append("usage is kept in memory: the spool can't be written")
        if self._usage_waits_s > _LONG_WAIT_S:
            reasons.append(f"usage has waited for {self._usage_waits_s:.0f} s to be stored: the log says why")
        return Health(tuple(reasons), ending=self.gateway.draining)
