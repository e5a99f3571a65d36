"""The background thread of a worker: everything that talks to the store, so that the request path never waits for it.

It keeps the directory fresh (within a quarter of a second of a change), and moves usage from the spool to the store.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.directory import Directory, read_directory
from meshproxy_cli.proxy.shipper import Shipper
from meshproxy_cli.store.base import Store

_POLL_S = 0.25
_RECONNECT_S = 1.0
_MIN_REFRESH_S = 0.2
_log = logging.getLogger(__name__)


class Janitor:
    """Runs in a thread of its own; tells the event loop what is new."""

    def __init__(
        self,
        store: Store,
        shipper: Shipper,
        loop: asyncio.AbstractEventLoop,
        use_directory: Callable[[Directory], None],
        chore: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._shipper = shipper
        self._loop = loop
        self._use_directory = use_directory
        self._chore = chore
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._refreshed_at = 0.0
        self._threads = [
            threading.Thread(target=self._watch, name="meshproxy-directory", daemon=True),
            threading.Thread(target=self._ship, name="meshproxy-shipper", daemon=True),
        ]
        self.store_away = False

    def start(self) -> None:
        """Read the directory, which must work, and start; raises `StoreUnavailableError`."""
        self._use_directory(read_directory(self._store))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop, after shipping what is left."""
        self._stop.set()
        self._wanted.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def refresh(self, done: Callable[[], None]) -> None:
        """Read the directory anew, rate-limited, and call `done` in the event loop's thread. Called from there."""
        with self._lock:
            self._callbacks.append(done)
        self._wanted.set()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except MeshproxyError as problem:
                self._away(problem)
                self._answer_callbacks()
                self._stop.wait(_RECONNECT_S)

    def _follow(self) -> None:
        """Watch the feed of changes until it breaks."""
        with self._store.changes() as feed:
            self._refresh()
            while not self._stop.is_set():
                changed = feed.wait(0.0) if self._wanted.wait(0.0) else feed.wait(_POLL_S)
                self.store_away = False
                if self._wanted.is_set():
                    self._wanted.clear()
                    self._stop.wait(max(0.0, self._refreshed_at + _MIN_REFRESH_S - time.monotonic()))
                    changed = True
                if changed:
                    self._refresh()
                self._answer_callbacks()

    def _refresh(self) -> None:
        directory = read_directory(self._store)
        self._refreshed_at = time.monotonic()
        self._call(lambda: self._use_directory(directory))

    def _answer_callbacks(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._call(callback)

    def _ship(self) -> None:
        while not self._stop.wait(_POLL_S):
            self._ship_once()
            self._do_chore()
        self._ship_once()

    def _ship_once(self) -> None:
        try:
            self._shipper.run_once()
        except Exception:  # noqa: BLE001 (whatever it is, the events are safe and the thread goes on)
            _log.exception("usage could not be moved to the store; it stays in the spool")
            self._stop.wait(_RECONNECT_S)

    def _do_chore(self) -> None:
        try:
            self._chore()
        except OSError as problem:
            _log.warning("this worker's metrics can't be shared: %s", problem)

    def _away(self, problem: MeshproxyError) -> None:
        if not self.store_away:
            _log.warning("the store is away (%s); the keys known so far are used", problem.message)
        self.store_away = True

    def _call(self, callback: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)
