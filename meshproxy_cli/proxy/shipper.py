"""The shipper: moves spooled events into the store, in batches, priced on the way; runs in the janitor thread.

A segment is removed only after its events are committed. A crash in between ships them once more, and the store leaves
out what it has by event id: nothing is lost and nothing counted twice.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from meshproxy_cli.proxy import spool as spools
from meshproxy_cli.proxy.spool import Spool
from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store.base import StoreUnavailableError
from meshproxy_cli.store.events import UsageEvent

_log = logging.getLogger(__name__)
_DECODER = msgspec.json.Decoder(UsageEvent)
_BATCH = 500
_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 30.0


class EventSink(Protocol):
    """The part of the store that takes events."""

    def add_events(self, events: Iterable[UsageEvent]) -> int: ...


@dataclass(slots=True)
class ShipperCounters:
    """How much was moved since the start of the process."""

    shipped: int = 0
    unpriced: int = 0
    unreadable_lines: int = 0
    failures: int = 0


class Shipper:
    """Ships one worker's segments, and those that dead workers left behind."""

    def __init__(
        self, spool: Spool, store: EventSink, prices: PriceBook, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counters = ShipperCounters()
        self._spool = spool
        self._store = store
        self._prices = prices
        self._clock = clock
        self._delay = 0.0
        self._not_before = 0.0

    def run_once(self) -> int:
        """Ship what there is; return how many events the store took as new (0 while the store is away)."""
        if self._clock() < self._not_before:
            return 0
        self._spool.rotate()
        shipped = 0
        try:
            for path in spools.segments(self._spool.directory):
                shipped += self._ship(path)
        except StoreUnavailableError as problem:
            self._back_off(problem)
        else:
            self._delay = 0.0
        self.counters.shipped += shipped
        return shipped

    def _back_off(self, problem: StoreUnavailableError) -> None:
        self.counters.failures += 1
        self._delay = min(_LONGEST_DELAY_S, self._delay * 2 or _FIRST_DELAY_S)
        self._not_before = self._clock() + self._delay
        _log.warning("Usage stays in the spool, next try in %.1f s: %s", self._delay, problem.message)

    def _ship(self, path: Path) -> int:
        file = spools.claim(path)
        if file is None:
            return 0
        with os.fdopen(file, "rb") as segment:
            shipped = 0
            events = self._events(segment)
            while batch := tuple(islice(events, _BATCH)):
                shipped += self._store.add_events(batch)
            path.unlink()
        return shipped

    def _events(self, lines: Iterable[bytes]) -> Iterator[UsageEvent]:
        for line in lines:
            try:
                event = _DECODER.decode(line)
            except msgspec.MsgspecError:
                self.counters.unreadable_lines += 1
                _log.error("A line of the usage spool can't be read: %r", line)
                continue
            priced = self._prices.price(event)
            if priced.cost_usd is None and event.metered:
                self.counters.unpriced += 1
            yield priced
