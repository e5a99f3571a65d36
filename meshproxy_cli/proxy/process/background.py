"""The background threads of a worker: what talks to the store, so that the request path never waits for it.

One keeps the directory fresh (within a quarter of a second of a change), one does the worker's chores.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.core.directory import Directory, read_directory
from meshproxy_cli.store.store import Store

_POLL_S = 0.25
_RECONNECT_S = 1.0
_MIN_REFRESH_S = 0.2
_SILENT_S = 5.0
_log = logging.getLogger(__name__)


class BackgroundWork:
    """Runs in threads of its own; tells the event loop what is new."""

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        use_directory: Callable[[Directory], None],
        chores: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Take the loop, whose thread gets each new directory, and `chores`, to be done a few times a second."""
        self._store = store
        self._loop = loop
        self._use_directory = use_directory
        self._chores = chores
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._refreshed_at = 0.0
        self._threads = [
            threading.Thread(target=self._watch, name="meshproxy-directory", daemon=True),
            threading.Thread(target=self.run_maintenance, name="meshproxy-chores", daemon=True),
        ]
        self._store_failed = False
        self._heard_at = time.monotonic()

    @property
    def store_away(self) -> bool:
        """Whether the store can't be reached, or has not answered for a while."""
        return self._store_failed or time.monotonic() - self._heard_at > _SILENT_S

    def start(self) -> None:
        """Read the directory, which must work, and start; raises `StoreUnavailableError`."""
        self._use_directory(read_directory(self._store))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop, after doing the chores once more."""
        self._stop.set()
        self._wanted.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def refresh(self, done: Callable[[], None]) -> None:
        """Read the directory again, rate-limited, and call `done` in the event loop's thread. Called from there."""
        with self._lock:
            self._callbacks.append(done)
        self._wanted.set()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception as problem:  # noqa: BLE001 (without this thread a revoked key would work for ever)
                self._away(problem)
                self._answer_callbacks()
                self._stop.wait(_RECONNECT_S)

    def _follow(self) -> None:
        """Watch the feed of changes until it breaks."""
        with self._store.changes.follow() as feed:
            self._refresh()
            while not self._stop.is_set():
                changed = feed.wait(0.0) if self._wanted.wait(0.0) else feed.wait(_POLL_S)
                self._store_failed, self._heard_at = False, time.monotonic()
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

    def run_maintenance(self) -> None:
        ended = False
        while not ended:
            ended = self._stop.wait(_POLL_S)
            for chore in self._chores:
                try:
                    chore()
                except Exception:  # noqa: BLE001 (logged with its traceback; the next one is to be done all the same)
                    _log.exception("a chore of this worker failed")

    def _away(self, problem: Exception) -> None:
        if not self._store_failed:
            expected = isinstance(problem, MeshproxyError)
            why = problem.message if isinstance(problem, MeshproxyError) else type(problem).__name__
            _log.warning(
                "the store is away (%s); the keys known so far are used", why, exc_info=None if expected else problem
            )
        self._store_failed = True

    def _call(self, callback: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)
