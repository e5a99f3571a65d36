"""The limiter: decides in memory, and keeps its leases with the store in a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.allowance import Allowance
from meshproxy_cli.proxy.limiting.decide import PATIENCE_S, Decision, Waiting, decide, give_up, units_of
from meshproxy_cli.proxy.limiting.estimates import NOTHING, Estimator, unmetered, used_picodollars, used_tokens
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission, Pending, is_free
from meshproxy_cli.proxy.limiting.lease_client import LeaseClient
from meshproxy_cli.proxy.limiting.messages import describe
from meshproxy_cli.proxy.limiting.scopes import LimitTable, units
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.leases import Counter, LeaseRequest, window_end, window_start
from meshproxy_cli.store.parts.leases import Leases
from meshproxy_cli.store.records import Limit

_log = logging.getLogger(__name__)
_SYNC_S = 0.2
_RETRY_S = 0.02  # for requests that wait for what other workers give back
_STORE_S = 0.9  # how long the store is waited for; what it says later is heard later
_AT_ONCE = 200
_CALLERS = 10_000


class StoreLimiter:
    """Implements `limits.Limiter` for one worker, whose name is `holder`. `price` sets an event's cost.

    `admit`, `settle` and `abandon` never wait for the store. While it is away, each worker holds the limits by what it
    knows itself.
    """

    def __init__(
        self,
        store: Leases,
        holder: str,
        price: Callable[[UsageEvent], UsageEvent],
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._line = LeaseClient(store, holder)
        self._price = price
        self._clock = clock
        self._offset = 0  # of the database's clock to ours
        self._table = LimitTable()
        self._estimator = Estimator()
        self._lock = threading.Lock()
        self._allowances: dict[tuple[str, int], Allowance] = {}
        self._by_caller: dict[tuple[str, str, str, str], tuple[int, tuple[Allowance, ...]]] = {}
        self._waiting: list[Waiting] = []
        self._settled: list[tuple[Admission, UsageEvent]] = []
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the threads that keep the leases."""
        self._line.start()
        self._thread = threading.Thread(target=self._run, name="meshproxy-limits", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Settle what is open with the store and end the thread; requests that wait are let through."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def update(self, limits: Iterable[Limit]) -> None:
        """Use these limits from now on."""
        with self._lock:
            self._table = LimitTable(limits)
            self._by_caller.clear()
            for allowance in self._allowances.values():
                limit = self._table.for_counter(allowance.counter)
                amount = units(limit) if limit is not None else allowance.amount
                allowance.change(amount, hard=limit is not None and limit.hard)
        self._wake.set()

    def admit(
        self,
        caller: Caller,
        protocol: str,  # noqa: ARG002 (part of the interface)
        endpoint: str,
        request_bytes: int,
        model: str,
    ) -> Admission | ProxyError | Pending:
        """Decide about a request (see `limits.Limiter`)."""
        if not self._table or is_free(endpoint):
            return ADMITTED
        with self._lock:
            now = self._now()
            allowances = self._applicable(caller, now)
            if not allowances:
                return ADMITTED
            guess = any(allowance.estimated for allowance in allowances)
            estimate = self._estimator.estimate(model, request_bytes) if guess else NOTHING
            decision = decide(allowances, estimate, now)
            if decision is not None:
                return decision
            waiting = Waiting(caller, allowances, estimate, time.monotonic() + PATIENCE_S, Pending())
            self._waiting.append(waiting)
        self._wake.set()
        return waiting.future

    def settle(self, admission: Admission, event: UsageEvent) -> None:
        """Give back what was reserved and count what was really used; budgets once the event is priced."""
        if not admission.holds:
            return
        used = used_tokens(event)
        unknown = unmetered(event)
        with self._lock:
            for hold in admission.holds:
                if not hold.allowance.budget:
                    hold.allowance.settle(hold.reserved, hold.reserved if unknown else used)
            if admission.holds[0].estimate is not NOTHING:
                self._settled.append((admission, event))

    def abandon(self, pending: Pending) -> None:
        """Give up waiting; an admission that comes of it after all is given back."""
        pending.cancel()
        with self._lock:
            self._waiting = [waiting for waiting in self._waiting if waiting.future is not pending]
        if not pending.cancelled():
            self._give_back(pending.result())

    def _give_back(self, decision: Decision) -> None:
        if isinstance(decision, ProxyError):
            return
        with self._lock:
            for hold in decision.holds:
                hold.allowance.settle(hold.reserved, 0)

    def _now(self) -> int:
        return self._clock() + self._offset

    def _applicable(self, caller: Caller, now: int) -> tuple[Allowance, ...]:
        who = (caller.project_id, caller.room, caller.session, caller.participant)
        valid_until, allowances = self._by_caller.get(who, (0, ()))
        if now < valid_until:
            return allowances
        allowances = tuple(self._allowance(counter, limit, now) for counter, limit in self._table.applicable(caller))
        if len(self._by_caller) >= _CALLERS:
            self._by_caller.clear()
        valid_until = min((allowance.window_end for allowance in allowances), default=now + 60_000_000)
        self._by_caller[who] = (valid_until, allowances)
        return allowances

    def _allowance(self, counter: Counter, limit: Limit, now: int) -> Allowance:
        start = window_start(counter.kind, now)
        key = (counter.key, start)
        if key not in self._allowances:
            end = window_end(counter.kind, start)
            self._allowances[key] = Allowance(counter, start, end, units(limit), limit.hard)
        return self._allowances[key]

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_RETRY_S if self._waiting else _SYNC_S)
            self._wake.clear()
            self.sync()
        self._let_go()

    def sync(self) -> None:
        """Tell the store what was used, fetch leases, and decide about the requests that wait."""
        self._count_budgets()
        if not self._line.busy:
            with self._lock:
                messages = self._messages()
            for start in range(0, len(messages), _AT_ONCE):
                self._line.send(messages[start : start + _AT_ONCE])
                if not self._receive():
                    self._unsent(messages[start + _AT_ONCE :])
                    break
        else:
            self._receive()
        with self._lock:
            decided = self._decide_waiting()
        for waiting, decision in decided:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_result(decision)
            else:
                self._give_back(decision)

    def _count_budgets(self) -> None:
        with self._lock:
            settled, self._settled = self._settled, []
        for admission, event in settled:
            priced = self._price(event)
            with self._lock:
                for hold in admission.holds:
                    if hold.allowance.budget:
                        hold.allowance.settle(hold.reserved, used_picodollars(priced, hold.reserved))
                self._estimator.learn(admission.holds[0].estimate, priced)

    def _messages(self) -> Sequence[tuple[Allowance, LeaseRequest]]:
        now = self._now()
        for allowance in self._allowances.values():
            allowance.needed = 0
        for waiting in self._waiting:
            # Again: a window may have ended, or a limit changed, since it came.
            waiting.allowances = self._applicable(waiting.caller, now)
            waiting.asked = True
            for allowance in waiting.allowances:
                if allowance.hard:
                    allowance.needed += units_of(allowance, waiting.estimate)
        gone = [key for key, allowance in self._allowances.items() if allowance.over(now)]
        for key in gone:
            del self._allowances[key]
        if gone:
            self._by_caller.clear()
        messages = [(allowance, allowance.message_to_store(now)) for allowance in self._allowances.values()]
        return [(allowance, message) for allowance, message in messages if message is not None]

    def _receive(self) -> bool:
        """Take the store's reply and return True, or False where it is late."""
        reply = self._line.receive(_STORE_S)
        with self._lock:
            if reply is None or reply.answers is None:
                for allowance in self._allowances.values():
                    allowance.offline = True
            if reply is None:
                return False
            if reply.answers is None:
                for allowance, _ in reply.messages:
                    allowance.mark_failed()
                return True
            self._offset = reply.now - self._clock()
            for (allowance, _), answer in zip(reply.messages, reply.answers, strict=True):
                allowance.apply_response(answer, self._now())
                _warn_once(allowance)
            return True

    def _unsent(self, messages: Sequence[tuple[Allowance, LeaseRequest]]) -> None:
        """Take back what did not go out, to be said again once the reply that is late has come."""
        with self._lock:
            for allowance, _ in messages:
                allowance.mark_failed()

    def _decide_waiting(self) -> list[tuple[Waiting, Decision]]:
        now = self._now()
        decided: list[tuple[Waiting, Decision]] = []
        still: list[Waiting] = []
        for waiting in self._waiting:
            decision = decide(waiting.allowances, waiting.estimate, now) or give_up(waiting, now)
            if decision is None:
                still.append(waiting)
            else:
                decided.append((waiting, decision))
        self._waiting = still
        return decided

    def _let_go(self) -> None:
        """Tell the store the rest, and give every lease back."""
        with self._lock:
            for allowance in self._allowances.values():
                allowance.refusing_until = allowance.window_end
        self.sync()
        self._line.stop(_STORE_S)
        with self._lock:
            left, self._waiting = self._waiting, []
        for waiting in left:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_result(ADMITTED)


def _warn_once(allowance: Allowance) -> None:
    """Log that a soft limit is used up, once in each of its windows."""
    if not allowance.hard and not allowance.warned and allowance.exceeded():
        allowance.warned = True
        _log.warning("%s Nothing is refused: it only warns.", describe(allowance))
