"""The ledger as the request path sees it: record an answer's event, safely, in a few microseconds."""

from dataclasses import dataclass

from meshproxy_cli.proxy.spool import Spool
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import Outcome, UsageEvent


@dataclass(slots=True)
class LedgerCounters:
    """What was recorded since the start of the process."""

    events: int = 0
    estimated: int = 0
    unmetered: int = 0
    errors: int = 0


class Ledger:
    """Call `record` before the answer's last byte is sent: once it returns, SIGKILL can't lose the event."""

    def __init__(self, spool: Spool) -> None:
        self.counters = LedgerCounters()
        self._spool = spool

    def record(self, event: UsageEvent, reading: Reading | None = None) -> UsageEvent:
        """Write the event down, with the reading's numbers where one is given; return it as written. Never raises."""
        events = (event,) if reading is None else reading.events(event)
        self._spool.append(*events)
        self.counters.events += len(events)
        self.counters.estimated += events[0].estimated
        self.counters.unmetered += not events[0].metered
        self.counters.errors += events[0].outcome is not Outcome.OK
        return events[0]
