"""What the price list's library would charge, at a hundredth of its time.

A price without tiers is linear: so much for each token of a kind, whatever the others are. The library is asked once
for each kind's rate; sums of exact decimals are then the same as its own. Everything else is left to the library.
"""

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
        self._known: OrderedDict[int, tuple[ModelPrice, Rates | None]] = OrderedDict()

    def rates(self, prices: "ModelPrice") -> Rates | None:
        """Return the rates of text tokens at these prices; None where they are not linear."""
        found = self._known.get(id(prices))
        if found is None:
            found = self._known[id(prices)] = (prices, _ask(prices))
            if len(self._known) > _MOST_MODELS:
                self._known.popitem(last=False)
        return found[1]


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


def _ask(prices: "ModelPrice") -> Rates | None:
    from genai_prices import Usage  # noqa: PLC0415 (loaded with the first price)
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    rates = {name: value for name, value in vars(prices).items() if value is not None}
    if any(isinstance(value, TieredPrices) or name.startswith("requests") for name, value in rates.items()):
        return None  # tiers bend the line, a fee for each request lifts it
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
