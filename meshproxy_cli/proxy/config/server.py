"""The server's configuration: `server.toml` and the environment, checked as a whole.

    [providers.NAME]            protocol = "openai" | "anthropic"; base_url = "https://…" (or a list, in order);
                                keys = ["keyring:…", "env:NAME", "file:PATH"]; default = true;
                                headers = {authorization = "Bearer env:NAME", …}
                                forward_headers = ["OpenAI-Project", …]  of clients, which are kept here otherwise
                                allow_http = true     plain http:// to another machine
    [rooms]                     strict = false        only rooms that an admin created
                                client_secrets = ["ROOM", …]  rooms in which realtime credentials of a provider are
                                handed to clients, past limits and usage (/v1/realtime/client_secrets and the like)
    [limits]                    max_body_mib = 32, idle_timeout_s = 600, connect_timeout_s = 10, keep_alive_s = 120
    [usage]                     prices = "PATH"; keep_days = 400   single events; sums stay for ever
                                on_disconnect = "cancel" | "drain"; drain_seconds = 60; drain_most = 64
    [metrics]                   open = false          /metrics without a token
    [log]                       format = "people" | "json"; level = "info"; access = false
    [server]                    host, port, workers, public_url, tls_cert, tls_key, drain_seconds, web: as the options
                                of `meshproxy serve`, which come first. Read at the start only.

A key stands in the file as a reference, never as itself. What is not known here is an error, not ignored: a setting
that was misspelled must not be missed.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshproxy_cli.errors import CredentialError, UsageError
from meshproxy_cli.proxy.config.provider_headers import check_value, read_forwarded, read_headers
from meshproxy_cli.proxy.config.sections import Section
from meshproxy_cli.proxy.config.targets import ECHO_URL, Target, check_encrypted, make_target
from meshproxy_cli.proxy.core.routes import Protocol
from meshproxy_cli.proxy.providers import DIALECTS

_MIB = 1024 * 1024
_PROTOCOLS: tuple[Protocol, Protocol] = ("openai", "anthropic")
_DEFAULT_URLS: dict[Protocol, str] = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
ECHO = "echo"
INSECURE_HTTP = "MESHPROXY_INSECURE_HTTP"
_SECTIONS = ("providers", "rooms", "limits", "usage", "metrics", "log", "server")
_TABLES = ", ".join(f"[{name}]" for name in _SECTIONS)
_PROVIDER_KEYS = ("protocol", "base_url", "keys", "headers", "forward_headers", "allow_http", "default")
MOST_WORKERS = 64
_MOST_DAYS = 36_500
LOG_FORMATS = ("people", "json")
LOG_LEVELS = ("info", "debug", "warning", "error")

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
class LogSettings:
    """How the server logs: as JSON lines or for people, from which level, and whether a line for each request."""

    json: bool = False
    level: str = "info"
    access: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How a server is started; `drain_s` is how many seconds running answers get at its end."""

    host: str = "127.0.0.1"
    port: int = 8765
    workers: int = 1
    public_url: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    drain_s: float = 30.0
    web: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What a worker goes by."""

    providers: tuple[Provider, ...]
    limits: Limits = field(default_factory=Limits)
    strict_rooms: bool = False
    client_secret_rooms: tuple[str, ...] = ()  # rooms in which a provider's credentials are handed out
    price_file: str = ""
    keep_events_days: int | None = None
    open_metrics: bool = False  # /metrics without a token
    drain: Draining = field(default_factory=Draining)
    log: LogSettings = field(default_factory=LogSettings)
    server: Listening = field(default_factory=Listening)

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
    problems = [f"[{name}] is not known; there are {_TABLES}" for name in document if name not in _SECTIONS]
    providers = _from_file(document.get("providers", {}), resolve_secret, problems)
    keys = {} if providers or problems else environ
    for protocol in _PROTOCOLS:
        if not any(provider.protocol == protocol for provider in providers):
            providers.append(_from_environment(protocol, keys, problems))
    config = _config(document, tuple(providers), problems)
    if problems:
        raise ConfigError("the server's configuration is wrong:", details=[f"  {problem}" for problem in problems])
    return config


def _config(document: Mapping[str, Any], providers: tuple[Provider, ...], problems: list[str]) -> ServerConfig:
    sections = {name: Section(document, name, problems) for name in _SECTIONS if name != "providers"}
    usage, draining = sections["usage"], Draining()
    config = ServerConfig(
        providers=providers,
        limits=_limits(sections["limits"]),
        strict_rooms=sections["rooms"].flag("strict"),
        client_secret_rooms=sections["rooms"].texts("client_secrets"),
        price_file=usage.text("prices"),
        keep_events_days=usage.whole("keep_days", " of days", most=_MOST_DAYS),
        open_metrics=sections["metrics"].flag("open"),
        drain=Draining(
            wanted=usage.choice("on_disconnect", ("cancel", "drain")) == "drain",
            seconds=usage.number("drain_seconds", draining.seconds),
            most=usage.whole("drain_most", "") or draining.most,
        ),
        log=_log_settings(sections["log"]),
        server=_listening(sections["server"]),
    )
    for section in sections.values():
        section.close()
    return config


def _log_settings(section: Section) -> LogSettings:
    return LogSettings(
        json=section.choice("format", LOG_FORMATS) == "json",
        level=section.choice("level", LOG_LEVELS),
        access=section.flag("access"),
    )


def _listening(section: Section) -> Listening:
    default = Listening()
    port, drain_s = section.whole("port", "", least=0, most=65535), section.seconds("drain_seconds")
    return Listening(
        host=section.text("host") or default.host,
        port=default.port if port is None else port,
        workers=section.whole("workers", "", most=MOST_WORKERS) or default.workers,
        public_url=section.text("public_url"),
        tls_cert=section.text("tls_cert"),
        tls_key=section.text("tls_key"),
        drain_s=default.drain_s if drain_s is None else drain_s,
        web=section.flag("web", default=True),
    )


def _limits(section: Section) -> Limits:
    default = Limits()
    return Limits(
        largest_body=int(section.number("max_body_mib", default.largest_body / _MIB) * _MIB),
        largest_expanded=int(section.number("max_expanded_mib", default.largest_expanded / _MIB) * _MIB),
        idle_s=section.number("idle_timeout_s", default.idle_s),
        connect_s=section.number("connect_timeout_s", default.connect_s),
        keep_alive_s=section.number("keep_alive_s", default.keep_alive_s),
        head_timeout_s=section.number("head_timeout_s", default.head_timeout_s),
        body_timeout_s=section.number("body_timeout_s", default.body_timeout_s),
    )


def _from_environment(protocol: Protocol, environ: Mapping[str, str], problems: list[str]) -> Provider:
    prefix = protocol.upper()
    key = environ.get(f"{prefix}_API_KEY", "").strip()
    if not key:
        return Provider(ECHO, protocol, ECHO_URL, (make_target(protocol, ECHO_URL, None, {}),), default=True)
    url = environ.get(f"{prefix}_BASE_URL", "").strip() or _DEFAULT_URLS[protocol]
    try:
        credential = DIALECTS[protocol].credential(check_value(key, "the key"))
        target = make_target(protocol, url, credential, {})
        if environ.get(INSECURE_HTTP, "") in {"", "0"}:
            check_encrypted(url)
    except UsageError as problem:
        hint = f" (use https://, or on a network that you trust set {INSECURE_HTTP}=1)" if problem.hint else ""
        problems.append(f"{prefix}_API_KEY and {prefix}_BASE_URL: {problem.message}{hint}")
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
        except (UsageError, CredentialError) as problem:
            hint = f" ({problem.hint})" if problem.hint else ""
            problems.append(f"providers.{name}: {problem.message}{hint}")
    for protocol in _PROTOCOLS:
        defaults = [one.name for one in found if one.protocol == protocol and one.default]
        if len(defaults) > 1:
            problems.append(f"only one provider can be the default for {protocol}, not {' and '.join(defaults)}")
    return found


def _provider(name: str, table: Any, resolve_secret: ResolveSecret) -> Provider:  # noqa: ANN401 (from TOML)
    if not isinstance(table, dict):
        raise UsageError("must be a table")
    if not name.strip() or not name.isprintable():
        raise UsageError("a provider's name must not be blank, nor hold control characters")
    protocol = table.get("protocol", name)
    if protocol not in _PROTOCOLS:
        raise UsageError('protocol must be "openai" or "anthropic"')
    for key in table:
        if key not in _PROVIDER_KEYS:
            raise UsageError(f"{key} is not known; there are {', '.join(_PROVIDER_KEYS)}")
    for flag in ("default", "allow_http"):
        if not isinstance(table.get(flag, False), bool):
            raise UsageError(f"{flag} must be true or false")
    urls = _strings(table, "base_url", [_DEFAULT_URLS[protocol]])
    references = _strings(table, "keys", [])
    headers = read_headers(table.get("headers", {}), resolve_secret)
    forwarded = read_forwarded(_strings(table, "forward_headers", []))
    dialect = DIALECTS[protocol]
    keys = [dialect.credential(check_value(resolve_secret(one), "the key")) for one in references]
    credentials: list[tuple[str, str] | None] = [*keys] or [None]
    targets = tuple(
        make_target(protocol, url, credential, headers, forwarded) for url in urls for credential in credentials
    )
    if table.get("allow_http") is not True:
        for url in urls:
            check_encrypted(url)
    return Provider(name, protocol, urls[0], targets, default=table.get("default") is True)


def _strings(table: dict[str, Any], name: str, default: list[str]) -> list[str]:
    value = table.get(name, default)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
        raise UsageError(f"{name} must be a text or a list of texts")
    return values or default
