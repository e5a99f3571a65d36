"""The shipper's process: all that becomes of usage once it is in the spool, away from the workers' processors.

It moves every worker's segments to the store, counts them for `/metrics`, exports them (OpenTelemetry) and drops old
events. It runs at a lower priority than the workers. Killed at any moment it loses nothing: see `shipper`.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.admin.services import Metric
from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.events.access_log import AccessLog
from meshproxy_cli.proxy.events.observers import ObservedSink, UsageCounters
from meshproxy_cli.proxy.events.retention import Retention
from meshproxy_cli.proxy.events.shipper import Shipper
from meshproxy_cli.proxy.events.telemetry import open_telemetry
from meshproxy_cli.proxy.metrics.peers import WORKERS, Peers
from meshproxy_cli.proxy.ownership.shipper import OwnerShipper, is_shared
from meshproxy_cli.proxy.process.control import Change, Control
from meshproxy_cli.proxy.process.logs import LogOptions, log_as
from meshproxy_cli.proxy.process.report import shipping_families
from meshproxy_cli.proxy.usage.pricing import price_book
from meshproxy_cli.store import open_store
from meshproxy_cli.store.base import Store

NAME = "shipper"
_POLL_S = 0.1
_BUSY_POLL_S = 0.3  # under load: larger batches cost less for each event, and none waits for more than half a second
_MANY = 100
_PUBLISH_S = 1.0
_RECONNECT_S = 1.0
_LAST_TRIES_S = 3.0
_NICE = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingPlan:
    """What the shipper needs to start, as values that reach another process."""

    database_url: str
    config_text: str
    secrets: dict[str, str] = field(repr=False)
    environ: dict[str, str] = field(repr=False)
    spool_dir: Path
    log: LogOptions = field(default_factory=LogOptions)


def shipping_process(line: Connection, plan: ShippingPlan, told: Connection, ours: Connection) -> None:
    """Ship until nobody has the other end of `told` any more: parent and workers are gone, or have let it go.

    `ours` is that other end as it came along with a fork.
    """
    ours.close()
    # A service manager may send SIGTERM to the whole group: usage of answers that still run is to be shipped too.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICE)
    config = load_config(plan.config_text, plan.environ, plan.secrets.__getitem__)
    log_as(config, plan.secrets, plan, NAME)
    line.send(True)  # noqa: FBT003 (any value will do)
    ship(plan, told, line)


def ship(plan: ShippingPlan, told: Connection, line: Connection | None = None) -> None:
    """Ship until `told` says something or is closed, and then what is left; `line` brings a new configuration."""
    latest = _Latest(plan)
    if line is not None:
        Control(line, latest.prepare).start()
    store = _open(plan, told)
    if store is None:
        return
    try:
        latest.begin(store).run(told)
    finally:
        store.close()


def _open(plan: ShippingPlan, told: Connection) -> Store | None:
    """Open the store, however long that takes; None where it is away to the end."""
    while True:
        try:
            return open_store(plan.database_url)
        except MeshproxyError as problem:
            _log.warning("usage stays in the spool for now: %s", problem.message)
        if told.poll(_RECONNECT_S):
            return None


class _Latest:
    """What a new configuration reaches: the plan while the store is waited for, the shipper from then on."""

    def __init__(self, plan: ShippingPlan) -> None:
        self._plan = plan
        self._shipping: Shipping | None = None
        self._lock = threading.Lock()

    def begin(self, store: Store) -> "Shipping":
        """Return the shipper, which goes by the configuration that is in force now."""
        with self._lock:
            self._shipping = Shipping(self._plan, store)
            return self._shipping

    def prepare(self, change: Change) -> Callable[[], None]:
        """Get ready to go by another configuration, and return what takes it over. Raises `MeshproxyError`."""
        with self._lock:
            if self._shipping is not None:
                return self._shipping.prepare(change)
        config = load_config(change.config_text, self._plan.environ, change.secrets.__getitem__)
        price_book(config)

        def take_over() -> None:
            with self._lock:
                self._plan = replace(self._plan, config_text=change.config_text, secrets=change.secrets)
                if self._shipping is not None:  # the store came back meanwhile
                    self._shipping.prepare(change)()
            log_as(config, change.secrets, self._plan, NAME)

        return take_over


class Shipping:
    """The shipper with all that hears of what it has stored."""

    def __init__(self, plan: ShippingPlan, store: Store) -> None:
        config = load_config(plan.config_text, plan.environ, plan.secrets.__getitem__)
        self._directory = plan.spool_dir
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._counters = UsageCounters()
        self._telemetry = open_telemetry(plan.environ)
        self._plan = plan
        self._access = AccessLog(wanted=plan.log.over(config.log).access)
        observers = (self._counters, self._access, *((self._telemetry,) if self._telemetry else ()))
        self._shipper = Shipper(self._directory, ObservedSink(store, observers), price_book(config))
        self._owner_shipper = OwnerShipper(self._directory, store) if is_shared(plan.database_url) else None
        self._retention = Retention(store, config.keep_events_days)
        self._peers = Peers(self._directory / WORKERS, NAME)
        self._pause_s = _POLL_S
        self._ended = threading.Event()
        # In a thread of its own: others must see the numbers too while the store keeps the shipper waiting.
        self._publisher = threading.Thread(target=self._publish, name="meshproxy-metrics", daemon=True)

    def prepare(self, change: Change) -> Callable[[], None]:
        """Get ready to go by another configuration, and return what takes it over. Raises `MeshproxyError`."""
        config = load_config(change.config_text, self._plan.environ, change.secrets.__getitem__)
        prices = price_book(config)

        def take_over() -> None:
            self._shipper.rows.prices = prices
            self._retention.keep_days = config.keep_events_days
            self._access.wanted = self._plan.log.over(config.log).access
            log_as(config, change.secrets, self._plan, NAME)

        return take_over

    def run(self, told: Connection) -> None:
        """Ship until told to end, then what is left."""
        self._retention.start()
        self._publisher.start()
        self._shipper.rows.prices.load()
        while not told.poll(self._pause_s):
            self._try(self._ship_once)
        self._try(lambda: self._shipper.run_to_end(_LAST_TRIES_S))
        self._retention.stop()
        self._ended.set()
        self._publisher.join()
        if self._telemetry is not None:
            self._telemetry.close()
        self._peers.withdraw()

    def _ship_once(self) -> None:
        self._pause_s = _BUSY_POLL_S if self._shipper.run_once() >= _MANY else _POLL_S
        if self._owner_shipper is not None:
            self._owner_shipper.run_once()

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 (whatever it is, the events are safe and the process goes on)
            _log.exception("usage could not be moved to the store; it stays in the spool")
            self._ended.wait(_RECONNECT_S)

    def _publish(self) -> None:
        while not self._ended.wait(_PUBLISH_S):
            try:
                self._peers.publish(self._families, 0)
            except OSError as problem:
                _log.warning("the shipper's metrics can't be shared: %s", problem)

    def _families(self) -> tuple[Metric, ...]:
        return (*shipping_families(self._directory, self._shipper), *self._counters.families())
