"""The secrets that a server holds, which must not be logged."""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from meshproxy_cli.proxy.config.server import ServerConfig
from meshproxy_cli.redact import secret_values

_PLAIN_HEADERS = frozenset({"host", "anthropic-version", "content-type", "user-agent"})


def secrets_of(
    config: ServerConfig, secrets: Mapping[str, str], environ: Mapping[str, str], database_url: str
) -> Iterator[str]:
    """Yield every secret that a server holds: of providers, of its environment, of its database."""
    yield from secrets.values()
    yield from secret_values(environ)
    for provider in config.providers:
        for target in provider.targets:
            yield from _of_headers(target.fixed.decode("latin-1"))
    password = urlsplit(database_url).password
    if password:
        yield from (password, unquote(password))


def _of_headers(lines: str) -> Iterator[str]:
    for line in lines.splitlines():
        name, _, value = line.partition(": ")
        if name.lower() not in _PLAIN_HEADERS:
            yield value
            yield value.partition(" ")[2]  # without "Bearer"
