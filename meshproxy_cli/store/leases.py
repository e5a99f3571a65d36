"""Leases: portions of limits that a worker holds so that it can decide in memory.

A counter has, for each window of time, what is `spent` for good and what is `reserved` by all workers' leases. With
every grant `spent + reserved <= amount` holds, so that workers together stay within the limit. Units are requests,
tokens, streams or picodollars.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from meshproxy_cli.store.records import LimitKind, LimitScope

#: A lease that was not renewed for this long belongs to a dead worker and is taken back.
LEASE_S = 15
#: Windows of kinds that have no time: streams are counted while they are open.
NO_WINDOW = 0
FOREVER = 2**53
_SEPARATOR = "\x1f"  # in no name: headers and tokens hold no control characters
_MINUTE = 60 * 1_000_000
_DAY = 24 * 60 * _MINUTE


@dataclass(frozen=True, slots=True)
class Counter:
    """What is counted: `name` is the room's, session's or participant's; a session is one of its `room`."""

    project_id: str
    scope: LimitScope
    kind: LimitKind
    room: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """The counter's name in the database."""
        return _SEPARATOR.join((self.kind.value, self.scope.value, self.project_id, self.room, self.name))

    @classmethod
    def from_key(cls, key: str) -> "Counter":
        """Return the counter of that key."""
        kind, scope, project_id, room, name = key.split(_SEPARATOR)
        return cls(project_id, LimitScope(scope), LimitKind(kind), room, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What a worker reports and requests for one counter in one window (start in microseconds since 1970).

    `spent`: used for good since it last told. `in_flight`: reserved by requests that run, which it keeps whatever the
    limit. `needed`: what requests wait for. `wanted`: what it would like to hold for requests to come, at least
    `needed`. `kept`: what it goes on using while the store answers, so that not less is granted. `amount` is the limit;
    None only counts.
    """

    counter: Counter
    window_start: int
    window_end: int
    amount: int | None
    spent: int = 0
    in_flight: int = 0
    needed: int = 0
    wanted: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAnswer:
    """What a worker holds from now on: `spare` beyond its requests in flight.

    `spent` is everybody's. `left` is what nobody holds. `others` is what other workers hold: some of it may come back.
    """

    spare: int
    spent: int
    left: int
    others: int


def window_start(kind: LimitKind, now: int) -> int:
    """Return the start of the window that contains `now`: the minute, day or month (UTC), in microseconds."""
    if kind is LimitKind.CONCURRENT_STREAMS:
        return NO_WINDOW
    if kind is LimitKind.USD_PER_MONTH:
        return _micros(_moment(now).replace(day=1)) // _DAY * _DAY
    width = _DAY if kind is LimitKind.USD_PER_DAY else _MINUTE
    return now // width * width


def window_end(kind: LimitKind, start: int) -> int:
    """Return when a window ends."""
    if kind is LimitKind.CONCURRENT_STREAMS:
        return FOREVER
    if kind is LimitKind.USD_PER_MONTH:
        return window_start(kind, start + 32 * _DAY)
    return start + (_DAY if kind is LimitKind.USD_PER_DAY else _MINUTE)


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // 1_000_000, UTC)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def share(request: LeaseRequest, *, spent: int, others: int) -> int:
    """Return how much a worker may hold beyond what is in flight.

    What is needed is given as far as there is enough; of what is merely wanted `fair` at most. Nothing that is kept is
    taken away: it may be used by now.
    """
    if request.amount is None:
        return 0
    left = request.amount - spent - others - request.in_flight
    if left <= 0:
        return 0
    return min(left, request.wanted, max(request.needed, request.kept, fair(left)))


def fair(left: int) -> int:
    """Return how much of the rest one worker may hold in reserve; less the closer the limit is.

    So no worker keeps a reserve while another one must refuse.
    """
    return left // 4
