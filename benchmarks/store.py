"""Generates usage and measures the store: how fast events go in, and how long the usual questions take.

    python benchmarks/store.py --events 10000000
    python benchmarks/store.py --events 1000000 --database-url postgresql://…
    python benchmarks/store.py --ship 100000          # only what an event costs from its spooled line to the commit

A month (November 2026) of a team: sessions of about 80 requests, each of one participant in one room with one agent
and model. Every query runs three times on the warm database; the best counts. The database stays where --keep says.
"""

import argparse
import gc
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from meshproxy_cli.proxy.events.entry import Entry, Subject, encode
from meshproxy_cli.proxy.events.observers import ObservedSink, UsageCounters
from meshproxy_cli.proxy.events.shipper import Shipper
from meshproxy_cli.proxy.events.spool import SUFFIX
from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent
from meshproxy_cli.store.records import GroupBy, UsageQuery
from meshproxy_cli.store.sql import SqlStore

START = datetime(2026, 11, 1, tzinfo=UTC)
SECONDS = 30 * 24 * 3600
BATCH = 5000
SESSION_REQUESTS = 80
SEGMENT = 1000  # events of a worker in 0.2 s, at 5,000 a second
SMALL, SMALL_RUNS = 5, 200
ROOMS, PARTICIPANTS = 100, 1000
MODELS = (
    ("openai", "gpt-5.4"),
    ("openai", "gpt-5.4-mini"),
    ("anthropic", "claude-opus"),
    ("anthropic", "claude-sonnet"),
)
AGENTS = ("codex_exec", "claude-cli", "opencode", "OpenAI/Python")
MID_DAY = START + timedelta(days=3, hours=9, minutes=17)


def template(number: int, chance: random.Random) -> UsageEvent:
    """Return a session's first event."""
    provider, model = chance.choice(MODELS)
    participant = chance.randrange(PARTICIPANTS)
    return UsageEvent(
        event_id="",
        request_id="req",
        started_at=START,
        project_id="00000000-0000-4000-8000-000000000000",
        room=f"room-{participant % ROOMS}",
        session=f"session-{number}",
        participant=f"participant-{participant}",
        key_id=f"00000000-0000-4000-8000-00000000000{participant % 10}",
        agent=chance.choice(AGENTS),
        provider=provider,
        endpoint="/v1/responses" if provider == "openai" else "/v1/messages",
        method="POST",
        streamed=True,
        status=200,
        outcome=Outcome.OK,
        model_requested=model,
        model_served=model,
        price_snapshot="genai-prices",
    )


def events(count: int) -> Iterator[UsageEvent]:
    """Yield a month's events in the order of time."""
    chance = random.Random(1)
    running = [template(number, chance) for number in range(200)]
    begun = len(running)
    for number in range(count):
        slot = chance.randrange(len(running))
        if chance.random() < 1 / SESSION_REQUESTS:
            running[slot] = template(begun, chance)
            begun += 1
        read, wrote = chance.randrange(1000, 150_000), chance.randrange(20, 4000)
        yield replace(
            running[slot],
            event_id=f"{number:012x}-{chance.getrandbits(64):016x}",
            started_at=START + timedelta(seconds=number * SECONDS / count),
            tokens=TokenCounts(input_tokens=read, cached_input_tokens=read // 2, output_tokens=wrote),
            cost_usd=Decimal(read * 5 + wrote * 25) / 1_000_000,
            ttfb_ms=350.0,
            duration_ms=4000.0,
            request_bytes=read * 4,
            response_bytes=wrote * 40,
        )


def fill(store: SqlStore, count: int) -> None:
    """Add the events in batches and say how fast that was; making them up is not counted."""
    batch: list[UsageEvent] = []
    spent = 0.0
    for number, event in enumerate(events(count), 1):
        batch.append(event)
        if len(batch) == BATCH or number == count:
            began = time.perf_counter()
            store.add_events(batch)
            spent += time.perf_counter() - began
            batch.clear()
        if number % 1_000_000 == 0:
            print(f"  {number:>11,} events, {number / spent:,.0f} a second", flush=True)
    print(f"{count:,} events stored in {spent:.0f} s: {count / spent:,.0f} a second")


def ship(store: SqlStore, count: int) -> None:
    """Ship spooled events as the server does, and say what each costs: processor time of this process alone.

    They are of half an hour, as of a machine under load; and once more a few at a time, as of a quiet one.
    """
    made = (replace(event, cost_usd=None, price_snapshot="") for event in events(count + SMALL * SMALL_RUNS))
    spooled = [
        replace(event, started_at=START + timedelta(seconds=number * 1800 / count)) for number, event in enumerate(made)
    ]
    with tempfile.TemporaryDirectory() as directory:
        shipper = Shipper(Path(directory), ObservedSink(store, (UsageCounters(),)), PriceBook())
        _spool(Path(directory), 0, spooled[:1])
        shipper.run_once()  # loads the price list
        for start in range(1, count, SEGMENT):
            _spool(Path(directory), start, spooled[start : min(count, start + SEGMENT)])
        gc.freeze()  # the events made up here are no part of a server
        cost, stored = _cpu_us(shipper.run_once)
        print(f"shipping: {cost / stored:.1f} µs an event in large batches", flush=True)
        cost = 0.0
        for start in range(count, len(spooled), SMALL):
            _spool(Path(directory), start, spooled[start : start + SMALL])
            cost += _cpu_us(shipper.run_once)[0]
        print(f"shipping: {cost / SMALL_RUNS / 1000:.2f} ms for {SMALL} events at a time")


def _spool(directory: Path, number: int, batch: list[UsageEvent]) -> None:
    (directory / f"{number:020d}{SUFFIX}").write_bytes(b"".join(map(_line, batch)))


def _line(event: UsageEvent) -> bytes:
    """Return an event as the request path writes it."""
    entry = Entry(**{name: getattr(event, name) for name in Entry.__struct_fields__})
    names = [member.name for member in fields(Subject) if member.init]
    return encode(entry, Subject(**{name: getattr(event, name) for name in names}))


def _cpu_us(work: Callable[[], int]) -> tuple[float, int]:
    began = time.process_time()
    result = work()
    return (time.process_time() - began) * 1_000_000, result


def best(work: Callable[[], object]) -> float:
    """Return the best of three times in seconds."""
    times = []
    for _ in range(3):
        gc.collect()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def ask(store: SqlStore) -> None:
    """Measure the usual questions."""
    month = UsageQuery(since=START, until=START + timedelta(days=30), by=(GroupBy.MODEL,))
    ragged = replace(month, since=MID_DAY, until=MID_DAY + timedelta(days=20, minutes=21))
    questions: dict[str, Callable[[], object]] = {
        "month by model": lambda: store.usage(month),
        "month by day and model": lambda: store.usage(replace(month, by=(GroupBy.DAY, GroupBy.MODEL))),
        "month by room": lambda: store.usage(replace(month, by=(GroupBy.ROOM,))),
        "month by participant": lambda: store.usage(replace(month, by=(GroupBy.PARTICIPANT,))),
        "month of one room by model": lambda: store.usage(replace(month, room="room-7")),
        "month by room, session and model": lambda: store.usage(
            replace(month, by=(GroupBy.ROOM, GroupBy.SESSION, GroupBy.MODEL))
        ),
        "20 days with ragged ends by model": lambda: store.usage(ragged),
        "one day by hour": lambda: store.usage(
            replace(month, since=START + timedelta(days=9), until=START + timedelta(days=10), by=(GroupBy.HOUR,))
        ),
        "a session's last 100 requests": lambda: store.events(
            UsageQuery(session="session-100"), limit=100, newest_first=True
        ),
        "the last 100 requests": lambda: store.events(UsageQuery(), limit=100, newest_first=True),
    }
    for name, work in questions.items():
        print(f"{name:<36} {best(work) * 1000:>9,.1f} ms", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--database-url")
    parser.add_argument("--keep", type=Path, help="keep the SQLite database here; one that is there is asked only")
    parser.add_argument("--ship", type=int, help="ship so many spooled events, and measure nothing else")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = given.keep or Path(directory) / "meshproxy.db"
        full = path.exists()
        store = open_store(given.database_url or f"sqlite:///{path}")
        if given.ship:
            ship(store, given.ship)
            store.close()
            return
        print(f"{store.database.engine.dialect.name}, {given.events:,} events")
        if not full:
            fill(store, given.events)
        ask(store)
        store.close()
        if not given.database_url:
            print(f"database: {sum(each.stat().st_size for each in path.parent.glob(path.name + '*')) / 2**30:.2f} GiB")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
