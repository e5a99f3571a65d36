"""Rows from spooled lines: the quick way and the long way agree, for whatever an event can hold."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from fixtures.usage import usage_event
from meshproxy_cli.proxy.events import spool as spools
from meshproxy_cli.proxy.events.rows import RowMaker
from meshproxy_cli.proxy.usage.pricefile import read_price_file
from meshproxy_cli.proxy.usage.pricing import PriceBook, PricedProvider
from meshproxy_cli.store.eventrows import MAX_COST, PLACES, to_event, to_row
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent

START = datetime(2026, 3, 1, tzinfo=UTC)
MODELS = ("gpt-5.4", "gpt-4o", "o3", "claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5", "deepseek-chat",
          "acme-1", "acme-coder-2", "fraction", "", "whisper-1", "gpt-5.4-mini")  # fmt: skip
TIERS = ("", "", "", "default", "flex", "priority", "batch", "fast", "nonsense")
PRICES = """
[[price]]
model = "acme-coder*"
input_mtok = { base = 1.25, tiers = [{ start = 1000, price = 2.5 }] }
output_mtok = 10
[[price]]
model = "fraction"
input_mtok = 0.0000001
output_mtok = 1
[[price]]
model = "only-input"
input_mtok = 3
"""


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    path = tmp_path_factory.mktemp("prices") / "prices.toml"
    path.write_text(PRICES, encoding="utf-8")
    providers = {"deepseek": PricedProvider("openai", "https://api.deepseek.com"), "echo": PricedProvider("echo")}
    return PriceBook(providers, read_price_file(path))


def refuse(line: bytes, reason: str) -> None:
    raise AssertionError(f"refused: {line!r}: {reason}")


def random_tokens(chance: Random) -> TokenCounts:
    names = [field.name for field in dataclasses.fields(TokenCounts)]
    if chance.random() < 0.1:  # numbers that contradict each other, of sound and pictures, absurd ones
        return TokenCounts(**{name: chance.choice([0, 0, 5, 2**70, -1]) for name in names})
    fresh, cached, short, long, plain, reasoned = (chance.choice([0, chance.randrange(300_000)]) for _ in range(6))
    return TokenCounts(
        input_tokens=fresh + cached + short + long,
        cached_input_tokens=cached,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        output_tokens=plain + reasoned,
        reasoning_tokens=reasoned,
    )


def random_events(count: int) -> Iterator[UsageEvent]:
    chance = Random(20)
    for _ in range(count):
        changes: dict[str, Any] = {
            "started_at": START + timedelta(days=chance.randrange(60), microseconds=chance.randrange(86_400_000_000)),
            "provider": chance.choice(["openai", "anthropic", "deepseek", "echo", "other"]),
            "model_requested": chance.choice(MODELS),
            "model_served": chance.choice([*MODELS, "only-input"]),
            "service_tier": chance.choice(TIERS),
            "tokens": random_tokens(chance),
            "outcome": chance.choice(list(Outcome)),
            "metered": chance.random() < 0.9,
            "estimated": chance.random() < 0.1,
            "audio_seconds": chance.choice([0.0] * 9 + [12.5]),
            "ttfb_ms": chance.choice([None, 12.25]),
            "session": chance.choice(["s", "Zürich ☕", "a\0b", 'quoted "\\', "line\nbreak"]),
            "error": chance.choice(["", "overloaded_error"]),
        }
        yield usage_event(**changes)


def test_both_ways_agree(prices: PriceBook) -> None:
    maker = RowMaker(prices, refuse)
    priced = 0
    for event in random_events(2500):
        (row,) = maker.rows(spools.encode([event]))
        assert row == to_row(prices.price(event)), event
        priced += bool(row[PLACES["cost"]])
    assert priced > 200


def test_a_block_is_read_as_a_whole(prices: PriceBook) -> None:
    events = [usage_event(request_id=str(number)) for number in range(100)]
    rows = RowMaker(prices, refuse).rows(spools.encode(events))
    assert [dataclasses.replace(to_event(row), cost_usd=None, price_snapshot="") for row in rows] == events
    assert {to_event(row).cost_usd for row in rows} == {Decimal("0.0035")}


def test_what_cannot_be_read_is_refused_alone(prices: PriceBook) -> None:
    refused: list[tuple[bytes, str]] = []
    events = [usage_event(), usage_event(tokens=TokenCounts(input_tokens=2**70))]
    block = spools.encode(events[:1]) + b'{"event_id":1}\n' + spools.encode(events[1:]) + b'{"torn'
    rows = RowMaker(prices, lambda *what: refused.append(what)).rows(block)
    assert [row[0] for row in rows] == [event.event_id for event in events]
    assert [line for line, _ in refused] == [b'{"event_id":1}', b'{"torn']
    assert "event_id" in refused[0][1]


def test_no_event_costs_more_than_there_is_room_for(prices: PriceBook) -> None:
    dear = usage_event(tokens=TokenCounts(input_tokens=10**12, output_tokens=10**12))
    (row,) = RowMaker(prices, refuse).rows(spools.encode([dear]))
    assert row[PLACES["cost"]] == MAX_COST


def test_prices_may_be_exchanged(prices: PriceBook) -> None:
    maker = RowMaker(PriceBook(), refuse)
    line = spools.encode([usage_event(model_served="acme-coder-2")])
    assert maker.rows(line)[0][PLACES["cost"]] is None
    maker.prices = prices
    assert maker.rows(line)[0][PLACES["cost"]] == 1000 * 1_250_000 + 100 * 10_000_000
