"""The ledger as the request path sees it: record an answer's event, safely, in a few microseconds."""

from dataclasses import dataclass

from meshproxy_cli.proxy.events.entry import Entry, Subject, encode, with_shares
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import Outcome

_OK = Outcome.OK


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

    def record(self, subject: Subject, entry: Entry, reading: Reading | None = None) -> None:
        """Write the event down, with the reading's numbers where one is given (then `entry` has them too).

        Never raises.
        """
        number = 1
        if reading is not None:
            entry.take(reading)
        if reading is None or not (reading.shares or reading.event_ids):
            self._spool.write(encode(entry, subject))
        else:
            entries = with_shares(entry, reading)
            number = len(entries)
            self._spool.write(b"".join(encode(one, subject) for one in entries), number)
        counters = self.counters
        counters.events += number
        if entry.estimated:
            counters.estimated += 1
        if not entry.metered:
            counters.unmetered += 1
        if entry.outcome is not _OK:
            counters.errors += 1
