"""Prices: from the price file, else from the list that the genai-prices package carries (never fetched).

An answer without a price has no cost: one of an unknown model, and one at a tier for which no rate is published. The
library would give the standard price for such a tier; a ledger must not. A model that the list does not know yet has
the rates of the newest of its family, and its events say that their cost is estimated.
"""

import dataclasses
import functools
import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.usage.families import family_of, newest
from meshproxy_cli.proxy.usage.pricefile import OTHER_TIERS, STANDARD_TIERS, PriceFile, read_price_file
from meshproxy_cli.proxy.usage.rates import RateCache, is_text
from meshproxy_cli.proxy.usage.tariff import Tariff, whole_rates
from meshproxy_cli.store.events import TokenCounts, UsageEvent

if TYPE_CHECKING:
    from genai_prices import Usage
    from genai_prices.types import ModelInfo, ModelPrice, Provider

    from meshproxy_cli.proxy.config.server import ServerConfig

_NOTHING = TokenCounts()
_ECHO = "echo"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_TARIFFS = 4096


_ONE = Decimal(1)
_REGIONAL = Decimal("1.1")
_OPENAI_HOST = re.compile(r"https?://([a-z]{2})\.api\.openai\.com(?=[:/]|$)")
_FIRST_REGIONAL = (5, 4)  # of March 2026; OpenAI's models before it cost the same everywhere


@dataclass(frozen=True, slots=True)
class Found:
    """The prices that hold for an answer, and where they are from."""

    prices: "ModelPrice"
    snapshot: str
    estimated: bool = False  # they are those of another model of its family


@dataclass(frozen=True, slots=True)
class PricedProvider:
    """What pricing needs to know of a configured provider: `protocol` is "openai" or "anthropic"."""

    protocol: str
    base_url: str = ""


class PriceBook:
    """Prices events, exactly: decimals throughout, nothing rounded. Not for a request's path."""

    def __init__(
        self, providers: Mapping[str, PricedProvider] | None = None, price_file: PriceFile | None = None
    ) -> None:
        """Take the configured providers by name; one that is not among them is taken for the protocol of that name."""
        self._providers = dict(providers or {})
        self._file = price_file
        self._rates = RateCache()
        self._tariffs: dict[tuple[str, str, str, int], Tariff | None] = {}

    def load(self) -> None:
        """Load what prices of the providers need, before the first event asks for it: a fifth of a second."""
        for provider in self._providers:
            self._listed(provider, "any")

    def price(self, event: UsageEvent) -> UsageEvent:
        """Return the event with its cost and the price list named; as it came where there is no price. Never raises."""
        if not event.metered or event.cost_usd is not None:  # the provider's own price takes precedence
            return event
        if event.tokens == _NOTHING and not event.audio_seconds and not event.web_searches:
            return dataclasses.replace(event, cost_usd=Decimal(0))
        model = event.model_served or event.model_requested
        found = self.find(event.provider, model, event.service_tier, event.started_at, event.region)
        cost = None if found is None else self._cost(found.prices, event)
        if found is None or cost is None:
            return event
        return dataclasses.replace(event, cost_usd=cost, price_snapshot=found.snapshot, price_estimated=found.estimated)

    def tariff(self, provider: str, model: str, service_tier: str, day: int) -> Tariff | None:
        """Return what text costs on a day (counted from 1970, in UTC); None where only `price` can tell. Never raises.

        The answer that is named `model` must be metered, and have used something.
        """
        key = (provider, model, service_tier, day)
        if key not in self._tariffs:
            if len(self._tariffs) >= _MOST_TARIFFS:
                self._tariffs.clear()  # names come from requests
            self._tariffs[key] = self._tariff(*key)
        return self._tariffs[key]

    def _tariff(self, provider: str, model: str, service_tier: str, day: int) -> Tariff | None:
        moment = _EPOCH + timedelta(days=day)
        if self._from_file(provider, model, service_tier) is None:
            listed = self._listed(provider, model) or self._relative(provider, model, moment)
            if not _steady(listed):
                return None
        found = self.find(provider, model, service_tier, moment)
        if found is None:
            return Tariff()
        prices = found.prices
        brackets = self._rates.brackets(prices)
        rates = whole_rates(brackets)
        if rates is None:
            return None
        return Tariff(
            found.snapshot,
            brackets.starts,
            rates,
            input_priced=prices.input_mtok is not None,
            output_priced=prices.output_mtok is not None,
            estimated=found.estimated,
        )

    def find(self, provider: str, model: str, service_tier: str, moment: datetime, region: str = "") -> Found | None:
        """Return the prices for an answer: the price file's, the list's, or those of the model's family."""
        found = self._from_file(provider, model, service_tier) or self._from_list(provider, model, service_tier, moment)
        if found is None:
            return None
        factor = self._factor(provider, model, region)
        return found if factor == 1 else dataclasses.replace(found, prices=self._rates.times(found.prices, factor))

    def _from_file(self, provider: str, model: str, service_tier: str) -> Found | None:
        if self._file is None:
            return None
        prices = self._file.find(provider=provider, model=model, service_tier=service_tier)
        if prices is None and service_tier not in OTHER_TIERS:
            prices = self._file.find(provider=provider, model=model, service_tier="")
        return None if prices is None else Found(prices, self._file.snapshot)

    def _from_list(self, provider: str, model: str, service_tier: str, moment: datetime) -> Found | None:
        listed, estimated = self._listed(provider, model), False
        if listed is None:
            listed, estimated = self._relative(provider, model, moment), True
        prices = None if listed is None else _rates(*listed, service_tier, moment)
        return None if prices is None else Found(prices, snapshot_name(), estimated)

    def _relative(self, provider: str, model: str, moment: datetime) -> "tuple[Provider, ModelInfo] | None":
        """Return the newest listed model of the family that this one continues."""
        priced = self._providers.get(provider) or PricedProvider(provider)
        if not model or _ECHO in {priced.protocol, provider}:
            return None
        return _relative(priced.protocol, priced.base_url, model, moment.date())

    def _factor(self, provider: str, model: str, region: str) -> Decimal:
        """Return what the prices of tokens are multiplied by, for where the answer was made."""
        priced = self._providers.get(provider) or PricedProvider(provider)
        host = _OPENAI_HOST.match(priced.base_url)
        region = region or (host[1] if host else "")
        if not region:
            return _ONE
        if self._file is not None:
            factor = self._file.factor(provider=provider, model=model, region=region)
            if factor is not None:
                return factor
        if host:
            words, version = family_of(model)
            return _REGIONAL if words[:1] == ("gpt",) and version >= _FIRST_REGIONAL else _ONE
        return _REGIONAL

    def _listed(self, provider: str, model: str) -> "tuple[Provider, ModelInfo] | None":
        priced = self._providers.get(provider) or PricedProvider(provider)
        if not model or _ECHO in {priced.protocol, provider}:
            return None
        return _listed(priced.protocol, priced.base_url, model)

    def _cost(self, prices: "ModelPrice", event: UsageEvent) -> Decimal | None:
        """Return the cost; None where something was used that these prices have no rate for."""
        tokens = event.tokens
        unpriced = (
            (tokens.input_tokens and prices.input_mtok is None)
            or (tokens.output_tokens and prices.output_mtok is None)
            or (tokens.input_audio_tokens and prices.input_audio_mtok is None)
            or (tokens.output_audio_tokens and prices.output_audio_mtok is None)
            or (event.audio_seconds and prices.audio_hours is None and prices.input_audio_hours is None)
        )
        if unpriced:
            return None
        plain = is_text(tokens) and not event.audio_seconds
        searches = _searches(prices, event)
        if searches is None:
            return None
        rates = self._rates.rates(prices, tokens.input_tokens) if plain else None
        if rates is not None:
            cost = rates.cost(tokens)
            return None if cost is None else cost + searches
        try:
            return prices.calc_price(_usage(event))["total_price"] + searches
        except ValueError:  # numbers that contradict each other, such as more cached tokens than were read
            return None


def price_book(config: "ServerConfig") -> PriceBook:
    """Return the prices that a configuration asks for. Raises `NotFoundError` and `PriceFileError`."""
    providers = {one.name: PricedProvider(one.protocol, one.base_url) for one in config.providers}
    return PriceBook(providers, read_price_file(Path(config.price_file)) if config.price_file else None)


@functools.cache
def snapshot_name() -> str:
    """Return the name of the bundled price list: "genai-prices 0.2.3"."""
    return f"genai-prices {importlib.metadata.version('genai-prices')}"


def _searches(prices: "ModelPrice", event: UsageEvent) -> Decimal | None:
    """Return the cost of web searches; None if there is no rate for them."""
    rate = prices.web_searches_kcount
    if not event.web_searches:
        return Decimal(0)
    return rate * event.web_searches / 1000 if isinstance(rate, Decimal) else None


@functools.lru_cache(maxsize=1024)
def _relative(protocol: str, base_url: str, model: str, day: date) -> "tuple[Provider, ModelInfo] | None":
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    provider = _provider(protocol, base_url)
    if provider is None:
        return None
    found = newest(provider.models, model, moment)
    return None if found is None else (provider, found)


@functools.lru_cache(maxsize=1024)
def _listed(protocol: str, base_url: str, model: str) -> "tuple[Provider, ModelInfo] | None":
    """Find a model in the list of whoever answers at the base URL, else in that of the protocol's inventor."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 (see _provider)

    provider = _provider(protocol, base_url)
    if provider is None:
        return None
    found = provider.find_model(model, all_providers=get_snapshot().providers)
    return None if found is None else (provider, found)


def _provider(protocol: str, base_url: str) -> "Provider | None":
    # The library is loaded with the first price, in the shipper's thread: it takes a fifth of a second.
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    snapshot = get_snapshot()
    host = _OPENAI_HOST.match(base_url)
    try:
        return snapshot.find_provider(None, None, "https://api.openai.com" if host else base_url or None)
    except LookupError:
        try:
            return snapshot.find_provider(None, protocol, None)
        except LookupError:
            return None


def _steady(listed: "tuple[Provider, ModelInfo] | None") -> bool:
    """Whether a model's prices change at midnight only, if ever; some are cheaper at night."""
    if listed is None:
        return True
    from genai_prices.types import ModelPrice, StartDateConstraint  # noqa: PLC0415 (see _provider)

    model = listed[1]
    prices = () if isinstance(model.prices, ModelPrice) else model.prices
    constraints = [one.constraint for one in (*prices, *(model.price_variants or ()))]
    return all(one is None or isinstance(one, StartDateConstraint) for one in constraints)


def _rates(provider: "Provider", model: "ModelInfo", tier: str, moment: datetime) -> "ModelPrice | None":
    """Return the model's prices at a tier and time, None where the list has no rates for that tier."""
    if tier in STANDARD_TIERS or tier not in OTHER_TIERS:
        return model.get_prices(moment)
    context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier}
    if provider.id == "anthropic" and tier == "fast":
        context = {"speed": "fast"}
    if not any(listed is model for listed in provider.models):
        return None  # found by way of another provider's list, whose tiers are not this one's
    variants = [variant for variant in model.price_variants or () if variant.when == context]
    if not any(variant.constraint is None or variant.constraint.active(moment) for variant in variants):
        return None
    return model.get_prices(moment, context)


def _usage(event: UsageEvent) -> "Usage":
    from genai_prices import Usage  # noqa: PLC0415 (see _provider)

    tokens = event.tokens
    return Usage(
        input_tokens=tokens.input_tokens,
        cache_read_tokens=tokens.cached_input_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        cache_write_5m_tokens=tokens.cache_write_5m_tokens,
        cache_write_1h_tokens=tokens.cache_write_1h_tokens,
        output_tokens=tokens.output_tokens,
        output_reasoning_tokens=tokens.reasoning_tokens,
        input_audio_tokens=tokens.input_audio_tokens,
        output_audio_tokens=tokens.output_audio_tokens,
        input_image_tokens=tokens.input_image_tokens,
        output_image_tokens=tokens.output_image_tokens,
        cache_audio_read_tokens=tokens.cached_audio_tokens,
        cache_image_read_tokens=tokens.cached_image_tokens,
        audio_seconds=event.audio_seconds,
        input_audio_seconds=event.audio_seconds,
    )
