"""What the connections of one worker share, and how a request finds its handler."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.config.server import Limits, Provider, ServerConfig
from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.core.errors import Refusal, refuse
from meshproxy_cli.proxy.core.routes import (
    AppRoute,
    BadRoute,
    NoRoute,
    ProbeRoute,
    Protocol,
    ProviderRoute,
    Reply,
    Routes,
)
from meshproxy_cli.proxy.downstream.asgi import AppExchange, AppHost
from meshproxy_cli.proxy.downstream.static_answers import LocalAnswer
from meshproxy_cli.proxy.events.entry import Entry, Subject
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.http1.head import AnswerHead, RequestHead
from meshproxy_cli.proxy.limiting.interface import Limiter
from meshproxy_cli.proxy.metrics.counters import Metrics
from meshproxy_cli.proxy.ownership.lookup import OwnerLookup
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.providers import DIALECTS
from meshproxy_cli.proxy.request.authentication import Authenticator
from meshproxy_cli.proxy.request.authorization import Authoriser
from meshproxy_cli.proxy.request.lifecycle import Exchange
from meshproxy_cli.proxy.request.prepared import Prepared
from meshproxy_cli.proxy.request.transforms import Collector, Transform, UsageChunkFilter
from meshproxy_cli.proxy.upstream.pool import Pool
from meshproxy_cli.proxy.upstream.session_affinity import StickySessions
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.records import Room

if TYPE_CHECKING:
    from meshproxy_cli.proxy.core.caller import Caller
    from meshproxy_cli.proxy.core.handler import Handler
    from meshproxy_cli.proxy.downstream.connection import ClientConnection
    from meshproxy_cli.proxy.request.detached_response import Drain
    from meshproxy_cli.proxy.websocket.tunnel import Tunnel

_SWEEP_S = 0.5


class Gateway:
    """One worker's shared state. Everything runs in the event loop's thread."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        config: ServerConfig,
        pool: Pool,
        ledger: Ledger,
        limiter: Limiter,
        owners: Owners,
        refresh: Callable[[Callable[[], None]], None],
        lookup: OwnerLookup | None = None,
    ) -> None:
        """Take the parts; `refresh` reads the directory anew and calls back, soon. `lookup`: of other machines' ids."""
        self.loop = loop
        self.config = config
        self.limits: Limits = config.limits
        self.pool = pool
        self.ledger = ledger
        self.limiter = limiter
        self.owners = owners
        self.lookup = lookup
        self.refresh_directory = refresh
        self.directory = Directory()
        self.generation = 0  # of what heads were judged by: the directory and the configuration
        self.authenticator = Authenticator(self.directory)
        self.authenticator.strict_rooms = config.strict_rooms
        self.authoriser = Authoriser(owners.owns, config.limits.largest_expanded, owners.knows)
        self.routes = Routes()
        self.sticky = StickySessions()
        self.metrics = Metrics()
        self.app: AppHost | None = None
        self.connections: set[ClientConnection] = set()
        self.exchanges: set[Exchange] = set()
        self.tunnels: set[Tunnel] = set()
        self.drains: set[Drain] = set()
        self.draining = False
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def may_drain(self) -> bool:
        """Whether one more answer may be read on without a client."""
        drain = self.config.drain
        return drain.wanted and len(self.drains) < drain.most and not self.draining

    def use_config(self, config: ServerConfig) -> None:
        """Go by this configuration from now on; requests that are under way may have begun with another."""
        self.config = config
        self.generation += 1
        self.limits = config.limits
        self.authenticator.strict_rooms = config.strict_rooms
        self.authenticator.use(self.directory)  # it must not remember whom it let into which room
        self.authoriser = Authoriser(self.owners.owns, config.limits.largest_expanded, self.owners.knows)
        self.pool.use_only(target.address for provider in config.providers for target in provider.targets)

    def use_directory(self, directory: Directory) -> None:
        """Go by this directory from now on."""
        self.directory = directory
        self.generation += 1
        self.authenticator.use(directory)

    def handler_for(self, client: "ClientConnection", head: RequestHead, block: bytes) -> "Handler":
        """Return what deals with a request; `block` are its head's bytes."""
        path = head.target.partition(b"?")[0]
        route = self.routes.match(head.method, path)
        if isinstance(route, ProviderRoute):
            prepared = Prepared(block, head, route)
            if prepared.websocket is not (route.endpoint.websocket and head.method == b"GET"):
                return LocalAnswer.refusing(self, client, head, _UPGRADE, protocol=route.protocol)
            return Exchange(self, client, prepared)
        if isinstance(route, AppRoute) and self.app is not None:
            return AppExchange(self, client, head)
        if isinstance(route, ProbeRoute):
            return LocalAnswer(self, client, head)
        if isinstance(route, BadRoute):
            message = f"Room Proxy: malformed request: {route.reason}."
            return LocalAnswer.refusing(
                self, client, head, Refusal(status=400, code="malformed_request", message=message), close=True
            )
        protocol: Protocol = route.protocol if isinstance(route, NoRoute) else "openai"
        reason = route.reason if isinstance(route, NoRoute) else "there is nothing at this path"
        refusal = Refusal(status=404, code="unknown_path", message=f"Room Proxy: {reason}.")
        return LocalAnswer.refusing(self, client, head, refusal, protocol=protocol)

    def provider_for(self, protocol: Protocol, room: Room | None) -> Provider:
        """Return the provider for a room; raises `RefusedError`."""
        name = room.providers.get(protocol) if room is not None else None
        provider = self.config.provider(protocol, name)
        if provider is None:
            what = f"'{name}'" if name else f"for {protocol}"
            raise refuse(
                503, "no_provider", f"Room Proxy: no provider {what} is configured here. Ask the proxy's admin."
            )
        return provider

    def transform_for(self, exchange: Exchange, head: AnswerHead) -> Transform | None:
        """Return what changes the body of a 200 answer, None where it passes as it is."""
        caller, route = exchange.caller, exchange.route
        if caller is None:
            return None
        if exchange.ask.hides_usage and b"event-stream" in head.value(b"content-type"):
            return UsageChunkFilter()
        reply = route.endpoint.reply
        if reply is Reply.MODELS:
            room = self.directory.room(caller.project_id, caller.room)
            visible = self.authoriser.visible
            return Collector(
                lambda body: DIALECTS[route.protocol].narrow(
                    body, lambda model: visible(caller, room, route.protocol, model)
                )
            )
        if reply is Reply.BATCHES and exchange.head.method != b"POST":
            return Collector(
                lambda body: DIALECTS[route.protocol].narrow(body, lambda ident: self._owns(caller, ident))
            )
        if reply is Reply.BATCHES:
            return Collector(lambda body: self._noting(exchange, body))
        return None

    def _owns(self, caller: "Caller", ident: str) -> bool:
        """Whether a list shows an id; one of another machine from the next time on."""
        if self.lookup is not None and not self.owners.knows(ident):
            self.lookup.ask(ident, lambda _: None)
        return self.owners.owns(caller, ident)

    def _noting(self, exchange: Exchange, body: bytes) -> bytes:
        from meshproxy_cli.proxy.request.json_body import read_document  # noqa: PLC0415 (batches only)

        if exchange.caller is not None:
            self.owners.note(exchange.caller, read_document(body).text("id") or "")
        return body

    def record(self, subject: Subject, entry: Entry, reading: Reading | None) -> None:
        """Write an event down, with the reading's numbers where one is given, and count it in the metrics."""
        self.ledger.record(subject, entry, reading)
        self.metrics.requests[subject.provider, subject.endpoint, entry.status] += 1
        if entry.ttfb_ms is not None:
            self.metrics.first_byte(entry.ttfb_ms / 1000)

    def start_sweeping(self) -> None:
        """Look at all connections now and then: no request needs a timer of its own."""
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)

    def stop_sweeping(self) -> None:
        """Stop looking, and waiting for answers that nobody reads."""
        for drain in tuple(self.drains):
            drain.give_up()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in tuple(self.connections):
            connection.sweep(now)
        for exchange in tuple(self.exchanges):
            exchange.sweep(now)
        for tunnel in tuple(self.tunnels):
            tunnel.sweep(now)
        for drain in tuple(self.drains):
            drain.sweep(now)
        self.pool.sweep(now)
        self.start_sweeping()


_UPGRADE = Refusal(
    status=426,
    code="upgrade_required",
    message="Room Proxy: this endpoint answers POST, or GET with `Upgrade: websocket`.",
    headers=(("upgrade", "websocket"),),
)
