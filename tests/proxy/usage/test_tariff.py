"""Whole rates: exactly what the rates in decimals say, or none."""

import subprocess
import sys
from decimal import Decimal
from random import Random

from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.proxy.usage.rates import Brackets, Rates
from meshproxy_cli.proxy.usage.tariff import Tariff, whole_rates
from meshproxy_cli.store.eventrows import to_picodollars
from meshproxy_cli.store.events import TokenCounts

CHEAP = Rates(*map(Decimal, ("1.25", "0.125", "1.5", "2.5", "10", "10.000001")))
DEAR = Rates(*map(Decimal, ("2.5", "0.25", "3", "5", "15", "15")))
TIERED = Brackets((1000,), (CHEAP, DEAR))


def test_costs_are_those_of_the_rates() -> None:
    rates = whole_rates(TIERED)
    assert rates is not None
    tariff = Tariff("list", TIERED.starts, rates)
    chance = Random(3)
    for read in (0, 999, 1000, 1001, 5000):
        cached, wrote = chance.randrange(read + 1), chance.randrange(5000)
        tokens = TokenCounts(
            input_tokens=read,
            cached_input_tokens=cached,
            cache_write_1h_tokens=(read - cached) // 2,
            output_tokens=wrote,
            reasoning_tokens=wrote // 3,
        )
        exact = TIERED.at(read)
        assert exact is not None
        dollars = exact.cost(tokens)
        assert dollars is not None
        assert tariff.cost(read, cached, 0, (read - cached) // 2, wrote, wrote // 3) == to_picodollars(dollars)


def test_no_price_and_numbers_that_contradict_each_other_cost_nothing_known() -> None:
    rates = whole_rates(TIERED) or ()
    assert Tariff().cost(1, 0, 0, 0, 1, 0) is None
    tariff = Tariff("list", TIERED.starts, rates)
    assert tariff.cost(1, 2, 0, 0, 0, 0) is None
    assert tariff.cost(0, 0, 0, 0, 1, 2) is None
    assert Tariff("list", TIERED.starts, rates, input_priced=False).cost(1, 0, 0, 0, 1, 0) is None
    assert Tariff("list", TIERED.starts, rates, output_priced=False).cost(1, 0, 0, 0, 0, 0) == 1_250_000


def test_parts_of_a_picodollar_are_left_to_decimals() -> None:
    fraction = Rates(*[Decimal("0.0000001")] * 6)
    assert whole_rates(Brackets((), (fraction,))) is None
    assert whole_rates(Brackets((5,), (CHEAP, None))) is None


def test_the_list_is_loaded_only_for_providers_that_have_prices() -> None:
    code = """
import sys
from meshproxy_cli.proxy.usage.pricing import PriceBook, PricedProvider
PriceBook({"echo": PricedProvider("echo"), "openai": PricedProvider("echo")}).load()
print("genai_prices" in sys.modules)
PriceBook({"anthropic": PricedProvider("anthropic", "https://api.anthropic.com")}).load()
print("genai_prices" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_names_from_requests_cannot_fill_the_memory() -> None:
    book = PriceBook()
    for number in range(5000):
        book.tariff("openai", f"model-{number}", "", 20_000)
    assert len(book._tariffs) <= 4096
