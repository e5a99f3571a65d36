"""Costs worked out by hand. Models and tiers are ones whose list prices no longer move."""

import warnings
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from fixtures.usage import usage_event
from meshproxy_cli.proxy.usage import pricing
from meshproxy_cli.proxy.usage.pricefile import parse_price_file
from meshproxy_cli.proxy.usage.pricing import PriceBook, PricedProvider
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent

PROVIDERS = {
    "anthropic": PricedProvider("anthropic", "https://api.anthropic.com"),
    "openai": PricedProvider("openai", "https://api.openai.com/v1"),
    "gateway": PricedProvider("openai", "http://127.0.0.1:9999/v1"),
    "azure": PricedProvider("openai", "https://acme.openai.azure.com/openai/v1"),
    "router": PricedProvider("openai", "https://openrouter.ai/api/v1"),
    "echo": PricedProvider("openai", "echo:"),
}


def priced(model: str, *, provider: str = "openai", tier: str = "", **changes: Any) -> UsageEvent:
    counts = {name: value for name, value in changes.items() if name in TokenCounts.__slots__}
    rest = {name: value for name, value in changes.items() if name not in counts}
    event = usage_event(provider=provider, model_served=model, service_tier=tier, tokens=TokenCounts(**counts), **rest)
    return PriceBook(PROVIDERS).price(event)


def cost(model: str, **changes: Any) -> Decimal | None:
    return priced(model, **changes).cost_usd


def test_cached_input_has_its_own_price_and_is_not_counted_twice() -> None:
    # gpt-4o: (1000 - 400) at $2.50, 400 at $1.25, 100 at $10, for a million each
    event = priced("gpt-4o-2024-08-06", input_tokens=1000, cached_input_tokens=400, output_tokens=100)
    assert event.cost_usd == Decimal("0.0015") + Decimal("0.0005") + Decimal("0.001")
    assert event.price_snapshot.startswith("genai-prices 0.")


def test_cache_writes_of_an_hour_cost_more_than_those_of_five_minutes() -> None:
    # claude-sonnet-4-0: 100 at $3, 1000 read at $0.30, 2000 written at $3.75, 4000 at $6, 10 out at $15
    counts = {
        "input_tokens": 7100,
        "cached_input_tokens": 1000,
        "cache_write_5m_tokens": 2000,
        "cache_write_1h_tokens": 4000,
        "output_tokens": 10,
    }
    expected = (Decimal(300) + 300 + 7500 + 24000 + 150) / 1_000_000
    assert cost("claude-sonnet-4-20250514", provider="anthropic", **counts) == expected


def test_a_long_context_has_its_price() -> None:
    # claude-sonnet-4-5: above 200,000 tokens of input $6 and $22.50 instead of $3 and $15
    small = cost("claude-sonnet-4-5", provider="anthropic", input_tokens=200_000, output_tokens=1000)
    large = cost("claude-sonnet-4-5", provider="anthropic", input_tokens=200_001, output_tokens=1000)
    assert small == Decimal("0.615")
    assert large == Decimal("1.200006") + Decimal("0.0225")


@pytest.mark.parametrize(
    ("model", "provider", "tier", "expected"),
    [
        ("o3", "openai", "", "10"),  # $2 and $8
        ("o3", "openai", "default", "10"),
        ("o3", "openai", "flex", "5"),  # $1 and $4
        ("o3", "openai", "priority", "17.5"),  # $3.50 and $14
        ("o3", "openai", "on_demand", "10"),  # a tier that nobody knows
        ("gpt-4-turbo", "openai", "flex", None),  # not offered at this tier
        ("claude-opus-4-8", "anthropic", "standard", "30"),  # $5 and $25
        ("claude-opus-4-8", "anthropic", "fast", "60"),  # $10 and $50
        ("claude-sonnet-4-5", "anthropic", "fast", None),
        ("claude-haiku-4-5", "anthropic", "batch", "3"),  # half of $1 and $5
        ("claude-haiku-4-5", "anthropic", "priority", None),  # billed by contract
    ],
)
def test_the_tier_as_served_is_priced_or_nothing(model: str, provider: str, tier: str, expected: str | None) -> None:
    found = cost(model, provider=provider, tier=tier, input_tokens=1_000_000, output_tokens=1_000_000)
    assert found == (None if expected is None else Decimal(expected))


def test_a_tier_has_no_price_before_its_rates_were_published() -> None:
    early = datetime(2026, 1, 1, tzinfo=UTC)
    assert cost("o3", tier="flex", input_tokens=1, started_at=early) is None
    assert cost("o3", input_tokens=1, started_at=early) is not None


def test_prices_are_those_of_the_day() -> None:
    # o3: $10 until 10 June 2025, $2 since
    assert cost("o3", input_tokens=10**6, started_at=datetime(2025, 6, 9, tzinfo=UTC)) == 10
    assert cost("o3", input_tokens=10**6, started_at=datetime(2025, 6, 10, tzinfo=UTC)) == 2


def test_sound_and_pictures_have_their_own_prices() -> None:
    # gpt-realtime: text 24 at $4, cached 60 at $0.40; audio 5 at $32, cached 8 at $0.40; out 30 at $16, 91 at $64
    counts = {
        "input_tokens": 97,
        "cached_input_tokens": 68,
        "input_audio_tokens": 13,
        "cached_audio_tokens": 8,
        "output_tokens": 121,
        "output_audio_tokens": 91,
    }
    expected = (24 * 4 + Decimal("0.4") * 60 + 5 * 32 + Decimal("0.4") * 8 + 30 * 16 + 91 * 64) / 1_000_000
    assert cost("gpt-realtime", **counts) == expected


def test_timed_audio_is_priced_by_its_length() -> None:
    assert cost("whisper-1", audio_seconds=90.0) == Decimal("0.009")  # $0.36 an hour
    assert cost("gpt-4o", audio_seconds=90.0) is None


def test_an_unknown_model_has_no_cost_rather_than_zero() -> None:
    event = priced("acme-1", input_tokens=1000)
    assert (event.cost_usd, event.price_snapshot) == (None, "")


def test_what_the_list_has_no_rate_for_has_no_cost() -> None:
    assert cost("tts-1", input_tokens=1000, output_tokens=1000) is None  # priced by characters
    assert cost("text-embedding-3-small", input_tokens=1000) == Decimal("0.00002")


def test_numbers_that_contradict_each_other_have_no_cost() -> None:
    assert cost("gpt-4o", input_tokens=10, cached_input_tokens=11) is None


def test_an_answer_that_was_not_metered_has_no_cost_and_one_that_used_nothing_costs_nothing() -> None:
    assert cost("gpt-4o", metered=False) is None
    assert cost("gpt-4o", outcome=Outcome.PROVIDER_ERROR, status=529) == 0
    assert cost("acme-1", outcome=Outcome.REFUSED, status=401) == 0


def test_the_model_asked_for_is_priced_where_the_answer_names_none() -> None:
    event = usage_event(model_served="", model_requested="gpt-4o", tokens=TokenCounts(input_tokens=1_000_000))
    assert PriceBook(PROVIDERS).price(event).cost_usd == Decimal("2.5")


def test_the_list_is_that_of_whoever_answers_at_the_base_url() -> None:
    assert cost("gpt-4o", provider="azure", input_tokens=10**6) == Decimal("2.5")
    assert cost("anthropic/claude-sonnet-4", provider="router", input_tokens=10**6) == 3
    assert cost("o3", provider="azure", tier="flex", input_tokens=1) is None
    assert cost("gpt-4o", provider="gateway", input_tokens=10**6) == Decimal("2.5")  # taken for OpenAI's own


def test_echoed_answers_cost_nothing_that_could_be_told() -> None:
    assert cost("gpt-4o", provider="echo", input_tokens=10**6) is None


def test_the_price_file_comes_first_and_names_its_version() -> None:
    file = parse_price_file(b'[[price]]\nmodel = "gpt-4o*"\ninput_mtok = 1\noutput_mtok = 2\n')
    book = PriceBook(PROVIDERS, file)
    event = book.price(usage_event(model_served="gpt-4o-mini", tokens=TokenCounts(input_tokens=3, output_tokens=4)))
    assert (event.cost_usd, event.price_snapshot) == (Decimal("0.000011"), file.snapshot)
    other = book.price(usage_event(model_served="o3", tokens=TokenCounts(input_tokens=10**6)))
    assert (other.cost_usd, other.price_snapshot) == (2, pricing.snapshot_name())


def test_no_listed_model_fails_with_all_kinds_of_tokens() -> None:
    tokens = TokenCounts(
        input_tokens=1000,
        cached_input_tokens=200,
        cache_write_5m_tokens=50,
        cache_write_1h_tokens=25,
        output_tokens=100,
        reasoning_tokens=20,
        input_audio_tokens=100,
        output_audio_tokens=10,
        input_image_tokens=100,
        output_image_tokens=10,
        cached_audio_tokens=10,
        cached_image_tokens=5,
    )
    event = usage_event(tokens=tokens, audio_seconds=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for provider in get_snapshot().providers:
            for model in provider.models:
                model.get_prices(event.started_at).calc_price(pricing._usage(event))


@given(
    st.sampled_from(["gpt-4o", "o3", "claude-sonnet-4-0", "claude-haiku-4-5"]),
    st.lists(st.integers(0, 10**7), min_size=5, max_size=5),
)
def test_cost_is_exact_and_never_negative(model: str, counts: list[int]) -> None:
    fresh, cached, written, written_1h, output = counts
    provider = "anthropic" if model.startswith("claude") else "openai"
    tokens = {
        "input_tokens": fresh + cached + written + written_1h,
        "cached_input_tokens": cached,
        "cache_write_5m_tokens": written,
        "cache_write_1h_tokens": written_1h,
        "output_tokens": output,
    }
    found = cost(model, provider=provider, **tokens)
    assert found is not None
    assert found >= 0
    assert found * 10**9 == int(found * 10**9)  # list prices are whole thousandths of a dollar for a million tokens
    doubled = cost(model, provider=provider, **{name: 2 * value for name, value in tokens.items()})
    assert doubled == 2 * found
