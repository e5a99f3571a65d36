"""Prices: from the price list that the genai-prices package carries (never fetched), and from a price file."""

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from meshproxy_cli.store.events import UsageEvent

_STANDARD = frozenset({"", "default", "standard", "auto"})


@dataclass(frozen=True, slots=True)
class PricedProvider:
    """What pricing needs to know of a configured provider."""

    protocol: str
    base_url: str


class PriceBook:
    """Prices events. Exact: decimals throughout, nothing rounded."""

    def __init__(self, providers: Mapping[str, PricedProvider] | None = None) -> None:
        self._providers = dict(providers or {})

    def price(self, event: UsageEvent) -> UsageEvent:
        """Return the event with its cost and price list named; without a cost where there is no price for it."""
        cost = self._cost(event)
        if cost is None:
            return event
        return dataclasses.replace(event, cost_usd=cost, price_snapshot=snapshot_name())

    def _cost(self, event: UsageEvent) -> Decimal | None:
        # Loaded when first needed, in the janitor's thread: it takes a fifth of a second.
        from genai_prices import Usage, calc_price  # noqa: PLC0415

        tokens = event.tokens
        model = event.model_served or event.model_requested
        if not event.metered or not model:
            return None
        usage = Usage(
            input_tokens=tokens.input_tokens,
            cache_read_tokens=tokens.cached_input_tokens,
            cache_write_tokens=tokens.cache_write_tokens,
            cache_write_1h_tokens=tokens.cache_write_1h_tokens,
            output_tokens=tokens.output_tokens,
        )
        known = self._providers.get(event.provider)
        protocol = known.protocol if known else event.provider
        try:
            return calc_price(usage, model, provider_id=protocol, genai_request_timestamp=event.started_at).total_price
        except (LookupError, ValueError):
            return None


def snapshot_name() -> str:
    """Return the name of the price list in use: "genai-prices 0.2.3"."""
    return f"genai-prices {importlib.metadata.version('genai-prices')}"
