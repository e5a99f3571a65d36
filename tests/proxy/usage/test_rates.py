"""Costs by rates: for every model of the price list exactly what its library says, or left to the library."""

from decimal import Decimal
from random import Random

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, Tier, TieredPrices

from meshproxy_cli.proxy.usage.rates import RateCache, is_text
from meshproxy_cli.store.events import TokenCounts


def all_prices() -> list[ModelPrice]:
    """Return the prices of every model in the bundled list, of the providers whose protocols are served."""
    providers = [one for one in get_snapshot().providers if one.id in {"openai", "anthropic", "azure", "openrouter"}]
    return [
        price.prices if hasattr(price, "prices") else price
        for provider in providers
        for model in provider.models
        for price in (model.prices if isinstance(model.prices, list) else [model.prices])
    ]


def random_tokens(chance: Random) -> TokenCounts:
    """Return numbers that a provider could report."""
    cached, short, long, fresh, plain, reasoning = (chance.choice([0, chance.randrange(200_000)]) for _ in range(6))
    return TokenCounts(
        input_tokens=fresh + cached + short + long,
        cached_input_tokens=cached,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        output_tokens=plain + reasoning,
        reasoning_tokens=reasoning,
    )


def by_library(prices: ModelPrice, tokens: TokenCounts) -> Decimal:
    usage = Usage(
        input_tokens=tokens.input_tokens,
        cache_read_tokens=tokens.cached_input_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        cache_write_5m_tokens=tokens.cache_write_5m_tokens,
        cache_write_1h_tokens=tokens.cache_write_1h_tokens,
        output_tokens=tokens.output_tokens,
        output_reasoning_tokens=tokens.reasoning_tokens,
    )
    return prices.calc_price(usage)["total_price"]


def test_every_model_costs_what_the_library_says() -> None:
    chance, cache, compared = Random(7), RateCache(), 0
    for prices in all_prices():
        for _ in range(4):
            tokens = random_tokens(chance)
            rates = cache.rates(prices, tokens.input_tokens)
            if rates is None:
                continue
            assert rates.cost(tokens) == by_library(prices, tokens), (prices, tokens)
            compared += 1
    assert compared > 300


def test_a_tier_holds_from_the_first_token_past_its_start() -> None:
    prices = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(100, Decimal(3)), Tier(200, Decimal(7))]), output_mtok=Decimal(2)
    )
    cache = RateCache()
    for number in (0, 99, 100, 101, 199, 200, 201, 5000):
        tokens = TokenCounts(input_tokens=number, output_tokens=10)
        rates = cache.rates(prices, number)
        assert rates is not None
        assert rates.cost(tokens) == by_library(prices, tokens), number


def test_a_fee_for_each_request_is_left_to_the_library() -> None:
    assert RateCache().rates(ModelPrice(input_mtok=Decimal(1), requests_kcount=Decimal(5)), 10) is None


@pytest.mark.parametrize("field", ["cached_input_tokens", "reasoning_tokens", "cache_write_5m_tokens"])
def test_numbers_that_contradict_each_other_have_no_cost(field: str) -> None:
    rates = RateCache().rates(ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2)), 5)
    assert rates is not None
    assert rates.cost(TokenCounts(input_tokens=5, output_tokens=5, **{field: 6})) is None


def test_audio_and_images_are_no_text() -> None:
    assert is_text(TokenCounts(input_tokens=3, cached_input_tokens=1, reasoning_tokens=2))
    for field in ("input_audio_tokens", "output_audio_tokens", "input_image_tokens", "output_image_tokens"):
        assert not is_text(TokenCounts(**{field: 1}))
