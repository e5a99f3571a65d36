"""What the requests of one worker share."""

import asyncio
from collections.abc import Callable

from meshproxy_cli.proxy.config.server import Limits, ServerConfig
from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.core.handler import Connection, OpenTunnel, Sweepable, UnreadAnswer
from meshproxy_cli.proxy.core.routes import Routes
from meshproxy_cli.proxy.core.unexpected import report
from meshproxy_cli.proxy.core.web_app import AppHost
from meshproxy_cli.proxy.events.entry import Entry, Subject
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.refusal_sample import RefusalSample
from meshproxy_cli.proxy.limiting.interface import Limiter
from meshproxy_cli.proxy.metrics.counters import Metrics
from meshproxy_cli.proxy.ownership.lookup import OwnerLookup
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.request.authentication import Authenticator
from meshproxy_cli.proxy.request.authorization import ON_LOOP, Authorizer
from meshproxy_cli.proxy.request.inspector import Inspector
from meshproxy_cli.proxy.upstream.pool import Pool
from meshproxy_cli.proxy.upstream.session_affinity import SessionAffinity
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import Outcome

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
        """Take the parts; `refresh` reads the directory again and calls back. `lookup`: of other machines' ids."""
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
        self.config_version = 0  # of what heads were judged by: the directory and the configuration
        self.authenticator = Authenticator(self.directory)
        self.authenticator.strict_rooms = config.strict_rooms
        self.inspector = Inspector(loop, owners)
        self.authorizer = self._authoriser()
        self.routes = Routes()
        self.affinity = SessionAffinity()
        self.metrics = Metrics()
        self._refusal_sample = RefusalSample()
        self.app: AppHost | None = None
        self.connections: set[Connection] = set()
        self.exchanges: set[Sweepable] = set()
        self.tunnels: set[OpenTunnel] = set()
        self.detached: set[UnreadAnswer] = set()
        self.draining = False
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def may_detach(self) -> bool:
        """Whether one more answer may be read on without a client."""
        drain = self.config.drain
        return drain.wanted and len(self.detached) < drain.most and not self.draining

    def use_config(self, config: ServerConfig) -> None:
        """Go by this configuration from now on; requests that are under way may have begun with another."""
        self.config = config
        self.config_version += 1
        self.limits = config.limits
        self.authenticator.strict_rooms = config.strict_rooms
        self.authenticator.use(self.directory)  # it must not remember whom it let into which room
        self.authorizer = self._authoriser()
        self.pool.use_only(target.address for provider in config.providers for target in provider.targets)

    def _authoriser(self) -> Authorizer:
        return Authorizer(self.owners.owns, self.limits.largest_expanded, self.owners.knows, ON_LOOP)

    def use_directory(self, directory: Directory) -> None:
        """Go by this directory from now on."""
        self.directory = directory
        self.config_version += 1
        self.authenticator.use(directory)

    def record(self, subject: Subject, entry: Entry, reading: Reading | None) -> None:
        """Write an event down, with the reading's numbers where one is given, and count it in the metrics.

        Of many refusals only some are written down.
        """
        if entry.outcome is not Outcome.REFUSED or self._refusal_sample.takes(subject):
            self.ledger.record(subject, entry, reading)
        else:
            self.metrics.unrecorded_refusals += 1
        self.metrics.requests[subject.provider, subject.endpoint, entry.status] += 1
        if entry.ttfb_ms is not None:
            self.metrics.first_byte(entry.ttfb_ms / 1000)

    def start_sweeping(self) -> None:
        """Look at all connections now and then: no request needs a timer of its own."""
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)

    def stop_sweeping(self) -> None:
        """Stop looking, and waiting for answers that nobody reads."""
        for drain in tuple(self.detached):
            drain.give_up()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        now = self.loop.time()
        swept: tuple[Sweepable, ...] = (*self.connections, *self.exchanges, *self.tunnels, *self.detached, self.pool)
        for one in swept:
            try:
                one.sweep(now)
            except Exception as problem:  # noqa: BLE001 (the others are to be looked at all the same)
                report(problem, getattr(one, "request_id", ""))
        self.start_sweeping()
