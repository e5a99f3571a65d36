"""Drops what is old: events beyond the days that the configuration keeps them, and whose answers were whose.

Sums stay for ever.
"""

import logging
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.store.store import Store

_log = logging.getLogger(__name__)
_EVERY_S = 3600.0
DEFAULT_KEEP_DAYS = 400
_NOTICE = "drop-old-events"
_NOTICE_PERIOD = timedelta(days=7)
_OWNERS_KEPT = timedelta(days=40)  # OpenAI keeps responses for 30 days, Anthropic batches for 29


class Retention:
    """Prunes every hour, in a thread of its own; `keep_days` may change, None is the default.

    A server without the setting, which dropped nothing before 0.2.0, announces a week ahead what it will drop first.

    Every machine does: whoever comes first leaves the others nothing.
    """

    def __init__(
        self, store: Store, keep_days: int | None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self.keep_days = keep_days
        self._clock = clock
        self._stop = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._run, name="meshproxy-retention", daemon=True)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what was begun goes on where this process lives on."""
        self._stop.set()

    def prune(self) -> int:
        """Drop what is too old and return how many events that were."""
        days = DEFAULT_KEEP_DAYS if self.keep_days is None else self.keep_days
        before = self._clock() - timedelta(days=days)
        try:
            if self.keep_days is None and not self._announced(before):
                return 0
            dropped = self._store.events.prune(before)
        except MeshproxyError as problem:
            _log.warning("old usage events stay for now: %s", problem.message)
            return 0
        if dropped:
            _log.info("dropped %d usage events older than %d days", dropped, days)
        return dropped

    def _announced(self, before: datetime) -> bool:
        """Return whether the host was told long enough ago that old events go, and tell it while that is not so."""
        if not self._store.events.list(UsageQuery(until=before), limit=1):
            return False
        now = self._clock()
        due = self._store.notices.announce(_NOTICE, now) + _NOTICE_PERIOD
        if now < due and not self._warned:
            self._warned = True
            _log.warning(
                "usage events older than %d days will be dropped from %s on; sums stay. To keep them longer, set "
                "keep_days under [usage] in server.toml (36500 keeps all)",
                DEFAULT_KEEP_DAYS,
                f"{due:%Y-%m-%d %H:%M} UTC",
            )
        return now >= due

    def prune_owners(self) -> int:
        """Forget whose old answers are and return how many that were."""
        try:
            return self._store.owners.prune(self._clock() - _OWNERS_KEPT)
        except MeshproxyError as problem:
            _log.warning("whose old answers are stays for now: %s", problem.message)
            return 0

    def _run(self) -> None:
        # Workers and machines that start together should not all prune at the same moment.
        while not self._stop.wait(_EVERY_S * random.uniform(0.01, 1)):  # noqa: S311 (spreads load, hides nothing)
            self.prune()
            self.prune_owners()
