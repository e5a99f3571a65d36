"""The price file: prices that a server's owner sets, before those of the bundled list.

    [[price]]
    model = "acme-coder*"        # as answered; a `*` at the end stands for any ending
    provider = "openai"          # optional: only for the provider of this name in the configuration
    service_tier = "flex"        # optional: for this tier as served; left out, for the standard one
    input_mtok = 2.5             # US dollars per million tokens
    cache_read_mtok = 0.25
    output_mtok = { base = 15, tiers = [{ start = 200000, price = 22.5 }] }   # dearer above 200,000 tokens of input

    [[multiplier]]
    region = "us"                # Anthropic's `inference_geo`, or the region in the host of an OpenAI base URL
    model = "claude-*"           # optional
    provider = "anthropic"       # optional
    factor = 1.1

Price keys are those of genai-prices (`input_mtok`, `cache_write_1h_mtok`, `input_audio_mtok`, `audio_hours`, …), so
entries of its lists can be copied. The first entry that fits counts.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshproxy_cli.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_LARGEST_FACTOR = 100
STANDARD_TIERS = frozenset({"", "default", "standard", "auto"})
"""What providers call the tier at list price."""

OTHER_TIERS = frozenset({"flex", "priority", "batch", "fast", "scale", "performance", "provisioned", "reserved"})
"""Tiers with rates of their own. One that is not among them is priced as standard, and counted in a metric."""


class PriceFileError(UsageError):
    """The price file is wrong; the message names every problem."""


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """One `[[price]]` table."""

    model: str
    provider: str
    service_tier: str
    prices: "ModelPrice"

    def fits(self, *, provider: str, model: str, service_tier: str) -> bool:
        """Whether the entry is for this answer."""
        if self.provider not in {"", provider}:
            return False
        if not (service_tier == self.service_tier or {service_tier, self.service_tier} <= STANDARD_TIERS):
            return False
        return _names(self.model, model)


@dataclass(frozen=True, slots=True)
class Multiplier:
    """One `[[multiplier]]` table: what tokens cost in a region, as a multiple of the price elsewhere."""

    region: str
    model: str
    provider: str
    factor: Decimal

    def fits(self, *, provider: str, model: str, region: str) -> bool:
        """Whether it is for this answer."""
        return region == self.region and self.provider in {"", provider} and _names(self.model, model)


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The entries in their order, and a name that tells versions of the file apart ("prices.toml 1f2e3d4c")."""

    snapshot: str
    entries: tuple[PriceEntry, ...]
    multipliers: tuple[Multiplier, ...] = ()

    def factor(self, *, provider: str, model: str, region: str) -> Decimal | None:
        """Return what the prices of tokens are multiplied by, None if the file does not say."""
        for one in self.multipliers:
            if one.fits(provider=provider, model=model, region=region):
                return one.factor
        return None

    def find(self, *, provider: str, model: str, service_tier: str) -> "ModelPrice | None":
        """Return the prices for an answer, or None where the file has none."""
        for entry in self.entries:
            if entry.fits(provider=provider, model=model, service_tier=service_tier):
                return entry.prices
        return None


def read_price_file(path: Path) -> PriceFile:
    """Read and check a price file. Raises `NotFoundError` or `PriceFileError`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"There is no price file {path}.") from None
    except OSError as problem:
        raise PriceFileError(f"The price file {path} can't be read: {problem.strerror}.") from None
    return parse_price_file(data, path.name)


def parse_price_file(data: bytes, name: str = "prices.toml") -> PriceFile:
    """Check a price file's content; every number exactly as written. Raises `PriceFileError`."""
    try:
        document = tomllib.loads(data.decode(), parse_float=Decimal)
    except ValueError as problem:  # UnicodeDecodeError is one as well
        raise PriceFileError(f"{name} is not valid TOML: {problem}") from None
    problems: list[str] = [f"unknown key {key!r}" for key in document if key not in {"price", "multiplier"}]
    entries: list[PriceEntry] = []
    multipliers: list[Multiplier] = []
    for number, table in enumerate(_tables(document, "price", problems), 1):
        entry = _entry(table, problems, f"price {number}")
        if entry is not None:
            entries.append(entry)
    for number, table in enumerate(_tables(document, "multiplier", problems), 1):
        multiplier = _multiplier(table, problems, f"multiplier {number}")
        if multiplier is not None:
            multipliers.append(multiplier)
    if problems:
        raise PriceFileError(f"{name}: " + "; ".join(problems), hint="See docs/usage.md for the format.")
    snapshot = f"{name} {hashlib.sha256(data).hexdigest()[:8]}"
    return PriceFile(snapshot=snapshot, entries=tuple(entries), multipliers=tuple(multipliers))


def _names(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern


def _tables(document: dict[str, Any], name: str, problems: list[str]) -> list[Any]:
    tables = document.get(name, [])
    if isinstance(tables, list):
        return tables
    problems.append(f"{name}s are written as [[{name}]] tables")
    return []


def _multiplier(table: Any, problems: list[str], where: str) -> Multiplier | None:  # noqa: ANN401 (any TOML value)
    if not isinstance(table, dict):
        problems.append(f"{where} is not a table")
        return None
    unknown = table.keys() - {"region", "model", "provider", "factor"}
    names = {"region": table.get("region", ""), "model": table.get("model", "*"), "provider": table.get("provider", "")}
    if unknown:
        problems.append(f"{where}: unknown key {', '.join(sorted(unknown))}")
        return None
    if not all(isinstance(value, str) for value in names.values()) or not names["region"] or not names["model"]:
        problems.append(f"{where}: region, model and provider must be text, and region is required")
        return None
    try:
        factor = _dollars("factor", table.get("factor"))
    except ValueError as problem:
        problems.append(f"{where}: {problem}")
        return None
    if not 0 < factor <= _LARGEST_FACTOR:
        problems.append(f"{where}: factor must be more than 0 and at most {_LARGEST_FACTOR}")
        return None
    return Multiplier(**names, factor=factor)


def _entry(table: Any, problems: list[str], where: str) -> PriceEntry | None:  # noqa: ANN401 (any TOML value)
    if not isinstance(table, dict):
        problems.append(f"{where} is no table")
        return None
    names = {key: table.get(key, "") for key in ("model", "provider", "service_tier")}
    for key, value in names.items():
        if not isinstance(value, str) or (key == "model" and not value):
            problems.append(f"{where}: {key} must be text")
            return None
    try:
        prices = _model_price({key: value for key, value in table.items() if key not in names})
    except ValueError as problem:
        problems.append(f"{where} ({names['model']}): {problem}")
        return None
    return PriceEntry(names["model"], names["provider"], names["service_tier"], prices)


def _model_price(prices: dict[str, Any]) -> "ModelPrice":
    """Build the library's price object; raise `ValueError` for what it would not calculate with."""
    # The library is loaded with the first price: it takes a fifth of a second.
    from genai_prices import Usage  # noqa: PLC0415
    from genai_prices.types import ModelPrice  # noqa: PLC0415

    if not prices:
        raise ValueError("no price is given")
    unknown = sorted(key for key in prices if not _is_price_key(key))
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}")
    price = ModelPrice(**{key: _amount(key, value) for key, value in prices.items()})
    price.calc_price(Usage())
    return price


def _is_price_key(key: str) -> bool:
    from genai_prices.types import ModelPrice  # noqa: PLC0415 (as above)

    return not key.startswith("_") and hasattr(ModelPrice(), key) and key not in vars(ModelPrice)


def _amount(key: str, value: Any) -> Any:  # noqa: ANN401 (a number, or a table of tiers)
    from genai_prices.types import Tier, TieredPrices  # noqa: PLC0415 (as above)

    if isinstance(value, dict):
        try:
            tiers = [Tier(start=tier["start"], price=_dollars(key, tier["price"])) for tier in value["tiers"]]
            return TieredPrices(base=_dollars(key, value["base"]), tiers=tiers)
        except (KeyError, TypeError):
            raise ValueError(f"{key} needs base and tiers = [{{ start = 200000, price = 1.5 }}]") from None
    return _dollars(key, value)


def _dollars(key: str, value: Any) -> Decimal:  # noqa: ANN401 (any TOML value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite() or value < 0:
        raise ValueError(f"{key} must be a number of US dollars")
    return Decimal(value)
