"""What the price list's library would charge, at a hundredth of its time.

A price is linear: so much for each token of a kind, whatever the others are. Tiers are by the whole input, and then
hold for every token: between two of their starts a price is linear too. The library is asked once for each kind's
rate there; sums of exact decimals are then the same as its own. Everything else is left to the library.
"""

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from meshproxy_cli.store.events import TokenCounts

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_MILLION = 1_000_000
_MOST_MODELS = 512


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for a million tokens of each kind; the kinds share no token."""

    fresh_input: Decimal
    cached_input: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    plain_output: Decimal
    reasoning: Decimal

    def cost(self, tokens: TokenCounts) -> Decimal | None:
        """Return the cost; None where the numbers contradict each other."""
        fresh = tokens.input_tokens - tokens.cached_input_tokens - tokens.cache_write_tokens
        plain = tokens.output_tokens - tokens.reasoning_tokens
        if fresh < 0 or plain < 0:
            return None
        total = (
            fresh * self.fresh_input
            + tokens.cached_input_tokens * self.cached_input
            + tokens.cache_write_5m_tokens * self.cache_write_5m
            + tokens.cache_write_1h_tokens * self.cache_write_1h
            + plain * self.plain_output
            + tokens.reasoning_tokens * self.reasoning
        )
        return total / _MILLION


class RateCache:
    """The rates of the models in use."""

    def __init__(self) -> None:
        # A price can't be hashed; the value keeps it alive, so that its id stays its own.
        self._known: OrderedDict[int, tuple[ModelPrice, Brackets]] = OrderedDict()
        self._multiplied: dict[tuple[int, Decimal], tuple[ModelPrice, ModelPrice]] = {}

    def rates(self, prices: "ModelPrice", input_tokens: int) -> Rates | None:
        """Return the rates of text tokens for a request with so much input; None where they are not linear."""
        return self.brackets(prices).at(input_tokens)

    def times(self, prices: "ModelPrice", factor: Decimal) -> "ModelPrice":
        """Return the prices of tokens multiplied; the same object each time."""
        if factor == 1:
            return prices
        key = (id(prices), factor)
        if key not in self._multiplied:
            if len(self._multiplied) >= _MOST_MODELS:
                self._multiplied.clear()
            self._multiplied[key] = (prices, _times(prices, factor))
        return self._multiplied[key][1]

    def brackets(self, prices: "ModelPrice") -> "Brackets":
        """Return the rates of text tokens for any input."""
        found = self._known.get(id(prices))
        if found is None:
            found = self._known[id(prices)] = (prices, _brackets(prices))
            if len(self._known) > _MOST_MODELS:
                self._known.popitem(last=False)
        return found[1]


@dataclass(frozen=True, slots=True)
class Brackets:
    """Rates up to each start of a tier, and past the last one."""

    starts: tuple[int, ...]
    rates: tuple[Rates | None, ...]

    def at(self, input_tokens: int) -> Rates | None:
        """Return the rates that hold for so much input."""
        return self.rates[bisect_left(self.starts, input_tokens)]


def is_text(tokens: TokenCounts) -> bool:
    """Whether nothing but text was read and written."""
    return not (
        tokens.input_audio_tokens
        or tokens.output_audio_tokens
        or tokens.input_image_tokens
        or tokens.output_image_tokens
        or tokens.cached_audio_tokens
        or tokens.cached_image_tokens
    )


def _brackets(prices: "ModelPrice") -> Brackets:
    from genai_prices.types import TieredPrices  # noqa: PLC0415 (loaded with the first price)

    tiered = [value for value in vars(prices).values() if isinstance(value, TieredPrices)]
    starts = tuple(sorted({tier.start for value in tiered for tier in value.tiers}))
    return Brackets(starts, tuple(_ask(_flat(prices, place)) for place in (0, *(start + 1 for start in starts))))


def _times(prices: "ModelPrice", factor: Decimal) -> "ModelPrice":
    from genai_prices.types import ModelPrice, Tier, TieredPrices  # noqa: PLC0415

    def times(value: "Decimal | TieredPrices | None") -> "Decimal | TieredPrices | None":
        if isinstance(value, TieredPrices):
            tiers = [Tier(start=tier.start, price=tier.price * factor) for tier in value.tiers]
            return TieredPrices(base=value.base * factor, tiers=tiers)
        return None if value is None else value * factor

    values = {name: value for name, value in vars(prices).items() if not name.startswith("_")}
    return ModelPrice(**{name: times(value) if name.endswith("_mtok") else value for name, value in values.items()})


def _flat(prices: "ModelPrice", input_tokens: int) -> "ModelPrice":
    """Return the prices without tiers that hold for so much input."""
    from genai_prices.types import ModelPrice, TieredPrices  # noqa: PLC0415

    def flat(value: "Decimal | TieredPrices | None") -> Decimal | None:
        if not isinstance(value, TieredPrices):
            return value
        reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
        return reached[-1] if reached else value.base

    return ModelPrice(**{name: flat(value) for name, value in vars(prices).items() if not name.startswith("_")})


def _ask(prices: "ModelPrice") -> Rates | None:
    from genai_prices import Usage  # noqa: PLC0415

    if any(name.startswith("requests") and value is not None for name, value in vars(prices).items()):
        return None  # a fee for each request is no rate
    one = _MILLION
    probes = (
        Usage(input_tokens=one),
        Usage(input_tokens=one, cache_read_tokens=one),
        Usage(input_tokens=one, cache_write_tokens=one, cache_write_5m_tokens=one),
        Usage(input_tokens=one, cache_write_tokens=one, cache_write_1h_tokens=one),
        Usage(output_tokens=one),
        Usage(output_tokens=one, output_reasoning_tokens=one),
    )
    try:
        return Rates(*(prices.calc_price(probe)["total_price"] for probe in probes))
    except ValueError:
        return None
