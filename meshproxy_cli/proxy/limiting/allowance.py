"""What one worker holds of one limit in one window of time, and whether a request may go on with it."""

import enum
import math
from dataclasses import dataclass, field

from meshproxy_cli.store.leases import NO_WINDOW, Counter, LeaseAnswer, LeaseRequest, fair
from meshproxy_cli.store.records import BUDGETS, LimitKind

_SECOND = 1_000_000
_RENEWED_AFTER = 5 * _SECOND
_ASKED_AGAIN_AFTER = _SECOND // 4
_FORGOTTEN_AFTER = 60 * _SECOND
#: Of these a request's share is only estimated before it is over.
ESTIMATED = BUDGETS | {LimitKind.TOKENS_PER_MINUTE}


class Verdict(enum.Enum):
    """What an allowance says to a request."""

    YES = enum.auto()
    ASK = enum.auto()  # the store has to be asked
    NO = enum.auto()


@dataclass(slots=True, eq=False)
class Allowance:
    """Units that may be used (`spare`), are reserved by running requests (`in_flight`), or are used but not yet told.

    Times are microseconds since 1970. Not safe for threads by itself: the limiter holds its lock.
    """

    counter: Counter
    window_start: int
    window_end: int
    amount: int
    hard: bool
    spare: int = 0
    in_flight: int = 0
    unreported: int = 0  # used for good since the store was last told
    needed: int = 0  # by requests that wait
    others: int = 0
    spent: int = 0  # by everybody, as the store last said
    left: int = 0  # what nobody holds, as the store last said
    known: bool = False  # the store has answered at least once
    offline: bool = False  # its last answer failed
    refusing_until: int = 0
    changed: bool = False  # the limit is another one since the store last heard of it
    warned: bool = False  # that a soft limit is used up
    _demand: float = field(default=0.0, repr=False)  # units a second
    _used: int = field(default=0, repr=False)
    _looked_at: int = field(default=0, repr=False)
    _told_at: int = field(default=0, repr=False)
    _used_at: int = field(default=0, repr=False)
    _sent: LeaseRequest | None = field(default=None, repr=False)
    _spare_then: int = field(default=0, repr=False)
    # Looked at for each request: hashing a member of an enum costs more than all the rest.
    budget: bool = field(init=False, repr=False)
    estimated: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.budget = self.counter.kind in BUDGETS
        self.estimated = self.counter.kind in ESTIMATED

    def change(self, amount: int, *, hard: bool) -> None:
        """Go by another limit: the store is asked again what may be held of it, whoever uses it."""
        self.changed = self.changed or (amount, hard) != (self.amount, self.hard)
        self.amount, self.hard, self.refusing_until = amount, hard, 0

    def ask(self, units: int, now: int) -> Verdict:
        """Whether a request for that many units may go on."""
        self._used_at = now
        if not self.hard or self.spare >= units:
            return Verdict.YES
        if self.offline:
            used = self.spent + self.unreported + self.in_flight
            return Verdict.YES if used + units <= self.amount else Verdict.NO
        if self._last_one():
            return Verdict.YES
        return Verdict.NO if now < self.refusing_until else Verdict.ASK

    def _last_one(self) -> bool:
        # An estimate may be larger than what is left: one request at a time still goes on.
        alone = self.others == 0 and self.in_flight == 0
        return self.estimated and self.spare > 0 and alone

    def take(self, units: int) -> int:
        """Reserve units for a request that goes on and return how many that were."""
        self._used += units
        if self.counter.kind is LimitKind.REQUESTS_PER_MINUTE:
            self.unreported += units
            self.spare -= units
            return 0
        if self.hard and not self.offline:
            units = min(units, max(self.spare, 0))
        self.in_flight += units
        self.spare -= units
        return units

    def settle(self, reserved: int, used: int) -> None:
        """Give back what a request reserved, and count what it used; streams are only given back."""
        self.in_flight -= reserved
        self.spare += reserved
        if self.estimated:
            self.spare -= used
            self.unreported += used

    def exceeded(self) -> bool:
        """Whether everything is used up, as far as this worker knows."""
        if self.counter.kind is LimitKind.CONCURRENT_STREAMS:
            return self.others + self.in_flight >= self.amount
        return self.spent + self.unreported >= self.amount

    def message_to_store(self, now: int) -> LeaseRequest | None:
        """Return what the store is to be told and asked now; None where there is nothing, or an answer is to come."""
        if self._sent is not None:
            return None
        self._note_demand(now)
        wanted = self.needed + self._wanted(now)
        due = self._held() and (self.changed or now - self._told_at >= _RENEWED_AFTER)
        if not (self.unreported or self.needed or due or self._too_much(wanted) or self._too_little(wanted)):
            return None
        # What is given back must not be used meanwhile; all else goes on being held, whatever the others ask for.
        self.spare = min(self.spare, max(wanted, 0), max(self.needed, fair(self.left + max(self.spare, 0))))
        self._sent = LeaseRequest(
            counter=self.counter,
            window_start=self.window_start,
            window_end=self.window_end,
            amount=self.amount if self.hard else None,
            spent=self.unreported,
            in_flight=self.in_flight,
            needed=self.needed,
            wanted=wanted,
            kept=max(self.spare, 0),
        )
        self._spare_then = self.spare
        self.changed = False
        return self._sent

    def apply_response(self, answer: LeaseAnswer, now: int) -> None:
        """Take the store's answer to what `message_to_store` said; requests went on meanwhile."""
        if self._sent is None:
            return
        self.spare += answer.spare - self._spare_then
        self.unreported -= self._sent.spent
        self.spent, self.others, self.left = answer.spent, answer.others, answer.left
        self.known, self.offline, self._told_at, self._sent = True, False, now, None

    def refuse_for_now(self, now: int) -> None:
        """Decide without the store until it may have changed its mind."""
        used_up = self.window_start != NO_WINDOW and self.spent >= self.amount
        self.refusing_until = self.window_end if used_up else now + _ASKED_AGAIN_AFTER

    def mark_failed(self) -> None:
        """Go on without an answer, counting only what this worker knows."""
        self._sent = None
        self.offline = True

    def over(self, now: int) -> bool:
        """Whether it can be forgotten."""
        quiet = self.in_flight == 0 and self.unreported == 0 and self.needed == 0
        if self.window_start == NO_WINDOW:
            return quiet and self._sent is None and self.spare <= 0 and now - self._used_at > _FORGOTTEN_AFTER
        return quiet and self._sent is None and now >= self.window_end

    def _held(self) -> int:
        return self.in_flight + max(self.spare, 0)

    def _note_demand(self, now: int) -> None:
        elapsed = max(now - self._looked_at, 1) / _SECOND
        weight = 1 - math.exp(-elapsed / 0.5)
        self._demand += weight * (self._used / elapsed - self._demand) if self._looked_at else 0.0
        self._looked_at, self._used = now, 0

    def _wanted(self, now: int) -> int:
        """Return what a second of the present traffic uses."""
        if not self.hard or now >= self.window_end or now < self.refusing_until:
            return 0
        return int(self._demand)

    def _too_much(self, wanted: int) -> bool:
        return self.hard and self.spare > 2 * wanted

    def _too_little(self, wanted: int) -> bool:
        return self.hard and self.spare < wanted // 2
