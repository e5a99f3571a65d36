"""Drops what is old: events beyond the days that the configuration keeps them, and whose answers were whose.

Sums stay for ever.
"""

import logging
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.store.base import Store

_log = logging.getLogger(__name__)
_EVERY_S = 3600.0
_OWNERS_KEPT = timedelta(days=40)  # OpenAI keeps responses for 30 days, Anthropic batches for 29


class Retention:
    """Prunes every hour, in a thread of its own; `keep_days` may change, None drops nothing.

    Every machine does: whoever comes first leaves the others nothing.
    """

    def __init__(
        self, store: Store, keep_days: int | None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self.keep_days = keep_days
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meshproxy-retention", daemon=True)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what was begun goes on where this process lives on."""
        self._stop.set()

    def prune(self) -> int:
        """Drop what is too old and return how many events that were."""
        days = self.keep_days
        if days is None:
            return 0
        try:
            dropped = self._store.prune_events(self._clock() - timedelta(days=days))
        except MeshproxyError as problem:
            _log.warning("old usage events stay for now: %s", problem.message)
            return 0
        if dropped:
            _log.info("dropped %d usage events older than %d days", dropped, days)
        return dropped

    def prune_owners(self) -> int:
        """Forget whose old answers are and return how many that were."""
        try:
            return self._store.prune_owners(self._clock() - _OWNERS_KEPT)
        except MeshproxyError as problem:
            _log.warning("whose old answers are stays for now: %s", problem.message)
            return 0

    def _run(self) -> None:
        # Workers and machines that start together should not all prune at the same moment.
        while not self._stop.wait(_EVERY_S * random.uniform(0.01, 1)):  # noqa: S311 (spreads load, hides nothing)
            self.prune()
            self.prune_owners()
