"""Takes secrets out of what is logged: those that this server holds, and whatever looks like one."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from meshproxy_cli.proxy.config.server import ServerConfig

SHOWN = "(secret)"
_SHORTEST = 6  # what is shorter turns up by chance in words that are no secret
_PATTERNS = re.compile(
    r"ma-[\w.]{22}-[\w.]{22}-[\w.~+/=-]+"  # API keys
    r"|eyJ[\w-]{8,}\.[\w-]+\.?[\w-]*"  # participant tokens
    r"|\b(?:sk|pk|rk)-[\w-]{8,}"  # providers' keys
    r"|\bmpa_[\w-]{8,}"  # access tokens
    r"|(?<=://)[^/@\s'\"]+(?=@)"  # who logs in with what, in a URL
    r"|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"
)
_PLAIN_HEADERS = frozenset({"host", "anthropic-version", "content-type", "user-agent"})
_SECRET_NAMES = re.compile(r"(?i)(key|token|secret|password)$")


class Redactor:
    """Call it with a text to get it without secrets; `values` are replaced wherever they stand."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        chosen = sorted({value for value in values if len(value) >= _SHORTEST}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, chosen))) if chosen else None

    def __call__(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(SHOWN, text)
        return _PATTERNS.sub(SHOWN, text)


def secrets_of(
    config: ServerConfig, secrets: Mapping[str, str], environ: Mapping[str, str], database_url: str
) -> Iterator[str]:
    """Yield every secret that a server holds: of providers, of its environment, of its database."""
    yield from secrets.values()
    yield from (value for name, value in environ.items() if _SECRET_NAMES.search(name))
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
