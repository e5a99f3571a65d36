"""The server's configuration: `server.toml` and the environment, checked as a whole.

    [providers.NAME]            protocol = "openai" | "anthropic"; base_url = "https://…" (or a list, in order);
                                keys = ["keyring:…", "env:NAME", "file:PATH"]; default = true; headers = {…}
    [rooms]                     strict = false        only rooms that an admin created
    [limits]                    max_body_mib = 32, idle_timeout_s = 600, connect_timeout_s = 10, keep_alive_s = 120
    [usage]                     prices = "PATH"; keep_days = 90    single events; sums stay for ever
                                on_disconnect = "cancel" | "drain"; drain_seconds = 60; drain_most = 64

A key stands in the file as a reference, never as itself.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.providers import DIALECTS
from meshproxy_cli.proxy.routes import Protocol
from meshproxy_cli.proxy.target import ECHO_URL, Target, make_target

_MIB = 1024 * 1024
_PROTOCOLS: tuple[Protocol, Protocol] = ("openai", "anthropic")
_DEFAULT_URLS: dict[Protocol, str] = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
ECHO = "echo"

ResolveSecret = Callable[[str], str]


class ConfigError(UsageError):
    """The configuration is wrong; the message holds every problem found."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured provider: each of its base URLs with each of its keys is a target, in the order to be tried."""

    name: str
    protocol: Protocol
    base_url: str
    targets: tuple[Target, ...] = field(repr=False)
    default: bool = False

    @property
    def echo(self) -> bool:
        """Whether this is the built-in echo provider."""
        return self.base_url == ECHO_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    largest_body: int = 32 * _MIB
    largest_expanded: int = 64 * _MIB
    idle_s: float = 600.0
    connect_s: float = 10.0
    keep_alive_s: float = 120.0  # above the 90 seconds for which agents' HTTP clients keep a connection
    head_timeout_s: float = 30.0
    body_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """Whether an answer is read to its end after its client went away: for how many seconds, how many at a time."""

    wanted: bool = False
    seconds: float = 60.0
    most: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What a worker goes by."""

    providers: tuple[Provider, ...]
    limits: Limits = field(default_factory=Limits)
    strict_rooms: bool = False
    price_file: str = ""
    keep_events_days: int | None = None
    open_metrics: bool = False  # /metrics without a token
    drain: Draining = field(default_factory=Draining)

    def provider(self, protocol: Protocol, name: str | None) -> Provider | None:
        """Return the provider of that name, or without one the default of the protocol."""
        candidates = [one for one in self.providers if one.protocol == protocol]
        if name is not None:
            return next((one for one in candidates if one.name == name), None)
        return next((one for one in candidates if one.default), candidates[0] if candidates else None)


def load_config(text: str, environ: Mapping[str, str], resolve_secret: ResolveSecret) -> ServerConfig:
    """Read the configuration.

    Where `text` (TOML) names no provider, they come from OPENAI_API_KEY and OPENAI_BASE_URL (with `/v1`) and
    ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL (without). A protocol that nobody has a key for is the echo provider's.
    `resolve_secret` turns a reference into its secret. Raises `ConfigError`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"server.toml is no valid TOML: {problem}") from None
    problems: list[str] = []
    providers = _from_file(document.get("providers", {}), resolve_secret, problems)
    keys = {} if providers or problems else environ
    for protocol in _PROTOCOLS:
        if not any(provider.protocol == protocol for provider in providers):
            providers.append(_from_environment(protocol, keys, problems))
    limits = _limits(document.get("limits", {}), problems)
    strict = document.get("rooms", {}).get("strict", False) if isinstance(document.get("rooms", {}), dict) else None
    if not isinstance(strict, bool):
        problems.append("rooms.strict must be true or false")
    open_metrics = (
        document.get("metrics", {}).get("open", False) if isinstance(document.get("metrics", {}), dict) else 0
    )
    if not isinstance(open_metrics, bool):
        problems.append("metrics.open must be true or false")
    usage = document.get("usage", {})
    prices = usage.get("prices", "") if isinstance(usage, dict) else ""
    keep_days = usage.get("keep_days") if isinstance(usage, dict) else None
    if keep_days is not None and (type(keep_days) is not int or keep_days < 1):
        problems.append("usage.keep_days must be a whole number of days, 1 or more")
    drain = _draining(usage if isinstance(usage, dict) else {}, problems)
    if problems:
        raise ConfigError("the server's configuration is wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
    return ServerConfig(
        providers=tuple(providers),
        limits=limits,
        strict_rooms=strict is True,
        price_file=str(prices),
        keep_events_days=keep_days,
        open_metrics=open_metrics is True,
        drain=drain,
    )


def _draining(table: dict[str, Any], problems: list[str]) -> Draining:
    choice, seconds, most = (
        table.get("on_disconnect", "cancel"),
        table.get("drain_seconds", 60),
        table.get("drain_most", 64),
    )
    if choice not in {"cancel", "drain"}:
        problems.append('usage.on_disconnect must be "cancel" or "drain"')
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        problems.append("usage.drain_seconds must be a number above 0")
        seconds = 60
    if type(most) is not int or most < 1:
        problems.append("usage.drain_most must be a whole number, 1 or more")
        most = 64
    return Draining(wanted=choice == "drain", seconds=float(seconds), most=most)


def _from_environment(protocol: Protocol, environ: Mapping[str, str], problems: list[str]) -> Provider:
    prefix = protocol.upper()
    key = environ.get(f"{prefix}_API_KEY", "").strip()
    if not key:
        return Provider(ECHO, protocol, ECHO_URL, (make_target(protocol, ECHO_URL, None, {}),), default=True)
    url = environ.get(f"{prefix}_BASE_URL", "").strip() or _DEFAULT_URLS[protocol]
    try:
        target = make_target(protocol, url, DIALECTS[protocol].credential(key), {})
    except UsageError as problem:
        problems.append(f"{prefix}_BASE_URL: {problem.message}")
        return Provider(protocol, protocol, url, (), default=True)
    return Provider(protocol, protocol, url, (target,), default=True)


def _from_file(tables: Any, resolve_secret: ResolveSecret, problems: list[str]) -> list[Provider]:  # noqa: ANN401
    if not isinstance(tables, dict):
        problems.append("[providers] must be a table of tables")
        return []
    found = []
    for name, table in tables.items():
        try:
            found.append(_provider(name, table, resolve_secret))
        except UsageError as problem:
            problems.append(f"providers.{name}: {problem.message}")
    return found


def _provider(name: str, table: Any, resolve_secret: ResolveSecret) -> Provider:  # noqa: ANN401 (from TOML)
    if not isinstance(table, dict):
        raise UsageError("must be a table")
    protocol = table.get("protocol", name)
    if protocol not in _PROTOCOLS:
        raise UsageError('protocol must be "openai" or "anthropic"')
    urls = _strings(table, "base_url", [_DEFAULT_URLS[protocol]])
    references = _strings(table, "keys", [])
    headers = table.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise UsageError("headers must be a table of texts")
    dialect = DIALECTS[protocol]
    keys = [dialect.credential(resolve_secret(reference)) for reference in references]
    credentials: list[tuple[str, str] | None] = [*keys] or [None]
    targets = tuple(make_target(protocol, url, credential, headers) for url in urls for credential in credentials)
    return Provider(name, protocol, urls[0], targets, default=table.get("default") is True)


def _strings(table: dict[str, Any], name: str, default: list[str]) -> list[str]:
    value = table.get(name, default)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
        raise UsageError(f"{name} must be a text or a list of texts")
    return values or default


_LIMIT_KEYS = {
    "max_body_mib": ("largest_body", _MIB),
    "max_expanded_mib": ("largest_expanded", _MIB),
    "idle_timeout_s": ("idle_s", 1),
    "connect_timeout_s": ("connect_s", 1),
    "keep_alive_s": ("keep_alive_s", 1),
    "head_timeout_s": ("head_timeout_s", 1),
    "body_timeout_s": ("body_timeout_s", 1),
}


def _limits(table: Any, problems: list[str]) -> Limits:  # noqa: ANN401 (from TOML)
    if not isinstance(table, dict):
        problems.append("[limits] must be a table")
        return Limits()
    chosen: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _LIMIT_KEYS:
            problems.append(f"limits.{key} is not known; there are {', '.join(_LIMIT_KEYS)}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            problems.append(f"limits.{key} must be a number above 0")
        else:
            name, unit = _LIMIT_KEYS[key]
            chosen[name] = int(value * unit) if unit != 1 else float(value)
    return Limits(**chosen)
