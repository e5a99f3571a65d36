"""The shipper: moves spooled events into the store, in batches, priced on the way; has a process of its own.

A segment is removed only after its events are committed. A crash in between ships them once more, and the store leaves
out what it has by event id: nothing is lost and nothing counted twice. What the store refuses for good, and lines that
can't be read, are kept in `rejected.jsonl` beside the segments.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from meshproxy_cli.proxy import spool as spools
from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store.base import StoreUnavailableError
from meshproxy_cli.store.events import UsageEvent

REJECTED = "rejected.jsonl"

_log = logging.getLogger(__name__)
_DECODER = msgspec.json.Decoder(UsageEvent)
_BATCH = 500
_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 5.0  # a try costs little, and a store that is back is to have its usage soon
_LONG_HELD_S = 10.0


class EventSink(Protocol):
    """The part of the store that takes events."""

    def add_events(self, events: Iterable[UsageEvent]) -> int:
        """Store those that are new; return how many are."""


@dataclass(slots=True)
class ShipperCounters:
    """How much was moved since the start of the process."""

    shipped: int = 0
    unpriced: int = 0
    rejected: int = 0  # lines that can't be read, events that the store refuses
    failures: int = 0  # times the store was away


class Shipper:
    """Ships the segments in a directory that no worker writes to any more."""

    def __init__(
        self, directory: Path, store: EventSink, prices: PriceBook, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counters = ShipperCounters()
        self._directory = directory
        self._store = store
        self.prices = prices
        self._clock = clock
        self._delay = 0.0
        self._not_before = 0.0
        self._rejected: list[bytes] = []
        self._held: dict[Path, float] = {}

    def run_once(self) -> int:
        """Ship what there is; return how many events the store took as new (0 while the store is away)."""
        if self._clock() < self._not_before:
            return 0
        before = self.counters.shipped
        try:
            for path in self._segments():
                self._ship_segment(path)
        except StoreUnavailableError as problem:
            self._back_off(problem)
        else:
            self._delay = 0.0
        return self.counters.shipped - before

    def run_to_end(self, patience_s: float) -> None:
        """Ship all there is; while the store is away, try for so long, and leave the rest to the next start."""
        deadline = self._clock() + patience_s
        failures = -1
        while failures != self.counters.failures and (failures < 0 or self._clock() < deadline):
            failures = self.counters.failures
            time.sleep(max(0.0, min(self._not_before, deadline) - self._clock()))
            self._not_before = 0.0
            self.run_once()

    def ship_lines(self, lines: Iterable[bytes]) -> None:
        """Ship lines that are in no segment. Raises `StoreUnavailableError`, some of them shipped maybe."""
        self._ship(lines)
        self._keep_rejected()

    def _back_off(self, problem: StoreUnavailableError) -> None:
        self.counters.failures += 1
        self._delay = min(_LONGEST_DELAY_S, self._delay * 2 or _FIRST_DELAY_S)
        self._not_before = self._clock() + self._delay
        _log.warning("Usage stays in the spool, next try in %.1f s: %s", self._delay, problem.message)

    def _segments(self) -> list[Path]:
        found = spools.segments(self._directory)
        self._held = {path: self._held[path] for path in found if path in self._held}
        return found

    def _ship_segment(self, path: Path) -> None:
        file = spools.claim(path)
        if file is None:
            self._note_held(path)
            return
        with os.fdopen(file, "rb") as segment:
            self.ship_lines(segment)
            path.unlink()

    def _note_held(self, path: Path) -> None:
        """Log a segment that someone holds for long: workers close theirs several times a second."""
        since = self._held.setdefault(path, self._clock())
        if (held := self._clock() - since) >= _LONG_HELD_S:
            _log.warning("the spool's segment %s has been in use for %.0f s: does its worker still run?", path, held)
            self._held[path] = math.inf  # said once

    def _ship(self, lines: Iterable[bytes]) -> None:
        self._rejected.clear()
        events = self._read(lines)
        while batch := tuple(islice(events, _BATCH)):
            priced = [self.prices.price(event) for event in batch]
            self.counters.shipped += self._add(priced)
            self.counters.unpriced += sum(event.cost_usd is None and event.metered for event in priced)

    def _read(self, lines: Iterable[bytes]) -> Iterator[UsageEvent]:
        for line in lines:
            try:
                yield _DECODER.decode(line)
            except (msgspec.MsgspecError, ValueError) as problem:
                self._reject(line, str(problem))

    def _add(self, events: list[UsageEvent]) -> int:
        try:
            return self._store.add_events(events)
        except StoreUnavailableError:
            raise
        except Exception as problem:  # noqa: BLE001 (whatever it is, one event must not hold up all others)
            if len(events) == 1:
                self._reject(spools.encode(events), repr(problem))
                return 0
        return sum(self._add([event]) for event in events)

    def _reject(self, line: bytes, reason: str) -> None:
        _log.error("A usage event can't be stored and is kept in %s (%s)", REJECTED, reason[:200])
        self._rejected.append(line.rstrip(b"\n") + b"\n")

    def _keep_rejected(self) -> None:
        if self._rejected:
            with (self._directory / REJECTED).open("ab") as file:
                file.writelines(self._rejected)
            self.counters.rejected += len(self._rejected)
