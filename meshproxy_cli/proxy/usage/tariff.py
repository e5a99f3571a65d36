"""Prices as whole picodollars a token: what nearly every event costs, by six multiplications.

Only for text, and for rates that have no part of a picodollar in a token; such a sum is exact. `PriceBook` says which
tariff holds, and prices everything else.
"""

from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal

from meshproxy_cli.proxy.usage.rates import Brackets, Rates

#: 1 US dollar for a million tokens is so many picodollars for one.
_PICODOLLARS = 1_000_000
WholeRates = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a model costs on a day. `starts` are those of tiers by input; no rates at all: it has no price."""

    snapshot: str = ""
    starts: tuple[int, ...] = ()
    rates: tuple[WholeRates, ...] = ()
    input_priced: bool = True
    output_priced: bool = True
    estimated: bool = False

    def cost(self, read: int, cached: int, short: int, long: int, wrote: int, reasoned: int) -> int | None:  # noqa: PLR0917 (the numbers of one row, in its order)
        """Return picodollars for the numbers of `TokenCounts`; None without a price, or where they contradict."""
        if not self.rates or (read and not self.input_priced) or (wrote and not self.output_priced):
            return None
        fresh, plain = read - cached - short - long, wrote - reasoned
        if fresh < 0 or plain < 0:
            return None
        rates = self.rates[bisect_left(self.starts, read) if self.starts else 0]
        return (
            fresh * rates[0]
            + cached * rates[1]
            + short * rates[2]
            + long * rates[3]
            + plain * rates[4]
            + reasoned * rates[5]
        )


def whole_rates(brackets: Brackets) -> tuple[WholeRates, ...] | None:
    """Return the rates of each bracket in whole picodollars; None where some are not whole, or not linear."""
    found = tuple(_whole(rates) for rates in brackets.rates)
    return None if None in found else tuple(rates for rates in found if rates is not None)


def _whole(rates: Rates | None) -> WholeRates | None:
    if rates is None:
        return None
    amounts = [
        amount * _PICODOLLARS
        for amount in (
            rates.fresh_input,
            rates.cached_input,
            rates.cache_write_5m,
            rates.cache_write_1h,
            rates.plain_output,
            rates.reasoning,
        )
    ]
    if any(amount != amount.to_integral_value() or amount < Decimal(0) for amount in amounts):
        return None
    fresh, cached, short, long, plain, reasoned = map(int, amounts)
    return fresh, cached, short, long, plain, reasoned
