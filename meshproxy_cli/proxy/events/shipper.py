"""The shipper: moves spooled events into the store, in batches, priced on the way; has a process of its own.

A segment is removed only after its events are committed. A crash in between ships them once more, and the store leaves
out what it has by event id: nothing is lost and nothing counted twice. What the store refuses for good, and lines that
can't be read, are kept in `rejected.jsonl` beside the segments.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meshproxy_cli.proxy.events import spool as spools
from meshproxy_cli.proxy.events.observers import RowSink
from meshproxy_cli.proxy.events.rows import RowMaker
from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store.base import StoreUnavailableError
from meshproxy_cli.store.eventrows import EventRow, to_event

REJECTED = "rejected.jsonl"

_log = logging.getLogger(__name__)
_BATCH = 2000
_MOST_FILES = 200
_BLOCK = 1024 * 1024
_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 5.0  # a try costs little, and a store that is back is to have its usage soon
_LONG_HELD_S = 10.0


@dataclass(slots=True)
class ShipperCounters:
    """How much was moved since the start of the process."""

    shipped: int = 0
    rejected: int = 0  # lines that can't be read, events that the store refuses
    failures: int = 0  # times the store was away


class Shipper:
    """Ships the segments in a directory that no worker writes to any more."""

    def __init__(
        self, directory: Path, store: RowSink, prices: PriceBook, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counters = ShipperCounters()
        self.rows = RowMaker(prices, self._reject)
        self._directory = directory
        self._store = store
        self._clock = clock
        self._delay = 0.0
        self._not_before = 0.0
        self._batch: list[EventRow] = []
        self._files: list[tuple[Path, int]] = []  # claimed, with all their rows in the batch or in the store
        self._rejected: list[bytes] = []
        self._held: dict[Path, float] = {}

    def run_once(self) -> int:
        """Ship what there is; return how many events the store took as new (0 while the store is away)."""
        if self._clock() < self._not_before:
            return 0
        before = self.counters.shipped
        try:
            for path in self._segments():
                self._take(path)
            self._store_batch()
        except StoreUnavailableError as problem:
            self._back_off(problem)
        else:
            self._delay = 0.0
        finally:
            self._let_go()
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

    def ship_block(self, block: bytes) -> None:
        """Ship lines that are in no segment. Raises `StoreUnavailableError`."""
        try:
            self._batch = self.rows.rows(block)
            self._store_batch()
        finally:
            self._let_go()

    def _back_off(self, problem: StoreUnavailableError) -> None:
        self.counters.failures += 1
        self._delay = min(_LONGEST_DELAY_S, self._delay * 2 or _FIRST_DELAY_S)
        self._not_before = self._clock() + self._delay
        _log.warning("Usage stays in the spool, next try in %.1f s: %s", self._delay, problem.message)

    def _segments(self) -> list[Path]:
        found = spools.segments(self._directory)
        self._held = {path: self._held[path] for path in found if path in self._held}
        return found

    def _take(self, path: Path) -> None:
        """Add a segment's rows to the batch, and store that each time it is full."""
        file = spools.claim(path)
        if file is None:
            self._note_held(path)
            return
        try:
            for block in _blocks(file):
                self._batch += self.rows.rows(block)
                if len(self._batch) >= _BATCH:
                    self._store_batch()
        except BaseException:
            os.close(file)
            raise
        self._files.append((path, file))
        if len(self._files) >= _MOST_FILES:
            self._store_batch()

    def _store_batch(self) -> None:
        """Store the batch, and remove the segments that are in the store as a whole."""
        batch, self._batch = self._batch, []
        if batch:
            self.counters.shipped += self._add(batch)
        self._keep_rejected()
        for path, file in self._files:
            with suppress(FileNotFoundError):
                path.unlink()
            os.close(file)
        self._files.clear()

    def _let_go(self) -> None:
        """Forget what is not stored: it is in its segments, which the next run, or another shipper, may claim."""
        self._batch = []
        self._rejected.clear()
        for _, file in self._files:
            os.close(file)
        self._files.clear()

    def _note_held(self, path: Path) -> None:
        """Log a segment that someone holds for long: workers close theirs several times a second."""
        since = self._held.setdefault(path, self._clock())
        if (held := self._clock() - since) >= _LONG_HELD_S:
            _log.warning("the spool's segment %s has been in use for %.0f s: does its worker still run?", path, held)
            self._held[path] = math.inf  # said once

    def _add(self, rows: Sequence[EventRow]) -> int:
        try:
            return self._store.add_rows(rows)
        except StoreUnavailableError:
            raise
        except Exception as problem:  # noqa: BLE001 (whatever it is, one event must not hold up all others)
            if len(rows) == 1:
                self._reject(spools.encode([to_event(rows[0])]), repr(problem))
                return 0
        half = len(rows) // 2
        return self._add(rows[:half]) + self._add(rows[half:])

    def _reject(self, line: bytes, reason: str) -> None:
        _log.error("A usage event can't be stored and is kept in %s (%s)", REJECTED, reason[:200])
        self._rejected.append(line.rstrip(b"\n") + b"\n")

    def _keep_rejected(self) -> None:
        if self._rejected:
            with (self._directory / REJECTED).open("ab") as file:
                file.writelines(self._rejected)
            self.counters.rejected += len(self._rejected)
            self._rejected.clear()


def _blocks(file: int) -> Iterator[bytes]:
    """Yield a segment in blocks of whole lines; the last line may be torn."""
    rest = b""
    while data := os.read(file, _BLOCK):
        whole, end, torn = (rest + data).rpartition(b"\n")
        rest = torn
        if end:
            yield whole + end
    if rest:
        yield rest
