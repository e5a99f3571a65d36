"""The line to the store: one exchange at a time, in a thread of its own: a store that hangs holds up nothing."""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.limiting.allowance import Allowance
from meshproxy_cli.store.leases import LeaseAnswer, LeaseRequest
from meshproxy_cli.store.parts.leases import Leases

_log = logging.getLogger(__name__)
_EXPIRE_S = 5.0

Messages = Sequence[tuple[Allowance, LeaseRequest]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of an exchange: `answers` in the order of `messages`, or None where the store could not be reached.

    `now` is the database's time in microseconds.
    """

    messages: Messages
    now: int = 0
    answers: tuple[LeaseAnswer, ...] | None = None


class LeaseClient:
    """Sends messages and receives the reply, which may come much later."""

    def __init__(self, store: Leases, holder: str) -> None:
        self._store = store
        self._holder = holder
        self._outgoing: queue.SimpleQueue[Messages | None] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._reachable = True
        self._expire_at = 0.0
        self.busy = False  # a reply is still to come
        self._thread = threading.Thread(target=self._serve, name="meshproxy-limits-store", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread once it is done with what was sent."""
        self._outgoing.put(None)
        self._thread.join(timeout_s)

    def send(self, messages: Messages) -> None:
        """Begin an exchange; not while one is under way."""
        self.busy = True
        self._outgoing.put(messages)

    def receive(self, timeout_s: float) -> Reply | None:
        """Wait for the reply; None where it has not come yet."""
        try:
            reply = self._incoming.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self.busy = False
        return reply

    def _serve(self) -> None:
        self._exchange(())  # opens the connection before a request waits for it
        while (messages := self._outgoing.get()) is not None:
            reply = self._exchange(messages)
            self._incoming.put(reply)
            if reply.answers is not None and time.monotonic() >= self._expire_at:
                self._expire()

    def _exchange(self, messages: Messages) -> Reply:
        try:
            now, answers = self._store.exchange(self._holder, [message for _, message in messages])
        except MeshproxyError as problem:
            if self._reachable:
                _log.warning("limits are held by each worker alone for now: %s", problem.message)
            self._reachable = False
            return Reply(messages)
        except Exception:  # noqa: BLE001 (whatever it was: a limiter that dies would hold up every request)
            _log.exception("limits are held by each worker alone for now")
            return Reply(messages)
        if not self._reachable:
            _log.warning("limits are held by all workers together again")
        self._reachable = True
        return Reply(messages, now, answers)

    def _expire(self) -> None:
        self._expire_at = time.monotonic() + _EXPIRE_S
        try:
            self._store.expire()
        except MeshproxyError as problem:
            _log.warning("leases of dead workers stay for now: %s", problem.message)
