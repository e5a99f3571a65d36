"""Which refusals become usage events: metrics count every one, and a flood of them can't fill the ledger.

Each participant of an API key, and each worker as a whole, has a budget of events for refusals.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from meshproxy_cli.proxy.events.entry import Subject

_MOST_PARTICIPANTS = 2000
_BURST = 50
_PER_SECOND = 0.2
_WORKER_BURST = 1000
_WORKER_PER_SECOND = 5.0


@dataclass(slots=True)
class _Bucket:
    """A token bucket."""

    left: float
    filled_at: float

    def take(self, now: float, burst: int, per_second: float) -> bool:
        self.left = min(burst, self.left + (now - self.filled_at) * per_second)
        self.filled_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class RefusalSample:
    """Decides for one worker; in its event loop's thread only."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._worker = _Bucket(_WORKER_BURST, clock())
        self._participants: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def takes(self, subject: Subject) -> bool:
        """Whether this refusal becomes an event."""
        now, who = self._clock(), (subject.key_id, subject.participant)
        bucket = self._participants.get(who)
        if bucket is None:
            bucket = self._participants[who] = _Bucket(_BURST, now)
            if len(self._participants) > _MOST_PARTICIPANTS:
                self._participants.popitem(last=False)
        else:
            self._participants.move_to_end(who)
        return bucket.take(now, _BURST, _PER_SECOND) and self._worker.take(now, _WORKER_BURST, _WORKER_PER_SECOND)
