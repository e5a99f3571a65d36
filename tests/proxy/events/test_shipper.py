import itertools
import os
import threading
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from fixtures.usage import usage_event
from meshproxy_cli.proxy.events import spool as spools
from meshproxy_cli.proxy.events.shipper import REJECTED, Shipper
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store import open_store
from meshproxy_cli.store.base import Store, StoreUnavailableError
from meshproxy_cli.store.eventrows import EventRow, to_event
from meshproxy_cli.store.events import TokenCounts, UsageEvent
from meshproxy_cli.store.records import UsageQuery

PRICES = PriceBook()


class Ledger:
    """A store's side that keeps what it gets, and can be told to fail."""

    def __init__(self) -> None:
        self.events: dict[str, UsageEvent] = {}
        self.away = False
        self.fails_after = 10**9
        self.poison: set[str] = set()

    def add_rows(self, rows: Iterable[EventRow]) -> int:
        batch = list(map(to_event, rows))
        if self.away or len(self.events) >= self.fails_after:
            raise StoreUnavailableError("The database is locked.")
        if self.poison & {event.event_id for event in batch}:
            raise TypeError("no such column")
        new = {event.event_id: event for event in batch if event.event_id not in self.events}
        self.events |= new
        return len(new)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_events_are_priced_stored_and_their_segments_removed(tmp_path: Path) -> None:
    spool, ledger = Spool(tmp_path), Ledger()
    shipper = Shipper(tmp_path, ledger, PRICES)
    events = [usage_event() for _ in range(3)]
    for event in events:
        spool.append(event)
    assert shipper.run_once() == 0  # its worker may still write to it
    spool.rotate()
    assert shipper.run_once() == 3
    assert list(ledger.events) == [event.event_id for event in events]
    assert {event.cost_usd for event in ledger.events.values()} == {Decimal("0.0035")}  # 1000 at $2.50, 100 at $10
    assert list(tmp_path.iterdir()) == []
    assert shipper.run_once() == 0
    assert shipper.counters.shipped == 3


def test_an_unknown_model_is_stored_without_cost(tmp_path: Path) -> None:
    spool, ledger = Spool(tmp_path), Ledger()
    shipper = Shipper(tmp_path, ledger, PRICES)
    spool.append(usage_event(model_served="acme-1"))
    spool.append(usage_event(model_served="acme-1", tokens=TokenCounts(), metered=False))
    spool.rotate()
    shipper.run_once()
    assert [event.cost_usd for event in ledger.events.values()] == [None, None]


def test_while_the_store_is_away_events_stay_and_tries_get_rarer(tmp_path: Path) -> None:
    spool, ledger, clock = Spool(tmp_path), Ledger(), Clock()
    shipper = Shipper(tmp_path, ledger, PRICES, clock=clock)
    ledger.away = True
    spool.append(usage_event())
    spool.rotate()
    tries = []
    for _ in range(600):
        failures = shipper.counters.failures
        assert shipper.run_once() == 0
        if shipper.counters.failures > failures:
            tries.append(clock.now)
        clock.now += 0.25
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.25, 5.0)
    spool.append(usage_event())
    spool.rotate()
    ledger.away = False
    clock.now += 30
    assert shipper.run_once() == 2
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_goes_away_half_way_gets_every_event_once(tmp_path: Path) -> None:
    spool, ledger, clock = Spool(tmp_path), Ledger(), Clock()
    shipper = Shipper(tmp_path, ledger, PRICES, clock=clock)
    events = [usage_event() for _ in range(5000)]
    for event in events:
        spool.append(event)
    spool.rotate()
    ledger.fails_after = 2000
    first = shipper.run_once()
    assert 2000 <= first < 5000
    assert len(spools.segments(tmp_path)) == 1
    ledger.fails_after = 10**9
    clock.now += 1
    assert shipper.run_once() == 5000 - first
    assert list(ledger.events) == [event.event_id for event in events]


def test_the_leftovers_of_dead_workers_are_shipped_and_living_ones_left_alone(tmp_path: Path) -> None:
    dead, alive, ledger = Spool(tmp_path, 1), Spool(tmp_path, 2), Ledger()
    gone, kept = usage_event(), usage_event()
    dead.append(gone)
    alive.append(kept)
    os.close(dead._file)  # what the kernel does for a killed process
    assert Shipper(tmp_path, ledger, PRICES).run_once() == 1
    assert set(ledger.events) == {gone.event_id}
    assert len(spools.segments(tmp_path)) == 1
    alive.close()


def test_a_segment_that_stays_in_use_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool, clock = Spool(tmp_path), Clock()
    shipper = Shipper(tmp_path, Ledger(), PRICES, clock=clock)
    spool.append(usage_event())
    (path,) = spools.segments(tmp_path)
    for clock.now in range(30):
        shipper.run_once()
    assert caplog.text.count(f"{path} has been in use for 10 s") == 1
    assert len(caplog.records) == 1
    spool.rotate()
    assert shipper.run_once() == 1


def test_a_torn_last_line_is_kept_aside_and_all_others_shipped(tmp_path: Path) -> None:
    ledger = Ledger()
    events = [usage_event() for _ in range(2)]
    whole = spools.encode(events)
    (tmp_path / f"1-dead{spools.SUFFIX}").write_bytes(whole + whole[:100])
    shipper = Shipper(tmp_path, ledger, PRICES)
    assert shipper.run_once() == 2
    assert (tmp_path / REJECTED).read_bytes() == whole[:100] + b"\n"
    assert shipper.counters.rejected == 1
    assert shipper.run_once() == 0


def test_a_line_of_a_newer_version_is_understood(tmp_path: Path) -> None:
    event = usage_event()
    line = spools.encode([event]).replace(b'{"event_id"', b'{"brand_new":[1],"event_id"')
    (tmp_path / f"1-newer{spools.SUFFIX}").write_bytes(line)
    ledger = Ledger()
    assert Shipper(tmp_path, ledger, PRICES).run_once() == 1
    assert ledger.events[event.event_id].request_id == event.request_id


def test_an_event_that_the_store_refuses_does_not_hold_up_the_others(tmp_path: Path) -> None:
    spool, ledger = Spool(tmp_path), Ledger()
    events = [usage_event() for _ in range(5)]
    ledger.poison = {events[2].event_id}
    spool.append(*events)
    spool.rotate()
    shipper = Shipper(tmp_path, ledger, PRICES)
    assert shipper.run_once() == 4
    assert events[2].event_id in (tmp_path / REJECTED).read_text()
    assert spools.segments(tmp_path) == []


def test_at_the_end_a_store_that_is_away_is_waited_for_a_little(tmp_path: Path) -> None:
    spool, ledger = Spool(tmp_path), Ledger()
    shipper = Shipper(tmp_path, ledger, PRICES)
    spool.append(usage_event())
    spool.close()
    ledger.away = True
    shipper.run_to_end(0.3)
    assert shipper.counters.failures > 1
    assert len(spools.segments(tmp_path)) == 1  # for the next start
    ledger.away = False
    shipper.run_to_end(0.0)  # whatever it had failed at before
    assert len(ledger.events) == 1
    assert spools.segments(tmp_path) == []


@pytest.fixture
def store(tmp_path: Path) -> Iterable[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/meshproxy.db", master_key=b"k" * 32)
    yield opened
    opened.close()


def test_several_shippers_of_one_directory_store_each_event_once(tmp_path: Path, store: Store) -> None:
    project = store.ensure_project()
    directory = tmp_path / "spool"
    workers = [Spool(directory, number) for number in range(3)]
    shippers = [Shipper(directory, store, PRICES) for _ in workers]
    done = threading.Event()

    def ship(shipper: Shipper) -> None:
        while not done.is_set():
            shipper.run_once()

    threads = [threading.Thread(target=ship, args=(shipper,)) for shipper in shippers]
    for thread in threads:
        thread.start()
    for number in range(300):
        workers[number % 3].append(usage_event(project_id=project.id))
        if number % 10 == 0:
            workers[number % 3].rotate()
    for worker in workers:
        worker.close()
    done.set()
    for thread in threads:
        thread.join()
    for shipper in shippers:
        shipper.run_once()
    assert sum(shipper.counters.shipped for shipper in shippers) == 300
    assert spools.segments(directory) == []
    report = store.usage(UsageQuery(project_id=project.id))
    assert (report.totals.requests, report.totals.input_tokens) == (300, 300_000)
